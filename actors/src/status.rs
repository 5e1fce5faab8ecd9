//! What the engine knows of itself right now, for health checks, the terminal summary and progress bars.
//!
//! Written per batch and per commit, never per event. Entries of a partition are replaced as a whole when it moves
//! to another generation.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use dashmap::DashMap;
use parking_lot::RwLock;
use pulselake_model::tables::LakeTable;
use pulselake_telemetry::set_paused_partitions;

/// One partition as its consumer and aggregator see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartitionStatus {
    /// Where this run began to read.
    pub started_at: i64,
    /// Position of the reader.
    pub position: i64,
    /// End of the partition when last looked at.
    pub end: i64,
    /// Records between them: an estimate where offsets are sparse.
    pub lag_records: i64,
    /// Watermark (µs).
    pub watermark_us: Option<i64>,
    /// Windows that are open.
    pub open_windows: usize,
    /// Offset up to which bronze is committed.
    pub bronze_next: i64,
    /// Offset up to which gold is committed.
    pub gold_next: i64,
    /// Whether back-pressure holds its fetching back.
    pub paused: bool,
}

/// One table's last commit.
#[derive(Clone, Copy, Debug)]
pub struct TableStatus {
    /// When it was (ms since the epoch).
    pub committed_at_ms: i64,
    /// Its snapshot.
    pub snapshot_id: i64,
    /// Commits since the process started.
    pub commits: u64,
    /// Files since the process started.
    pub files: u64,
    /// Rows since the process started.
    pub rows: u64,
    /// Largest event time made visible (µs), for freshness.
    pub visible_through_us: Option<i64>,
}

/// One restart of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestartNote {
    /// When it was decided upon (ms since the epoch).
    pub at_ms: i64,
    /// The shard.
    pub shard: String,
    /// What had failed.
    pub reason: String,
}

/// Restarts that are remembered with their reasons.
const KEPT_RESTARTS: usize = 20;

/// What the service is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Opening tables, waiting for an assignment.
    Starting,
    /// Every shard runs.
    Running,
    /// A shard waits to be started again, and why.
    Restarting(String),
    /// Draining before the end.
    Draining,
    /// Over.
    Stopped,
}

/// Shared by everything that runs or watches the engine.
#[derive(Clone)]
pub struct EngineStatus {
    inner: Arc<Inner>,
}

struct Inner {
    /// Whether it is the event stream's, which the gauges without an entity show.
    is_of_events: bool,
    started: Instant,
    phase: RwLock<Phase>,
    partitions: DashMap<i32, PartitionStatus>,
    tables: DashMap<LakeTable, TableStatus>,
    records: std::sync::atomic::AtomicU64,
    quarantined: std::sync::atomic::AtomicU64,
    committed_records: std::sync::atomic::AtomicU64,
    committed_quarantined: std::sync::atomic::AtomicU64,
    restarts: std::sync::atomic::AtomicU64,
    /// The last ones, the newest last, and how many are left.
    last_restarts: RwLock<(VecDeque<RestartNote>, Option<usize>)>,
}

impl Default for EngineStatus {
    /// The status of the event stream.
    fn default() -> Self {
        Self::new(true)
    }
}

impl EngineStatus {
    /// The status of a stream of changes.
    pub fn of_changes() -> Self {
        Self::new(false)
    }

    fn new(is_of_events: bool) -> Self {
        Self {
            inner: Arc::new(Inner {
                is_of_events,
                started: Instant::now(),
                phase: RwLock::new(Phase::Starting),
                partitions: DashMap::new(),
                tables: DashMap::new(),
                records: Default::default(),
                quarantined: Default::default(),
                committed_records: Default::default(),
                committed_quarantined: Default::default(),
                restarts: Default::default(),
                last_restarts: Default::default(),
            }),
        }
    }

    /// Replaces or adjusts one partition's entry.
    pub fn update_partition(&self, partition: i32, change: impl FnOnce(&mut PartitionStatus)) {
        change(&mut self.inner.partitions.entry(partition).or_default());
    }

    /// Adjusts one partition's entry, if it is still ours.
    pub fn change_partition(&self, partition: i32, change: impl FnOnce(&mut PartitionStatus)) {
        if let Some(mut entry) = self.inner.partitions.get_mut(&partition) {
            change(&mut entry);
        }
    }

    /// The partition is not ours any more.
    pub fn remove_partition(&self, partition: i32) {
        self.inner.partitions.remove(&partition);
        self.show_paused();
    }

    /// Notes whether back-pressure holds a partition's fetching back.
    pub fn set_paused(&self, partition: i32, paused: bool) {
        self.update_partition(partition, |status| status.paused = paused);
        self.show_paused();
    }

    fn show_paused(&self) {
        if !self.inner.is_of_events {
            return;
        }
        set_paused_partitions(self.inner.partitions.iter().filter(|entry| entry.paused).count());
    }

    /// Counts records that were read for bronze. What a shard reads again after a failure counts again.
    pub fn count_records(&self, records: u64, quarantined: u64) {
        use std::sync::atomic::Ordering::Relaxed;
        self.inner.records.fetch_add(records, Relaxed);
        self.inner.quarantined.fetch_add(quarantined, Relaxed);
    }

    /// Records read and, of these, rejected, since the process started.
    pub fn records(&self) -> (u64, u64) {
        use std::sync::atomic::Ordering::Relaxed;
        (self.inner.records.load(Relaxed), self.inner.quarantined.load(Relaxed))
    }

    /// Counts records whose bronze commit has landed.
    pub fn count_committed_records(&self, records: u64, quarantined: u64) {
        use std::sync::atomic::Ordering::Relaxed;
        self.inner.committed_records.fetch_add(records, Relaxed);
        self.inner.committed_quarantined.fetch_add(quarantined, Relaxed);
    }

    /// Records that this process has committed to bronze or, as the second number says, to the quarantine.
    pub fn committed_records(&self) -> (u64, u64) {
        use std::sync::atomic::Ordering::Relaxed;
        (self.inner.committed_records.load(Relaxed), self.inner.committed_quarantined.load(Relaxed))
    }

    /// Counts one restart of a shard; `left`: how many more there may be before the service gives up.
    pub fn count_restart(&self, shard: &str, reason: &str, left: usize) {
        self.inner.restarts.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let note =
            RestartNote { at_ms: now_us() / 1_000, shard: shard.to_owned(), reason: reason.to_owned() };
        let mut kept = self.inner.last_restarts.write();
        kept.0.push_back(note);
        while kept.0.len() > KEPT_RESTARTS {
            kept.0.pop_front();
        }
        kept.1 = Some(left);
    }

    /// The last restarts, newest first.
    pub fn last_restarts(&self) -> Vec<RestartNote> {
        self.inner.last_restarts.read().0.iter().rev().cloned().collect()
    }

    /// Restarts that are left before the service gives up, as of the last one; `None` before the first.
    pub fn restarts_left(&self) -> Option<usize> {
        self.inner.last_restarts.read().1
    }

    /// Restarts since the process started.
    pub fn restarts(&self) -> u64 {
        self.inner.restarts.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Notes a commit of a table.
    pub fn committed(
        &self,
        table: LakeTable,
        snapshot_id: i64,
        files: u64,
        rows: u64,
        visible_through_us: Option<i64>,
    ) {
        let mut entry = self.inner.tables.entry(table).or_insert(TableStatus {
            committed_at_ms: 0,
            snapshot_id,
            commits: 0,
            files: 0,
            rows: 0,
            visible_through_us: None,
        });
        entry.committed_at_ms = now_us() / 1_000;
        entry.snapshot_id = snapshot_id;
        entry.commits += 1;
        entry.files += files;
        entry.rows += rows;
        entry.visible_through_us = entry.visible_through_us.max(visible_through_us);
    }

    /// Every partition of ours, by number.
    pub fn partitions(&self) -> Vec<(i32, PartitionStatus)> {
        let mut all: Vec<_> =
            self.inner.partitions.iter().map(|entry| (*entry.key(), *entry.value())).collect();
        all.sort_unstable_by_key(|(partition, _)| *partition);
        all
    }

    /// A table's last commit in this process.
    pub fn table(&self, table: LakeTable) -> Option<TableStatus> {
        self.inner.tables.get(&table).map(|entry| *entry.value())
    }

    /// Records between the positions and the ends when last looked at, over all partitions.
    pub fn lag(&self) -> i64 {
        self.inner.partitions.iter().map(|entry| entry.lag_records).sum()
    }

    /// What the service is doing.
    pub fn phase(&self) -> Phase {
        self.inner.phase.read().clone()
    }

    /// Sets what the service is doing.
    pub fn set_phase(&self, phase: Phase) {
        *self.inner.phase.write() = phase;
    }

    /// How long the process has run.
    pub fn uptime(&self) -> std::time::Duration {
        self.inner.started.elapsed()
    }
}

/// The wall clock in microseconds since the epoch.
pub fn now_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_micros() as i64)
}
