//! Tables of format version 3: each row keeps its id, also when manifests are merged.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;

use common::*;
use iceberg::spec::FormatVersion;
use pulselake_commit::{ChangeKind, TableChange, Unguarded, commit as commit_change};
use pulselake_lake::{CommitLimits, Lake, LakeSettings, OpenMode, table_ident};
use pulselake_model::tables::LakeTable;

/// The first row id of each live file, as the specification lets a reader work it out.
async fn first_row_ids(lake: &Lake) -> BTreeMap<String, i64> {
    let table = lake.load(BRONZE).await.unwrap();
    let snapshot = table.metadata().current_snapshot().unwrap();
    let mut ids = BTreeMap::new();
    for manifest in table.manifest_list_reader(snapshot).load().await.unwrap().entries() {
        let mut next = manifest.first_row_id.unwrap() as i64;
        for entry in manifest.load_manifest(table.file_io()).await.unwrap().entries() {
            if !entry.is_alive() {
                continue;
            }
            let inherited = next;
            let own = entry.data_file().first_row_id();
            if own.is_none() {
                next += entry.record_count() as i64;
            }
            ids.insert(entry.file_path().to_string(), own.unwrap_or(inherited));
        }
    }
    ids
}

#[tokio::test]
async fn row_ids_stay_when_manifests_are_merged_and_clustered() {
    let place = Place::new();
    let settings = LakeSettings { format_version: FormatVersion::V3, ..place.settings() };
    let lake = Lake::open(&settings, OpenMode::CreateIfMissing).await.unwrap();
    lake.ensure_tables(&LakeTable::OF_EVENTS).await.unwrap();
    let lake = lake.with_commit_limits(CommitLimits { manifests_to_merge: 4, ..CommitLimits::default() });
    let mut known: BTreeMap<String, i64> = BTreeMap::new();
    for round in 0..12 {
        commit(&lake, 0, round, round * 10, round * 10 + 10).await;
        let now = first_row_ids(&lake).await;
        for (file, id) in &known {
            assert_eq!(now.get(file), Some(id), "round {round}: {file}");
        }
        known = now;
    }
    let change = TableChange {
        commit_id: uuid::Uuid::now_v7().to_string(),
        kind: ChangeKind::RewriteManifests { target_bytes: 8 << 20 },
    };
    let limits = CommitLimits::default();
    commit_change(lake.catalog().as_ref(), &table_ident(BRONZE), &change, &Unguarded, &limits).await.unwrap();
    assert_eq!(first_row_ids(&lake).await, known);

    let mut ids: Vec<i64> = known.into_values().collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 12, "no two files share a first row id");
    let table = lake.load(BRONZE).await.unwrap();
    assert_eq!(table.metadata().format_version(), FormatVersion::V3);
    assert!(table.metadata().next_row_id() >= 120);
}
