//! How soon a reader was up to date after a moment, such as the end of a fault or the last record sent: by what could be read
//! in bronze, not by what the engine says.

use std::collections::HashMap;

use pulselake_model::tables::LakeTable;

use super::sent::SentRecords;
use crate::lake_watch::SeenCommit;

/// Seconds from a moment (`to_s`, seconds since `start_ms`, which is in milliseconds since the epoch) until every
/// partition's records due by then could be read in bronze; 0 where they could be read already. `None` when they never
/// could.
pub(crate) fn readable_after_s(
    commits: &[SeenCommit],
    topic: &str,
    sent: &SentRecords,
    start_ms: i64,
    to_s: f64,
) -> Option<f64> {
    // Within a run, which takes days at the most.
    let to_after_ms = (to_s * 1e3).max(0.0) as u32;
    let mut waiting: HashMap<i32, u64> = sent
        .filled_partitions()
        .map(|partition| (partition, sent.count_due_by(partition, to_after_ms)))
        .filter(|(_, due)| *due > 0)
        .collect();
    if waiting.is_empty() {
        return Some(0.0);
    }
    for commit in commits.iter().filter(|commit| commit.table == LakeTable::RawEvents) {
        for (partition, next) in commit.next_offsets(topic) {
            let has_all =
                waiting.get(&partition).is_some_and(|due| sent.count_before(partition, next).1 >= *due);
            if has_all {
                waiting.remove(&partition);
            }
        }
        if waiting.is_empty() {
            let after_ms = commit.seen_at_ms - start_ms - i64::from(to_after_ms);
            return Some(after_ms.max(0) as f64 / 1e3);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use pulselake_generator::RecordKind;
    use pulselake_ledger::{Ledger, PartitionLedger};

    use super::*;
    use crate::load::run::sent::tests::record;

    const START_MS: i64 = 50_000;

    fn commit(table: LakeTable, seen_after_ms: i64, next: &[i64]) -> SeenCommit {
        let mut ledger = Ledger::new("cluster", "decoder");
        let topic = ledger.topics.entry("t".to_owned()).or_default();
        for (partition, next) in (0..).zip(next) {
            topic.insert(partition, PartitionLedger { next: *next, ..Default::default() });
        }
        let seen_at_ms = START_MS + seen_after_ms;
        SeenCommit { table, seen_at_ms, ledger: Some(ledger), files: 1, rows: 1, live_files: 1 }
    }

    #[test]
    fn every_partition_has_to_have_what_was_due() {
        let mut sent = SentRecords::to_topic(3);
        for (partition, after_ms) in [(0, 1_000), (1, 1_500), (0, 2_000), (1, 4_000)] {
            sent.push(partition, after_ms, &record(RecordKind::Event));
        }
        let commits = [
            commit(LakeTable::RawEvents, 1_200, &[1, 0]),
            commit(LakeTable::VideoStats1Min, 1_300, &[2, 2]),
            // A fresh commit of one partition is no recovery.
            commit(LakeTable::RawEvents, 2_500, &[2, 0]),
            commit(LakeTable::RawEvents, 3_750, &[2, 1]),
        ];
        let of = |to_s| readable_after_s(&commits, "t", &sent, START_MS, to_s);
        assert_eq!(of(0.5), Some(0.0), "nothing was due");
        assert_eq!(of(1.0), Some(0.2));
        assert_eq!(of(2.0), Some(1.75));
        assert_eq!(of(3.9), Some(0.0), "all of it could be read already");
        assert_eq!(of(4.0), None);
        assert_eq!(readable_after_s(&commits, "other", &sent, START_MS, 2.0), None);
    }
}
