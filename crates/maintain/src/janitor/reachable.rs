//! All files that a table's metadata leads to: what the janitor must never delete.
//!
//! These are the metadata file and those of its log, statistics, and of each snapshot the manifest list, its manifests,
//! and the data and delete files that are live in it. Locations are kept as 16-byte keys, and each manifest is read
//! once, however many snapshots share it: memory grows with the number of files, not with that of snapshots.

use std::collections::HashSet;
use std::pin::pin;

use futures::TryStreamExt;
use iceberg::spec::{SnapshotRef, TableMetadata};
use iceberg::table::Table;

use super::error::MaintainError;
use super::location::{FileKey, is_inside};
use super::manifests::{live_locations, read_lists, read_manifests};

/// Files that are reachable.
#[derive(Debug, Default)]
pub struct Reachable {
    /// Lists, manifests and live files below the table's location: without one of them the table can't be read.
    files: HashSet<FileKey>,
    /// Files elsewhere, metadata files, statistics.
    others: HashSet<FileKey>,
    /// Manifest lists and manifests whose content is in `files` already.
    read: HashSet<FileKey>,
}

impl Reachable {
    /// Everything that `table` leads to.
    pub async fn of(table: &Table) -> Result<Self, MaintainError> {
        let mut reachable = Self::default();
        reachable.add_table(table).await?;
        Ok(reachable)
    }

    /// Adds what `table` leads to; reads only what was not read before.
    pub async fn add_table(&mut self, table: &Table) -> Result<(), MaintainError> {
        let metadata = table.metadata();
        self.others.extend(table.metadata_location().map(FileKey::of));
        self.others.extend(outside_of_snapshots(metadata).map(FileKey::of));
        let snapshots: Vec<SnapshotRef> = metadata.snapshots().cloned().collect();
        self.add_snapshots(table, &snapshots).await
    }

    /// What some snapshots of `table` lead to.
    pub(crate) async fn of_snapshots(
        table: &Table,
        snapshots: &[SnapshotRef],
    ) -> Result<Self, MaintainError> {
        let mut reachable = Self::default();
        reachable.add_snapshots(table, snapshots).await?;
        Ok(reachable)
    }

    /// Whether the file is reachable.
    pub fn contains(&self, location: &str) -> bool {
        self.contains_key(&FileKey::of(location))
    }

    /// Whether the file with this key is reachable.
    pub(crate) fn contains_key(&self, key: &FileKey) -> bool {
        self.files.contains(key) || self.others.contains(key)
    }

    /// Whether a file below the table's location that its snapshots need is not among `seen`.
    pub(crate) fn needs_more_than(&self, seen: &HashSet<FileKey>) -> bool {
        self.files.iter().any(|file| !seen.contains(file))
    }

    fn add(&mut self, location: &str, directory: &str) {
        let place = if is_inside(location, directory) { &mut self.files } else { &mut self.others };
        place.insert(FileKey::of(location));
    }

    async fn add_snapshots(&mut self, table: &Table, snapshots: &[SnapshotRef]) -> Result<(), MaintainError> {
        let new: Vec<SnapshotRef> = snapshots
            .iter()
            .filter(|snapshot| self.read.insert(FileKey::of(snapshot.manifest_list())))
            .cloned()
            .collect();
        let directory = table.metadata().location();
        for snapshot in &new {
            self.add(snapshot.manifest_list(), directory);
        }
        let mut manifests = Vec::new();
        let mut lists = pin!(read_lists(table, new));
        while let Some((_, list)) = lists.try_next().await? {
            for manifest in list {
                self.add(&manifest.manifest_path, directory);
                if self.read.insert(FileKey::of(&manifest.manifest_path)) {
                    manifests.push(manifest);
                }
            }
        }
        let mut contents = pin!(read_manifests(table, manifests, live_locations));
        while let Some(paths) = contents.try_next().await? {
            for path in &paths {
                self.add(path, directory);
            }
        }
        Ok(())
    }
}

/// Metadata log and statistics.
fn outside_of_snapshots(metadata: &TableMetadata) -> impl Iterator<Item = &str> {
    let log = metadata.metadata_log().iter().map(|log| log.metadata_file.as_str());
    let statistics = metadata.statistics_iter().map(|file| file.statistics_path.as_str());
    let by_partition = metadata.partition_statistics_iter().map(|file| file.statistics_path.as_str());
    log.chain(statistics).chain(by_partition)
}

/// The files that some snapshots of `table` lead to, `kept` does not, and that are below the table's location: what may
/// be deleted once these snapshots are gone. `kept` holds all that the table leads to without them.
pub async fn only_reachable_from(
    table: &Table,
    snapshots: &[SnapshotRef],
    kept: &Reachable,
) -> Result<Vec<String>, MaintainError> {
    let metadata = table.metadata();
    let ids: HashSet<i64> = snapshots.iter().map(|snapshot| snapshot.snapshot_id()).collect();
    let mut lost = Lost { kept, location: metadata.location(), found: HashSet::new(), files: Vec::new() };
    for snapshot in snapshots {
        lost.add(snapshot.manifest_list());
    }
    for file in metadata.statistics_iter().filter(|file| ids.contains(&file.snapshot_id)) {
        lost.add(&file.statistics_path);
    }
    for file in metadata.partition_statistics_iter().filter(|file| ids.contains(&file.snapshot_id)) {
        lost.add(&file.statistics_path);
    }
    let mut seen = HashSet::new();
    let mut manifests = Vec::new();
    let mut lists = pin!(read_lists(table, snapshots.to_vec()));
    while let Some((_, list)) = lists.try_next().await? {
        for manifest in list {
            let key = FileKey::of(&manifest.manifest_path);
            // What a manifest that stays names, the table still leads to.
            if !kept.contains_key(&key) && seen.insert(key) {
                lost.add(&manifest.manifest_path);
                manifests.push(manifest);
            }
        }
    }
    let mut contents = pin!(read_manifests(table, manifests, live_locations));
    while let Some(paths) = contents.try_next().await? {
        for path in &paths {
            lost.add(path);
        }
    }
    Ok(lost.files)
}

struct Lost<'a> {
    kept: &'a Reachable,
    location: &'a str,
    found: HashSet<FileKey>,
    files: Vec<String>,
}

impl Lost<'_> {
    fn add(&mut self, location: &str) {
        let key = FileKey::of(location);
        let may_go = !self.kept.contains_key(&key) && is_inside(location, self.location);
        if may_go && self.found.insert(key) {
            self.files.push(location.to_string());
        }
    }
}

/// The files below the table's location without which it can't be read, and that are not among `seen`.
pub(crate) async fn needed_but_unseen(
    table: &Table,
    seen: &HashSet<FileKey>,
) -> Result<Vec<String>, MaintainError> {
    let snapshots: Vec<SnapshotRef> = table.metadata().snapshots().cloned().collect();
    let mut files = only_reachable_from(table, &snapshots, &Reachable::default()).await?;
    let statistics: HashSet<&str> = outside_of_snapshots(table.metadata()).collect();
    files.retain(|file| !seen.contains(&FileKey::of(file)) && !statistics.contains(file.as_str()));
    Ok(files)
}
