//! What has been applied and not yet flushed: versions by delivery and by key, and rejected records.

use std::collections::{BTreeMap, HashSet};

use hashbrown::HashMap;
use pulselake_decode::Rejection;
use pulselake_model::LastRecord;

use crate::envelope::Operation;
use crate::index::{Verdict, VersionIndex};
use crate::order::{HistoryVersion, VersionOrder, key_hash};
use crate::value::Value;

/// A version as a record brings it.
#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) key: Box<str>,
    pub(crate) key_hash: u128,
    pub(crate) order: VersionOrder,
    pub(crate) version_hash: i64,
    pub(crate) operation: Operation,
    /// See [`crate::row::Row::values`]; empty where `operation` deletes.
    pub(crate) values: Vec<Value>,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) ingested_at_us: i64,
}

impl Version {
    fn bytes(&self) -> usize {
        let heap: usize = self.values.iter().map(Value::heap_bytes).sum();
        // The key stands here and in the map of keys.
        size_of::<Self>()
            + size_of::<KeyChanges>()
            + 2 * self.key.len()
            + self.values.len() * size_of::<Value>()
            + heap
    }
}

/// A version that waits for the flush.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) version: Version,
    /// Whether a look-up has found it in the history.
    pub(crate) is_repetition: bool,
    is_doubtful: bool,
}

/// A record that goes to quarantine.
#[derive(Debug)]
pub(crate) struct InvalidRecord {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) value: Vec<u8>,
    pub(crate) record_timestamp_ms: Option<i64>,
    pub(crate) ingested_at_us: i64,
    pub(crate) rejection: Rejection,
}

/// What a partition has brought since the last flush.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlushedPosition {
    /// Offset of the first record not yet applied.
    pub next: i64,
    /// The last record; `None` where there was none since the last flush.
    pub last: Option<LastRecord>,
    /// Records.
    pub records: u64,
    /// Of these, rejected; those included that were in quarantine before.
    pub quarantined: u64,
    /// Rows of [`Flush::invalid`](crate::Flush::invalid): the rejected ones that were not in quarantine before.
    pub quarantine_rows: u64,
    /// Of the records, those without a value.
    pub tombstones: u64,
    /// Of the records, those that brought no version but such as the history has.
    pub duplicates: u64,
    /// Of the records, those that brought a version older than the last one of its key: in the history alone.
    pub late: u64,
    /// Offsets that held no record.
    pub gaps: u64,
}

/// The changes of one key.
#[derive(Debug, Default)]
pub(crate) struct KeyChanges {
    /// Places in the list of waiting versions, by delivery.
    pub(crate) waiting: Vec<u32>,
    /// All versions of the key in the history, once it was looked up.
    pub(crate) history: Option<Vec<(VersionOrder, i64)>>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    /// By delivery; the versions of one record are neighbours.
    pub(crate) waiting: Vec<Waiting>,
    pub(crate) by_key: HashMap<u128, KeyChanges>,
    pub(crate) invalid: Vec<InvalidRecord>,
    pub(crate) positions: BTreeMap<i32, FlushedPosition>,
    /// Keys that a look-up was asked for.
    asked: HashSet<String>,
    bytes: usize,
}

impl Pending {
    pub(crate) fn position(&mut self, partition: i32) -> &mut FlushedPosition {
        self.positions.entry(partition).or_default()
    }

    pub(crate) fn rows(&self) -> usize {
        self.waiting.len() + self.invalid.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn reject(&mut self, record: InvalidRecord) {
        self.bytes += size_of::<InvalidRecord>() + record.value.len() + record.rejection.reason.len();
        self.invalid.push(record);
    }

    /// Takes in a version; `false` when it is surely one that the history has or will have by the next flush.
    pub(crate) fn add(&mut self, version: Version, index: &VersionIndex) -> bool {
        let identity = (version.order, version.version_hash);
        let verdict = index.judge(version.key_hash, version.order, version.version_hash);
        if verdict == Verdict::Repetition {
            return false;
        }
        let changes = self.by_key.entry(version.key_hash).or_default();
        let is_waiting = changes.waiting.iter().any(|at| {
            let other = &self.waiting[*at as usize].version;
            (other.order, other.version_hash) == identity
        });
        if is_waiting || changes.history.as_ref().is_some_and(|history| history.contains(&identity)) {
            return false;
        }
        let is_doubtful = verdict == Verdict::Doubtful && changes.history.is_none();
        // Rows are bounded far below: the bytes of each are counted.
        changes.waiting.push(self.waiting.len() as u32);
        self.bytes += version.bytes();
        self.waiting.push(Waiting { version, is_repetition: false, is_doubtful });
        true
    }

    /// Keys with a version that only the history can judge.
    pub(crate) fn unsettled(&self) -> impl Iterator<Item = &str> {
        let doubtful = self.waiting.iter().filter(|waiting| waiting.is_doubtful);
        doubtful.map(|waiting| waiting.version.key.as_ref())
    }

    pub(crate) fn ask(&mut self) -> Vec<String> {
        let mut keys: Vec<String> = self.unsettled().map(str::to_owned).collect();
        keys.sort_unstable();
        keys.dedup();
        self.asked = keys.iter().cloned().collect();
        keys
    }

    /// Takes in all versions that the history has of the keys that were asked for.
    pub(crate) fn settle(&mut self, versions_in_history: Vec<HistoryVersion>) {
        let mut found: HashMap<String, Vec<(VersionOrder, i64)>> =
            self.asked.drain().map(|key| (key, Vec::new())).collect();
        for version in versions_in_history {
            if let Some(versions) = found.get_mut(&version.key) {
                versions.push((version.order, version.version_hash));
            }
        }
        for (key, versions) in found {
            let Some(changes) = self.by_key.get_mut(&key_hash(&key)) else { continue };
            for at in &changes.waiting {
                let waiting = &mut self.waiting[*at as usize];
                let identity = (waiting.version.order, waiting.version.version_hash);
                waiting.is_doubtful = false;
                waiting.is_repetition = versions.contains(&identity);
            }
            changes.history = Some(versions);
        }
    }
}
