//! The ledger that a rewind makes the table's truth: rule 2.
//!
//! The positions are those of the present snapshot, but no `seq` that the table ever had is given out again: an owner
//! from before the rollback, paused since then, would find the `seq` that it was built on, and commit a second time
//! what has come again meanwhile.

use std::collections::BTreeMap;

use crate::{Ledger, PartitionLedger};

/// `to`, the ledger of the present snapshot, with each partition's `seq` one above the highest of `to` and `known`
/// (the property and the ledgers of all snapshots that are still there).
///
/// A partition that `to` does not know yet, but others do, is entered as having consumed nothing.
pub fn rewound<'a>(to: &'a Ledger, known: impl IntoIterator<Item = &'a Ledger>) -> Ledger {
    let mut ledger = to.clone();
    let mut highest: BTreeMap<(&str, i32), &PartitionLedger> = BTreeMap::new();
    for other in known.into_iter().chain([to]) {
        for (topic, partitions) in &other.topics {
            for (&partition, entry) in partitions {
                let newest = highest.entry((topic, partition)).or_insert(entry);
                if entry.seq > newest.seq {
                    *newest = entry;
                }
            }
        }
    }
    for ((topic, partition), newest) in highest {
        let partitions = ledger.topics.entry(topic.to_string()).or_default();
        partitions.entry(partition).or_insert_with(|| unread(newest)).seq = newest.seq + 1;
    }
    ledger
}

/// The entry of a partition before its first record.
fn unread(later: &PartitionLedger) -> PartitionLedger {
    let counts = &later.counts;
    let first = later.next - (counts.records + counts.gaps + counts.lost) as i64;
    PartitionLedger {
        next: first,
        replay_from: first,
        fingerprint: later.fingerprint.clone(),
        fingerprint_from: first,
        generation: later.generation,
        ..PartitionLedger::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Advance, Counts, Decision, FenceReason, apply_advances, decide};

    fn commit(head: Option<&Ledger>, partition: i32, id: &str, seq: i64, next: i64) -> Ledger {
        let counts = Counts { records: (next - 40) as u64, ..Counts::default() };
        let entry = PartitionLedger { next, replay_from: next, counts, ..PartitionLedger::default() };
        let advance = Advance { topic: "t".into(), partition, built_on_seq: seq, entry };
        assert_eq!(decide(head, id, std::slice::from_ref(&advance)), Decision::Commit);
        apply_advances(head, "c", "f", id, &[advance])
    }

    #[test]
    fn an_owner_from_before_the_rollback_stays_fenced() {
        let one = commit(None, 0, "a", 0, 50);
        let two = commit(Some(&one), 0, "b", 1, 60);
        let three = commit(Some(&two), 0, "c", 2, 70);
        // Rolled back to `one`; the property is gone, `three` is a snapshot that still is there.
        let mut table = rewound(&one, [&two, &three]);
        let entry = table.partition("t", 0).cloned().unwrap_or_default();
        assert_eq!((entry.seq, entry.next), (4, 50));
        for seq in 4..8 {
            let zombie = Advance { topic: "t".into(), partition: 0, built_on_seq: 3, entry: entry.clone() };
            let fenced = decide(Some(&table), "z", &[zombie]);
            assert!(matches!(fenced, Decision::Fenced(FenceReason { found_seq, .. }) if found_seq == seq));
            table = commit(Some(&table), 0, "new", seq, 60);
        }
    }

    #[test]
    fn a_partition_that_came_later_begins_at_its_start() {
        let one = commit(None, 0, "a", 0, 50);
        let two = commit(Some(&one), 7, "b", 0, 60);
        let table = rewound(&one, [&two]);
        let entry = table.partition("t", 7).cloned().unwrap_or_default();
        assert_eq!((entry.seq, entry.next, entry.replay_from, entry.counts), (2, 40, 40, Counts::default()));
        assert_eq!(table.partition("t", 0).map(|entry| (entry.seq, entry.next)), Some((2, 50)));
    }
}
