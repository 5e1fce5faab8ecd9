//! What a table's files should look like, and when to bring them there.

use std::time::Duration;

/// Rows that are one row: those that are equal in the key columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoldRule {
    /// Columns that identify the row.
    pub key: Vec<String>,
    /// Columns whose values are added: `int` or `long`.
    pub sum: Vec<String>,
    /// Columns of which the highest value stays.
    pub max: Vec<String>,
    /// Columns that are the same in all rows of a key; the rewrite refuses data where they are not.
    pub same: Vec<String>,
}

/// How to tell that a partition gets no more rows, but for stragglers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosedRule {
    /// All partitions count as closed: the table is not partitioned by time.
    Always,
    /// It ended this long ago, by the first partition field that is a year, month, day or hour. Without such a field all
    /// partitions count as closed.
    AfterItsEnd(Duration),
}

/// How a table is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct TablePolicy {
    /// Size of a full file, bytes.
    pub target_file_bytes: u64,
    /// A file below this part of the target is small.
    pub small_file_ratio: f64,
    /// Small files that a closed partition must have before they are packed; two are enough where none of them has more
    /// than three quarters of their bytes, so that a straggler does not have a large file written again.
    pub min_input_files: usize,
    /// Small files, or delete files that apply to one file, that make a partition urgent: an open one is packed although it
    /// still grows.
    pub urgent_files: usize,
    /// A file is rewritten when more than this part of its rows may be deleted; 0 for any.
    pub max_delete_ratio: f64,
    /// Bytes of files that are rewritten and committed together, at most (one file may be larger).
    pub max_group_bytes: u64,
    /// Files that are rewritten together, at most.
    pub max_group_files: usize,
    /// Columns that the rows of a file are sorted by; none to keep their order.
    pub sort_by: Vec<String>,
    /// Rows to fold.
    pub fold: Option<FoldRule>,
    /// When a partition is closed.
    pub closed: ClosedRule,
    /// Level of the Zstandard compression.
    pub zstd_level: i32,
    /// Rows of a row group at most: what a look-up has to read at least.
    pub row_group_rows: usize,
    /// Rows of a page at most.
    pub page_rows: usize,
    /// Columns without a dictionary: their values don't repeat. Numbers and times among them are written as differences.
    pub without_dictionary: Vec<String>,
    /// Columns without bounds: long texts, and ids without an order.
    pub without_bounds: Vec<String>,
    /// Columns with a Bloom filter in each row group.
    pub bloom_filters: Vec<String>,
    /// Manifests are written anew, ordered by partition, when there are more than this, and more than twice as many as
    /// needed.
    pub max_manifests: usize,
    /// Size of a full manifest, bytes.
    pub manifest_bytes: u64,
}

const HOUR: Duration = Duration::from_secs(3_600);

impl TablePolicy {
    /// Any table: files of 128 MiB, rows in the order in which they came.
    pub fn plain() -> Self {
        Self {
            target_file_bytes: 128 << 20,
            small_file_ratio: 0.75,
            min_input_files: 5,
            urgent_files: 100,
            max_delete_ratio: 0.1,
            max_group_bytes: 1 << 30,
            max_group_files: 2_000,
            sort_by: Vec::new(),
            fold: None,
            closed: ClosedRule::AfterItsEnd(HOUR),
            // Measured: a higher one costs half as much again and makes files no smaller.
            zstd_level: 1,
            row_group_rows: 1 << 20,
            page_rows: 20_000,
            without_dictionary: Vec::new(),
            without_bounds: Vec::new(),
            bloom_filters: Vec::new(),
            max_manifests: 20,
            manifest_bytes: 8 << 20,
        }
    }

    /// `bronze.raw_events`: by hour; events stay in order.
    pub fn raw_events() -> Self {
        Self {
            // Ids, texts and times hardly repeat. The last four are the same in long stretches of rows, where Zstandard and
            // differences leave as little as a dictionary does, which looks every value up.
            without_dictionary: columns(&[
                "event_id",
                "user_id",
                "payload_json",
                "header_extra_json",
                "event_timestamp",
                "source_offset",
                "schema_version",
                "source_topic",
                "source_partition",
                "ingested_at",
            ]),
            without_bounds: columns(&["event_id", "payload_json", "header_extra_json"]),
            ..Self::plain()
        }
    }

    /// `bronze.invalid_events_*`: by day.
    pub fn invalid_events() -> Self {
        Self {
            without_dictionary: columns(&["invalid_event_id", "raw_value", "source_offset"]),
            without_bounds: columns(&["invalid_event_id", "raw_value", "error_reason"]),
            ..Self::plain()
        }
    }

    /// `silver.fact_user_engagement`: by day, written whole by a batch job; what an erasure leaves small is packed.
    pub fn engagement_facts() -> Self {
        Self {
            without_dictionary: columns(&[
                "event_id",
                "user_id",
                "session_id",
                "header_extra_json",
                "event_timestamp",
                "session_started_at",
                "ingested_at",
                "source_offset",
            ]),
            without_bounds: columns(&["event_id", "session_id", "header_extra_json"]),
            ..Self::plain()
        }
    }

    /// `gold.rt_video_stats_1min`: sorted by video, the revisions of a window folded into one row. A day is closed when
    /// corrections of its last window are no longer accepted.
    pub fn video_stats() -> Self {
        Self {
            sort_by: columns(&["video_id", "window_start"]),
            fold: Some(FoldRule {
                key: columns(&["video_id", "window_start", "source_partition"]),
                sum: columns(&[
                    "impressions",
                    "play_start",
                    "play_finish",
                    "likes",
                    "shares",
                    "skips",
                    "watch_time_sum_ms",
                ]),
                max: columns(&["revision", "processed_at"]),
                same: columns(&["window_end"]),
            }),
            closed: ClosedRule::AfterItsEnd(25 * HOUR),
            urgent_files: 60,
            row_group_rows: 64 << 10,
            page_rows: 4_096,
            bloom_filters: columns(&["video_id"]),
            ..Self::plain()
        }
    }

    /// A dimension table, upserted by the key `id`: sorted by it, deletes applied.
    pub fn dimension(id: &str) -> Self {
        Self {
            sort_by: columns(&[id]),
            closed: ClosedRule::Always,
            max_delete_ratio: 0.0,
            row_group_rows: 64 << 10,
            page_rows: 4_096,
            bloom_filters: columns(&[id]),
            ..Self::plain()
        }
    }

    /// The history of a dimension with the key `id`: appended only (deletes come from erasures), sorted so that the versions
    /// of a key lie together, the oldest first.
    pub fn dimension_history(id: &str) -> Self {
        Self {
            sort_by: columns(&[id, "source_position", "source_position_minor", "source_ts_ms"]),
            max_delete_ratio: 0.1,
            without_dictionary: columns(&["version_hash", "source_offset"]),
            without_bounds: columns(&["version_hash"]),
            ..Self::dimension(id)
        }
    }

    /// The policy of one of the project's tables by `namespace.name`; [`TablePolicy::plain`] for any other.
    pub fn of_table(full_name: &str) -> Self {
        match full_name {
            "bronze.raw_events" => Self::raw_events(),
            "gold.rt_video_stats_1min" => Self::video_stats(),
            "silver.fact_user_engagement" => Self::engagement_facts(),
            "dims.dim_videos" => Self::dimension("video_id"),
            "dims.dim_users" => Self::dimension("user_id"),
            "dims.dim_videos_history" => Self::dimension_history("video_id"),
            "dims.dim_users_history" => Self::dimension_history("user_id"),
            "gold.rt_action_queue" => Self { bloom_filters: Vec::new(), ..Self::dimension("action_id") },
            name if name.starts_with("bronze.invalid_events_") => Self::invalid_events(),
            _ => Self::plain(),
        }
    }

    /// Below this a file is small, bytes.
    pub fn small_bytes(&self) -> u64 {
        (self.target_file_bytes as f64 * self.small_file_ratio) as u64
    }

    /// Whether rows are rewritten in another order than they came in.
    pub fn changes_order(&self) -> bool {
        !self.sort_by.is_empty() || self.fold.is_some()
    }
}

fn columns(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_string()).collect()
}
