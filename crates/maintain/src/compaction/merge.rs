//! Merges sorted runs into one sorted stream: a heap over the first rows of each run's current batch.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::row::Rows;

use super::budget::{MemoryMeter, MemorySlot};
use super::error::CompactionError;
use super::runs::{RunReader, Sorted, SortedBuffer, SpillPlace, SpilledRun};
use super::sort_key::SortKey;
use super::throttle::Pacer;

/// Rows of a merged batch, at most.
const BATCH_ROWS: usize = 8_192;

/// Sorted rows, from memory or from runs.
pub(crate) enum SortedStream {
    Buffer(SortedBuffer),
    Merge(Merge),
}

impl SortedStream {
    /// The rows of `sorted`, of which at most `fan_in` runs are open at once: more are merged into longer ones first.
    pub(crate) fn open(
        sorted: Sorted,
        key: &Arc<SortKey>,
        schema: &SchemaRef,
        place: &SpillPlace,
        fan_in: usize,
        meter: &MemoryMeter,
        pacer: &mut Pacer,
    ) -> Result<Self, CompactionError> {
        let mut runs = match sorted {
            Sorted::InMemory(buffer) => return Ok(Self::Buffer(buffer)),
            Sorted::Spilled(runs) => runs,
        };
        while runs.len() > fan_in {
            let rest = runs.split_off(fan_in);
            let mut merge = Merge::open(runs, key.clone(), place, meter)?;
            let mut writer = place.begin(schema)?;
            while let Some(batch) = merge.next()? {
                pacer.step()?;
                writer.write(&batch)?;
            }
            runs = rest;
            runs.push(writer.finish()?);
        }
        Ok(Self::Merge(Merge::open(runs, key.clone(), place, meter)?))
    }

    pub(crate) fn next(&mut self) -> Result<Option<RecordBatch>, CompactionError> {
        match self {
            Self::Buffer(buffer) => buffer.next(),
            Self::Merge(merge) => merge.next(),
        }
    }
}

struct Cursor {
    reader: RunReader,
    batch: RecordBatch,
    keys: Rows,
    at: usize,
}

impl Cursor {
    fn bytes(&self) -> usize {
        // The columns of a batch that was read back share one buffer: each by itself would count all of it.
        let of_column = |column: &ArrayRef| column.to_data().get_slice_memory_size().unwrap_or_default();
        self.batch.columns().iter().map(of_column).sum::<usize>() + self.keys.size()
    }
}

/// A merge of open runs.
pub(crate) struct Merge {
    cursors: Vec<Cursor>,
    /// Indices of the cursors that have rows; the one with the lowest row first, as a binary heap.
    heap: Vec<usize>,
    key: Arc<SortKey>,
    table: String,
    memory: MemorySlot,
}

impl Merge {
    fn open(
        runs: Vec<SpilledRun>,
        key: Arc<SortKey>,
        place: &SpillPlace,
        meter: &MemoryMeter,
    ) -> Result<Self, CompactionError> {
        let mut merge = Self {
            cursors: Vec::with_capacity(runs.len()),
            heap: Vec::new(),
            key,
            table: place.table.clone(),
            memory: meter.slot(),
        };
        for run in runs {
            let mut reader = place.open(run)?;
            if let Some(batch) = reader.next()? {
                let keys = merge.encode(&batch)?;
                merge.cursors.push(Cursor { reader, batch, keys, at: 0 });
            }
        }
        merge.heap = (0..merge.cursors.len()).collect();
        for place in (0..merge.heap.len() / 2).rev() {
            merge.sink(place);
        }
        Ok(merge)
    }

    fn encode(&self, batch: &RecordBatch) -> Result<Rows, CompactionError> {
        self.key.encode(batch).map_err(CompactionError::arrow("merge", &self.table))
    }

    /// The next rows; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<RecordBatch>, CompactionError> {
        let mut places: Vec<(usize, usize)> = Vec::with_capacity(BATCH_ROWS);
        let mut used_up = None;
        while let Some(&lowest) = self.heap.first() {
            let cursor = &mut self.cursors[lowest];
            places.push((lowest, cursor.at));
            cursor.at += 1;
            if cursor.at == cursor.batch.num_rows() {
                // Its rows have to be taken before the next batch comes in its place.
                used_up = Some(lowest);
                break;
            }
            self.sink(0);
            if places.len() == BATCH_ROWS {
                break;
            }
        }
        if places.is_empty() {
            self.memory.set(0);
            return Ok(None);
        }
        let sources: Vec<&RecordBatch> = self.cursors.iter().map(|cursor| &cursor.batch).collect();
        let merged = interleave_record_batch(&sources, &places)
            .map_err(CompactionError::arrow("merge", &self.table))?;
        let held: usize = self.cursors.iter().map(Cursor::bytes).sum();
        self.memory.set(held + merged.get_array_memory_size());
        if let Some(index) = used_up {
            self.advance(index)?;
        }
        Ok(Some(merged))
    }

    /// The next batch of the run at the top of the heap.
    fn advance(&mut self, index: usize) -> Result<(), CompactionError> {
        match self.cursors[index].reader.next()? {
            Some(batch) => {
                let keys = self.encode(&batch)?;
                let cursor = &mut self.cursors[index];
                (cursor.batch, cursor.keys, cursor.at) = (batch, keys, 0);
            }
            None => {
                let schema = self.cursors[index].batch.schema();
                self.cursors[index].batch = RecordBatch::new_empty(schema);
                self.heap.swap_remove(0);
            }
        }
        self.sink(0);
        Ok(())
    }

    /// Whether the row of the first cursor comes before the second's; equal rows keep the order of their runs.
    fn is_before(&self, left: usize, right: usize) -> bool {
        let (first, second) = (&self.cursors[left], &self.cursors[right]);
        let order = first.keys.row(first.at).cmp(&second.keys.row(second.at));
        order.then(left.cmp(&right)).is_lt()
    }

    fn sink(&mut self, from: usize) {
        let mut place = from;
        loop {
            let mut lowest = place;
            for child in [2 * place + 1, 2 * place + 2] {
                if child < self.heap.len() && self.is_before(self.heap[child], self.heap[lowest]) {
                    lowest = child;
                }
            }
            if lowest == place {
                return;
            }
            self.heap.swap(place, lowest);
            place = lowest;
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Int64Array};
    use arrow::datatypes::{DataType, Field, Int64Type, Schema};
    use proptest::prelude::*;

    use super::super::runs::Sorter;
    use super::super::throttle::Throttle;
    use super::*;

    fn sorted(values: &[Vec<Option<i64>>], limit_bytes: usize, fan_in: usize) -> Vec<Option<i64>> {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
        let directory = tempfile::tempdir().unwrap();
        let place = SpillPlace {
            directory: directory.path().to_path_buf(),
            batch_bytes: 200,
            table: "t".to_string(),
        };
        let meter = MemoryMeter::default();
        let key = Arc::new(SortKey::new(&schema, &["n".to_string()]).unwrap());
        let mut sorter = Sorter::new(key.clone(), schema.clone(), place.clone(), limit_bytes, &meter);
        for part in values {
            let column = Arc::new(Int64Array::from(part.clone()));
            sorter.push(RecordBatch::try_new(schema.clone(), vec![column]).unwrap()).unwrap();
        }
        let mut pacer = Pacer::new(Throttle::default(), Vec::new());
        let all = sorter.finish().unwrap();
        let mut stream = SortedStream::open(all, &key, &schema, &place, fan_in, &meter, &mut pacer).unwrap();
        let mut found = Vec::new();
        while let Some(batch) = stream.next().unwrap() {
            found.extend(batch.column(0).as_primitive::<Int64Type>().iter());
        }
        drop(stream);
        assert_eq!(meter.reserved_bytes(), 0);
        found
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn whatever_the_limits_the_rows_are_the_same_and_sorted(
            values in prop::collection::vec(prop::collection::vec(prop::option::of(-50..50_i64), 1..40), 0..30),
            limit_bytes in prop::sample::select(vec![1_usize, 3_000, 1 << 20]),
            fan_in in 2..6_usize,
        ) {
            let mut expected: Vec<Option<i64>> = values.concat();
            expected.sort();
            prop_assert_eq!(sorted(&values, limit_bytes, fan_in), expected);
        }
    }
}
