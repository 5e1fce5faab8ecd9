//! Which partition each row belongs to, and a batch split by it.
//!
//! The crate's splitter costs more than the encoding. Events come nearly in time order, so most batches are of one
//! partition and pass untouched, most of the others are a few runs that are slices; only what is left is gathered.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array, Date32Array, Int32Array, RecordBatch, TimestampMicrosecondArray, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Schema};
use iceberg::spec::{Literal, Struct, Transform};
use iceberg::transform::{BoxedTransformFunction, create_transform_function};
use pulselake_model::tables::LakeTable;

use crate::{LakeError, tables};

const HOUR_US: i64 = 3_600_000_000;
const DAY_US: i64 = 24 * HOUR_US;

/// A partition's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartitionKey {
    /// Hours or days since the epoch; 0 for tables that are not partitioned by time or date.
    pub time: i32,
    /// Bucket of the key; 0 for tables without buckets.
    pub bucket: i32,
}

/// How a column says in which hour or day a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TimeUnit {
    /// The hour of a timestamp.
    Hour,
    /// The day of a timestamp.
    Day,
    /// The date itself.
    Date,
}

impl TimeUnit {
    fn length_us(self) -> i64 {
        match self {
            Self::Hour => HOUR_US,
            Self::Day | Self::Date => DAY_US,
        }
    }
}

/// Splits batches of one table.
#[derive(Debug)]
pub struct Partitioner {
    table: LakeTable,
    time: Option<(usize, TimeUnit)>,
    bucket: Option<(usize, BoxedTransformFunction)>,
}

impl Partitioner {
    /// For batches with the model's columns of `table`.
    pub fn new(table: LakeTable) -> Result<Self, LakeError> {
        Self::for_schema(table, &tables::model_schema(table))
    }

    /// For batches of `schema`, which has the columns that the table is partitioned by.
    pub(crate) fn for_schema(table: LakeTable, schema: &Schema) -> Result<Self, LakeError> {
        let bad = |reason: String| LakeError::BadBatch { table: table.full_name().to_string(), reason };
        let mut time = None;
        let mut bucket = None;
        for (column, _, transform) in tables::partition_fields(table) {
            let index = schema.index_of(column).map_err(|error| bad(error.to_string()))?;
            match transform {
                Transform::Hour => time = Some((index, TimeUnit::Hour)),
                Transform::Day => time = Some((index, TimeUnit::Day)),
                Transform::Identity if *schema.field(index).data_type() == DataType::Date32 => {
                    time = Some((index, TimeUnit::Date));
                }
                Transform::Bucket(_) => {
                    let function = create_transform_function(transform)
                        .map_err(LakeError::iceberg("partition", table.full_name()))?;
                    bucket = Some((index, function));
                }
                other => return Err(bad(format!("partition transform {other} is not built in"))),
            }
        }
        Ok(Self { table, time, bucket })
    }

    /// The partition tuple, in the order of the table's partition spec.
    pub(crate) fn tuple(&self, key: PartitionKey) -> Struct {
        let time = self.time.map(|(_, unit)| match unit {
            TimeUnit::Day | TimeUnit::Date => Literal::date(key.time),
            TimeUnit::Hour => Literal::int(key.time),
        });
        let bucket = self.bucket.as_ref().map(|_| Literal::int(key.bucket));
        Struct::from_iter(time.into_iter().chain(bucket).map(Some))
    }

    /// The partition's directory under `data/`, as Iceberg's own writers name it (the crate writes hours as numbers);
    /// empty for a table without partitions.
    pub(crate) fn directory(&self, key: PartitionKey) -> String {
        let unit_us = self.time.map_or(DAY_US, |(_, unit)| unit.length_us());
        let start = i64::from(key.time)
            .checked_mul(unit_us)
            .and_then(chrono::DateTime::<chrono::Utc>::from_timestamp_micros);
        let format = if unit_us == DAY_US { "%Y-%m-%d" } else { "%Y-%m-%d-%H" };
        let time = start.map_or_else(|| key.time.to_string(), |moment| moment.format(format).to_string());
        let mut directory = String::new();
        for (_, name, transform) in tables::partition_fields(self.table) {
            match transform {
                Transform::Bucket(_) => directory.push_str(&format!("/{name}={}", key.bucket)),
                _ => directory.push_str(&format!("/{name}={time}")),
            }
        }
        directory.trim_start_matches('/').to_string()
    }

    /// The parts of `batch`, each of one partition; rows of a partition keep their order.
    pub fn split(&self, batch: &RecordBatch) -> Result<Vec<(PartitionKey, RecordBatch)>, LakeError> {
        let buckets = self.buckets(batch)?;
        let Some((time_column, unit)) = self.time else {
            let Some(buckets) = buckets else {
                return Ok(vec![(PartitionKey { time: 0, bucket: 0 }, batch.clone())]);
            };
            let keys = buckets.values().iter().map(|&bucket| PartitionKey { time: 0, bucket });
            return self.gather(batch, keys);
        };
        if unit == TimeUnit::Date {
            // No table has dates and buckets.
            let keys = self.dates(batch, time_column)?.values().iter();
            return self.gather(batch, keys.map(|&time| PartitionKey { time, bucket: 0 }));
        }
        let unit_us = unit.length_us();
        let values = self.times(batch, time_column)?.values();
        let Some(buckets) = buckets else {
            if let Some(time) = single_unit(values, unit_us) {
                return Ok(vec![(PartitionKey { time, bucket: 0 }, batch.clone())]);
            }
            let keys = values.iter().map(|&us| PartitionKey { time: unit_of(us, unit_us), bucket: 0 });
            return self.gather(batch, keys);
        };
        let keys = values
            .iter()
            .zip(buckets.values())
            .map(|(&us, &bucket)| PartitionKey { time: unit_of(us, unit_us), bucket });
        self.gather(batch, keys)
    }

    fn times<'a>(
        &self,
        batch: &'a RecordBatch,
        column: usize,
    ) -> Result<&'a TimestampMicrosecondArray, LakeError> {
        batch
            .columns()
            .get(column)
            .and_then(|values| values.as_any().downcast_ref::<TimestampMicrosecondArray>())
            .ok_or_else(|| self.bad("the time column is not a timestamp in microseconds"))
    }

    fn dates<'a>(&self, batch: &'a RecordBatch, column: usize) -> Result<&'a Date32Array, LakeError> {
        batch
            .columns()
            .get(column)
            .and_then(|values| values.as_any().downcast_ref::<Date32Array>())
            .ok_or_else(|| self.bad("the date column is not a date"))
    }

    fn buckets(&self, batch: &RecordBatch) -> Result<Option<Int32Array>, LakeError> {
        let Some((column, function)) = &self.bucket else {
            return Ok(None);
        };
        let source = batch.columns().get(*column).ok_or_else(|| self.bad("the bucket column is missing"))?;
        let buckets = function
            .transform(Arc::clone(source))
            .map_err(LakeError::iceberg("partition", self.table.full_name()))?;
        let typed = buckets.as_any().downcast_ref::<Int32Array>().cloned();
        typed.map(Some).ok_or_else(|| self.bad("buckets are not integers"))
    }

    fn gather(
        &self,
        batch: &RecordBatch,
        keys: impl Iterator<Item = PartitionKey>,
    ) -> Result<Vec<(PartitionKey, RecordBatch)>, LakeError> {
        let mut runs: Vec<(PartitionKey, usize, usize)> = Vec::new();
        for (row, key) in keys.enumerate() {
            match runs.last_mut() {
                Some((last, _, end)) if *last == key => *end = row + 1,
                _ => runs.push((key, row, row + 1)),
            }
        }
        let mut by_key: BTreeMap<PartitionKey, Vec<(usize, usize)>> = BTreeMap::new();
        for (key, start, end) in runs {
            by_key.entry(key).or_default().push((start, end));
        }
        by_key
            .into_iter()
            .map(|(key, ranges)| match ranges[..] {
                [(start, end)] => Ok((key, batch.slice(start, end - start))),
                _ => {
                    let rows: UInt32Array =
                        ranges.iter().flat_map(|&(start, end)| start as u32..end as u32).collect();
                    let part =
                        take_record_batch(batch, &rows).map_err(|error| self.bad(&error.to_string()))?;
                    Ok((key, part))
                }
            })
            .collect()
    }

    fn bad(&self, reason: &str) -> LakeError {
        LakeError::BadBatch { table: self.table.full_name().to_string(), reason: reason.to_string() }
    }
}

/// Hours or days since the epoch, rounded down also before it.
fn unit_of(timestamp_us: i64, unit_us: i64) -> i32 {
    // i64 microseconds are at most 2.6 billion hours: those beyond i32 are refused by the decoder, here they saturate.
    i32::try_from(timestamp_us.div_euclid(unit_us)).unwrap_or(if timestamp_us < 0 {
        i32::MIN
    } else {
        i32::MAX
    })
}

/// The unit that all timestamps are in, if it is one.
fn single_unit(timestamps_us: &[i64], unit_us: i64) -> Option<i32> {
    let first = timestamps_us.first()?.div_euclid(unit_us);
    let (start, end) = (first.checked_mul(unit_us)?, first.checked_mul(unit_us)?.checked_add(unit_us)?);
    // No early exit: this loop becomes vector code.
    let outside = timestamps_us.iter().filter(|&&us| us < start || us >= end).count();
    if outside == 0 { i32::try_from(first).ok() } else { None }
}

fn event_timestamps(batch: &RecordBatch) -> Option<&TimestampMicrosecondArray> {
    batch.column_by_name("event_timestamp")?.as_any().downcast_ref()
}

/// The hour partitions (hours since the epoch) that the rows of a bronze batch fall into.
pub fn hour_partitions(batch: &RecordBatch) -> HashSet<i32> {
    let Some(timestamps) = event_timestamps(batch) else {
        return HashSet::new();
    };
    if let Some(hour) = single_unit(timestamps.values(), HOUR_US) {
        return HashSet::from([hour]);
    }
    timestamps.values().iter().map(|&us| unit_of(us, HOUR_US)).collect()
}

/// How many leading rows of a bronze batch can be written so that the hour partitions, with those in `already_open`,
/// are at most `cap`. 0 means: commit first, then start again with an empty set. A cap of 0 counts as 1.
pub fn prefix_within_partition_cap(batch: &RecordBatch, already_open: &HashSet<i32>, cap: usize) -> usize {
    let Some(timestamps) = event_timestamps(batch) else {
        return batch.num_rows();
    };
    let values = timestamps.values();
    let cap = cap.max(1);
    if let Some(hour) = single_unit(values, HOUR_US) {
        let fits = already_open.contains(&hour) || already_open.len() < cap;
        return if fits { values.len() } else { 0 };
    }
    let mut open = already_open.clone();
    let mut last = None;
    for (row, &us) in values.iter().enumerate() {
        let hour = unit_of(us, HOUR_US);
        if last == Some(hour) {
            continue;
        }
        last = Some(hour);
        if open.contains(&hour) {
            continue;
        }
        if open.len() >= cap {
            return row;
        }
        open.insert(hour);
    }
    values.len()
}

#[cfg(test)]
#[path = "partition_tests.rs"]
mod tests;
