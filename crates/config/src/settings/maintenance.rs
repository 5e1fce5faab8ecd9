//! `[maintenance]`: compaction, expiry and removal of files.

use serde::{Deserialize, Serialize};

/// How tables are kept fast and small.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MaintenanceSettings {
    /// Whether a running engine maintains its tables by itself.
    pub enabled: bool,
    /// Time between two rounds over a table.
    pub interval_ms: u64,
    /// Time between two looks at how many files the partitions hold.
    pub check_interval_ms: u64,
    /// Files in one partition at which a round begins at once.
    pub urgent_files: usize,
    /// Size of the files that compaction makes.
    pub target_file_bytes: u64,
    /// Memory for compaction, whatever a partition's size.
    pub memory_bytes: u64,
    /// The part of a core that a running engine's compaction takes at most, percent.
    pub cpu_share_percent: u8,
    /// Time after its end for which a partition still counts as open.
    pub partition_close_delay_ms: u64,
    /// Age at which a snapshot expires.
    pub snapshot_max_age_ms: u64,
    /// Newest snapshots that never expire.
    pub snapshots_to_keep: usize,
    /// Age below which a file that nothing refers to is left alone.
    pub orphan_min_age_ms: u64,
    /// How long gold is kept; 0 is for ever.
    pub gold_max_age_ms: u64,
    /// How long a maintainer owns a table without renewing.
    pub lease_ms: u64,
}

impl Default for MaintenanceSettings {
    fn default() -> Self {
        const DAY_MS: u64 = 24 * 3_600_000;
        Self {
            enabled: true,
            interval_ms: 3_600_000,
            check_interval_ms: 60_000,
            urgent_files: 60,
            target_file_bytes: 128 << 20,
            memory_bytes: 256 << 20,
            cpu_share_percent: 50,
            partition_close_delay_ms: 3_600_000,
            snapshot_max_age_ms: 7 * DAY_MS,
            snapshots_to_keep: 100,
            orphan_min_age_ms: 3 * DAY_MS,
            gold_max_age_ms: 0,
            lease_ms: 900_000,
        }
    }
}
