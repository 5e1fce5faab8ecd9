//! Rows that come, go and move, and what may not happen at the same time.

use std::collections::HashSet;

use iceberg::spec::{DataContentType, DataFile, Operation};
use pulselake_commit::{ChangeKind, CommitFailure, Conflict, OverwritePartitions, Rewrite, RowDelta};

use crate::support::{Kind, Outcome, Stage, files, look};

fn conflict(outcome: Outcome) -> Conflict {
    match outcome {
        Err(CommitFailure::Conflict { conflict, files_may_be_deleted: true }) => conflict,
        other => panic!("no conflict: {other:?}"),
    }
}

/// A rewrite of `remove`, as planned on the table as it is now.
async fn rewrite(stage: &Stage, category: &str, remove: &[&str], add: Vec<DataFile>) -> Rewrite {
    let table = stage.load().await;
    Rewrite {
        planned_sequence_number: table.metadata().last_sequence_number(),
        remove: remove.iter().map(|path| path.to_string()).collect(),
        partitions: HashSet::from([(
            table.metadata().default_partition_spec_id(),
            files::partition(category),
        )]),
        seen_in: look::manifests(&table).await.into_iter().map(|manifest| manifest.manifest_path).collect(),
        add,
    }
}

pub async fn appends_add_up(kind: Kind) {
    let stage = Stage::new(kind).await;
    stage.append("a", &[1, 2]).await;
    stage.append("b", &[3]).await;
    let table = stage.commit(ChangeKind::Append { files: Vec::new() }).await;
    assert_eq!(stage.ids().await, [1, 2, 3]);
    let summary = table.metadata().current_snapshot().unwrap().summary();
    assert_eq!(summary.operation, Operation::Append);
    assert_eq!(summary.additional_properties["total-records"], "3");
    assert_eq!(summary.additional_properties["total-data-files"], "2");
    let sequence_numbers: Vec<i64> =
        look::live(&table).await.values().map(|file| file.sequence_number).collect();
    assert_eq!(sequence_numbers.iter().sum::<i64>(), 3);
}

pub async fn an_upsert_replaces_earlier_rows_alone(kind: Kind) {
    let stage = Stage::new(kind).await;
    stage.append("a", &[1, 2, 3]).await;
    let table = stage.load().await;
    let delta = RowDelta {
        data: vec![files::data(&table, "a", &[2]).await],
        deletes: vec![files::equality_delete(&table, "a", &[2, 3]).await],
        must_exist: HashSet::new(),
    };
    let landed = stage.commit(ChangeKind::RowDelta(delta)).await;
    assert_eq!(stage.ids().await, [1, 2]);
    assert_eq!(landed.metadata().current_snapshot().unwrap().summary().operation, Operation::Overwrite);
    stage.append("a", &[3]).await;
    assert_eq!(stage.ids().await, [1, 2, 3]);
}

pub async fn a_position_delete_takes_one_row(kind: Kind) {
    let stage = Stage::new(kind).await;
    let target = stage.append("a", &[1, 2, 3]).await;
    let other = stage.append("a", &[4]).await;
    let deletes = vec![files::position_delete(&stage.load().await, "a", &target, 1, true).await];
    let must_exist = HashSet::from([target, other]);
    stage.commit(ChangeKind::RowDelta(RowDelta { deletes, must_exist, data: Vec::new() })).await;
    assert_eq!(stage.ids().await, [1, 3, 4]);
}

pub async fn a_position_delete_of_a_rewritten_file_conflicts(kind: Kind) {
    let stage = Stage::new(kind).await;
    let target = stage.append("a", &[1, 2]).await;
    let late = files::position_delete(&stage.load().await, "a", &target, 0, true).await;
    let rewritten = files::data(&stage.load().await, "a", &[1, 2]).await;
    stage.commit(ChangeKind::Rewrite(rewrite(&stage, "a", &[&target], vec![rewritten]).await)).await;
    let delta =
        RowDelta { deletes: vec![late], must_exist: HashSet::from([target.clone()]), data: Vec::new() };
    let refused = conflict(stage.try_commit(ChangeKind::RowDelta(delta)).await);
    assert_eq!(refused, Conflict::TargetsGone { count: 1, example: target });
    assert_eq!(stage.ids().await, [1, 2]);
}

pub async fn a_rewrite_keeps_rows_and_sequence_numbers(kind: Kind) {
    let stage = Stage::new(kind).await;
    let small = [stage.append("a", &[1]).await, stage.append("a", &[2]).await];
    let kept = stage.append("b", &[3]).await;
    let merged = files::data(&stage.load().await, "a", &[1, 2]).await;
    let path = merged.file_path().to_string();
    let plan = rewrite(&stage, "a", &[&small[0], &small[1]], vec![merged]).await;
    let table = stage.commit(ChangeKind::Rewrite(plan)).await;
    assert_eq!(stage.ids().await, [1, 2, 3]);
    let live = look::live(&table).await;
    assert_eq!(live.keys().collect::<HashSet<_>>(), HashSet::from([&kept, &path]));
    assert_eq!(live[&path].sequence_number, 3, "the plan's, not the commit's");
    assert_eq!(table.metadata().last_sequence_number(), 4);
    assert_eq!(table.metadata().current_snapshot().unwrap().summary().operation, Operation::Replace);
}

pub async fn equality_deletes_of_the_meantime_apply_to_rewritten_rows(kind: Kind) {
    let stage = Stage::new(kind).await;
    let small = [stage.append("a", &[1, 2]).await, stage.append("a", &[3]).await];
    let merged = files::data(&stage.load().await, "a", &[1, 2, 3]).await;
    let plan = rewrite(&stage, "a", &[&small[0], &small[1]], vec![merged]).await;
    stage.delete_equal("a", &[2]).await;
    stage.append("a", &[2]).await;
    stage.commit(ChangeKind::Rewrite(plan)).await;
    // The old row 2 is deleted in the new file too, the later one is not.
    assert_eq!(stage.ids().await, [1, 2, 3]);
    stage.delete_equal("a", &[1]).await;
    assert_eq!(stage.ids().await, [2, 3]);
}

pub async fn position_deletes_of_the_meantime_conflict_with_a_rewrite(kind: Kind) {
    for names_its_file in [true, false] {
        let stage = Stage::new(kind).await;
        let small = stage.append("a", &[1, 2]).await;
        let elsewhere = stage.append("b", &[3, 4]).await;
        let merged = files::data(&stage.load().await, "a", &[1, 2]).await;
        let plan = rewrite(&stage, "a", &[&small], vec![merged]).await;
        // One of another partition is nobody's business.
        for (category, file) in [("b", &elsewhere), ("a", &small)] {
            let delete = files::position_delete(&stage.load().await, category, file, 0, names_its_file).await;
            let delete_file = delete.file_path().to_string();
            let delta = RowDelta {
                deletes: vec![delete],
                must_exist: HashSet::from([file.clone()]),
                data: Vec::new(),
            };
            stage.commit(ChangeKind::RowDelta(delta)).await;
            if category == "a" {
                let refused = conflict(stage.try_commit(ChangeKind::Rewrite(plan.clone())).await);
                assert_eq!(refused, Conflict::PositionDeletesArrived { delete_file });
            }
        }
        assert_eq!(stage.ids().await, [2, 4]);
    }
}

pub async fn a_rewrite_of_files_that_are_gone_conflicts(kind: Kind) {
    let stage = Stage::new(kind).await;
    let small = stage.append("a", &[1]).await;
    let mut plans = Vec::new();
    for _ in 0..2 {
        let again = files::data(&stage.load().await, "a", &[1]).await;
        plans.push(rewrite(&stage, "a", &[&small], vec![again]).await);
    }
    let [first, second] = plans.try_into().unwrap();
    stage.commit(ChangeKind::Rewrite(first)).await;
    let refused = conflict(stage.try_commit(ChangeKind::Rewrite(second)).await);
    assert_eq!(refused, Conflict::InputsGone { count: 1, example: small });
    assert_eq!(stage.ids().await, [1]);
}

pub async fn an_append_never_conflicts(kind: Kind) {
    let stage = Stage::new(kind).await;
    let first = stage.append("a", &[1, 2]).await;
    let late = files::data(&stage.load().await, "a", &[10]).await;
    // All that can happen to its partition happens first.
    let deletes = vec![files::position_delete(&stage.load().await, "a", &first, 0, true).await];
    let must_exist = HashSet::from([first.clone()]);
    stage.commit(ChangeKind::RowDelta(RowDelta { deletes, must_exist, data: Vec::new() })).await;
    stage.delete_equal("a", &[2, 10]).await;
    let replaced = look::live(&stage.load().await).await.into_keys().collect();
    let overwrite = OverwritePartitions {
        partitions: HashSet::from([files::partition("a")]),
        replaced,
        add: vec![files::data(&stage.load().await, "a", &[5]).await],
    };
    stage.commit(ChangeKind::OverwritePartitions(overwrite)).await;
    stage.commit(ChangeKind::Append { files: vec![late] }).await;
    assert_eq!(stage.ids().await, [5, 10]);
}

pub async fn an_overwrite_replaces_its_partitions_alone(kind: Kind) {
    let stage = Stage::new(kind).await;
    stage.append("a", &[1, 2]).await;
    stage.delete_equal("a", &[2]).await;
    let kept = stage.append("b", &[3]).await;
    let table = stage.load().await;
    let replaced: HashSet<String> =
        look::live(&table).await.into_keys().filter(|path| *path != kept).collect();
    assert_eq!(replaced.len(), 2, "a data file and a delete file");
    let new = files::data(&table, "a", &[2, 7]).await;
    let path = new.file_path().to_string();
    let partitions = HashSet::from([files::partition("a")]);
    let overwrite = OverwritePartitions { partitions, replaced, add: vec![new] };
    let landed = stage.commit(ChangeKind::OverwritePartitions(overwrite)).await;
    assert_eq!(stage.ids().await, [2, 3, 7]);
    let live = look::live(&landed).await;
    assert_eq!(live.keys().collect::<HashSet<_>>(), HashSet::from([&kept, &path]));
    assert!(live.values().all(|file| file.content == DataContentType::Data));
}

pub async fn an_overwrite_of_a_changed_partition_conflicts(kind: Kind) {
    let stage = Stage::new(kind).await;
    let seen = stage.append("a", &[1]).await;
    let overwrite = OverwritePartitions {
        partitions: HashSet::from([files::partition("a")]),
        replaced: HashSet::from([seen.clone()]),
        add: vec![files::data(&stage.load().await, "a", &[9]).await],
    };
    stage.append("b", &[2]).await;
    let added = stage.append("a", &[3]).await;
    let change = ChangeKind::OverwritePartitions(overwrite.clone());
    let refused = conflict(stage.try_commit(change.clone()).await);
    assert_eq!(refused, Conflict::PartitionChanged { file: added.clone(), what: "added" });
    let merged = files::data(&stage.load().await, "a", &[1, 3]).await;
    stage.commit(ChangeKind::Rewrite(rewrite(&stage, "a", &[&seen, &added], vec![merged]).await)).await;
    let refused = conflict(stage.try_commit(change).await);
    assert_eq!(refused, Conflict::PartitionChanged { file: seen, what: "removed" });
    assert_eq!(stage.ids().await, [1, 2, 3]);
}

pub async fn a_refused_change_leaves_no_files(kind: Kind) {
    let stage = Stage::new(kind).await;
    let seen = stage.append("a", &[1]).await;
    let again = files::data(&stage.load().await, "a", &[1]).await;
    let plan = rewrite(&stage, "a", &[&seen, "file:///nowhere.parquet"], vec![again]).await;
    conflict(stage.try_commit(ChangeKind::Rewrite(plan)).await);
    look::assert_nothing_left_behind(&stage.load().await, ".avro").await;
}
