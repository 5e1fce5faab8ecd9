//! Rejected records as rows of quarantine, as the event stream's decoder writes them.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::error::ArrowError;
use pulselake_model::schema;

use crate::arrays::{texts, timestamps};
use crate::envelope::MAX_TIMESTAMP_MS;
use crate::pending::InvalidRecord;

const US_PER_MS: i64 = 1_000;

/// The rows, by partition and offset.
pub(crate) fn rows(mut records: Vec<InvalidRecord>, source_topic: &str) -> Result<RecordBatch, ArrowError> {
    records.sort_by_key(|record| (record.partition, record.offset));
    let bytes: usize = records.iter().map(|record| record.value.len()).sum();
    if i32::try_from(bytes).is_err() {
        return Err(ArrowError::OffsetOverflowError(bytes));
    }
    let ids = records.iter().map(|record| format!("{source_topic}-{}-{}", record.partition, record.offset));
    let versions = records.iter().map(|record| record.rejection.schema_version.as_deref());
    let codes = records.iter().map(|record| record.rejection.code.as_str());
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(ids)),
        Arc::new(BinaryArray::from_iter_values(records.iter().map(|record| &record.value))),
        texts(std::iter::repeat_n(source_topic, records.len()))?,
        Arc::new(Int32Array::from_iter_values(records.iter().map(|record| record.partition))),
        Arc::new(Int64Array::from_iter_values(records.iter().map(|record| record.offset))),
        Arc::new(StringArray::from_iter(versions)),
        Arc::new(StringArray::from_iter_values(codes)),
        texts(records.iter().map(|record| record.rejection.reason.as_str()))?,
        timestamps(records.iter().map(|record| Some(record.ingested_at_us))),
        timestamps(records.iter().map(|record| record_timestamp_us(record.record_timestamp_ms))),
    ];
    RecordBatch::try_new(schema::invalid_events(), arrays)
}

/// Kafka says "none" by a negative one; one that no table could hold counts as the latest that can be held.
fn record_timestamp_us(record_timestamp_ms: Option<i64>) -> Option<i64> {
    let timestamp_ms = record_timestamp_ms.filter(|timestamp| *timestamp >= 0)?;
    Some(timestamp_ms.min(MAX_TIMESTAMP_MS) * US_PER_MS)
}
