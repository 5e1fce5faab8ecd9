//! The three hot tables' ledgers side by side, and what they say about a record's place.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use pulselake_ledger::{Ledger, OffsetRanges, PartitionLedger};

/// A partition of a source topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SourcePartition {
    /// Its topic.
    pub(crate) topic: String,
    /// Its number.
    pub(crate) partition: i32,
}

impl fmt::Display for SourcePartition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.topic, self.partition)
    }
}

/// The ledgers; `None` where the engine has never committed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledgers {
    /// Of the quarantine.
    pub(crate) quarantine: Option<Ledger>,
    /// Of bronze.
    pub(crate) bronze: Option<Ledger>,
    /// Of gold.
    pub(crate) gold: Option<Ledger>,
}

impl Ledgers {
    /// Every partition that a ledger names.
    pub(crate) fn partitions(&self) -> BTreeSet<SourcePartition> {
        let mut all = BTreeSet::new();
        for ledger in [&self.quarantine, &self.bronze, &self.gold].into_iter().flatten() {
            for (topic, entries) in &ledger.topics {
                all.extend(
                    entries.keys().map(|&partition| SourcePartition { topic: topic.clone(), partition }),
                );
            }
            for (topic, replayed) in &ledger.replayed {
                let partitions = replayed.offsets.keys();
                all.extend(partitions.map(|&partition| SourcePartition { topic: topic.clone(), partition }));
            }
        }
        all
    }
}

/// A table's entry of a partition; that of a table that has consumed nothing where there is none.
pub(crate) fn entry(ledger: Option<&Ledger>, source: &SourcePartition) -> PartitionLedger {
    let found = ledger.and_then(|known| known.partition(&source.topic, source.partition));
    found.cloned().unwrap_or_default()
}

/// The offsets that have entered a table by replay.
pub(crate) fn replayed(ledger: Option<&Ledger>, source: &SourcePartition) -> OffsetRanges {
    let topic = ledger.and_then(|known| known.replayed.get(&source.topic));
    topic.and_then(|found| found.offsets.get(&source.partition)).cloned().unwrap_or_default()
}

/// Of these, how many the table did not count because it had their event_id.
pub(crate) fn replay_duplicates(ledger: Option<&Ledger>, source: &SourcePartition) -> u64 {
    let topic = ledger.and_then(|known| known.replayed.get(&source.topic));
    topic.and_then(|found| found.duplicates.get(&source.partition)).copied().unwrap_or(0)
}

/// Offset of the first record that the table has ever been offered.
pub(crate) fn first_offset(entry: &PartitionLedger) -> i64 {
    let counts = &entry.counts;
    entry.next - signed(counts.records + counts.gaps + counts.lost)
}

/// A count as a number that can be subtracted from.
pub(crate) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Whether gold must have counted a bronze row.
#[derive(Clone, Debug, Default)]
pub(crate) struct GoldScope {
    next: i64,
    replayed_in_bronze: OffsetRanges,
    replayed_in_gold: OffsetRanges,
}

/// A bronze row as gold sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GoldSight {
    /// Taken from the stream.
    Streamed,
    /// Taken by a replay.
    Replayed,
    /// Not yet there.
    Ahead,
}

impl GoldScope {
    /// What the ledgers say of one partition.
    pub(crate) fn new(ledgers: &Ledgers, source: &SourcePartition) -> Self {
        Self {
            next: entry(ledgers.gold.as_ref(), source).next,
            replayed_in_bronze: replayed(ledgers.bronze.as_ref(), source),
            replayed_in_gold: replayed(ledgers.gold.as_ref(), source),
        }
    }

    /// Where the bronze row with this offset stands.
    pub(crate) fn sight(&self, offset: i64) -> GoldSight {
        if self.replayed_in_gold.contains(offset) {
            GoldSight::Replayed
        } else if offset < self.next && !self.replayed_in_bronze.contains(offset) {
            GoldSight::Streamed
        } else {
            GoldSight::Ahead
        }
    }
}

/// How far gold is in one of its partitions, over all topics that have it: gold has no topic column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct GoldProgress {
    /// End of the last window that the furthest topic has closed (µs).
    furthest_us: Option<i64>,
    /// The same of the topic that is furthest behind; `None` where one has closed none.
    nearest_us: Option<i64>,
    /// Events that came too late to count.
    pub(crate) dropped: u64,
}

impl GoldProgress {
    /// Whether a topic has closed the window that ends at `window_end_us`.
    pub(crate) fn has_closed(&self, window_end_us: i64) -> bool {
        self.furthest_us >= Some(window_end_us)
    }

    /// Whether every topic has closed it: then all of it is in gold.
    pub(crate) fn has_closed_everywhere(&self, window_end_us: i64) -> bool {
        self.nearest_us >= Some(window_end_us)
    }
}

/// How far gold is in each of its partitions.
pub(crate) fn gold_progress(ledgers: &Ledgers) -> BTreeMap<i32, GoldProgress> {
    let mut all: BTreeMap<i32, GoldProgress> = BTreeMap::new();
    for entries in ledgers.gold.iter().flat_map(|ledger| ledger.topics.values()) {
        for (&partition, found) in entries {
            let closed_us = found.closed_through;
            let progress = all.entry(partition).or_insert(GoldProgress {
                furthest_us: closed_us,
                nearest_us: closed_us,
                dropped: 0,
            });
            progress.furthest_us = progress.furthest_us.max(closed_us);
            progress.nearest_us = progress.nearest_us.min(closed_us);
            progress.dropped += found.counts.dropped;
        }
    }
    all
}
