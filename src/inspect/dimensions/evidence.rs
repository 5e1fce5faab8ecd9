//! What the rows of an entity's three tables say, gathered row by row.

use std::collections::{BTreeMap, HashMap, HashSet};

use pulselake_cdc::{HistoryVersion, VersionOrder, key_hash};

use super::ChangeLedgers;
use crate::inspect::ledgers::{SourcePartition, entry};
use crate::inspect::offsets::OffsetEvidence;

/// A row of the history.
pub(super) struct HistoryRow<'a> {
    pub(super) topic: &'a str,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) version: &'a HistoryVersion,
    pub(super) valid_from_us: i64,
    pub(super) is_deletion: bool,
    pub(super) content_hash: u64,
}

/// The last version of a key that the dimension has applied.
#[derive(Clone, Copy, Debug)]
struct LastVersion {
    order: VersionOrder,
    offset: i64,
    is_deletion: bool,
    content_hash: u64,
}

/// Everything that the checks need.
#[derive(Debug, Default)]
pub(super) struct ChangeEvidence {
    /// Offsets of quarantined records, by partition.
    pub(super) quarantine: BTreeMap<SourcePartition, OffsetEvidence>,
    /// Offsets of versions, by partition.
    pub(super) history: BTreeMap<SourcePartition, OffsetEvidence>,
    /// Versions that were there before, and a key of one.
    pub(super) repeated_versions: (u64, Option<String>),
    /// Versions whose `valid_from` is not their `source_ts_ms`, and a key of one.
    pub(super) wrong_starts: (u64, Option<String>),
    /// Keys that the dimension has more than once, and one of them.
    pub(super) repeated_keys: (u64, Option<String>),
    /// Keys that the dimension should have and does not, and one of them.
    pub(super) missing_keys: (u64, Option<String>),
    /// Keys that it has and should not, and one of them.
    pub(super) surplus_keys: (u64, Option<String>),
    /// Keys whose row is not their last version, and one of them.
    pub(super) stale_keys: (u64, Option<String>),
    /// Keys that the dimension has.
    pub(super) keys: u64,
}

/// Gathers; the dimension's rows come before the history's.
pub(super) struct Collector<'a> {
    ledgers: &'a ChangeLedgers,
    evidence: ChangeEvidence,
    /// Content of the dimension's row, and its key.
    present: HashMap<u128, (u64, Box<str>)>,
    versions: HashSet<(u128, VersionOrder, i64)>,
    last: HashMap<u128, (LastVersion, Box<str>)>,
}

impl<'a> Collector<'a> {
    pub(super) fn new(ledgers: &'a ChangeLedgers) -> Self {
        Self {
            ledgers,
            evidence: ChangeEvidence::default(),
            present: HashMap::new(),
            versions: HashSet::new(),
            last: HashMap::new(),
        }
    }

    pub(super) fn quarantine_row(&mut self, topic: &str, partition: i32, offset: i64) {
        let source = SourcePartition { topic: topic.to_owned(), partition };
        self.evidence.quarantine.entry(source).or_default().add(offset);
    }

    pub(super) fn dimension_row(&mut self, key: &str, content_hash: u64) {
        if self.present.insert(key_hash(key), (content_hash, key.into())).is_some() {
            count(&mut self.evidence.repeated_keys, key);
        }
    }

    pub(super) fn history_row(&mut self, row: &HistoryRow<'_>) {
        let source = SourcePartition { topic: row.topic.to_owned(), partition: row.partition };
        let applied_to = entry(self.ledgers.dimension.as_ref(), &source).next;
        self.evidence.history.entry(source).or_default().add(row.offset);
        let HistoryVersion { key, order, version_hash } = row.version;
        let hash = key_hash(key);
        if !self.versions.insert((hash, *order, *version_hash)) {
            count(&mut self.evidence.repeated_versions, key);
        }
        if row.valid_from_us != order.source_ts_ms.saturating_mul(1_000) {
            count(&mut self.evidence.wrong_starts, key);
        }
        if row.offset >= applied_to {
            return;
        }
        let found = LastVersion {
            order: *order,
            offset: row.offset,
            is_deletion: row.is_deletion,
            content_hash: row.content_hash,
        };
        let is_newer = |known: &LastVersion| (known.order, known.offset) < (found.order, found.offset);
        match self.last.get_mut(&hash) {
            None => drop(self.last.insert(hash, (found, key.as_str().into()))),
            Some((known, _)) if is_newer(known) => *known = found,
            Some(_) => {}
        }
    }

    pub(super) fn finish(mut self) -> ChangeEvidence {
        let evidence = &mut self.evidence;
        evidence.keys = self.present.len() as u64;
        for (hash, (last, key)) in &self.last {
            match self.present.remove(hash) {
                None if !last.is_deletion => count(&mut evidence.missing_keys, key),
                Some(_) if last.is_deletion => count(&mut evidence.surplus_keys, key),
                Some((content, _)) if content != last.content_hash => count(&mut evidence.stale_keys, key),
                _ => {}
            }
        }
        for (_, key) in self.present.values() {
            count(&mut evidence.surplus_keys, key);
        }
        self.evidence
    }
}

/// Counts a key; of several the least is the example, so that each audit names the same.
fn count(counted: &mut (u64, Option<String>), key: &str) {
    counted.0 += 1;
    if counted.1.as_deref().is_none_or(|known| key < known) {
        counted.1 = Some(key.to_owned());
    }
}
