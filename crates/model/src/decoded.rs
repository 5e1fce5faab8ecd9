//! Records after decoding: what travels from a consumer to the aggregator and the writer.

use std::sync::Arc;

use arrow::array::RecordBatch;

use crate::{ErrorCode, EventType};

/// Identity of the last record of a range, to notice that a topic was recreated under the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastRecord {
    /// Its offset.
    pub offset: i64,
    /// Its record timestamp in milliseconds, −1 where the source has none.
    pub timestamp_ms: i64,
    /// xxh3-64 of its value.
    pub hash: u64,
}

/// The decoded form of one `RawBatch`. Every record of it is either a row of `events` or a row of `invalid`.
///
/// Shared between the aggregator and the writer as `Arc<DecodedBatch>`; never changed after it is built.
#[derive(Clone, Debug)]
pub struct DecodedBatch {
    /// Source partition.
    pub partition: i32,
    /// The reader's position before this batch.
    pub first_offset: i64,
    /// The reader's position after this batch.
    pub next_offset: i64,
    /// Records in the batch: valid and invalid.
    pub record_count: u64,
    /// Valid records in the columns of [`crate::schema::bronze_events`], by rising `source_offset`.
    pub events: RecordBatch,
    /// For the aggregator: one element per row of `events`.
    pub columns: EventColumns,
    /// Rejected records in the columns of [`crate::schema::invalid_events`], by rising `source_offset`.
    pub invalid: RecordBatch,
    /// How many rejected records there are of each code, indexed by [`ErrorCode`] as a number.
    pub invalid_by_code: [u64; ErrorCode::COUNT],
    /// The batch's last record; `None` when it has no record.
    pub last: Option<LastRecord>,
}

/// What the aggregator needs of each valid event beside the Arrow columns, without going through Arrow arrays.
#[derive(Clone, Debug, Default)]
pub struct EventColumns {
    /// `source_offset`.
    pub offset: Vec<i64>,
    /// `event_timestamp` in microseconds since the epoch.
    pub event_timestamp_us: Vec<i64>,
    /// How far this record may move stream time: min(event timestamp, record timestamp), microseconds.
    pub stream_time_us: Vec<i64>,
    /// Kind of interaction.
    pub event_type: Vec<EventType>,
    /// `watch_time_ms` of the body; 0 where it is absent or not a sane number.
    pub watch_time_ms: Vec<i64>,
    /// xxh3-128 of `event_id`: the key of deduplication.
    pub event_id_hash: Vec<u128>,
}

/// A decoded batch as the actors pass it on.
pub type SharedBatch = Arc<DecodedBatch>;
