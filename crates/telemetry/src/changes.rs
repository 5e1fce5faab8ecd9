//! What the stream of one entity's changes reports.

use metrics::{Counter, Gauge, counter, gauge};
use pulselake_model::{Entity, ErrorCode};

use crate::metric::Metric;
use crate::readings::add_rejected;

/// Partitions of an entity's topic that this process consumes now.
pub fn set_change_partitions(entity: Entity, count: usize) {
    gauge!(Metric::ChangePartitions.name(), "entity" => entity.as_str()).set(count as f64);
}

/// Records between a partition's position and its end.
pub fn set_change_lag(entity: Entity, partition: i32, records: u64) {
    let labels = [("entity", entity.as_str().to_string()), ("partition", partition.to_string())];
    gauge!(Metric::ChangeLag.name(), &labels).set(records as f64);
}

/// What was counted of one batch of changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangeCounts {
    /// Records.
    pub records: u64,
    /// Of these, without a value.
    pub tombstones: u64,
    /// Of these, rejected; indexed by [`ErrorCode`] as a number.
    pub rejected_by_code: [u64; ErrorCode::COUNT],
}

/// Handles of one entity's stream.
#[derive(Debug)]
pub struct ChangeMetrics {
    records: Counter,
    tombstones: Counter,
    rejected: Counter,
    by_code: [Counter; ErrorCode::COUNT],
    repeated: Counter,
    late: Counter,
    looked_up: Counter,
    schema_changes: Counter,
    indexed_keys: Gauge,
    index_bytes: Gauge,
}

impl ChangeMetrics {
    /// Handles.
    pub fn new(entity: Entity) -> Self {
        let count = |metric: Metric| counter!(metric.name(), "entity" => entity.as_str());
        let level = |metric: Metric| gauge!(metric.name(), "entity" => entity.as_str());
        Self {
            records: count(Metric::ChangeRecords),
            tombstones: count(Metric::Tombstones),
            rejected: count(Metric::RejectedChanges),
            by_code: ErrorCode::ALL
                .map(|code| counter!(Metric::RejectedRecords.name(), "code" => code.as_str())),
            repeated: count(Metric::RepeatedVersions),
            late: count(Metric::LateVersions),
            looked_up: count(Metric::HistoryLookups),
            schema_changes: count(Metric::SchemaChanges),
            indexed_keys: level(Metric::IndexedKeys),
            index_bytes: level(Metric::KeyIndexBytes),
        }
    }

    /// A batch was taken in.
    pub fn received(&self, counts: &ChangeCounts) {
        self.records.increment(counts.records);
        self.tombstones.increment(counts.tombstones);
        add_rejected(&counts.rejected_by_code);
        for (counter, &count) in self.by_code.iter().zip(&counts.rejected_by_code) {
            if count > 0 {
                counter.increment(count);
                self.rejected.increment(count);
            }
        }
    }

    /// A flush was made: versions that were there already, and versions older than their key's last.
    pub fn flushed(&self, repeated: u64, late: u64) {
        self.repeated.increment(repeated);
        self.late.increment(late);
    }

    /// So many keys were looked up in the history.
    pub fn looked_up(&self, keys: u64) {
        self.looked_up.increment(keys);
    }

    /// So many columns were added or widened.
    pub fn schema_changed(&self, columns: u64) {
        self.schema_changes.increment(columns);
    }

    /// What the index of last versions holds.
    pub fn index(&self, keys: usize, bytes: usize) {
        self.indexed_keys.set(keys as f64);
        self.index_bytes.set(bytes as f64);
    }
}

impl Drop for ChangeMetrics {
    fn drop(&mut self) {
        self.index(0, 0);
    }
}

/// Handles of the schema registry's requests.
#[derive(Clone, Debug)]
pub struct RegistryMetrics {
    found: Counter,
    unknown: Counter,
    failed: Counter,
}

impl Default for RegistryMetrics {
    fn default() -> Self {
        let count = |outcome: &'static str| counter!(Metric::RegistryRequests.name(), "outcome" => outcome);
        Self { found: count("found"), unknown: count("unknown"), failed: count("failed") }
    }
}

impl RegistryMetrics {
    /// The registry has the schema, or has none.
    pub fn answered(&self, is_found: bool) {
        if is_found { self.found.increment(1) } else { self.unknown.increment(1) }
    }

    /// It could not be asked.
    pub fn failed(&self) {
        self.failed.increment(1);
    }
}

/// Handles of the cache of videos for the live path.
#[derive(Clone, Debug)]
pub struct CacheMetrics {
    entries: Gauge,
    misses: Counter,
    evicted: Counter,
}

impl Default for CacheMetrics {
    fn default() -> Self {
        Self {
            entries: gauge!(Metric::CachedVideos.name()),
            misses: counter!(Metric::CacheMisses.name()),
            evicted: counter!(Metric::CacheEvictions.name()),
        }
    }
}

impl CacheMetrics {
    /// Videos in the cache now.
    pub fn holds(&self, videos: usize) {
        self.entries.set(videos as f64);
    }

    /// A video was asked for that is not there.
    pub fn missed(&self) {
        self.misses.increment(1);
    }

    /// Videos were taken out because the cache is full.
    pub fn evicted(&self, videos: u64) {
        self.evicted.increment(videos);
    }
}
