//! Collects judged records as Arrow columns of the two bronze tables.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, Int32Array, Int64Array, RecordBatch, StringArray, StringBuilder,
    TimestampMicrosecondArray,
};
use pulselake_model::{ErrorCode, EventColumns, RawBatch, RawRecord, schema};

use crate::judge::{DecodedEvent, Rejection, record_timestamp_us};

/// What all rows of one batch have in common.
pub(crate) struct Provenance<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: i32,
    pub(crate) ingested_at_us: i64,
}

/// A string column that reserves for the next batch what the last one needed per row.
struct TextColumn {
    builder: StringBuilder,
    bytes_per_row: usize,
}

impl TextColumn {
    fn expecting(bytes_per_row: usize) -> Self {
        Self { builder: StringBuilder::with_capacity(0, 0), bytes_per_row }
    }

    /// Reserves for `rows` rows, but never more than the batch has bytes: one huge row must not make the next
    /// batch reserve the same for each of its rows.
    fn begin(&mut self, rows: usize, batch_bytes: usize) {
        let estimate = rows.saturating_mul(self.bytes_per_row);
        self.builder = StringBuilder::with_capacity(rows, estimate.min(batch_bytes));
    }

    fn finish(&mut self) -> ArrayRef {
        let array = self.builder.finish();
        if let Some(bytes_per_row) = array.value_data().len().checked_div(array.value_offsets().len() - 1) {
            self.bytes_per_row = bytes_per_row + 1;
        }
        Arc::new(array)
    }
}

/// Columns of `bronze.raw_events` under construction.
pub(crate) struct EventRows {
    event_id: TextColumn,
    video_id: TextColumn,
    user_id: TextColumn,
    event_type: TextColumn,
    schema_version: TextColumn,
    payload_json: TextColumn,
    header_extra_json: TextColumn,
    columns: EventColumns,
}

impl EventRows {
    pub(crate) fn new() -> Self {
        Self {
            event_id: TextColumn::expecting(36),
            video_id: TextColumn::expecting(10),
            user_id: TextColumn::expecting(10),
            event_type: TextColumn::expecting(10),
            schema_version: TextColumn::expecting(3),
            payload_json: TextColumn::expecting(128),
            header_extra_json: TextColumn::expecting(0),
            columns: EventColumns::default(),
        }
    }

    fn text_columns(&mut self) -> [&mut TextColumn; 7] {
        [
            &mut self.event_id,
            &mut self.video_id,
            &mut self.user_id,
            &mut self.event_type,
            &mut self.schema_version,
            &mut self.payload_json,
            &mut self.header_extra_json,
        ]
    }

    /// Reserves for a batch, as if every record of it were valid.
    pub(crate) fn begin(&mut self, batch: &RawBatch) {
        let rows = batch.records.len();
        for column in self.text_columns() {
            column.begin(rows, batch.bytes.len());
        }
        self.columns = EventColumns {
            offset: Vec::with_capacity(rows),
            event_timestamp_us: Vec::with_capacity(rows),
            stream_time_us: Vec::with_capacity(rows),
            event_type: Vec::with_capacity(rows),
            watch_time_ms: Vec::with_capacity(rows),
            event_id_hash: Vec::with_capacity(rows),
        };
    }

    pub(crate) fn push(&mut self, offset: i64, event: &DecodedEvent<'_>) {
        self.event_id.builder.append_value(&event.event_id);
        self.video_id.builder.append_value(&event.video_id);
        self.user_id.builder.append_value(&event.user_id);
        self.event_type.builder.append_value(event.event_type.as_str());
        self.schema_version.builder.append_value(&event.schema_version);
        self.payload_json.builder.append_value(&event.payload_json);
        self.header_extra_json.builder.append_option(event.header_extra_json.as_deref());
        self.columns.offset.push(offset);
        self.columns.event_timestamp_us.push(event.event_timestamp_us);
        self.columns.stream_time_us.push(event.stream_time_us);
        self.columns.event_type.push(event.event_type);
        self.columns.watch_time_ms.push(event.watch_time_ms);
        self.columns.event_id_hash.push(event.event_id_hash());
    }

    pub(crate) fn finish(&mut self, provenance: &Provenance<'_>) -> (RecordBatch, EventColumns) {
        let columns = std::mem::take(&mut self.columns);
        let rows = columns.offset.len();
        let arrays: Vec<ArrayRef> = vec![
            self.event_id.finish(),
            timestamps(columns.event_timestamp_us.clone()),
            self.video_id.finish(),
            self.user_id.finish(),
            self.event_type.finish(),
            self.schema_version.finish(),
            self.payload_json.finish(),
            self.header_extra_json.finish(),
            repeated_text(provenance.topic, rows),
            Arc::new(Int32Array::from(vec![provenance.partition; rows])),
            Arc::new(Int64Array::from(columns.offset.clone())),
            timestamps(vec![provenance.ingested_at_us; rows]),
        ];
        // The arrays above are the schema's columns in its order, one element per pushed row: it can't fail.
        let events =
            RecordBatch::try_new(schema::bronze_events(), arrays).expect("columns follow the bronze schema");
        (events, columns)
    }
}

/// Columns of `bronze.invalid_events_content` under construction. Nothing is reserved: a batch seldom has any.
#[derive(Default)]
pub(crate) struct InvalidRows {
    invalid_event_id: StringBuilder,
    raw_value: BinaryBuilder,
    source_offset: Vec<i64>,
    schema_version: StringBuilder,
    error_code: StringBuilder,
    error_reason: StringBuilder,
    record_timestamp_us: Vec<Option<i64>>,
    by_code: [u64; ErrorCode::COUNT],
}

impl InvalidRows {
    pub(crate) fn push(
        &mut self,
        provenance: &Provenance<'_>,
        record: &RawRecord,
        value: &[u8],
        rejection: &Rejection,
    ) {
        let id = format!("{}-{}-{}", provenance.topic, provenance.partition, record.offset);
        self.invalid_event_id.append_value(id);
        self.raw_value.append_value(value);
        self.source_offset.push(record.offset);
        self.schema_version.append_option(rejection.schema_version.as_deref());
        self.error_code.append_value(rejection.code.as_str());
        self.error_reason.append_value(&rejection.reason);
        self.record_timestamp_us.push(record_timestamp_us(record.timestamp_ms));
        self.by_code[rejection.code as usize] += 1;
    }

    pub(crate) fn finish(&mut self, provenance: &Provenance<'_>) -> (RecordBatch, [u64; ErrorCode::COUNT]) {
        let rows = self.source_offset.len();
        let by_code = std::mem::take(&mut self.by_code);
        let record_timestamps =
            TimestampMicrosecondArray::from(std::mem::take(&mut self.record_timestamp_us));
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(self.invalid_event_id.finish()),
            Arc::new(self.raw_value.finish()),
            repeated_text(provenance.topic, rows),
            Arc::new(Int32Array::from(vec![provenance.partition; rows])),
            Arc::new(Int64Array::from(std::mem::take(&mut self.source_offset))),
            Arc::new(self.schema_version.finish()),
            Arc::new(self.error_code.finish()),
            Arc::new(self.error_reason.finish()),
            timestamps(vec![provenance.ingested_at_us; rows]),
            Arc::new(record_timestamps.with_timezone(TIME_ZONE)),
        ];
        // The arrays above are the schema's columns in its order, one element per pushed row: it can't fail.
        let invalid = RecordBatch::try_new(schema::invalid_events(), arrays)
            .expect("columns follow the invalid schema");
        (invalid, by_code)
    }
}

/// The time zone in the type of every timestamp column.
const TIME_ZONE: &str = "+00:00";

fn timestamps(values_us: Vec<i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(values_us).with_timezone(TIME_ZONE))
}

fn repeated_text(text: &str, rows: usize) -> ArrayRef {
    let mut builder = StringBuilder::with_capacity(rows, rows * text.len());
    builder.append_value_n(text, rows);
    let array: StringArray = builder.finish();
    Arc::new(array)
}
