//! Handles that the actors keep: labels are resolved once, updates are atomic additions.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use metrics::{Counter, Gauge, counter, gauge};
use pulselake_model::ErrorCode;
use pulselake_model::tables::LakeTable;

use crate::exposition::{Histogram, Moment, SecondsCounter, histogram, moment, seconds_counter};
use crate::metric::Metric;
use crate::readings::{ActorLevels, TableLevels, add_rejected, add_source_bytes};

/// Partitions that this process consumes now.
pub fn set_assigned_partitions(count: usize) {
    gauge!(Metric::AssignedPartitions.name()).set(count as f64);
}

/// Partitions whose fetching is paused by back-pressure now.
pub fn set_paused_partitions(count: usize) {
    gauge!(Metric::PausedPartitions.name()).set(count as f64);
}

/// Records between a partition's position and its end, measured beside the stream so that it is right in a stall too.
pub fn set_consumer_lag(partition: i32, records: u64) {
    gauge!(Metric::ConsumerLag.name(), "partition" => partition.to_string()).set(records as f64);
}

/// Mailbox, waiting and working time of one actor.
#[derive(Debug)]
pub struct ActorMetrics {
    depth_gauge: Gauge,
    /// What this actor has added to the gauge, to take it away when the actor goes.
    depth: AtomicI64,
    waited: SecondsCounter,
    worked: SecondsCounter,
    levels: Arc<ActorLevels>,
}

impl ActorMetrics {
    /// Handles of an actor of this kind; `index` is its partition, its shard, or 0 for the only one of its kind.
    pub fn new(actor: &'static str, index: impl std::fmt::Display) -> Self {
        let index = index.to_string();
        let labels = [("actor", actor), ("index", index.as_str())];
        let waited = seconds_counter(Metric::BackpressureWait, &labels);
        let worked = seconds_counter(Metric::ActorBusy, &labels);
        Self {
            depth_gauge: gauge!(Metric::MailboxDepth.name(), "actor" => actor, "index" => index.clone()),
            depth: AtomicI64::new(0),
            levels: ActorLevels::of(actor, &index, &waited, &worked),
            waited,
            worked,
        }
    }

    /// Batches that wait in the actor's mailbox now.
    pub fn mailbox_depth(&self, batches: usize) {
        let new = i64::try_from(batches).unwrap_or(i64::MAX);
        let old = self.depth.swap(new, Ordering::Relaxed);
        self.depth_gauge.increment((new - old) as f64);
        self.levels.add_depth(new - old);
    }

    /// Time spent waiting for room in the next actor's mailbox.
    pub fn waited(&self, time: Duration) {
        self.waited.add(time);
    }

    /// Time spent working on a batch.
    pub fn worked(&self, time: Duration) {
        self.worked.add(time);
    }
}

impl Drop for ActorMetrics {
    fn drop(&mut self) {
        self.mailbox_depth(0);
    }
}

/// What a partition's consumer counts.
#[derive(Debug)]
pub struct SourceMetrics {
    records: Counter,
    bytes: Counter,
    replayed: Counter,
    lost: Counter,
    quarantined: Counter,
    by_code: [Counter; ErrorCode::COUNT],
    /// Set by [`set_consumer_lag`]; kept here to end with the consumer.
    lag: Gauge,
}

impl SourceMetrics {
    /// Handles of a partition.
    pub fn new(partition: i32) -> Self {
        let of = |metric: Metric| counter!(metric.name(), "partition" => partition.to_string());
        Self {
            records: of(Metric::SourceRecords),
            bytes: of(Metric::SourceBytes),
            replayed: of(Metric::ReplayedRecords),
            lost: of(Metric::LostRecords),
            quarantined: of(Metric::QuarantinedRecords),
            by_code: ErrorCode::ALL
                .map(|code| counter!(Metric::RejectedRecords.name(), "code" => code.as_str())),
            lag: gauge!(Metric::ConsumerLag.name(), "partition" => partition.to_string()),
        }
    }

    /// A batch of so many records and bytes of values has been taken from the source.
    pub fn received(&self, records: u64, bytes: u64) {
        self.records.increment(records);
        self.bytes.increment(bytes);
        add_source_bytes(bytes);
    }

    /// The decoder has rejected these, indexed by [`ErrorCode`] as a number.
    pub fn rejected(&self, by_code: &[u64; ErrorCode::COUNT]) {
        let total: u64 = by_code.iter().sum();
        if total == 0 {
            return;
        }
        self.quarantined.increment(total);
        add_rejected(by_code);
        for (counter, count) in self.by_code.iter().zip(by_code) {
            if *count > 0 {
                counter.increment(*count);
            }
        }
    }

    /// Records read again to rebuild state.
    pub fn replayed(&self, records: u64) {
        self.replayed.increment(records);
    }

    /// Offsets that the source deleted before they were consumed.
    pub fn lost(&self, offsets: u64) {
        self.lost.increment(offsets);
    }
}

impl Drop for SourceMetrics {
    fn drop(&mut self) {
        // The lag is another owner's from here on.
        self.lag.set(0.0);
    }
}

/// What an aggregator counted since it last reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WindowCounts {
    /// Late events, counted by corrections.
    pub late: u64,
    /// Events too late for a correction.
    pub dropped: u64,
    /// Duplicates within the horizon.
    pub duplicates: u64,
    /// Ids that the cap evicted.
    pub evicted_ids: u64,
}

/// What a partition's aggregator counts.
#[derive(Debug)]
pub struct WindowMetrics {
    late: Counter,
    dropped: Counter,
    duplicates: Counter,
    evicted_ids: Counter,
    open_windows: Gauge,
    dedup_ids: Gauge,
    watermark: Moment,
}

impl WindowMetrics {
    /// Handles of a partition.
    pub fn new(partition: i32) -> Self {
        let label = partition.to_string();
        let count = |metric: Metric| counter!(metric.name(), "partition" => label.clone());
        let level = |metric: Metric| gauge!(metric.name(), "partition" => label.clone());
        Self {
            late: count(Metric::LateRecords),
            dropped: count(Metric::DroppedRecords),
            duplicates: count(Metric::DuplicateRecords),
            evicted_ids: count(Metric::DedupEvictions),
            open_windows: level(Metric::OpenWindows),
            dedup_ids: level(Metric::DedupIds),
            watermark: moment(Metric::WatermarkLag, &[("partition", &label)]),
        }
    }

    /// Adds what was counted since the last call.
    pub fn counted(&self, counts: WindowCounts) {
        self.late.increment(counts.late);
        self.dropped.increment(counts.dropped);
        self.duplicates.increment(counts.duplicates);
        self.evicted_ids.increment(counts.evicted_ids);
    }

    /// What the state holds now, and its watermark (µs since the epoch), whose age grows until the next call.
    pub fn state(&self, open_windows: usize, dedup_ids: usize, watermark_us: Option<i64>) {
        self.open_windows.set(open_windows as f64);
        self.dedup_ids.set(dedup_ids as f64);
        self.watermark.set_us(watermark_us);
    }
}

impl Drop for WindowMetrics {
    fn drop(&mut self) {
        self.state(0, 0, None);
    }
}

/// What one commit did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommitFigures {
    /// Rows it added.
    pub rows: u64,
    /// Data files it added.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// From its start to its outcome, retries included.
    pub duration: Duration,
}

/// What happens to one table.
#[derive(Debug)]
pub struct TableMetrics {
    rows: Counter,
    files: Counter,
    bytes: Counter,
    commits: Counter,
    conflicts: Counter,
    unknown_outcomes: Counter,
    failures: Counter,
    fences: Counter,
    duration: Histogram,
    latency: Histogram,
    last_commit: Moment,
    levels: Arc<TableLevels>,
}

impl TableMetrics {
    /// Handles of a table.
    pub fn new(table: LakeTable) -> Self {
        let name = table.full_name();
        let count = |metric: Metric| counter!(metric.name(), "table" => name);
        let labels = [("table", name)];
        let duration = histogram(Metric::CommitDuration, &labels);
        let latency = histogram(Metric::EndToEndLatency, &labels);
        let levels = TableLevels::of(name);
        levels.has_histograms(&duration, &latency);
        Self {
            rows: count(Metric::TableRows),
            files: count(Metric::WrittenFiles),
            bytes: count(Metric::WrittenBytes),
            commits: count(Metric::TableCommits),
            conflicts: count(Metric::CommitConflicts),
            unknown_outcomes: count(Metric::CommitUnknownOutcomes),
            failures: count(Metric::CommitFailures),
            fences: count(Metric::CommitFences),
            duration,
            latency,
            last_commit: moment(Metric::LastCommitAge, &labels),
            levels,
        }
    }

    /// A commit has landed, just now.
    pub fn committed(&self, figures: CommitFigures) {
        self.rows.increment(figures.rows);
        self.files.increment(figures.files);
        self.bytes.increment(figures.bytes);
        self.commits.increment(1);
        self.duration.observe(figures.duration, 1);
        self.last_commit.set_now();
    }

    /// An attempt lost against another commit and is repeated.
    pub fn conflicted(&self) {
        self.conflicts.increment(1);
        self.levels.conflicted();
    }

    /// An attempt failed and is made again.
    pub fn attempt_failed(&self) {
        self.failures.increment(1);
    }

    /// The answer of an attempt was lost.
    pub fn outcome_unknown(&self) {
        self.unknown_outcomes.increment(1);
    }

    /// A commit was refused: another owner has gone on.
    pub fn fenced(&self) {
        self.fences.increment(1);
    }

    /// So many events took this long to become visible; once per batch, with its mean or each of its extremes.
    pub fn became_visible(&self, latency: Duration, events: u64) {
        self.latency.observe(latency, events);
    }
}

/// What happens to one shard.
#[derive(Debug)]
pub struct ShardMetrics {
    restarts: Counter,
    budget: Gauge,
}

impl ShardMetrics {
    /// Handles of a shard.
    pub fn new(shard: &str) -> Self {
        Self {
            restarts: counter!(Metric::ShardRestarts.name(), "shard" => shard.to_string()),
            budget: gauge!(Metric::RestartBudget.name(), "shard" => shard.to_string()),
        }
    }

    /// Its generation was replaced after a failure.
    pub fn restarted(&self) {
        self.restarts.increment(1);
    }

    /// Restarts it has left.
    pub fn restarts_left(&self, restarts: usize) {
        self.budget.set(restarts as f64);
    }
}
