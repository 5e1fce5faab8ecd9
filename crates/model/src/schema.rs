//! Arrow schemas of the hot tables. Timestamps are microseconds in UTC.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::Entity;

/// The Arrow type of every timestamp column: microseconds, time zone `+00:00` (Iceberg `timestamptz`).
pub fn timestamp_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()))
}

pub(crate) fn required(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, false)
}

pub(crate) fn optional(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, true)
}

/// The Arrow type of every column with a list of texts.
pub(crate) fn text_list() -> DataType {
    DataType::List(Arc::new(Field::new("element", DataType::Utf8, true)))
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
///
/// `source_partition` is [`crate::RESTATED_PARTITION`] in rows that a restatement adds, whose counts may be negative.
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

/// What every build keeps of an entity, in table order: the key first. The source's further columns follow behind
/// what [`dimension`] and [`dimension_history`] add, in the order in which they appeared.
fn attributes(entity: Entity) -> Vec<Field> {
    match entity {
        Entity::Videos => vec![
            required("video_id", DataType::Utf8),
            optional("creator_id", DataType::Utf8),
            optional("category", DataType::Utf8),
            optional("region", DataType::Utf8),
            optional("hashtags", text_list()),
            optional("duration_ms", DataType::Int64),
            optional("upload_time", timestamp_type()),
            optional("status", DataType::Utf8),
        ],
        Entity::Users => vec![
            required("user_id", DataType::Utf8),
            optional("register_country", DataType::Utf8),
            optional("device_os", DataType::Utf8),
            optional("is_creator", DataType::Boolean),
            optional("ltv_segment", DataType::Utf8),
            optional("join_at", timestamp_type()),
        ],
    }
}

/// Columns of `dims.dim_*` as the table is created.
///
/// `source_ts_ms` is the moment of the change in the source (milliseconds), `updated_at` the one at which the engine
/// took it in.
pub fn dimension(entity: Entity) -> SchemaRef {
    let mut fields = attributes(entity);
    fields.extend([required("updated_at", timestamp_type()), required("source_ts_ms", DataType::Int64)]);
    Arc::new(Schema::new(fields))
}

/// Columns of `dims.dim_*_history` as the table is created: one row is one version of a key.
///
/// `op` is Debezium's c, u, d or r; attributes of a `d` are null. `valid_from` is `source_ts_ms` as a timestamp. Versions
/// of a key are ordered by `source_position`, `source_position_minor` (the database's own order; null where the producer
/// names none, which counts as before any), then `source_ts_ms`, then `source_offset`. `version_hash` tells versions of the
/// same moment apart: a repeated delivery has the same.
pub fn dimension_history(entity: Entity) -> SchemaRef {
    let mut fields = attributes(entity);
    fields.extend([
        required("updated_at", timestamp_type()),
        required("source_ts_ms", DataType::Int64),
        required("op", DataType::Utf8),
        required("valid_from", timestamp_type()),
        optional("source_position", DataType::Int64),
        optional("source_position_minor", DataType::Int64),
        required("version_hash", DataType::Int64),
        required("source_topic", DataType::Utf8),
        required("source_partition", DataType::Int32),
        required("source_offset", DataType::Int64),
    ]);
    Arc::new(Schema::new(fields))
}
