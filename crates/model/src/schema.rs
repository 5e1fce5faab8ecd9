//! Arrow schemas of the hot tables. Timestamps are microseconds in UTC.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

/// The Arrow type of every timestamp column: microseconds, time zone `+00:00` (Iceberg `timestamptz`).
pub fn timestamp_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()))
}

fn required(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, false)
}

fn optional(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, true)
}

/// Columns of `bronze.raw_events`, in table order.
pub fn bronze_events() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        Arc::new(Schema::new(vec![
            required("event_id", DataType::Utf8),
            required("event_timestamp", timestamp_type()),
            required("video_id", DataType::Utf8),
            required("user_id", DataType::Utf8),
            required("event_type", DataType::Utf8),
            required("schema_version", DataType::Utf8),
            required("payload_json", DataType::Utf8),
            optional("header_extra_json", DataType::Utf8),
            required("source_topic", DataType::Utf8),
            required("source_partition", DataType::Int32),
            required("source_offset", DataType::Int64),
            required("ingested_at", timestamp_type()),
        ]))
    });
    SCHEMA.clone()
}

/// Columns of `bronze.invalid_events_*`, in table order.
///
/// `record_timestamp` is the record's own (Kafka) timestamp: validity depends on it (FUTURE_TIMESTAMP), so a
/// later replay of the quarantine needs it to judge as the stream would.
pub fn invalid_events() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        Arc::new(Schema::new(vec![
            required("invalid_event_id", DataType::Utf8),
            required("raw_value", DataType::Binary),
            required("source_topic", DataType::Utf8),
            required("source_partition", DataType::Int32),
            required("source_offset", DataType::Int64),
            optional("schema_version", DataType::Utf8),
            required("error_code", DataType::Utf8),
            required("error_reason", DataType::Utf8),
            required("ingested_at", timestamp_type()),
            optional("record_timestamp", timestamp_type()),
        ]))
    });
    SCHEMA.clone()
}

/// Columns of `gold.rt_video_stats_1min`, in table order.
pub fn gold_video_stats() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        Arc::new(Schema::new(vec![
            required("source_partition", DataType::Int32),
            required("video_id", DataType::Utf8),
            required("window_start", timestamp_type()),
            required("window_end", timestamp_type()),
            required("impressions", DataType::Int64),
            required("play_start", DataType::Int64),
            required("play_finish", DataType::Int64),
            required("likes", DataType::Int64),
            required("shares", DataType::Int64),
            required("skips", DataType::Int64),
            required("watch_time_sum_ms", DataType::Int64),
            required("revision", DataType::Int32),
            required("processed_at", timestamp_type()),
        ]))
    });
    SCHEMA.clone()
}
