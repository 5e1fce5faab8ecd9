//! What keeps the metadata small.

use std::collections::{BTreeMap, HashSet};

use iceberg::spec::FormatVersion;
use pulselake_commit::{ChangeKind, CommitFailure, CommitLimits, Conflict};

use crate::support::{Kind, Place, Stage, files, look};

pub async fn snapshots_expire(kind: Kind) {
    let stage = Stage::new(kind).await;
    for id in 1..=4 {
        stage.append("a", &[id]).await;
    }
    let table = stage.load().await;
    let current = table.metadata().current_snapshot_id().unwrap();
    let mut snapshot_ids: Vec<i64> = table
        .metadata()
        .snapshots()
        .map(|snapshot| snapshot.snapshot_id())
        .filter(|id| *id != current)
        .collect();
    // One that is gone already is no reason to fail.
    snapshot_ids.push(1);
    let landing = stage.try_commit(ChangeKind::Expire { snapshot_ids: snapshot_ids.clone() }).await.unwrap();
    assert_eq!(landing.snapshot_id, Some(current));
    let after = stage.place.catalog().await.load_existing(&stage.table).await.unwrap();
    assert_eq!(
        after.metadata().snapshots().map(|snapshot| snapshot.snapshot_id()).collect::<Vec<_>>(),
        [current]
    );
    assert_eq!(stage.ids().await, [1, 2, 3, 4]);
    let location = after.metadata_location().map(str::to_string);
    stage.commit(ChangeKind::Expire { snapshot_ids }).await;
    assert_eq!(stage.load().await.metadata_location().map(str::to_string), location, "nothing left to do");
}

pub async fn a_snapshot_in_use_does_not_expire(kind: Kind) {
    let stage = Stage::new(kind).await;
    stage.append("a", &[1]).await;
    let current = stage.load().await.metadata().current_snapshot_id().unwrap();
    match stage.try_commit(ChangeKind::Expire { snapshot_ids: vec![current] }).await {
        Err(CommitFailure::Conflict {
            conflict: Conflict::SnapshotInUse { snapshot_id, reference }, ..
        }) => {
            assert_eq!((snapshot_id, reference.as_str()), (current, "main"));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(stage.load().await.metadata().snapshots().count(), 1);
}

pub async fn rewritten_manifests_hold_the_same_files(kind: Kind) {
    let stage = Stage::new(kind).await;
    for id in 0..12 {
        stage.append(["b", "a", "c"][id % 3], &[id as i64]).await;
    }
    stage.delete_equal("a", &[1]).await;
    let before = look::live(&stage.load().await).await;
    let longest = look::manifests(&stage.load().await).await.iter().map(|m| m.manifest_length).max().unwrap();
    let target_bytes = longest as u64 * 4;
    let table = stage.commit(ChangeKind::RewriteManifests { target_bytes }).await;
    assert_eq!(look::live(&table).await, before);
    let manifests = look::manifests(&table).await;
    assert!(manifests.len() >= 3 && manifests.len() < 6, "{} manifests", manifests.len());
    // Ordered by partition: no partition is spread over more than two of them.
    let mut spread = std::collections::HashMap::<String, usize>::new();
    for manifest in &manifests {
        let read = manifest.load_manifest(table.file_io()).await.unwrap();
        let partitions: HashSet<String> = read
            .entries()
            .iter()
            .filter(|entry| entry.data_file().equality_ids().is_none())
            .map(|entry| format!("{:?}", entry.data_file().partition()))
            .collect();
        for partition in partitions {
            *spread.entry(partition).or_default() += 1;
        }
    }
    assert!(spread.len() == 3 && spread.values().all(|&count| count <= 2), "{spread:?}");
    assert_eq!(stage.ids().await, [0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
}

pub async fn manifests_are_merged_over_many_commits(kind: Kind) {
    const COMMITS: i64 = 300;
    let mut stage = Stage::new(kind).await;
    stage.limits = CommitLimits { max_snapshots: 20, manifests_to_merge: 25, ..CommitLimits::default() };
    let table = stage.load().await;
    let mut expected = Vec::new();
    let mut longest_list = 0;
    for id in 1..=COMMITS {
        let file = files::data(&table, "a", &[id]).await;
        expected.push((file.file_path().to_string(), id));
        let landed = stage.commit(ChangeKind::Append { files: vec![file] }).await;
        longest_list = longest_list.max(look::manifests(&landed).await.len());
    }
    let landed = stage.load().await;
    assert!((2..=26).contains(&longest_list), "{longest_list} manifests");
    let live = look::live(&landed).await;
    let found: Vec<(String, i64)> =
        live.into_iter().map(|(path, file)| (path, file.sequence_number)).collect();
    // The paths are in the order of their making; so each file has the number of its commit.
    assert_eq!(found, expected);
    assert!(landed.metadata().snapshots().count() <= 22);
}

pub async fn surplus_snapshots_leave_the_metadata(kind: Kind) {
    let mut stage = Stage::new(kind).await;
    stage.limits = CommitLimits { max_snapshots: 5, ..CommitLimits::default() };
    let mut made = Vec::new();
    for id in 1..=12 {
        stage.append("a", &[id]).await;
        made.extend(stage.load().await.metadata().current_snapshot_id());
    }
    let table = stage.place.catalog().await.load_existing(&stage.table).await.unwrap();
    let mut kept: Vec<_> = table.metadata().snapshots().collect();
    kept.sort_by_key(|snapshot| snapshot.sequence_number());
    let kept: Vec<i64> = kept.iter().map(|snapshot| snapshot.snapshot_id()).collect();
    assert_eq!(kept, made[7..], "the newest five");
    assert_eq!(stage.ids().await, (1..=12).collect::<Vec<_>>());
}

/// Format version 3: each row has an id for ever, whichever manifest its file is listed in.
pub async fn rows_of_version_3_keep_their_ids(kind: Kind) {
    let mut place = Place::new(kind);
    place.format_version = FormatVersion::V3;
    let mut stage = Stage::of(place).await;
    stage.limits.manifests_to_merge = 3;
    let mut given = BTreeMap::new();
    let mut free = 0;
    for number in 0..7 {
        let path = stage.append("a", &[number * 2, number * 2 + 1]).await;
        let table = stage.load().await;
        let mut found = look::first_row_ids(&table).await;
        // A merged manifest uses ids up, so there are gaps; but none is given twice.
        let first = found.remove(&path).unwrap();
        assert!(first >= free, "{first} was given before");
        assert_eq!(found, given, "after {} commits", number + 1);
        given.insert(path, first);
        free = table.metadata().next_row_id() as i64;
        assert!(free >= first + 2);
    }
    let table = stage.commit(ChangeKind::RewriteManifests { target_bytes: 1 << 20 }).await;
    assert_eq!(table.metadata().format_version(), FormatVersion::V3);
    assert_eq!(look::first_row_ids(&table).await, given);
    assert_eq!(look::manifests(&table).await.len(), 1);
    assert_eq!(stage.ids().await, (0..14).collect::<Vec<_>>());
}
