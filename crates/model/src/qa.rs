//! Columns of the tables that say what a run of the generator must come to. No stream of the engine writes them.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Schema, SchemaRef};

use crate::schema::{optional, required, text_list, timestamp_type};

/// Columns of `qa.run_manifest`, in table order: one row is one run of the generator.
///
/// - `run_id`: UUID v5 of the log's identity and the number of records written, so the same run has the same id.
/// - `identity`: the whole configuration of the log in its canonical text.
/// - `seed`, `scenarios` (canonical texts, in their order), `log_started_at`: parts of it that queries ask for.
/// - `first_record_at`, `last_record_at`: record timestamps of the first and the last record written; null without any.
/// - `records` = `events` + `retries` + `malformed`. `beyond_lateness`: events (a part of them) that are too late for gold.
/// - `video_minutes`: pairs of video and minute that gold must have, over all its rows summed.
pub fn run_manifest() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        Arc::new(Schema::new(vec![
            required("run_id", DataType::Utf8),
            required("identity", DataType::Utf8),
            required("seed", DataType::Int64),
            required("scenarios", text_list()),
            required("log_started_at", timestamp_type()),
            optional("first_record_at", timestamp_type()),
            optional("last_record_at", timestamp_type()),
            required("records", DataType::Int64),
            required("events", DataType::Int64),
            required("retries", DataType::Int64),
            required("malformed", DataType::Int64),
            required("beyond_lateness", DataType::Int64),
            required("video_minutes", DataType::Int64),
        ]))
    });
    SCHEMA.clone()
}

/// Columns of `qa.expected_actions`, in table order: one row is one action that a run's scenarios must lead to, or one
/// video about which nothing is to be decided.
///
/// - `run_id`: the run in `qa.run_manifest`. `scenario`: the canonical text of the scenario. `video_id`: its focus video.
/// - `intended_decision`: what the domain says that the scenario must lead to; null where it says nothing.
/// - `decision_type`: what the rules come to over the run's exact counts; NO_ACTION in a row of a video without actions.
/// - `action_id`, `window_start`, `window_end`, `expires_at`, `reason_codes`: of the action, when it is taken at the first
///   minute at which the rules call for it; null (no codes) for NO_ACTION.
/// - `expected_from`, `expected_until`: the ends of the first and of the last minute of the unbroken stretch in which the
///   rules call for this decision. For NO_ACTION: of the minutes that were decided about; null where there were none.
/// - `impressions_30m` … `skip_rate_30m`: the metrics at `window_start`; for NO_ACTION at the last minute decided about.
/// - `velocity_p90`, `impressions_p40`, `rule_version`: what they were compared with.
pub fn expected_actions() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        Arc::new(Schema::new(vec![
            required("run_id", DataType::Utf8),
            required("scenario", DataType::Utf8),
            required("video_id", DataType::Utf8),
            optional("intended_decision", DataType::Utf8),
            required("decision_type", DataType::Utf8),
            optional("action_id", DataType::Utf8),
            optional("window_start", timestamp_type()),
            optional("window_end", timestamp_type()),
            optional("expected_from", timestamp_type()),
            optional("expected_until", timestamp_type()),
            optional("expires_at", timestamp_type()),
            optional("impressions_30m", DataType::Int64),
            optional("play_start_30m", DataType::Int64),
            optional("velocity_30m", DataType::Float64),
            optional("completion_rate_30m", DataType::Float64),
            optional("skip_rate_30m", DataType::Float64),
            required("reason_codes", text_list()),
            required("velocity_p90", DataType::Float64),
            required("impressions_p40", DataType::Float64),
            required("rule_version", DataType::Utf8),
        ]))
    });
    SCHEMA.clone()
}

/// Columns of the truth's `counts.parquet`, in order: what gold must sum up to per video and minute.
pub fn truth_counts() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        Arc::new(Schema::new(vec![
            required("video_id", DataType::Utf8),
            required("window_start", timestamp_type()),
            required("impressions", DataType::Int64),
            required("play_start", DataType::Int64),
            required("play_finish", DataType::Int64),
            required("likes", DataType::Int64),
            required("shares", DataType::Int64),
            required("skips", DataType::Int64),
            required("watch_time_sum_ms", DataType::Int64),
        ]))
    });
    SCHEMA.clone()
}

/// Columns of the truth's `quarantine.parquet`, in order: how many records must be rejected under which code.
pub fn truth_quarantine() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        Arc::new(Schema::new(vec![
            required("error_code", DataType::Utf8),
            required("records", DataType::Int64),
        ]))
    });
    SCHEMA.clone()
}
