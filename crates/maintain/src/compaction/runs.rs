//! Sorts more rows than fit in memory: sorted runs go to unnamed files in a local directory, which vanish with the
//! process.

use std::fs::File;
use std::io::{BufReader, BufWriter, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::interleave_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use arrow::row::{Row, Rows};

use super::budget::{MemoryMeter, MemorySlot};
use super::error::CompactionError;
use super::sort_key::SortKey;

/// What sorting needs for a row beside the row and its key: its place, and the sort's own half as much again.
const PLACE_BYTES: usize = 24;

/// Where a row is. Most comparisons are decided by the first bytes of its key, which are here to be near.
#[derive(Clone, Copy, Debug)]
struct RowPlace {
    key_start: u64,
    batch: u32,
    row: u32,
}

/// The first bytes of a key, so that they compare as it does.
fn key_start(key: &[u8]) -> u64 {
    let mut start = [0; 8];
    let length = key.len().min(8);
    start[..length].copy_from_slice(&key[..length]);
    u64::from_be_bytes(start)
}

/// A sorted run on disk.
#[derive(Debug)]
pub(crate) struct SpilledRun {
    file: File,
}

/// Where runs go.
#[derive(Clone, Debug)]
pub(crate) struct SpillPlace {
    /// A local directory.
    pub directory: PathBuf,
    /// Size of a batch in a run, bytes.
    pub batch_bytes: usize,
    /// The table, for messages.
    pub table: String,
}

impl SpillPlace {
    /// A writer for a new run.
    pub(crate) fn begin(&self, schema: &SchemaRef) -> Result<RunWriter, CompactionError> {
        let file = tempfile::tempfile_in(&self.directory).map_err(|source| self.failed(source))?;
        let writer = StreamWriter::try_new(BufWriter::with_capacity(1 << 16, file), schema);
        Ok(RunWriter { writer: writer.map_err(|error| self.failed_ipc(error))?, place: self.clone() })
    }

    /// A reader of a run.
    pub(crate) fn open(&self, run: SpilledRun) -> Result<RunReader, CompactionError> {
        let mut file = run.file;
        file.seek(SeekFrom::Start(0)).map_err(|source| self.failed(source))?;
        let reader = StreamReader::try_new(BufReader::with_capacity(1 << 16, file), None);
        Ok(RunReader { reader: reader.map_err(|error| self.failed_ipc(error))?, place: self.clone() })
    }

    fn failed(&self, source: std::io::Error) -> CompactionError {
        CompactionError::Spill { directory: self.directory.clone(), source }
    }

    fn failed_ipc(&self, error: ArrowError) -> CompactionError {
        match error {
            ArrowError::IoError(_, source) => self.failed(source),
            other => CompactionError::Arrow { action: "keep", table: self.table.clone(), source: other },
        }
    }
}

/// Writes one run.
pub(crate) struct RunWriter {
    writer: StreamWriter<BufWriter<File>>,
    place: SpillPlace,
}

impl RunWriter {
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), CompactionError> {
        self.writer.write(batch).map_err(|error| self.place.failed_ipc(error))
    }

    pub(crate) fn finish(self) -> Result<SpilledRun, CompactionError> {
        let place = self.place;
        let buffered = self.writer.into_inner().map_err(|error| place.failed_ipc(error))?;
        let file = buffered.into_inner().map_err(|error| place.failed(error.into_error()))?;
        Ok(SpilledRun { file })
    }
}

/// Reads one run.
pub(crate) struct RunReader {
    reader: StreamReader<BufReader<File>>,
    place: SpillPlace,
}

impl RunReader {
    pub(crate) fn next(&mut self) -> Result<Option<RecordBatch>, CompactionError> {
        self.reader.next().transpose().map_err(|error| self.place.failed_ipc(error))
    }
}

/// Takes rows in any order.
pub(crate) struct Sorter {
    key: Arc<SortKey>,
    schema: SchemaRef,
    place: SpillPlace,
    limit_bytes: usize,
    batches: Vec<RecordBatch>,
    keys: Vec<Rows>,
    held_bytes: usize,
    memory: MemorySlot,
    runs: Vec<SpilledRun>,
}

/// The rows of a sorter.
pub(crate) enum Sorted {
    /// All of them, in memory.
    InMemory(SortedBuffer),
    /// In sorted runs.
    Spilled(Vec<SpilledRun>),
}

impl Sorter {
    /// A sorter that holds at most about `limit_bytes` in memory.
    pub(crate) fn new(
        key: Arc<SortKey>,
        schema: SchemaRef,
        place: SpillPlace,
        limit_bytes: usize,
        meter: &MemoryMeter,
    ) -> Self {
        Self {
            key,
            schema,
            place,
            limit_bytes,
            batches: Vec::new(),
            keys: Vec::new(),
            held_bytes: 0,
            memory: meter.slot(),
            runs: Vec::new(),
        }
    }

    /// From now on it holds at most about `limit_bytes`.
    pub(crate) fn set_limit(&mut self, limit_bytes: usize) {
        self.limit_bytes = limit_bytes;
    }

    /// Adds rows.
    pub(crate) fn push(&mut self, batch: RecordBatch) -> Result<(), CompactionError> {
        let keys = self.key.encode(&batch).map_err(CompactionError::arrow("sort", &self.place.table))?;
        let bytes = batch.get_array_memory_size() + keys.size() + PLACE_BYTES * batch.num_rows();
        if !self.batches.is_empty() && self.held_bytes + bytes > self.limit_bytes {
            self.spill()?;
        }
        self.held_bytes += bytes;
        self.memory.set(self.held_bytes);
        self.batches.push(batch);
        self.keys.push(keys);
        Ok(())
    }

    /// All rows, sorted.
    pub(crate) fn finish(mut self) -> Result<Sorted, CompactionError> {
        if self.runs.is_empty() {
            return Ok(Sorted::InMemory(self.take_sorted()));
        }
        if !self.batches.is_empty() {
            self.spill()?;
        }
        Ok(Sorted::Spilled(self.runs))
    }

    fn spill(&mut self) -> Result<(), CompactionError> {
        let mut writer = self.place.begin(&self.schema)?;
        let mut sorted = self.take_sorted();
        while let Some(batch) = sorted.next()? {
            writer.write(&batch)?;
        }
        self.runs.push(writer.finish()?);
        Ok(())
    }

    fn take_sorted(&mut self) -> SortedBuffer {
        let (batches, keys) = (std::mem::take(&mut self.batches), std::mem::take(&mut self.keys));
        let mut order: Vec<RowPlace> = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
        for (number, rows) in keys.iter().enumerate() {
            let place = |(row, key): (usize, Row<'_>)| RowPlace {
                key_start: key_start(key.as_ref()),
                batch: number as u32,
                row: row as u32,
            };
            order.extend(rows.iter().enumerate().map(place));
        }
        let key_of = |place: &RowPlace| keys[place.batch as usize].row(place.row as usize);
        let compare = |left: &RowPlace, right: &RowPlace| {
            left.key_start.cmp(&right.key_start).then_with(|| key_of(left).cmp(&key_of(right)))
        };
        // Files that we wrote are sorted already: one pass finds out.
        if !order.is_sorted_by(|left, right| compare(left, right).is_le()) {
            order.sort_by(compare);
        }
        drop(keys);
        let row_bytes = (self.held_bytes / order.len().max(1)).max(1);
        let fresh = self.memory.another();
        let mut memory = std::mem::replace(&mut self.memory, fresh);
        memory.set(self.held_bytes);
        self.held_bytes = 0;
        SortedBuffer {
            batches,
            order,
            at: 0,
            batch_rows: (self.place.batch_bytes / row_bytes).clamp(1, 8_192),
            table: self.place.table.clone(),
            _memory: memory,
        }
    }
}

/// Rows in memory, with their order.
pub(crate) struct SortedBuffer {
    batches: Vec<RecordBatch>,
    order: Vec<RowPlace>,
    at: usize,
    batch_rows: usize,
    table: String,
    _memory: MemorySlot,
}

impl SortedBuffer {
    /// The next rows.
    pub(crate) fn next(&mut self) -> Result<Option<RecordBatch>, CompactionError> {
        let end = self.order.len().min(self.at + self.batch_rows);
        if self.at == end {
            return Ok(None);
        }
        let places: Vec<(usize, usize)> =
            self.order[self.at..end].iter().map(|place| (place.batch as usize, place.row as usize)).collect();
        self.at = end;
        let sources: Vec<&RecordBatch> = self.batches.iter().collect();
        let batch = interleave_record_batch(&sources, &places)
            .map_err(CompactionError::arrow("sort", &self.table))?;
        Ok(Some(batch))
    }
}
