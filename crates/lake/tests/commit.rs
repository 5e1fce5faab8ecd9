//! Commits against real files and a real SQLite catalog.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::HashMap;

use common::*;
use iceberg::spec::MAIN_BRANCH;
use pulselake_lake::{CommitAction, CommitError, CommitLimits, LakeError};
use pulselake_ledger::{PROPERTY, ReplayLedger};
use pulselake_model::tables::LakeTable;

#[tokio::test]
async fn what_is_committed_is_read_back_with_its_ledger() {
    let place = Place::new();
    let lake = place.lake().await;
    assert_eq!(lake.ledger(BRONZE).await.unwrap(), None);
    let receipt = commit(&lake, 3, 0, 0, 100).await;
    assert_eq!((receipt.already_there, receipt.attempts, receipt.conflicts), (false, 1, 0));
    assert_eq!(offsets(&lake).await, expected(3, 0..100));

    let table = lake.load(BRONZE).await.unwrap();
    let snapshot = table.metadata().current_snapshot().unwrap();
    let summary = &snapshot.summary().additional_properties;
    assert_eq!(snapshot.snapshot_id(), receipt.snapshot_id);
    assert_eq!(summary[PROPERTY], table.metadata().properties()[PROPERTY]);
    assert_eq!(summary[PROPERTY], receipt.ledger.to_json());
    for (key, value) in [
        ("added-data-files", "1"),
        ("added-records", "100"),
        ("total-records", "100"),
        ("total-data-files", "1"),
        ("total-delete-files", "0"),
    ] {
        assert_eq!(summary.get(key).map(String::as_str), Some(value), "{key}");
    }
    let entry = receipt.ledger.partition("content_events", 3).unwrap();
    assert_eq!((entry.seq, entry.next), (1, 100));

    commit(&lake, 3, 1, 100, 150).await;
    let overview = lake.table_overview(BRONZE).await.unwrap();
    assert_eq!((overview.snapshots, overview.data_files, overview.records), (2, 2, 150));
    assert!(overview.bytes > 0 && overview.current_snapshot_at_ms.is_some());
    assert_eq!(overview.ledger.unwrap().unwrap().partition("content_events", 3).unwrap().seq, 2);
}

#[tokio::test]
async fn the_same_commit_id_lands_once() {
    let place = Place::new();
    let lake = place.lake().await;
    let request = work(&lake, 0, 0, 0, 10).await;
    let first = lake.append(BRONZE, &request).await.unwrap();
    let again = lake.append(BRONZE, &request).await.unwrap();
    // A process that was restarted asks through a lake of its own.
    let elsewhere = place.lake().await.append(BRONZE, &request).await.unwrap();
    assert!(!first.already_there && again.already_there && elsewhere.already_there);
    assert_eq!(again.ledger, first.ledger);
    assert_eq!(offsets(&lake).await, expected(0, 0..10));
}

#[tokio::test]
async fn another_seq_fences_and_leaves_the_table_alone() {
    let place = Place::new();
    let lake = place.lake().await;
    let zombie = work(&lake, 0, 0, 0, 10).await;
    commit(&lake, 0, 0, 0, 20).await;
    let refused = lake.append(BRONZE, &zombie).await.unwrap_err();
    assert!(refused.to_string().contains("built on seq 0, the table has seq 1"), "{refused}");
    assert_eq!(refused.action(), CommitAction::Fence);
    assert!(refused.files_may_be_deleted());
    assert_eq!(offsets(&lake).await, expected(0, 0..20));
    assert_eq!(lake.load(BRONZE).await.unwrap().metadata().snapshots().len(), 1);
}

#[tokio::test]
async fn a_ledger_moves_without_files_too() {
    let place = Place::new();
    let lake = place.lake().await;
    commit(&lake, 0, 0, 0, 20).await;
    let receipt = lake.append(BRONZE, &request(vec![advance(0, 1, 20)])).await.unwrap();
    assert_eq!(receipt.ledger.partition("content_events", 0).unwrap().seq, 2);
    assert_eq!(offsets(&lake).await, expected(0, 0..20));
    let overview = lake.table_overview(BRONZE).await.unwrap();
    assert_eq!((overview.snapshots, overview.data_files, overview.records), (2, 1, 20));
}

#[tokio::test]
async fn a_quarantine_replay_is_fenced_by_its_own_seq() {
    let place = Place::new();
    let lake = place.lake().await;
    let replay = |seq: i64| {
        let entry = ReplayLedger { seq, ..Default::default() };
        pulselake_lake::LedgeredAppend { replayed: Some(("content_events".into(), entry)), ..request(vec![]) }
    };
    let first = replay(1);
    let receipt = lake.append(BRONZE, &first).await.unwrap();
    assert_eq!(receipt.ledger.replayed["content_events"].commit_id, first.commit_id);
    assert!(lake.append(BRONZE, &first).await.unwrap().already_there);
    assert!(matches!(lake.append(BRONZE, &replay(1)).await, Err(CommitError::Fenced { .. })));
    lake.append(BRONZE, &replay(2)).await.unwrap();
    // The stream's commits carry the replay's entry on.
    commit(&lake, 0, 0, 0, 5).await;
    assert_eq!(lake.ledger(BRONZE).await.unwrap().unwrap().replayed["content_events"].seq, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_writers_lose_and_double_nothing() {
    const WRITERS: i32 = 8;
    const COMMITS: i64 = 20;
    let place = Place::new();
    let lake = place.lake().await;
    let tasks: Vec<_> = (0..WRITERS)
        .map(|partition| {
            let settings = place.settings();
            tokio::spawn(async move {
                // A lake of its own each: nothing but the catalog keeps them apart.
                let own =
                    pulselake_lake::Lake::open(&settings, pulselake_lake::OpenMode::MustExist).await.unwrap();
                let mut conflicts = 0;
                for number in 0..COMMITS {
                    let receipt = commit(&own, partition, number, number * 3, number * 3 + 3).await;
                    assert!(!receipt.already_there);
                    conflicts += receipt.conflicts;
                }
                conflicts
            })
        })
        .collect();
    let mut conflicts = 0;
    for task in tasks {
        conflicts += task.await.unwrap();
    }
    assert!(conflicts > 0, "the writers never met: the test proves nothing");
    let everything: Vec<_> = (0..WRITERS).flat_map(|partition| expected(partition, 0..COMMITS * 3)).collect();
    assert_eq!(offsets(&lake).await, everything);
    for partition in 0..WRITERS {
        assert_eq!(seq(&lake, partition).await, COMMITS);
    }
    let table = lake.load(BRONZE).await.unwrap();
    assert_eq!(table.metadata().snapshots().len(), (WRITERS as i64 * COMMITS) as usize);
    // Lost attempts took their files back; of the metadata files only the log's remain.
    assert_eq!(place.files(BRONZE, ".metadata.json").len(), 21);
    let lists =
        place.files(BRONZE, ".avro").iter().filter(|path| path.to_string_lossy().contains("/snap-")).count();
    assert_eq!(lists, (WRITERS as i64 * COMMITS) as usize);
    assert_eq!(place.files(BRONZE, ".tmp").len(), 0);
}

/// Points the table's main branch at an older snapshot, as an operator's rollback does: properties stay.
async fn roll_back(place: &Place, table: LakeTable, snapshot_id: i64) {
    let lake = place.lake().await;
    let loaded = lake.load(table).await.unwrap();
    let reference = iceberg::spec::SnapshotReference::new(
        snapshot_id,
        iceberg::spec::SnapshotRetention::branch(None, None, None),
    );
    let old = loaded.metadata_location().unwrap().to_string();
    let built = loaded
        .metadata()
        .clone()
        .into_builder(Some(old.clone()))
        .set_ref(MAIN_BRANCH, reference)
        .unwrap()
        .build()
        .unwrap();
    let next = old.parse::<iceberg::MetadataLocation>().unwrap().with_next_version();
    built.metadata.write_to(loaded.file_io(), &next).await.unwrap();
    execute(
        place,
        &format!("UPDATE iceberg_tables SET metadata_location = '{next}' WHERE metadata_location = '{old}'"),
    )
    .await;
}

async fn execute(place: &Place, statement: &str) {
    let uri = format!("sqlite://{}/catalog.db", place.path().display());
    let pool = sqlx::SqlitePool::connect(&uri).await.unwrap();
    sqlx::query(statement).execute(&pool).await.unwrap();
    pool.close().await;
}

#[tokio::test]
async fn a_rollback_stops_the_commits_until_the_ledger_is_rewound() {
    let place = Place::new();
    let lake = place.lake().await;
    let first = commit(&lake, 0, 0, 0, 10).await;
    commit(&lake, 0, 1, 10, 20).await;
    roll_back(&place, BRONZE, first.snapshot_id).await;

    let stopped = lake.ledger(BRONZE).await.unwrap_err();
    assert!(
        matches!(stopped, LakeError::RolledBack { .. }) && stopped.to_string().contains("ledger rewind"),
        "{stopped}"
    );
    let request = work(&lake, 0, 2, 20, 30).await;
    let refused = lake.append(BRONZE, &request).await.unwrap_err();
    assert_eq!(refused.action(), CommitAction::Stop);
    assert!(lake.table_overview(BRONZE).await.unwrap().ledger.is_err());

    let report = lake.rewind(BRONZE).await.unwrap();
    assert_eq!(report.to, lake.ledger(BRONZE).await.unwrap());
    assert!(report.from.is_some() && report.snapshot_id.is_some());
    let rewound = lake.ledger(BRONZE).await.unwrap().unwrap();
    assert_eq!(rewound.partition("content_events", 0).map(|entry| (entry.next, entry.seq)), Some((10, 3)));
    // The records come again, on the seq that the rewound ledger has; who was at work before never commits again.
    assert!(matches!(lake.append(BRONZE, &request).await, Err(CommitError::Fenced { .. })));
    commit(&lake, 0, 3, 10, 20).await;
    assert!(matches!(lake.append(BRONZE, &request).await, Err(CommitError::Fenced { .. })));
    assert_eq!(offsets(&lake).await, expected(0, 0..20));
    assert_eq!(lake.rewind(BRONZE).await.unwrap().snapshot_id, None);
}

#[tokio::test]
async fn a_removed_property_stops_and_is_restored() {
    let place = Place::new();
    let lake = place.lake().await;
    commit(&lake, 0, 0, 0, 10).await;
    let loaded = lake.load(BRONZE).await.unwrap();
    let old = loaded.metadata_location().unwrap().to_string();
    let built = loaded
        .metadata()
        .clone()
        .into_builder(Some(old.clone()))
        .remove_properties(&[PROPERTY.to_string()])
        .unwrap()
        .build()
        .unwrap();
    let next = old.parse::<iceberg::MetadataLocation>().unwrap().with_next_version();
    built.metadata.write_to(loaded.file_io(), &next).await.unwrap();
    execute(
        &place,
        &format!("UPDATE iceberg_tables SET metadata_location = '{next}' WHERE metadata_location = '{old}'"),
    )
    .await;
    assert!(matches!(lake.ledger(BRONZE).await, Err(LakeError::PropertyMissing { .. })));
    assert!(lake.rewind(BRONZE).await.unwrap().snapshot_id.is_some());
    assert_eq!(seq(&lake, 0).await, 2);
}

#[tokio::test]
async fn old_snapshots_and_small_manifests_do_not_pile_up() {
    let place = Place::new();
    let limits = CommitLimits { max_snapshots: 5, manifests_to_merge: 4, ..Default::default() };
    let lake = place.lake().await.with_commit_limits(limits);
    for number in 0..12 {
        commit(&lake, 0, number, number * 2, number * 2 + 2).await;
    }
    let table = lake.load(BRONZE).await.unwrap();
    let metadata = table.metadata();
    assert_eq!(metadata.snapshots().len(), 5);
    let mut lineage = 0;
    let mut snapshot = metadata.current_snapshot();
    while let Some(current) = snapshot {
        lineage += 1;
        snapshot = current.parent_snapshot_id().and_then(|parent| metadata.snapshot_by_id(parent));
    }
    assert_eq!(lineage, 5, "the newest of the ancestry were not kept");
    let manifests = table.manifest_list_reader(metadata.current_snapshot().unwrap()).load().await.unwrap();
    assert!(manifests.entries().len() <= 4, "{} manifests", manifests.entries().len());
    assert_eq!(offsets(&lake).await, expected(0, 0..24));
    let overview = lake.table_overview(BRONZE).await.unwrap();
    assert_eq!((overview.data_files, overview.records), (12, 24));
    assert_eq!(seq(&lake, 0).await, 12);
}

#[tokio::test]
async fn a_tagged_snapshot_is_kept() {
    let place = Place::new();
    let limits = CommitLimits { max_snapshots: 3, ..Default::default() };
    let lake = place.lake().await.with_commit_limits(limits);
    let tagged = commit(&lake, 0, 0, 0, 2).await.snapshot_id;
    let loaded = lake.load(BRONZE).await.unwrap();
    let old = loaded.metadata_location().unwrap().to_string();
    let tag = iceberg::spec::SnapshotReference::new(
        tagged,
        iceberg::spec::SnapshotRetention::Tag { max_ref_age_ms: None },
    );
    let built = loaded
        .metadata()
        .clone()
        .into_builder(Some(old.clone()))
        .set_ref("audit", tag)
        .unwrap()
        .build()
        .unwrap();
    let next = old.parse::<iceberg::MetadataLocation>().unwrap().with_next_version();
    built.metadata.write_to(loaded.file_io(), &next).await.unwrap();
    execute(
        &place,
        &format!("UPDATE iceberg_tables SET metadata_location = '{next}' WHERE metadata_location = '{old}'"),
    )
    .await;
    for number in 1..8 {
        commit(&lake, 0, number, number * 2, number * 2 + 2).await;
    }
    let table = lake.load(BRONZE).await.unwrap();
    assert!(table.metadata().snapshot_by_id(tagged).is_some());
    assert_eq!(table.metadata().snapshot_for_ref("audit").map(|found| found.snapshot_id()), Some(tagged));
    // The newest three of the ancestry, and the tagged one.
    assert_eq!(table.metadata().snapshots().len(), 4);
}

#[tokio::test]
async fn a_locked_catalog_is_waited_for() {
    let place = Place::new();
    let lake = place.lake().await;
    let request = work(&lake, 0, 0, 0, 10).await;
    let uri = format!("sqlite://{}/catalog.db", place.path().display());
    let other = sqlx::SqlitePool::connect(&uri).await.unwrap();
    let mut connection = other.acquire().await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await.unwrap();
    let waiting = tokio::spawn({
        let lake = lake.clone();
        async move { lake.append(BRONZE, &request).await }
    });
    // The commit has got as far as the swap when its metadata file is there.
    let at_the_swap = async {
        while place.files(BRONZE, ".metadata.json").len() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), at_the_swap).await.unwrap();
    assert!(!waiting.is_finished());
    sqlx::query("COMMIT").execute(&mut *connection).await.unwrap();
    let receipt = waiting.await.unwrap().unwrap();
    assert_eq!((receipt.attempts, receipt.conflicts), (1, 0));
    assert_eq!(offsets(&lake).await, expected(0, 0..10));
}

#[tokio::test]
async fn patience_ends_with_a_known_outcome() {
    let place = Place::new();
    let lake = place.lake().await;
    let request = work(&lake, 0, 0, 0, 10).await;
    let uri = format!("sqlite://{}/catalog.db", place.path().display());
    let other = sqlx::SqlitePool::connect(&uri).await.unwrap();
    let mut connection = other.acquire().await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await.unwrap();
    let hasty = lake.clone().with_commit_limits(CommitLimits {
        patience: std::time::Duration::from_millis(10),
        ..Default::default()
    });
    let failed = hasty.append(BRONZE, &request).await.unwrap_err();
    assert!(matches!(failed, CommitError::Failed { .. }), "{failed}");
    assert_eq!((failed.action(), failed.files_may_be_deleted()), (CommitAction::Retry, true));
    assert_eq!(place.files(BRONZE, ".metadata.json").len(), 1, "the refused attempt left its metadata");
    sqlx::query("ROLLBACK").execute(&mut *connection).await.unwrap();
    assert!(!lake.append(BRONZE, &request).await.unwrap().already_there);
}

/// The crate's own catalog reads and writes what we made.
#[tokio::test]
async fn the_crate_s_sql_catalog_opens_the_tables() {
    use iceberg::{Catalog, CatalogBuilder};
    let place = Place::new();
    let lake = place.lake().await;
    commit(&lake, 0, 0, 0, 10).await;
    let settings = place.settings();
    let catalog = iceberg_catalog_sql::SqlCatalogBuilder::default()
        .uri(settings.catalog_uri)
        .warehouse_location(settings.warehouse)
        .sql_bind_style(iceberg_catalog_sql::SqlBindStyle::QMark)
        .with_storage_factory(std::sync::Arc::new(pulselake_lake::storage::LocalStorageFactory {
            fsync: false,
        }))
        .load("pulselake", HashMap::new())
        .await
        .unwrap();
    let mut namespaces: Vec<String> = catalog
        .list_namespaces(None)
        .await
        .unwrap()
        .iter()
        .map(|namespace| namespace.to_url_string())
        .collect();
    namespaces.sort();
    assert_eq!(namespaces, ["bronze", "gold"]);
    for table in LakeTable::OF_EVENTS {
        let ident = iceberg::TableIdent::from_strs([table.namespace(), table.name()]).unwrap();
        let loaded = catalog.load_table(&ident).await.unwrap();
        assert!(loaded.metadata().location().ends_with(&format!(
            "warehouse/{}/{}",
            table.namespace(),
            table.name()
        )));
    }
}
