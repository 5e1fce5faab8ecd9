//! What the handles have recorded, read back inside the process: for the HTTP API, which shows it to people. `/metrics` is for
//! everything else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use parking_lot::Mutex;
use pulselake_model::ErrorCode;

use crate::exposition::{Histogram, SecondsCounter, bounds_seconds, histogram};
use crate::maintenance::TableFiles;
use crate::metric::Metric;

/// One actor, over all its generations.
#[derive(Clone, Debug, PartialEq)]
pub struct ActorReading {
    /// Its kind.
    pub actor: &'static str,
    /// Its partition or shard.
    pub index: String,
    /// Batches that wait in its mailbox now.
    pub mailbox_batches: u64,
    /// Time spent waiting for room in the next actor's mailbox, seconds.
    pub waited_s: f64,
    /// Time spent at work, seconds.
    pub busy_s: f64,
}

/// One table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableReading {
    /// `namespace.name`.
    pub table: String,
    /// Its files as maintenance saw them last.
    pub files: Option<TableFiles>,
    /// Durations of its commits.
    pub commit_duration: Distribution,
    /// Time from an event to its visible row.
    pub latency: Distribution,
    /// Compaction runs that ended well.
    pub compaction_runs: u64,
    /// Bytes that they replaced.
    pub rewritten_bytes: u64,
    /// Time that they worked, seconds.
    pub compaction_busy_s: f64,
    /// Maintenance runs that failed.
    pub maintenance_failures: u64,
    /// Attempts of commits that lost against another commit and were repeated.
    pub conflicts: u64,
}

/// Counts of observations by bucket, since the process began; of a stretch of time as the difference of two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    /// Empty where nothing was ever observed.
    buckets: Vec<u64>,
}

impl Distribution {
    /// How many observations.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The observations that came after `earlier`, a reading of the same distribution.
    pub fn since(&self, earlier: &Self) -> Self {
        let before = earlier.buckets.iter().copied().chain(std::iter::repeat(0));
        let buckets = self.buckets.iter().zip(before).map(|(now, then)| now.saturating_sub(then));
        Self { buckets: buckets.collect() }
    }

    /// The value, in seconds, below which the part `share` of the observations lies: interpolated within its bucket, as
    /// Prometheus' `histogram_quantile` does. `None` without observations.
    pub fn quantile_s(&self, share: f64) -> Option<f64> {
        let total = self.count();
        if total == 0 {
            return None;
        }
        let (bounds, rank) = (bounds_seconds(), share.clamp(0.0, 1.0) * total as f64);
        let (mut below, mut lower) = (0_u64, 0.0);
        for (bucket, count) in self.buckets.iter().enumerate() {
            // Beyond the last bound nothing more exact is known than that it is beyond.
            let Some(upper) = bounds.get(bucket) else { return Some(lower) };
            if *count > 0 && (below + count) as f64 >= rank {
                let part = ((rank - below as f64) / *count as f64).clamp(0.0, 1.0);
                return Some(lower + (upper - lower) * part);
            }
            below += count;
            lower = *upper;
        }
        Some(lower)
    }
}

/// Every actor that has run, by kind and index.
pub fn actors() -> Vec<ActorReading> {
    let levels = ACTORS.lock();
    let reading = |((actor, index), level): (&(&'static str, String), &Arc<ActorLevels>)| ActorReading {
        actor,
        index: index.clone(),
        mailbox_batches: u64::try_from(level.depth.load(Ordering::Relaxed)).unwrap_or(0),
        waited_s: level.waited.seconds(),
        busy_s: level.worked.seconds(),
    };
    levels.iter().map(reading).collect()
}

/// Every table that something was recorded of, by name.
pub fn tables() -> Vec<TableReading> {
    let levels: Vec<(String, Arc<TableLevels>)> =
        TABLES.lock().iter().map(|(name, level)| (name.clone(), level.clone())).collect();
    levels.into_iter().map(|(table, level)| level.read(table)).collect()
}

/// Records that decoders rejected since the process began, by code, those without any left out.
pub fn rejected_records() -> Vec<(ErrorCode, u64)> {
    let counts = REJECTED.iter().map(|count| count.load(Ordering::Relaxed));
    ErrorCode::ALL.into_iter().zip(counts).filter(|(_, count)| *count > 0).collect()
}

/// Time from an event to its count on the live board.
pub fn board_latency() -> Distribution {
    Distribution { buckets: histogram(Metric::BoardLatency, &[]).counts() }
}

/// Bytes of the values taken from the source since the process began.
pub fn source_bytes() -> u64 {
    SOURCE_BYTES.load(Ordering::Relaxed)
}

static ACTORS: Mutex<BTreeMap<(&'static str, String), Arc<ActorLevels>>> = Mutex::new(BTreeMap::new());
static TABLES: Mutex<BTreeMap<String, Arc<TableLevels>>> = Mutex::new(BTreeMap::new());
static SOURCE_BYTES: AtomicU64 = AtomicU64::new(0);
static REJECTED: [AtomicU64; ErrorCode::COUNT] = [const { AtomicU64::new(0) }; ErrorCode::COUNT];

/// What all handles of one actor have recorded.
#[derive(Debug)]
pub(crate) struct ActorLevels {
    depth: AtomicI64,
    waited: SecondsCounter,
    worked: SecondsCounter,
}

impl ActorLevels {
    /// The levels of an actor, the same for all its generations.
    pub(crate) fn of(
        actor: &'static str,
        index: &str,
        waited: &SecondsCounter,
        worked: &SecondsCounter,
    ) -> Arc<Self> {
        let new = || {
            let (waited, worked) = (waited.clone(), worked.clone());
            Arc::new(Self { depth: AtomicI64::new(0), waited, worked })
        };
        ACTORS.lock().entry((actor, index.to_owned())).or_insert_with(new).clone()
    }

    pub(crate) fn add_depth(&self, batches: i64) {
        self.depth.fetch_add(batches, Ordering::Relaxed);
    }
}

/// What all handles of one table have recorded.
#[derive(Debug, Default)]
pub(crate) struct TableLevels {
    files: Mutex<Option<TableFiles>>,
    histograms: Mutex<Option<(Histogram, Histogram)>>,
    compaction_runs: AtomicU64,
    rewritten_bytes: AtomicU64,
    compaction_busy: Mutex<Option<SecondsCounter>>,
    failures: AtomicU64,
    conflicts: AtomicU64,
}

impl TableLevels {
    /// The levels of a table.
    pub(crate) fn of(table: &str) -> Arc<Self> {
        TABLES.lock().entry(table.to_owned()).or_default().clone()
    }

    /// Where its commits are recorded: their durations, and the latency of what they made visible.
    pub(crate) fn has_histograms(&self, duration: &Histogram, latency: &Histogram) {
        *self.histograms.lock() = Some((duration.clone(), latency.clone()));
    }

    /// Where the time of its compaction is recorded.
    pub(crate) fn has_busy(&self, busy: &SecondsCounter) {
        *self.compaction_busy.lock() = Some(busy.clone());
    }

    pub(crate) fn set_files(&self, files: TableFiles) {
        *self.files.lock() = Some(files);
    }

    pub(crate) fn compacted(&self, rewritten_bytes: u64) {
        self.compaction_runs.fetch_add(1, Ordering::Relaxed);
        self.rewritten_bytes.fetch_add(rewritten_bytes, Ordering::Relaxed);
    }

    pub(crate) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn conflicted(&self) {
        self.conflicts.fetch_add(1, Ordering::Relaxed);
    }

    fn read(&self, table: String) -> TableReading {
        let of_histogram = |histogram: &Histogram| Distribution { buckets: histogram.counts() };
        let histograms = self.histograms.lock();
        let (commit_duration, latency) = histograms
            .as_ref()
            .map_or_else(Default::default, |(first, second)| (of_histogram(first), of_histogram(second)));
        TableReading {
            table,
            files: *self.files.lock(),
            commit_duration,
            latency,
            compaction_runs: self.compaction_runs.load(Ordering::Relaxed),
            rewritten_bytes: self.rewritten_bytes.load(Ordering::Relaxed),
            compaction_busy_s: self.compaction_busy.lock().as_ref().map_or(0.0, SecondsCounter::seconds),
            maintenance_failures: self.failures.load(Ordering::Relaxed),
            conflicts: self.conflicts.load(Ordering::Relaxed),
        }
    }
}

pub(crate) fn add_source_bytes(bytes: u64) {
    SOURCE_BYTES.fetch_add(bytes, Ordering::Relaxed);
}

pub(crate) fn add_rejected(by_code: &[u64; ErrorCode::COUNT]) {
    for (sum, count) in REJECTED.iter().zip(by_code).filter(|(_, count)| **count > 0) {
        sum.fetch_add(*count, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distribution(observations: &[(usize, u64)]) -> Distribution {
        let mut buckets = vec![0; bounds_seconds().len() + 1];
        for (bucket, count) in observations {
            buckets[*bucket] += count;
        }
        Distribution { buckets }
    }

    #[test]
    fn a_quantile_lies_within_its_bucket() {
        // Bucket 9 is from 0.5 s to 1 s, bucket 12 from 5 s to 10 s.
        let all = distribution(&[(9, 90), (12, 10)]);
        assert_eq!(all.quantile_s(0.45), Some(0.75));
        assert_eq!(all.quantile_s(0.9), Some(1.0));
        assert_eq!(all.quantile_s(0.95), Some(7.5));
        assert_eq!(all.quantile_s(1.0), Some(10.0));
        assert_eq!(Distribution::default().quantile_s(0.5), None);
        assert_eq!(distribution(&[]).quantile_s(0.5), None);
        assert_eq!(distribution(&[(bounds_seconds().len(), 3)]).quantile_s(0.5), Some(3_600.0));
    }

    #[test]
    fn a_stretch_of_time_is_the_difference_of_two_readings() {
        let (before, after) = (distribution(&[(3, 5)]), distribution(&[(3, 5), (9, 2)]));
        assert_eq!(after.since(&before), distribution(&[(9, 2)]));
        assert_eq!(after.since(&Distribution::default()), after);
        assert_eq!(after.since(&before).count(), 2);
    }
}
