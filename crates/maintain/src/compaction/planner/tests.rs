//! Named cases, and a simulation: whatever a table looks like, applying its plans ends, and loses nothing.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::compaction::facts::{DeleteFact, PartitionFact};

const TARGET: u64 = 1_000;
const HOUR_US: i64 = 3_600_000_000;

fn policy() -> TablePolicy {
    TablePolicy {
        target_file_bytes: TARGET,
        max_group_bytes: 8 * TARGET,
        max_group_files: 50,
        urgent_files: 6,
        ..TablePolicy::plain()
    }
}

fn partition(ends_at_us: Option<i64>) -> PartitionFact {
    PartitionFact { name: "p".to_string(), is_current_spec: true, ends_at_us }
}

fn file(bytes: u64, sequence_number: i64) -> FileFact {
    FileFact {
        partition: 0,
        bytes,
        records: bytes,
        sequence_number,
        deletes: Vec::new(),
        needs_sorting: false,
        is_rewritable: true,
    }
}

fn table(files: Vec<FileFact>) -> TableFacts {
    TableFacts { partitions: vec![partition(None)], files, ..TableFacts::default() }
}

fn files_of(facts: &TableFacts, rules: &TablePolicy) -> Vec<Vec<usize>> {
    plan(facts, rules, 0).groups.into_iter().map(|group| group.files).collect()
}

#[test]
fn small_files_are_packed_in_the_order_they_came() {
    let facts = table(vec![file(10, 3), file(10, 1), file(950, 2), file(10, 2)]);
    assert_eq!(files_of(&facts, &policy()), [vec![1, 3, 0]]);
}

#[test]
fn an_empty_table_and_one_of_full_files_have_no_plan() {
    assert!(plan(&TableFacts::default(), &policy(), 0).is_empty());
    assert!(plan(&table(vec![file(900, 1), file(1_000, 2), file(5_000, 3)]), &policy(), 0).is_empty());
}

#[test]
fn files_that_cant_be_packed_better_stay() {
    // 1,400 bytes would be two files again; so would 2,100 be three.
    assert!(plan(&table(vec![file(700, 1), file(700, 2)]), &policy(), 0).is_empty());
    assert!(plan(&table(vec![file(700, 1), file(700, 2), file(700, 3)]), &policy(), 0).is_empty());
    assert!(plan(&table(vec![file(1, 1)]), &policy(), 0).is_empty());
}

#[test]
fn a_group_is_bounded_in_bytes_and_files() {
    let facts = table((0..120).map(|number| file(100, number)).collect());
    let groups = files_of(&facts, &policy());
    assert_eq!(groups.iter().map(Vec::len).collect::<Vec<_>>(), [50, 50, 20]);
}

#[test]
fn an_open_partition_waits_until_it_is_urgent() {
    let rules = TablePolicy { closed: ClosedRule::AfterItsEnd(Duration::from_secs(3_600)), ..policy() };
    let mut facts = table((0..5).map(|number| file(10, number)).collect());
    facts.partitions[0].ends_at_us = Some(HOUR_US);
    assert!(plan(&facts, &rules, 2 * HOUR_US - 1).is_empty());
    assert_eq!(plan(&facts, &rules, 2 * HOUR_US).groups.len(), 1);
    facts.files.push(file(10, 9));
    let urgent = plan(&facts, &rules, 0);
    assert_eq!(urgent.groups.len(), 1);
    assert!(urgent.groups[0].is_open);
}

#[test]
fn closed_partitions_come_first_then_those_with_most_files() {
    let rules = TablePolicy { closed: ClosedRule::AfterItsEnd(Duration::ZERO), ..policy() };
    let in_partition = |place: usize, count: i64| {
        (0..count).map(move |number| FileFact { partition: place, ..file(10, number) })
    };
    let facts = TableFacts {
        partitions: vec![partition(Some(2 * HOUR_US)), partition(Some(HOUR_US)), partition(Some(0))],
        files: in_partition(0, 9).chain(in_partition(1, 3)).chain(in_partition(2, 4)).collect(),
        ..TableFacts::default()
    };
    let order: Vec<_> = plan(&facts, &rules, HOUR_US).groups.iter().map(|group| group.partition).collect();
    assert_eq!(order, [Some(2), Some(1), Some(0)]);
}

#[test]
fn a_file_with_many_deletes_goes_whatever_its_size() {
    let mut facts = table(vec![file(1_000, 1), file(1_000, 2)]);
    facts.deletes = vec![DeleteFact { records: 101 }, DeleteFact { records: 100 }];
    facts.files[0].deletes = vec![0];
    facts.files[1].deletes = vec![1];
    let found = plan(&facts, &policy(), 0);
    assert_eq!(found.groups.len(), 1);
    assert_eq!((&found.groups[0].files, &found.groups[0].drop_deletes), (&vec![0], &vec![0]));
}

#[test]
fn a_delete_file_stays_while_it_applies_to_a_file_outside_the_group() {
    let mut facts = table(vec![file(10, 1), file(10, 2), file(1_000, 3)]);
    facts.deletes = vec![DeleteFact { records: 1 }, DeleteFact { records: 1 }];
    facts.files[0].deletes = vec![0, 1];
    facts.files[1].deletes = vec![1];
    facts.files[2].deletes = vec![1];
    let found = plan(&facts, &policy(), 0);
    assert_eq!(found.groups.len(), 1);
    assert_eq!((&found.groups[0].files, &found.groups[0].drop_deletes), (&vec![0, 1], &vec![0]));
}

#[test]
fn a_delete_file_that_applies_to_nothing_is_dropped() {
    let mut facts = table(vec![file(1_000, 1)]);
    facts.deletes = vec![DeleteFact { records: 7 }];
    let found = plan(&facts, &policy(), 0);
    assert_eq!(found.groups.len(), 1);
    assert_eq!((found.groups[0].files.len(), &found.groups[0].drop_deletes), (0, &vec![0]));
}

#[test]
fn files_of_another_spec_are_left_alone_and_keep_their_deletes() {
    let mut facts = table(vec![file(10, 1), file(10, 2), file(10, 3)]);
    facts.partitions.push(PartitionFact { is_current_spec: false, ..partition(None) });
    facts.files[2].partition = 1;
    facts.deletes = vec![DeleteFact { records: 1_000 }];
    for file in &mut facts.files {
        file.deletes = vec![0];
    }
    let found = plan(&facts, &policy(), 0);
    assert_eq!(found.groups.len(), 1);
    assert_eq!((&found.groups[0].files, found.groups[0].drop_deletes.len()), (&vec![0, 1], 0));
}

#[test]
fn a_straggler_does_not_have_a_large_file_written_again() {
    let facts = |stragglers: i64| {
        table([file(500, 1)].into_iter().chain((0..stragglers).map(|number| file(5, number + 2))).collect())
    };
    assert!(plan(&facts(1), &policy(), 0).is_empty());
    assert!(plan(&facts(3), &policy(), 0).is_empty());
    assert_eq!(files_of(&facts(4), &policy()), [vec![0, 1, 2, 3, 4]]);
    // Of ones of about a size two are enough.
    assert_eq!(files_of(&table(vec![file(5, 1), file(5, 2)]), &policy()), [vec![0, 1]]);
}

#[test]
fn a_file_that_cant_be_read_is_left_alone_with_its_deletes() {
    let mut facts = table(vec![file(10, 1), file(10, 2), file(10, 3)]);
    facts.files[2].is_rewritable = false;
    facts.deletes = vec![DeleteFact { records: 9 }];
    for file in &mut facts.files {
        file.deletes = vec![0];
    }
    let found = plan(&facts, &policy(), 0);
    assert_eq!(found.groups.len(), 1);
    assert_eq!((&found.groups[0].files, found.groups[0].drop_deletes.len()), (&vec![0, 1], 0));
}

#[test]
fn many_small_files_are_urgent() {
    let many = |count: i64, bytes| table((0..count).map(|number| file(bytes, number)).collect());
    assert!(!is_urgent(&many(5, 10), &policy()));
    assert!(is_urgent(&many(6, 10), &policy()));
    assert!(!is_urgent(&many(6, 900), &policy()));
}

#[test]
fn many_delete_files_are_urgent_however_little_they_delete() {
    let with_deletes = |count: usize| {
        let mut facts = table(vec![file(1_000, 1), file(1_000, 2)]);
        facts.deletes = vec![DeleteFact { records: 1 }; count];
        facts.files[0].deletes = (0..count).collect();
        facts
    };
    let (few, many) = (with_deletes(5), with_deletes(6));
    assert!(!is_urgent(&few, &policy()) && plan(&few, &policy(), 0).is_empty());
    assert!(is_urgent(&many, &policy()));
    let planned = plan(&many, &policy(), 0);
    assert_eq!((planned.groups.len(), &planned.groups[0].files[..]), (1, &[0][..]));
    assert_eq!(planned.groups[0].drop_deletes.len(), 6);
}

#[test]
fn an_unsorted_file_is_sorted_once_its_partition_is_closed() {
    let rules = TablePolicy { closed: ClosedRule::AfterItsEnd(Duration::ZERO), ..policy() };
    let mut facts = table(vec![file(1_000, 1), file(1_000, 2)]);
    facts.partitions[0].ends_at_us = Some(HOUR_US);
    facts.files[1].needs_sorting = true;
    assert!(plan(&facts, &rules, 0).is_empty());
    assert_eq!(plan(&facts, &rules, HOUR_US).groups[0].files, [1]);
}

#[test]
fn a_late_file_brings_the_whole_partition_to_be_folded_if_it_fits() {
    let rules = TablePolicy { fold: TablePolicy::video_stats().fold, ..policy() };
    let mut facts = table(vec![file(1_000, 1), file(1_000, 2), file(10, 3)]);
    facts.files[2].needs_sorting = true;
    assert_eq!(files_of(&facts, &rules), [vec![0, 1, 2]]);
    facts.files.extend((4..20).map(|number| file(1_000, number)));
    assert_eq!(files_of(&facts, &rules), [vec![2]]);
}

#[test]
fn manifests_are_written_anew_when_many_or_scattered() {
    let rules = TablePolicy { max_manifests: 20, manifest_bytes: 1_000, ..policy() };
    let counts = |manifests, bytes, partitions, pairs| ManifestCounts { manifests, bytes, partitions, pairs };
    assert!(!manifests_are_bad(&counts(20, 500, 5, 20), &rules));
    assert!(manifests_are_bad(&counts(21, 500, 5, 21), &rules));
    assert!(!manifests_are_bad(&counts(40, 20_000, 5, 44), &rules));
    // Each of 100 partitions in each of 8 manifests; then ordered.
    assert!(manifests_are_bad(&counts(8, 8_000, 100, 800), &rules));
    assert!(!manifests_are_bad(&counts(8, 8_000, 100, 107), &rules));
    // All files are of one partition: order can't help.
    assert!(!manifests_are_bad(&counts(8, 8_000, 1, 8), &rules));
}

/// A delete file of the simulated table.
#[derive(Clone, Copy, Debug)]
struct SimulatedDelete {
    /// `None`: of the whole table, as an equality delete of an unpartitioned spec.
    partition: Option<usize>,
    sequence_number: i64,
    records: u64,
    by_position: bool,
}

#[derive(Clone, Debug)]
struct World {
    facts: TableFacts,
    deletes: Vec<SimulatedDelete>,
    sequence_number: i64,
}

impl World {
    /// As a commit would leave it.
    fn relate(&mut self) {
        self.facts.deletes =
            self.deletes.iter().map(|delete| DeleteFact { records: delete.records }).collect();
        for file in &mut self.facts.files {
            let applies = |delete: &SimulatedDelete| {
                let here = delete.partition.is_none_or(|place| place == file.partition);
                here && match delete.by_position {
                    true => file.sequence_number <= delete.sequence_number,
                    false => file.sequence_number < delete.sequence_number,
                }
            };
            let found = self.deletes.iter().enumerate().filter(|(_, delete)| applies(delete));
            file.deletes = found.map(|(index, _)| index).collect();
        }
    }

    /// Rewrites all groups; rows shrink to `kept_percent` of their bytes where they were never rewritten.
    fn apply(&mut self, done: &CompactionPlan, kept_percent: u64) {
        let gone: HashSet<usize> = done.groups.iter().flat_map(|group| group.files.clone()).collect();
        let dropped: HashSet<usize> =
            done.groups.iter().flat_map(|group| group.drop_deletes.clone()).collect();
        let planned = self.sequence_number;
        let mut files = Vec::new();
        for group in done.groups.iter().filter(|group| !group.files.is_empty()) {
            self.sequence_number += 1;
            let mut rest: u64 = group
                .files
                .iter()
                .map(|&index| &self.facts.files[index])
                .map(|old| if old.needs_sorting { old.bytes * kept_percent / 100 } else { old.bytes })
                .sum();
            while rest > 0 {
                let bytes = rest.min(TARGET);
                rest -= bytes;
                let place = group.partition.unwrap_or_default();
                files.push(FileFact { partition: place, ..file(bytes, planned) });
            }
        }
        let kept = std::mem::take(&mut self.facts.files).into_iter().enumerate();
        files.extend(kept.filter(|(index, _)| !gone.contains(index)).map(|(_, file)| file));
        self.facts.files = files;
        let old = std::mem::take(&mut self.deletes).into_iter().enumerate();
        self.deletes = old.filter(|(index, _)| !dropped.contains(index)).map(|(_, delete)| delete).collect();
        self.relate();
    }
}

fn worlds() -> impl Strategy<Value = World> {
    let files = prop::collection::vec(
        (0..3_usize, 1..2_500_u64, 1..20_i64, any::<bool>(), prop::bool::weighted(0.95)),
        0..60,
    );
    let deletes =
        prop::collection::vec((prop::option::of(0..3_usize), 1..20_i64, 0..200_u64, any::<bool>()), 0..6);
    (files, deletes).prop_map(|(files, deletes)| {
        let mut world = World {
            facts: TableFacts {
                partitions: vec![partition(None), partition(Some(0)), partition(Some(100 * HOUR_US))],
                files: files
                    .into_iter()
                    .map(|(place, bytes, sequence, fresh, is_rewritable)| FileFact {
                        partition: place,
                        needs_sorting: fresh,
                        is_rewritable,
                        ..file(bytes, sequence)
                    })
                    .collect(),
                ..TableFacts::default()
            },
            deletes: deletes
                .into_iter()
                .map(|(place, sequence_number, records, by_position)| SimulatedDelete {
                    // A position delete is of a partition.
                    partition: if by_position { Some(place.unwrap_or(0)) } else { place },
                    sequence_number,
                    records,
                    by_position,
                })
                .collect(),
            sequence_number: 20,
        };
        world.relate();
        world
    })
}

fn check_groups(
    facts: &TableFacts,
    rules: &TablePolicy,
    found: &CompactionPlan,
) -> Result<(), TestCaseError> {
    let mut seen = HashSet::new();
    for group in &found.groups {
        for &index in &group.files {
            prop_assert!(seen.insert(index), "file {index} is in two groups");
            prop_assert_eq!(Some(facts.files[index].partition), group.partition);
        }
        prop_assert!(group.bytes <= rules.max_group_bytes || group.files.len() == 1);
        prop_assert!(group.files.len() <= rules.max_group_files);
        prop_assert!(!group.files.is_empty() || !group.drop_deletes.is_empty());
        for &delete in &group.drop_deletes {
            let still_needed = facts
                .files
                .iter()
                .enumerate()
                .any(|(index, file)| file.deletes.contains(&delete) && !group.files.contains(&index));
            prop_assert!(!still_needed, "delete {delete} is dropped while it applies to another file");
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn applying_plans_reaches_a_fixed_point(
        start in worlds(),
        kept_percent in 20..=100_u64,
        max_delete_ratio in prop::sample::select(vec![0.0, 0.1, 0.5]),
        folds in any::<bool>(),
    ) {
        let fold = if folds { TablePolicy::video_stats().fold } else { None };
        let rules = TablePolicy { max_delete_ratio, fold, ..policy() };
        let mut world = start;
        let mut rounds = 0;
        loop {
            let found = plan(&world.facts, &rules, 0);
            check_groups(&world.facts, &rules, &found)?;
            if found.groups.is_empty() {
                break;
            }
            rounds += 1;
            prop_assert!(rounds <= 2, "no fixed point after 2 rounds: {:?}", found);
            world.apply(&found, kept_percent);
        }
        // Nothing dangles at the fixed point.
        for delete in 0..world.deletes.len() {
            prop_assert!(world.facts.files.iter().any(|file| file.deletes.contains(&delete)));
        }
    }
}
