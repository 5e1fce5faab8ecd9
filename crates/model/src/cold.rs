//! Columns of the tables that batch jobs make, a day at a time; no stream feeds them. The contract is
//! `docs/adr/0027-cold-path.md`. Days are UTC.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use crate::schema::{optional, required, timestamp_type};

fn text(name: &str) -> Field {
    required(name, DataType::Utf8)
}

fn long(name: &str) -> Field {
    required(name, DataType::Int64)
}

fn double(name: &str) -> Field {
    required(name, DataType::Float64)
}

fn day(name: &str) -> Field {
    required(name, DataType::Date32)
}

/// Columns of `silver.fact_user_engagement` as the table is created, in table order: one row is one event of a day. The
/// columns of new payload fields follow behind, all optional.
///
/// - `session_id`: `user_id`, `@`, and `session_started_at` in microseconds since the epoch.
/// - `watch_time_ms` … `referral_source`: of the payload; `video_duration_ms` else of the video.
/// - `completion_rate`: `watch_time_ms` / `video_duration_ms`, at most 1.
/// - `category` … `upload_time`, `user_segment` … `is_creator`: of the versions of video and user that were valid at the event.
pub fn engagement_facts() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        Arc::new(Schema::new(vec![
            text("event_id"),
            required("event_timestamp", timestamp_type()),
            text("video_id"),
            text("user_id"),
            text("event_type"),
            text("schema_version"),
            text("session_id"),
            required("session_started_at", timestamp_type()),
            optional("watch_time_ms", DataType::Int64),
            optional("video_duration_ms", DataType::Int64),
            optional("completion_rate", DataType::Float64),
            optional("device_os", DataType::Utf8),
            optional("app_version", DataType::Utf8),
            optional("network_type", DataType::Utf8),
            optional("referral_source", DataType::Utf8),
            optional("category", DataType::Utf8),
            optional("region", DataType::Utf8),
            optional("creator_id", DataType::Utf8),
            optional("video_status", DataType::Utf8),
            optional("upload_time", timestamp_type()),
            optional("user_segment", DataType::Utf8),
            optional("user_country", DataType::Utf8),
            optional("is_creator", DataType::Boolean),
            optional("header_extra_json", DataType::Utf8),
            required("source_partition", DataType::Int32),
            long("source_offset"),
            required("ingested_at", timestamp_type()),
        ]))
    });
    SCHEMA.clone()
}

/// Columns of `silver.payload_fields`, in table order: one row is one key of the events' payloads.
///
/// - `status`: what became of it; `type`: null where that is not known yet; `column_name`: null without a column in silver.
/// - `first_seen`, `last_seen`: event times. `sample`: one value.
/// - `events`, `share`: of the newest day that has the key. `conflicts`: values that did not fit `type`.
/// - `renamed_from`: the key that it seems to have taken the place of.
pub fn payload_fields() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        Arc::new(Schema::new(vec![
            text("field"),
            optional("column_name", DataType::Utf8),
            optional("type", DataType::Utf8),
            text("status"),
            required("first_seen", timestamp_type()),
            required("last_seen", timestamp_type()),
            optional("sample", DataType::Utf8),
            long("events"),
            double("share"),
            long("conflicts"),
            optional("renamed_from", DataType::Utf8),
        ]))
    });
    SCHEMA.clone()
}

/// Columns of `gold.batch_video_daily`, in table order: one row is one video on one day.
///
/// - `category_at_date`: of the version valid at the end of the day; null where none was known.
/// - `unique_viewers`: users with a play_start, by HyperLogLog.
/// - `retention_d1`: share of those users who play anything on the next day; null until that day is known, and for a
///   video that nobody played.
pub fn batch_video_daily() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        Arc::new(Schema::new(vec![
            day("date"),
            text("video_id"),
            optional("category_at_date", DataType::Utf8),
            long("impressions"),
            long("play_start"),
            long("play_finish"),
            long("likes"),
            long("shares"),
            long("skips"),
            double("total_watch_time_hrs"),
            double("completion_rate"),
            long("unique_viewers"),
            optional("retention_d1", DataType::Float64),
        ]))
    });
    SCHEMA.clone()
}

/// Columns of `gold.batch_quality_daily`, in table order: one row is one category (null: unknown) and bin of duration on one
/// day.
pub fn batch_quality_daily() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        Arc::new(Schema::new(vec![
            day("date"),
            optional("category", DataType::Utf8),
            text("duration_bin"),
            long("videos"),
            long("impressions"),
            long("play_start"),
            long("play_finish"),
            long("skips"),
            long("watch_time_ms"),
            double("completion_rate"),
            double("skip_rate"),
        ]))
    });
    SCHEMA.clone()
}

/// Columns of `gold.session_health_daily`, in table order: one row is one segment of users on one day; all users where
/// `user_segment` is null.
pub fn session_health_daily() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        Arc::new(Schema::new(vec![
            day("date"),
            optional("user_segment", DataType::Utf8),
            long("sessions"),
            long("users"),
            long("events"),
            long("plays"),
            long("skips"),
            double("avg_session_ms"),
            long("p50_session_ms"),
            long("p95_session_ms"),
            double("swipe_rate"),
            double("skip_streak_share"),
            long("longest_skip_streak"),
            double("night_share"),
            double("reopen_share"),
        ]))
    });
    SCHEMA.clone()
}

/// Columns of `gold.creator_retention_weekly`, in table order: one row is one cohort of creators (the Monday of their first
/// upload's week) in one of the weeks since, as known at the end of the day.
pub fn creator_retention_weekly() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        Arc::new(Schema::new(vec![
            day("date"),
            day("cohort_week"),
            required("week_number", DataType::Int32),
            long("creators"),
            long("active_creators"),
            double("retention"),
        ]))
    });
    SCHEMA.clone()
}

/// Columns of `gold.rt_batch_reconciliation`, in table order: one row is one metric on one day, real time against batch.
///
/// `kind`: count or rate. `status`: PASS, WARN or CRIT. `minutes`: how many were compared.
pub fn batch_reconciliation() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        Arc::new(Schema::new(vec![
            day("date"),
            text("metric_name"),
            text("kind"),
            long("minutes"),
            double("p95_difference"),
            double("max_difference"),
            double("threshold"),
            text("status"),
            double("rt_total"),
            double("batch_total"),
            required("computed_at", timestamp_type()),
        ]))
    });
    SCHEMA.clone()
}

/// Columns of `qa.batch_runs`, in table order: one row is one run of one job for one day.
///
/// `status`: done, unchanged or failed; `reason`: why it ran, or why it failed. `snapshot_id`: what it committed; null where
/// it committed nothing. `input_fingerprint`: what was read, JSON.
pub fn batch_runs() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        Arc::new(Schema::new(vec![
            text("run_id"),
            text("job"),
            day("date"),
            text("target"),
            text("status"),
            text("reason"),
            required("started_at", timestamp_type()),
            required("finished_at", timestamp_type()),
            long("rows_in"),
            long("rows_out"),
            long("files"),
            optional("snapshot_id", DataType::Int64),
            text("input_fingerprint"),
            text("sql_hash"),
            text("engine_version"),
        ]))
    });
    SCHEMA.clone()
}
