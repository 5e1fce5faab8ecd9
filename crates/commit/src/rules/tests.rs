//! Each rule by name, and the rewrite's against a model that counts on its fingers.

use std::collections::{HashMap, HashSet};

use iceberg::spec::{DataContentType, DataFile, DataFileBuilder, DataFileFormat, Literal, Struct};
use proptest::prelude::*;

use super::*;
use crate::change::ChangeKind;

const DATA: DataContentType = DataContentType::Data;
const EQUALITY: DataContentType = DataContentType::EqualityDeletes;
const POSITION: DataContentType = DataContentType::PositionDeletes;

fn partition(name: &str) -> Struct {
    match name {
        "" => Struct::empty(),
        _ => Struct::from_iter([Some(Literal::string(name))]),
    }
}

/// A file of a partition; a position delete may name its target.
fn file(content: DataContentType, path: &str, of: &str, target: Option<&str>) -> DataFile {
    DataFileBuilder::default()
        .content(content)
        .file_path(path.to_string())
        .file_format(DataFileFormat::Parquet)
        .partition(partition(of))
        .partition_spec_id(0)
        .record_count(1)
        .file_size_in_bytes(1)
        .referenced_data_file(target.map(str::to_string))
        .build()
        .unwrap()
}

fn at(file: &DataFile, sequence_number: i64) -> LiveFile<'_> {
    LiveFile { file, spec_id: 0, sequence_number }
}

fn paths<const N: usize>(of: [&str; N]) -> HashSet<String> {
    of.into_iter().map(str::to_string).collect()
}

/// A rewrite of files of partition `a`, planned at sequence number 5.
fn rewrite<const N: usize>(remove: [&str; N]) -> Rewrite {
    Rewrite {
        planned_sequence_number: 5,
        remove: paths(remove),
        partitions: HashSet::from([(0, partition("a"))]),
        seen_in: HashSet::new(),
        add: Vec::new(),
    }
}

fn overwrite<const N: usize>(replaced: [&str; N]) -> OverwritePartitions {
    OverwritePartitions {
        partitions: HashSet::from([partition("a")]),
        replaced: paths(replaced),
        add: Vec::new(),
    }
}

#[test]
fn an_append_takes_nothing_out_and_asks_for_nothing() {
    let change = ChangeKind::Append { files: vec![file(DATA, "new", "a", None)] };
    assert!(change.removed().is_none());
    // As a row delta without targets, which is what it is: whatever is live, and be it nothing.
    assert_eq!(judge_row_delta(&RowDelta::default(), &[]), Ok(()));
}

#[test]
fn a_rewrite_of_what_is_there_lands() {
    let (one, two, other) =
        (file(DATA, "1", "a", None), file(DATA, "2", "a", None), file(DATA, "3", "b", None));
    assert_eq!(judge_rewrite(&rewrite(["1", "2"]), &[at(&one, 1), at(&two, 5), at(&other, 9)]), Ok(()));
}

#[test]
fn a_rewrite_fails_if_its_inputs_are_gone() {
    let one = file(DATA, "1", "a", None);
    let conflict = judge_rewrite(&rewrite(["1", "3", "2"]), &[at(&one, 1)]).unwrap_err();
    assert_eq!(conflict, Conflict::InputsGone { count: 2, example: "2".to_string() });
    assert!(conflict.to_string().contains("2 files"), "{conflict}");
}

#[test]
fn a_rewrite_fails_if_position_deletes_arrived_for_its_inputs() {
    let one = file(DATA, "1", "a", None);
    for target in [Some("1"), None] {
        let delete = file(POSITION, "d", "a", target);
        let conflict = judge_rewrite(&rewrite(["1"]), &[at(&one, 1), at(&delete, 6)]);
        assert_eq!(
            conflict,
            Err(Conflict::PositionDeletesArrived { delete_file: "d".to_string() }),
            "{target:?}"
        );
    }
}

#[test]
fn position_deletes_that_the_plan_knew_or_for_other_files_do_not_matter_to_a_rewrite() {
    let (one, two) = (file(DATA, "1", "a", None), file(DATA, "2", "a", None));
    let (other_file, other_partition) = (file(POSITION, "d", "a", Some("2")), file(POSITION, "e", "b", None));
    let known = file(POSITION, "f", "a", None);
    let live = [at(&one, 1), at(&two, 2), at(&other_file, 6), at(&other_partition, 7), at(&known, 5)];
    assert_eq!(judge_rewrite(&rewrite(["1"]), &live), Ok(()));
    let mut of_another_spec = at(&known, 6);
    of_another_spec.spec_id = 1;
    assert_eq!(judge_rewrite(&rewrite(["1"]), &[at(&one, 1), of_another_spec]), Ok(()));
}

#[test]
fn equality_deletes_that_arrive_meanwhile_do_not_stop_a_rewrite_and_apply_to_its_rows() {
    let one = file(DATA, "1", "a", None);
    let delete = file(EQUALITY, "d", "a", None);
    let plan = rewrite(["1"]);
    assert_eq!(judge_rewrite(&plan, &[at(&one, 1), at(&delete, 6)]), Ok(()));
    let rewritten = file(DATA, "new", "a", None);
    assert!(applies(&at(&delete, 6), &at(&rewritten, plan.planned_sequence_number)));
    assert!(!applies(&at(&delete, 6), &at(&rewritten, 7)), "with the commit's own number they would be lost");
}

#[test]
fn a_rewrite_may_not_drop_a_delete_that_somebody_needs() {
    let (one, two) = (file(DATA, "1", "a", None), file(DATA, "2", "a", None));
    for content in [EQUALITY, POSITION] {
        let delete = file(content, "d", "a", None);
        let conflict = judge_rewrite(&rewrite(["1", "d"]), &[at(&one, 1), at(&two, 2), at(&delete, 3)]);
        let still_applies =
            Conflict::DeleteStillApplies { delete_file: "d".to_string(), data_file: "2".to_string() };
        assert_eq!(conflict, Err(still_applies), "{content:?}");
        assert_eq!(
            judge_rewrite(&rewrite(["1", "2", "d"]), &[at(&one, 1), at(&two, 2), at(&delete, 3)]),
            Ok(())
        );
        assert_eq!(judge_rewrite(&rewrite(["1", "d"]), &[at(&one, 1), at(&two, 4), at(&delete, 3)]), Ok(()));
    }
}

#[test]
fn an_equality_delete_applies_to_earlier_rows_of_its_partition() {
    let (delete, same, other) =
        (file(EQUALITY, "d", "a", None), file(DATA, "1", "a", None), file(DATA, "2", "b", None));
    assert!(applies(&at(&delete, 3), &at(&same, 2)));
    assert!(!applies(&at(&delete, 3), &at(&same, 3)), "of the same commit: an upsert's new row");
    assert!(!applies(&at(&delete, 3), &at(&same, 4)));
    assert!(!applies(&at(&delete, 3), &at(&other, 2)));
    let of_another_spec = LiveFile { spec_id: 1, ..at(&same, 2) };
    assert!(!applies(&at(&delete, 3), &of_another_spec));
}

#[test]
fn an_equality_delete_without_a_partition_applies_everywhere() {
    let (delete, data) = (file(EQUALITY, "d", "", None), file(DATA, "1", "a", None));
    let of_another_spec = LiveFile { spec_id: 1, ..at(&data, 2) };
    assert!(applies(&at(&delete, 3), &of_another_spec));
    assert!(!applies(&at(&delete, 2), &of_another_spec));
}

#[test]
fn a_position_delete_applies_to_rows_of_its_own_commit_too() {
    let (delete, same, other) =
        (file(POSITION, "d", "a", None), file(DATA, "1", "a", None), file(DATA, "2", "b", None));
    assert!(applies(&at(&delete, 3), &at(&same, 3)));
    assert!(!applies(&at(&delete, 3), &at(&same, 4)));
    assert!(!applies(&at(&delete, 3), &at(&other, 1)));
}

#[test]
fn a_position_delete_that_names_its_file_applies_to_that_one_alone() {
    let (delete, one, two) =
        (file(POSITION, "d", "a", Some("1")), file(DATA, "1", "a", None), file(DATA, "2", "a", None));
    assert!(applies(&at(&delete, 3), &at(&one, 1)));
    assert!(!applies(&at(&delete, 3), &at(&two, 1)));
}

#[test]
fn an_overwrite_of_an_unchanged_partition_lands() {
    let (one, delete, other) =
        (file(DATA, "1", "a", None), file(EQUALITY, "d", "a", None), file(DATA, "2", "b", None));
    assert_eq!(
        judge_overwrite(&overwrite(["1", "d"]), 0, &[at(&one, 1), at(&delete, 2), at(&other, 9)]),
        Ok(())
    );
    assert_eq!(
        judge_overwrite(&overwrite([]), 0, &[at(&other, 9)]),
        Ok(()),
        "a partition that was empty, and is"
    );
}

#[test]
fn an_overwrite_fails_if_its_partition_changed() {
    let one = file(DATA, "1", "a", None);
    for content in [DATA, EQUALITY, POSITION] {
        let arrived = file(content, "new", "a", None);
        let conflict = judge_overwrite(&overwrite(["1"]), 0, &[at(&one, 1), at(&arrived, 2)]);
        assert_eq!(conflict, Err(Conflict::PartitionChanged { file: "new".to_string(), what: "added" }));
    }
    let gone = judge_overwrite(&overwrite(["1", "2"]), 0, &[at(&one, 1)]);
    assert_eq!(gone, Err(Conflict::PartitionChanged { file: "2".to_string(), what: "removed" }));
}

#[test]
fn an_overwrite_is_about_the_current_spec_alone() {
    let old = file(DATA, "old", "a", None);
    let of_another_spec = LiveFile { spec_id: 7, ..at(&old, 1) };
    assert_eq!(judge_overwrite(&overwrite([]), 0, &[of_another_spec]), Ok(()));
}

#[test]
fn a_row_delta_fails_if_the_targets_of_its_position_deletes_are_gone() {
    let one = file(DATA, "1", "a", None);
    let delta = |targets| RowDelta { must_exist: targets, ..RowDelta::default() };
    assert_eq!(judge_row_delta(&delta(paths(["1"])), &[at(&one, 1)]), Ok(()));
    let conflict = judge_row_delta(&delta(paths(["1", "9", "8"])), &[at(&one, 1)]);
    assert_eq!(conflict, Err(Conflict::TargetsGone { count: 2, example: "8".to_string() }));
}

#[test]
fn a_snapshot_that_a_branch_or_tag_points_to_does_not_expire() {
    let references = HashMap::from([("main".to_string(), 3), ("audit".to_string(), 1)]);
    assert_eq!(judge_expire(&[2], &references), Ok(()));
    assert_eq!(judge_expire(&[], &references), Ok(()));
    let conflict = judge_expire(&[2, 1], &references);
    assert_eq!(conflict, Err(Conflict::SnapshotInUse { snapshot_id: 1, reference: "audit".to_string() }));
}

/// A live file of the model. Its name is its number.
#[derive(Clone, Debug)]
struct Plain {
    content: u8,
    partition: u8,
    spec_id: i32,
    sequence_number: i64,
    /// Of a position delete: the number of the file it names.
    target: Option<usize>,
    removed: bool,
}

impl Plain {
    fn real(&self, number: usize) -> DataFile {
        let target = self.target.map(|target| target.to_string());
        let content = [DATA, EQUALITY, POSITION][self.content as usize];
        file(content, &number.to_string(), ["a", "b", ""][self.partition as usize], target.as_deref())
    }

    fn is_delete(&self) -> bool {
        self.content > 0
    }

    /// Row by row: could a row of `data` (number `number`) be deleted by this?
    fn hits(&self, data: &Self, number: usize) -> bool {
        let here = (self.spec_id, self.partition) == (data.spec_id, data.partition);
        match self.content {
            1 => (here || self.partition == 2) && self.sequence_number - data.sequence_number >= 1,
            2 => {
                here && data.sequence_number <= self.sequence_number
                    && [None, Some(number)].contains(&self.target)
            }
            _ => false,
        }
    }
}

fn plain() -> impl Strategy<Value = Plain> {
    (0..3_u8, 0..3_u8, 0..2, 1..6_i64, prop::option::of(0..6_usize), any::<bool>()).prop_map(
        |(content, partition, spec_id, sequence_number, target, removed)| Plain {
            content,
            partition,
            spec_id,
            sequence_number,
            target: target.filter(|_| content == 2),
            removed,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn applies_as_the_model_says(delete in plain(), other in plain(), number in 0..6_usize) {
        let data = Plain { content: 0, target: None, ..other };
        let (left, right) = (delete.real(99), data.real(number));
        prop_assert_eq!(applies(&live_of(&left, &delete), &live_of(&right, &data)), delete.hits(&data, number));
    }

    #[test]
    fn a_rewrite_is_judged_as_the_model_says(
        files in prop::collection::vec(plain(), 0..6),
        planned in 1..6_i64,
        gone in prop::option::weighted(0.1, 10..12_usize),
    ) {
        let real: Vec<DataFile> = files.iter().enumerate().map(|(number, plain)| plain.real(number)).collect();
        let live: Vec<LiveFile<'_>> = real.iter().zip(&files).map(|(file, plain)| live_of(file, plain)).collect();
        let removed: Vec<usize> = (0..files.len()).filter(|&number| files[number].removed).collect();
        let plan = Rewrite {
            planned_sequence_number: planned,
            remove: removed.iter().copied().chain(gone).map(|number| number.to_string()).collect(),
            partitions: removed
                .iter()
                .filter(|&&number| !files[number].is_delete())
                .map(|&number| (files[number].spec_id, real[number].partition().clone()))
                .collect(),
            seen_in: HashSet::new(),
            add: Vec::new(),
        };
        let arrived: Vec<usize> = (0..files.len())
            .filter(|&number| {
                let delete = &files[number];
                let is_new = delete.content == 2 && delete.sequence_number > planned;
                is_new && match delete.target {
                    Some(target) => plan.remove.contains(&target.to_string()),
                    None => removed.iter().any(|&of| {
                        !files[of].is_delete() && (files[of].spec_id, files[of].partition) == (delete.spec_id, delete.partition)
                    }),
                }
            })
            .collect();
        let needed: Vec<(usize, usize)> = removed
            .iter()
            .flat_map(|&delete| (0..files.len()).map(move |data| (delete, data)))
            .filter(|&(delete, data)| {
                files[delete].is_delete()
                    && !files[data].is_delete()
                    && !files[data].removed
                    && files[delete].hits(&files[data], data)
            })
            .collect();
        match judge_rewrite(&plan, &live) {
            Ok(()) => prop_assert!(gone.is_none() && arrived.is_empty() && needed.is_empty()),
            Err(Conflict::InputsGone { count, example }) => {
                prop_assert_eq!((count, Some(example)), (1, gone.map(|number| number.to_string())));
            }
            Err(Conflict::PositionDeletesArrived { delete_file }) => {
                prop_assert!(gone.is_none() && arrived.contains(&delete_file.parse().unwrap()));
            }
            Err(Conflict::DeleteStillApplies { delete_file, data_file }) => {
                prop_assert!(gone.is_none() && arrived.is_empty());
                prop_assert!(needed.contains(&(delete_file.parse().unwrap(), data_file.parse().unwrap())));
            }
            Err(other) => prop_assert!(false, "{other}"),
        }
    }
}

fn live_of<'a>(file: &'a DataFile, plain: &Plain) -> LiveFile<'a> {
    LiveFile { file, spec_id: plain.spec_id, sequence_number: plain.sequence_number }
}
