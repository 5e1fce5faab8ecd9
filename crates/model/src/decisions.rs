//! Columns of the tables of decisions: the queue of actions, and the baselines that rules compare with. No stream feeds
//! them.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Schema, SchemaRef};

use crate::schema::{optional, required, text_list, timestamp_type};

/// Columns of `gold.rt_action_queue`, in table order: one row is the present state of one action.
///
/// - `action_id`: UUID in its text form, a function of video, window and rule version; one row per id.
/// - `decision_type`, `priority`, `state`, `reason_codes`: the words and numbers of the rules.
/// - `window_start`, `window_end`: the last of the 30 minutes that were decided about.
/// - `velocity_30m` … `impressions_30m`: what it was decided on.
/// - `created_at`: when the row was first made; `updated_at`: when it was last written; `state_updated_at`: when it came into
///   its state.
pub fn action_queue() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        Arc::new(Schema::new(vec![
            required("action_id", DataType::Utf8),
            required("video_id", DataType::Utf8),
            required("decision_type", DataType::Utf8),
            required("priority", DataType::Int32),
            required("state", DataType::Utf8),
            required("decided_at", timestamp_type()),
            required("window_start", timestamp_type()),
            required("window_end", timestamp_type()),
            required("expires_at", timestamp_type()),
            required("rule_version", DataType::Utf8),
            required("velocity_30m", DataType::Float64),
            required("completion_rate_30m", DataType::Float64),
            required("skip_rate_30m", DataType::Float64),
            required("impressions_30m", DataType::Int64),
            required("reason_codes", text_list()),
            required("created_at", timestamp_type()),
            required("updated_at", timestamp_type()),
            required("state_updated_at", timestamp_type()),
        ]))
    });
    SCHEMA.clone()
}

/// Columns of `dims.rt_rule_quantile_baselines`, in table order: one row is one percentile of one metric, of everybody
/// (both cohort columns null) or of a cohort.
///
/// Rows are published under `rule_version` and `effective_from` (a day, UTC) and never change. `effective_to` is null where
/// nothing is known to follow. `is_fallback`: taken from elsewhere because the sample was too small.
pub fn rule_baselines() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        Arc::new(Schema::new(vec![
            required("rule_version", DataType::Utf8),
            required("effective_from", DataType::Date32),
            optional("effective_to", DataType::Date32),
            required("metric_name", DataType::Utf8),
            required("percentile", DataType::Int32),
            optional("cohort_category", DataType::Utf8),
            optional("cohort_region", DataType::Utf8),
            required("threshold_value", DataType::Float64),
            required("sample_size", DataType::Int64),
            required("is_fallback", DataType::Boolean),
            required("computed_at", timestamp_type()),
        ]))
    });
    SCHEMA.clone()
}
