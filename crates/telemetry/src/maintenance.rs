//! What maintenance of one table reports.

use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Gauge, counter, gauge};

use crate::exposition::{SecondsCounter, seconds_counter};
use crate::metric::Metric;
use crate::readings::TableLevels;

/// The state of a table's files, as one look at its current snapshot shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableFiles {
    /// Live data files.
    pub data_files: u64,
    /// Their bytes.
    pub data_bytes: u64,
    /// Live delete files.
    pub delete_files: u64,
    /// Data files in the partition that holds the most.
    pub fullest_partition_files: u64,
    /// Snapshots in the metadata.
    pub snapshots: u64,
}

/// Handles of one table.
#[derive(Debug)]
pub struct MaintenanceMetrics {
    data_files: Gauge,
    data_bytes: Gauge,
    average_bytes: Gauge,
    delete_files: Gauge,
    fullest_partition: Gauge,
    snapshots: Gauge,
    runs: Counter,
    rewritten_bytes: Counter,
    busy: SecondsCounter,
    conflicts: Counter,
    failures: Counter,
    expired_snapshots: Counter,
    removed_files: Counter,
    removed_orphans: Counter,
    levels: Arc<TableLevels>,
}

impl MaintenanceMetrics {
    /// Handles of the table with this full name.
    pub fn new(table: &str) -> Self {
        let count = |metric: Metric| counter!(metric.name(), "table" => table.to_string());
        let level = |metric: Metric| gauge!(metric.name(), "table" => table.to_string());
        let busy = seconds_counter(Metric::CompactionBusy, &[("table", table)]);
        let levels = TableLevels::of(table);
        levels.has_busy(&busy);
        Self {
            data_files: level(Metric::LiveFiles),
            data_bytes: level(Metric::LiveBytes),
            average_bytes: level(Metric::AverageFileBytes),
            delete_files: level(Metric::DeleteFiles),
            fullest_partition: level(Metric::FullestPartition),
            snapshots: level(Metric::TableSnapshots),
            runs: count(Metric::CompactionRuns),
            rewritten_bytes: count(Metric::RewrittenBytes),
            busy,
            conflicts: count(Metric::MaintenanceConflicts),
            failures: count(Metric::MaintenanceFailures),
            expired_snapshots: count(Metric::ExpiredSnapshots),
            removed_files: count(Metric::RemovedFiles),
            removed_orphans: count(Metric::RemovedOrphans),
            levels,
        }
    }

    /// What the table looks like now.
    pub fn files(&self, files: TableFiles) {
        self.data_files.set(files.data_files as f64);
        self.data_bytes.set(files.data_bytes as f64);
        let average = files.data_bytes.checked_div(files.data_files).unwrap_or(0);
        self.average_bytes.set(average as f64);
        self.delete_files.set(files.delete_files as f64);
        self.fullest_partition.set(files.fullest_partition_files as f64);
        self.snapshots.set(files.snapshots as f64);
        self.levels.set_files(files);
    }

    /// A compaction run has ended well.
    pub fn compacted(&self, rewritten_bytes: u64, busy: Duration, conflicts: u64) {
        self.runs.increment(1);
        self.rewritten_bytes.increment(rewritten_bytes);
        self.busy.add(busy);
        self.conflicts.increment(conflicts);
        self.levels.compacted(rewritten_bytes);
    }

    /// A run failed; it will be tried again.
    pub fn failed(&self) {
        self.failures.increment(1);
        self.levels.failed();
    }

    /// An expiry has dropped snapshots and deleted what only they referred to.
    pub fn expired(&self, snapshots: u64, removed_files: u64) {
        self.expired_snapshots.increment(snapshots);
        self.removed_files.increment(removed_files);
    }

    /// Orphans were deleted.
    pub fn removed_orphans(&self, orphans: u64) {
        self.removed_orphans.increment(orphans);
    }
}
