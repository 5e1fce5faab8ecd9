//! The equations of the audit of dimensions: ledgers and evidence in, named checks out. Pure.

use std::collections::BTreeSet;

use pulselake_ledger::Ledger;
use pulselake_model::Entity;
use pulselake_model::tables::LakeTable;

use super::ChangeLedgers;
use super::evidence::ChangeEvidence;
use crate::inspect::first_offset;
use crate::inspect::ledgers::{SourcePartition, entry};
use crate::inspect::report::{Check, Checks};

/// Every check that can be made with trusted ledgers. Where rows were erased on purpose, what counts rows becomes a note.
pub(super) fn all_checks(
    entity: Entity,
    ledgers: &ChangeLedgers,
    evidence: &ChangeEvidence,
    is_erased: bool,
) -> Vec<Check> {
    let [quarantine, history, dimension] = LakeTable::of_changes(entity);
    let mut list = Vec::new();
    let named =
        [(quarantine, &ledgers.quarantine), (history, &ledgers.history), (dimension, &ledgers.dimension)];
    let mut sources: BTreeSet<&str> = BTreeSet::new();
    let mut partitions: BTreeSet<SourcePartition> = BTreeSet::new();
    for (table, ledger) in named {
        let mut checks = Checks::of(table.full_name());
        let found = if ledger.is_some() { "they do" } else { "no commit yet" };
        checks.holds("ledger.trusted", true, "property and snapshot to agree", found.to_owned());
        list.extend(checks.into_list());
        sources.extend(ledger.iter().map(|known| known.cluster_id.as_str()));
        partitions.extend(ledger.iter().flat_map(partitions_of));
    }
    partitions.extend(evidence.history.keys().cloned());
    partitions.extend(evidence.quarantine.keys().cloned());
    let mut checks = Checks::of(format!("changes of {}", entity.as_str()));
    let listed: Vec<&str> = sources.iter().copied().collect();
    checks.holds("ledger.same_source", sources.len() <= 1, "one source", listed.join(", "));
    list.extend(checks.into_list());
    for source in &partitions {
        list.extend(partition_checks(ledgers, evidence, source, is_erased));
    }
    list.extend(table_checks(entity, evidence));
    list
}

fn partitions_of(ledger: &Ledger) -> Vec<SourcePartition> {
    let topics = ledger.topics.iter();
    topics
        .flat_map(|(topic, entries)| {
            entries.keys().map(|&partition| SourcePartition { topic: topic.clone(), partition })
        })
        .collect()
}

fn partition_checks(
    ledgers: &ChangeLedgers,
    evidence: &ChangeEvidence,
    source: &SourcePartition,
    is_erased: bool,
) -> Vec<Check> {
    let mut checks = Checks::of(source.to_string());
    let history = entry(ledgers.history.as_ref(), source);
    let quarantine = entry(ledgers.quarantine.as_ref(), source);
    let rejected = evidence.quarantine.get(source).cloned().unwrap_or_default();
    let versions = evidence.history.get(source).cloned().unwrap_or_default();
    if is_erased {
        let found = format!("{} rows rejected, {} versions", rejected.rows(), versions.rows());
        checks.note("history.records", "rows were erased, so that counts don't explain them", found);
    } else {
        let quarantined = quarantine.counts.quarantined as i64;
        checks.equal("quarantine.rows", quarantined, "(its ledger's quarantined)", rejected.rows() as i64);
        let counts = &history.counts;
        let not_versions = counts.quarantined + counts.tombstones + counts.duplicates;
        let expected = counts.records as i64 - not_versions as i64;
        let different = versions.within(i64::MIN, i64::MAX) as i64;
        let why = "different offsets (records − quarantined − tombstones − duplicates)";
        checks.equal("history.records", expected, why, different);
    }
    let (repeated, example) = rejected.repeated();
    let shown = |offset: Option<i64>| offset.map(|found| format!("offset {found}"));
    checks.none("quarantine.offsets_distinct", "no source offset twice", repeated, shown(example));
    let outside = versions.outside(first_offset(&history), history.next);
    checks.none("history.offsets_consumed", "no version of a record not consumed", outside, None);
    let (from, to) = (first_offset(&history), history.next);
    let both =
        versions.within(from, to) + rejected.within(from, to) - versions.within_either(&rejected, from, to);
    checks.none("history.apart_from_quarantine", "no record in both tables", both, None);
    checks.into_list()
}

fn table_checks(entity: Entity, evidence: &ChangeEvidence) -> Vec<Check> {
    let [_, history, dimension] = LakeTable::of_changes(entity);
    let key =
        |example: &Option<String>| example.as_ref().map(|found| format!("{} {found}", entity.key_column()));
    let mut checks = Checks::of(history.full_name());
    let (repeated, example) = &evidence.repeated_versions;
    let what = "no version twice, so that validities neither overlap nor leave a gap";
    checks.none("history.versions_distinct", what, *repeated, key(example));
    let (wrong, example) = &evidence.wrong_starts;
    checks.none("history.valid_from", "no valid_from that is not source_ts_ms", *wrong, key(example));
    let mut list = checks.into_list();
    let mut checks = Checks::of(dimension.full_name());
    let (repeated, example) = &evidence.repeated_keys;
    checks.none("dimension.keys_distinct", "no key twice", *repeated, key(example));
    let faults = [
        (&evidence.missing_keys, "which is missing"),
        (&evidence.stale_keys, "which is not its last version"),
        (&evidence.surplus_keys, "which should not be there"),
    ];
    let wrong = faults.iter().map(|((keys, _), _)| keys).sum();
    let named =
        faults.iter().find_map(|((_, example), fault)| key(example).map(|found| format!("{found}, {fault}")));
    let what = "no key whose row is not its last version in the history";
    checks.none("dimension.current", what, wrong, named);
    list.extend(checks.into_list());
    list
}

#[cfg(test)]
mod tests {
    use pulselake_cdc::{HistoryVersion, VersionOrder};
    use pulselake_ledger::{Counts, PartitionLedger};

    use super::super::evidence::{Collector, HistoryRow};
    use super::*;

    fn ledger(next: i64, counts: Counts) -> Ledger {
        let mut ledger = Ledger::new("cluster", "decoder");
        let entry = PartitionLedger { next, replay_from: next, counts, ..PartitionLedger::default() };
        ledger.topics.insert("t".into(), [(0, entry)].into());
        ledger
    }

    fn version(key: &str, lsn: i64, hash: i64) -> HistoryVersion {
        let order = VersionOrder { position: Some(lsn), position_minor: Some(0), source_ts_ms: lsn };
        HistoryVersion { key: key.into(), order, version_hash: hash }
    }

    /// Five records: two versions of a, one of b, one rejected, one tombstone.
    struct Case {
        versions: Vec<(i64, HistoryVersion, bool, u64)>,
        present: Vec<(&'static str, u64)>,
        rejected: Vec<i64>,
        dimension_next: i64,
    }

    impl Case {
        fn sound() -> Self {
            Self {
                versions: vec![
                    (0, version("a", 10, 1), false, 100),
                    (1, version("a", 20, 2), false, 200),
                    (3, version("b", 15, 3), true, 0),
                ],
                present: vec![("a", 200)],
                rejected: vec![2],
                dimension_next: 5,
            }
        }

        fn failed(&self) -> Vec<&'static str> {
            let counts = Counts { records: 5, quarantined: 1, tombstones: 1, ..Counts::default() };
            let ledgers = ChangeLedgers {
                quarantine: Some(ledger(5, counts)),
                history: Some(ledger(5, counts)),
                dimension: Some(ledger(self.dimension_next, counts)),
            };
            let mut collector = Collector::new(&ledgers);
            for &offset in &self.rejected {
                collector.quarantine_row("t", 0, offset);
            }
            for &(key, content) in &self.present {
                collector.dimension_row(key, content);
            }
            for (offset, version, is_deletion, content_hash) in &self.versions {
                collector.history_row(&HistoryRow {
                    topic: "t",
                    partition: 0,
                    offset: *offset,
                    version,
                    valid_from_us: version.order.source_ts_ms * 1_000,
                    is_deletion: *is_deletion,
                    content_hash: *content_hash,
                });
            }
            let checks = all_checks(Entity::Videos, &ledgers, &collector.finish(), false);
            let failed = checks.iter().filter(|check| check.status == crate::inspect::report::Status::Failed);
            failed.map(|check| check.name).collect()
        }
    }

    fn failed(change: impl FnOnce(&mut Case)) -> Vec<&'static str> {
        let mut case = Case::sound();
        change(&mut case);
        case.failed()
    }

    #[test]
    fn a_sound_dimension_passes() {
        assert!(Case::sound().failed().is_empty(), "{:?}", Case::sound().failed());
    }

    #[test]
    fn each_fault_is_found() {
        assert_eq!(failed(|case| drop(case.versions.remove(0))), ["history.records"]);
        assert_eq!(failed(|case| drop(case.versions.remove(1))), ["history.records", "dimension.current"]);
        assert_eq!(
            failed(|case| case.versions.push(case.versions[0].clone())),
            ["history.versions_distinct"]
        );
        assert_eq!(failed(|case| case.present.clear()), ["dimension.current"]);
        assert_eq!(failed(|case| case.present.push(("b", 1))), ["dimension.current"]);
        assert_eq!(failed(|case| case.present.push(("c", 1))), ["dimension.current"]);
        assert_eq!(failed(|case| case.present[0].1 = 100), ["dimension.current"]);
        assert_eq!(failed(|case| case.present.push(("a", 200))), ["dimension.keys_distinct"]);
        assert_eq!(failed(|case| case.rejected.clear()), ["quarantine.rows"]);
        assert_eq!(
            failed(|case| case.rejected.push(3)),
            ["quarantine.rows", "history.apart_from_quarantine"]
        );
    }

    #[test]
    fn what_the_dimension_has_not_applied_is_not_missed() {
        assert!(
            failed(|case| {
                case.dimension_next = 1;
                case.present = vec![("a", 100)];
            })
            .is_empty()
        );
    }
}
