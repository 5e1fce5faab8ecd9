//! What each column means. Of the entries for a column the one with the longest scope that the table's name begins with counts.

/// What one column means, in the tables whose full name begins with the scope.
pub(super) struct Words {
    /// Beginning of the tables' full names; empty: all.
    pub(super) scope: &'static str,
    /// The column.
    pub(super) column: &'static str,
    /// What it means.
    pub(super) meaning: &'static str,
}

const fn any(column: &'static str, meaning: &'static str) -> Words {
    Words { scope: "", column, meaning }
}

const fn of(scope: &'static str, column: &'static str, meaning: &'static str) -> Words {
    Words { scope, column, meaning }
}

/// The words about a column, and their place in the list.
pub(super) fn words_of(table: &str, column: &str) -> Option<(usize, &'static Words)> {
    let fitting = |(_, words): &(usize, &Words)| words.column == column && table.starts_with(words.scope);
    COLUMNS.iter().enumerate().filter(fitting).max_by_key(|(_, words)| words.scope.len())
}

const RAW: &str = "bronze.raw_events";
const INVALID: &str = "bronze.invalid_events";
const GOLD: &str = "gold.rt_video_stats_1min";
const QUEUE: &str = "gold.rt_action_queue";
const DIM: &str = "dims.dim_";
const HISTORY_VIDEOS: &str = "dims.dim_videos_history";
const HISTORY_USERS: &str = "dims.dim_users_history";
const BASELINES: &str = "dims.rt_rule_quantile_baselines";
const FACTS: &str = "silver.fact_user_engagement";
const FIELDS: &str = "silver.payload_fields";
const DAILY: &str = "gold.batch_video_daily";
const QUALITY: &str = "gold.batch_quality_daily";
const HEALTH: &str = "gold.session_health_daily";
const RETENTION: &str = "gold.creator_retention_weekly";
const RECONCILIATION: &str = "gold.rt_batch_reconciliation";
const EXPECTED: &str = "qa.expected_actions";
const MANIFEST: &str = "qa.run_manifest";
const RUNS: &str = "qa.batch_runs";

/// All of them.
#[rustfmt::skip]
pub(super) const COLUMNS: &[Words] = &[
    any("event_id", "the producer's id of the event; the same one again is a duplicate"),
    any("event_timestamp", "event time: when the user did it"),
    any("video_id", "the video"),
    any("user_id", "the user"),
    any("event_type", "`impression`, `play_start`, `play_finish`, `like`, `share` or `skip`"),
    any("schema_version", "of the event; `1.0` where it names none"),
    of(INVALID, "schema_version", "of the record, where it could be read"),
    of(RAW, "payload_json", "the body, byte for byte"),
    any("header_extra_json", "fields of the header that are not in the contract, a JSON object"),
    any("source_topic", "topic, or what stands for one"),
    any("source_partition", "partition of the topic"),
    any("source_offset", "offset in the partition"),
    any("ingested_at", "when the engine took the record in (clock)"),
    of(INVALID, "invalid_event_id", "topic, partition and offset, joined by `-`"),
    of(INVALID, "raw_value", "the record's value, byte for byte"),
    of(INVALID, "error_code", "why, for programs: such as `MALFORMED_JSON`, `MISSING_FIELD`, `FUTURE_TIMESTAMP`"),
    of(INVALID, "error_reason", "why, for people"),
    of(INVALID, "record_timestamp", "the record's own (Kafka) timestamp, on which validity may depend"),

    of(GOLD, "source_partition", "partition that the events came from; −1: a restatement"),
    any("window_start", "first moment of the minute"),
    any("window_end", "first moment after the minute"),
    any("impressions", "events `impression`"),
    any("play_start", "events `play_start`"),
    any("play_finish", "events `play_finish`"),
    any("likes", "events `like`"),
    any("shares", "events `share`"),
    any("skips", "events `skip`"),
    of(GOLD, "watch_time_sum_ms", "sum of the bodies' `watch_time_ms`"),
    of(GOLD, "revision", "0: the window as it closed; higher: what came late, the number of its commit"),
    of(GOLD, "processed_at", "when the row was made (clock)"),

    of(QUEUE, "window_start", "first moment of the last of the 30 minutes that were decided about"),
    of(QUEUE, "window_end", "first moment after it"),
    any("action_id", "UUID v5 of window, rule version and video"),
    any("decision_type", "`BOOST`, `REVIEW` or `RESCUE`"),
    of(QUEUE, "priority", "3 for RESCUE, 2 for REVIEW, 1 for BOOST"),
    of(QUEUE, "state", "`PENDING`, `ACKED`, `DONE`, `EXPIRED` or `HOLD`"),
    of(QUEUE, "decided_at", "when it was decided (clock)"),
    any("expires_at", "from then on it must not be carried out"),
    any("rule_version", "version of the rules"),
    any("velocity_30m", "(likes + 5 · shares) / max(impressions, 100), of the 30 minutes"),
    any("completion_rate_30m", "play_finish / max(play_start, 1), of the 30 minutes"),
    any("skip_rate_30m", "skips / max(play_start, 1), of the 30 minutes"),
    any("impressions_30m", "impressions of the 30 minutes"),
    any("reason_codes", "why, such as `HIGH_VELOCITY_P90`"),
    of(QUEUE, "created_at", "when the row was first made"),
    of(QUEUE, "updated_at", "when it was last written"),
    of(QUEUE, "state_updated_at", "when it came into its state"),

    any("category", "category of the video"),
    any("region", "region of the video"),
    any("creator_id", "who made the video"),
    of(DIM, "hashtags", "hashtags of the video"),
    of(DIM, "duration_ms", "length of the video"),
    any("upload_time", "when the video was uploaded"),
    of(DIM, "status", "`active`, `banned`, or what else the source says"),
    of(DIM, "register_country", "country in which the user registered"),
    any("device_os", "operating system of the device"),
    any("is_creator", "whether the user makes videos"),
    of(DIM, "ltv_segment", "`VIP`, `High`, `Low`, or what else the source says"),
    of(DIM, "join_at", "when the user joined"),
    of(DIM, "updated_at", "when the engine took the change in (clock)"),
    of(DIM, "source_ts_ms", "when the source made the change, milliseconds since 1970"),
    of(HISTORY_VIDEOS, "op", "Debezium's `c`, `u`, `d` or `r`; a `d` has no attributes"),
    of(HISTORY_USERS, "op", "Debezium's `c`, `u`, `d` or `r`; a `d` has no attributes"),
    of(DIM, "valid_from", "`source_ts_ms` as a timestamp"),
    of(DIM, "source_position", "the database's own order of changes; null where the producer names none"),
    of(DIM, "source_position_minor", "order within one position"),
    of(DIM, "version_hash", "tells versions of the same moment apart; a repeated delivery has the same"),

    of(BASELINES, "effective_from", "first day (UTC) on which the row counts"),
    of(BASELINES, "effective_to", "first day on which it does not any more"),
    any("metric_name", "the metric"),
    of(BASELINES, "percentile", "90 for `velocity_30m`, 40 for `impressions_30m`"),
    of(BASELINES, "cohort_category", "category of the cohort; null: all videos"),
    of(BASELINES, "cohort_region", "region of the cohort; null: all videos"),
    of(BASELINES, "threshold_value", "the percentile's value"),
    of(BASELINES, "sample_size", "rows it was computed from"),
    of(BASELINES, "is_fallback", "taken from elsewhere because the sample was too small; false in what `pulselake batch run` publishes"),
    any("computed_at", "when it was computed (clock)"),

    of(FACTS, "session_id", "`user_id`, `@`, and `session_started_at` in microseconds since 1970"),
    of(FACTS, "session_started_at", "event time of the session's first event; 30 minutes without one end a session"),
    any("watch_time_ms", "time watched"),
    of(FACTS, "watch_time_ms", "of the body: a whole number from 0 to 604,800,000, else null"),
    of(FACTS, "video_duration_ms", "of the body: a whole positive number, else the dimension's"),
    of(FACTS, "completion_rate", "`watch_time_ms` / `video_duration_ms`, at most 1"),
    of(FACTS, "app_version", "of the body"),
    of(FACTS, "device_os", "of the body"),
    of(FACTS, "network_type", "of the body"),
    of(FACTS, "referral_source", "of the body"),
    of(FACTS, "category", "category of the video at that moment"),
    of(FACTS, "region", "region of the video at that moment"),
    of(FACTS, "creator_id", "who made the video, as known at that moment"),
    of(FACTS, "video_status", "status of the video at that moment"),
    of(FACTS, "user_segment", "`ltv_segment` of the user at that moment"),
    of(FACTS, "user_country", "`register_country` of the user at that moment"),
    of(FACTS, "is_creator", "whether the user made videos at that moment"),

    of(FIELDS, "field", "the key; a dot between the levels; `*` in the two rows that are no field"),
    of(FIELDS, "column_name", "its column of `silver.fact_user_engagement`; null: it has none"),
    of(FIELDS, "type", "`long`, `double`, `boolean` or `string`; null where that is not known yet"),
    of(FIELDS, "status", "`known`, `column`, `conflict`, `pending`, `over_cap`, `overflow` or `no_object`"),
    of(FIELDS, "first_seen", "event time of its first value"),
    of(FIELDS, "last_seen", "event time of its last value"),
    of(FIELDS, "sample", "one value, at most 120 bytes of it"),
    of(FIELDS, "events", "events of the newest day that has the key, and have it"),
    of(FIELDS, "share", "these of all events of that day"),
    of(FIELDS, "conflicts", "values of that day that did not fit the type"),
    of(FIELDS, "renamed_from", "the key that it seems to have taken the place of"),

    any("date", "the day (UTC)"),
    of(DAILY, "category_at_date", "category of the version that was valid at the end of the day"),
    of(DAILY, "total_watch_time_hrs", "time watched, hours"),
    any("completion_rate", "play_finish / max(play_start, 1)"),
    of(DAILY, "unique_viewers", "users with a `play_start`, an estimate (HyperLogLog)"),
    of(DAILY, "retention_d1", "share of those users who play anything on the next day; null until that day is known"),
    of(QUALITY, "duration_bin", "`0-15s`, `15-30s`, `30-60s`, `1-3m`, `3m+` or `unknown`"),
    of(QUALITY, "videos", "different videos"),
    of(QUALITY, "skip_rate", "skips / max(play_start, 1)"),
    of(HEALTH, "user_segment", "segment of the session's user; `unknown` without one; null: all sessions"),
    of(HEALTH, "sessions", "how many"),
    of(HEALTH, "users", "how many; a user with sessions in two segments counts in both"),
    of(HEALTH, "events", "all events"),
    of(HEALTH, "plays", "events `play_start`"),
    of(HEALTH, "avg_session_ms", "mean length of a session"),
    of(HEALTH, "p50_session_ms", "median of the lengths (nearest rank)"),
    of(HEALTH, "p95_session_ms", "95th percentile of the lengths (nearest rank)"),
    of(HEALTH, "swipe_rate", "skips / max(plays, 1)"),
    of(HEALTH, "skip_streak_share", "share of sessions with 5 skips without a play_finish, like or share between them"),
    of(HEALTH, "longest_skip_streak", "the most such skips of a session"),
    of(HEALTH, "night_share", "share of sessions that began from 23:00 to before 05:00 (UTC)"),
    of(HEALTH, "reopen_share", "share of sessions that began less than 60 minutes after the user's session before"),
    of(RETENTION, "cohort_week", "Monday of the week of the creators' first upload"),
    of(RETENTION, "week_number", "weeks after that one; 0 is itself"),
    of(RETENTION, "creators", "creators of the cohort"),
    of(RETENTION, "active_creators", "those of them that uploaded something in that week"),
    of(RETENTION, "retention", "`active_creators` / `creators`"),
    of(RECONCILIATION, "kind", "`count` or `rate`"),
    of(RECONCILIATION, "minutes", "minutes that either side has"),
    of(RECONCILIATION, "p95_difference", "95th percentile of the minutes' differences"),
    of(RECONCILIATION, "max_difference", "the largest of them"),
    of(RECONCILIATION, "threshold", "what is allowed: 0.08 for counts, 0.03 for rates"),
    of(RECONCILIATION, "status", "`PASS`, `WARN` or `CRIT`"),
    of(RECONCILIATION, "rt_total", "the day's sum in real time; of a rate, the rate of the day's sums"),
    of(RECONCILIATION, "batch_total", "the same in batch"),

    any("run_id", "the run"),
    of(EXPECTED, "run_id", "the run in `qa.run_manifest`"),
    of(EXPECTED, "scenario", "canonical text of the scenario"),
    of(EXPECTED, "video_id", "the scenario's own video"),
    of(EXPECTED, "intended_decision", "what the scenario is meant to lead to; null where nothing is said"),
    of(EXPECTED, "decision_type", "what the rules come to over the exact counts; `NO_ACTION`: nothing is to be decided"),
    of(EXPECTED, "expected_from", "end of the first minute of the stretch in which the rules call for it"),
    of(EXPECTED, "expected_until", "end of the last minute of it"),
    of(EXPECTED, "play_start_30m", "plays of the 30 minutes"),
    of(EXPECTED, "velocity_p90", "threshold of velocity that it was compared with"),
    of(EXPECTED, "impressions_p40", "threshold of impressions that it was compared with"),
    of(MANIFEST, "run_id", "UUID v5 of the log's identity and the number of records: the same run has the same"),
    of(MANIFEST, "identity", "all settings of the log, as one text"),
    of(MANIFEST, "seed", "its seed"),
    of(MANIFEST, "scenarios", "canonical texts of its scenarios, in their order"),
    of(MANIFEST, "log_started_at", "time of the log's start"),
    of(MANIFEST, "first_record_at", "timestamp of the first record"),
    of(MANIFEST, "last_record_at", "timestamp of the last record"),
    of(MANIFEST, "records", "records written: events, retries and malformed ones"),
    of(MANIFEST, "events", "events"),
    of(MANIFEST, "retries", "events sent again"),
    of(MANIFEST, "malformed", "records that are not valid"),
    of(MANIFEST, "beyond_lateness", "events that are too late for gold"),
    of(MANIFEST, "video_minutes", "pairs of video and minute that gold must have"),
    of(RUNS, "job", "the job"),
    of(RUNS, "target", "the table that it makes"),
    of(RUNS, "status", "`done`, `unchanged` or `failed`"),
    of(RUNS, "reason", "why it ran, or why it failed"),
    of(RUNS, "started_at", "when it began"),
    of(RUNS, "finished_at", "when it ended"),
    of(RUNS, "rows_in", "rows read"),
    of(RUNS, "rows_out", "rows written"),
    of(RUNS, "files", "files written"),
    of(RUNS, "snapshot_id", "what it committed; null: nothing"),
    of(RUNS, "input_fingerprint", "what was read, JSON: what decides whether the day is due again"),
    of(RUNS, "sql_hash", "of the SQL that it ran"),
    of(RUNS, "engine_version", "of the program"),
];
