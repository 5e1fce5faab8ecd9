//! Looks at a table: its rows, its live files, and every file that some snapshot of it needs.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use futures::TryStreamExt;
use iceberg::spec::{DataContentType, ManifestFile};
use iceberg::table::Table;
use pulselake_commit::COMMIT_ID;

/// The ids of all rows, in order, deletes applied.
pub async fn ids(table: &Table) -> Vec<i64> {
    let stream = table.scan().build().unwrap().to_arrow().await.unwrap();
    let batches: Vec<_> = stream.try_collect().await.unwrap();
    let mut ids: Vec<i64> =
        batches.iter().flat_map(|batch| batch["id"].as_primitive::<Int64Type>().values().to_vec()).collect();
    ids.sort_unstable();
    ids
}

/// A live file of the current snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    pub content: DataContentType,
    pub sequence_number: i64,
    pub partition: String,
}

pub async fn manifests(table: &Table) -> Vec<ManifestFile> {
    match table.metadata().current_snapshot() {
        Some(snapshot) => table.manifest_list_reader(snapshot).load().await.unwrap().entries().to_vec(),
        None => Vec::new(),
    }
}

/// The live files by path; fails on one that is there twice.
pub async fn live(table: &Table) -> BTreeMap<String, Live> {
    let mut found = BTreeMap::new();
    for manifest in manifests(table).await {
        let read = manifest.load_manifest(table.file_io()).await.unwrap();
        for entry in read.entries().iter().filter(|entry| entry.is_alive()) {
            let file = entry.data_file();
            let live = Live {
                content: file.content_type(),
                sequence_number: entry.sequence_number().unwrap(),
                partition: format!("{:?}", file.partition()),
            };
            let before = found.insert(file.file_path().to_string(), live);
            assert!(before.is_none(), "{} is in the table twice", file.file_path());
        }
    }
    found
}

/// The id of the first row of each live file, of a table of version 3 without delete files. A file that has none written
/// down gets it from its manifest.
pub async fn first_row_ids(table: &Table) -> BTreeMap<String, i64> {
    let mut found = BTreeMap::new();
    for manifest in manifests(table).await {
        let mut next = manifest.first_row_id.unwrap() as i64;
        let read = manifest.load_manifest(table.file_io()).await.unwrap();
        for entry in read.entries().iter().filter(|entry| entry.is_alive()) {
            let file = entry.data_file();
            let first = file.first_row_id().unwrap_or_else(|| {
                next += file.record_count() as i64;
                next - file.record_count() as i64
            });
            found.insert(file.file_path().to_string(), first);
        }
    }
    found
}

/// The commit ids of all snapshots; fails on one that is there twice.
pub fn commit_ids(table: &Table) -> HashSet<String> {
    let mut found = HashSet::new();
    for snapshot in table.metadata().snapshots() {
        let id = snapshot.summary().additional_properties[COMMIT_ID].clone();
        assert!(found.insert(id.clone()), "commit {id} landed twice");
    }
    found
}

/// The names of a snapshot's manifest list and manifests.
pub async fn needed_by(table: &Table, snapshot_id: i64) -> BTreeSet<String> {
    let snapshot = table.metadata().snapshot_by_id(snapshot_id).unwrap();
    let list = table.manifest_list_reader(snapshot).load().await.unwrap();
    let manifests = list.entries().iter().map(|manifest| name_of(&manifest.manifest_path));
    manifests.chain([name_of(snapshot.manifest_list())]).collect()
}

/// The name of every file that some snapshot needs, and of the metadata files in the log.
async fn needed(table: &Table) -> BTreeSet<String> {
    let metadata = table.metadata();
    let mut found = BTreeSet::new();
    for snapshot in metadata.snapshots() {
        found.extend(needed_by(table, snapshot.snapshot_id()).await);
    }
    found.extend(metadata.metadata_log().iter().map(|log| name_of(&log.metadata_file)));
    found.insert(name_of(table.metadata_location().unwrap()));
    found
}

fn name_of(location: &str) -> String {
    location.rsplit('/').next().unwrap().to_string()
}

async fn names_in(directory: &str) -> BTreeSet<String> {
    if let Some(path) = directory.strip_prefix("file://") {
        let entries = std::fs::read_dir(path).unwrap();
        return entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    }
    let files = super::s3_warehouse(directory).list(directory);
    files.map_ok(|file| name_of(&file.location)).try_collect().await.unwrap()
}

/// Fails unless the metadata directory holds exactly what the table needs. `ending` picks the files to compare.
pub async fn assert_nothing_left_behind(table: &Table, ending: &str) {
    assert_nothing_left_beside(table, ending, &BTreeSet::new()).await;
}

/// The same, where snapshots that left the metadata may have left `others`.
pub async fn assert_nothing_left_beside(table: &Table, ending: &str, others: &BTreeSet<String>) {
    let mut there = names_in(&format!("{}/metadata", table.metadata().location())).await;
    there.retain(|name| name.ends_with(ending));
    let needed = needed(table).await;
    let wanted: BTreeSet<String> =
        needed.union(others).filter(|name| name.ends_with(ending)).cloned().collect();
    let missing: Vec<_> = wanted.difference(&there).collect();
    let left: Vec<_> = there.difference(&wanted).collect();
    assert!(missing.is_empty(), "{} needed files are gone: {missing:?}", missing.len());
    assert!(left.is_empty(), "{} files were left behind: {left:?}", left.len());
}
