//! From which snapshots of a table the id can still be read.
//!
//! Manifests are read once, however many snapshots share them, and files never change: a verdict on one is kept. A
//! manifest also counts where it names the id as a bound, be it of a file that is removed.

use std::collections::{HashMap, HashSet};
use std::pin::pin;

use futures::{StreamExt, TryStreamExt};
use iceberg::spec::{DataContentType, DataFile, ManifestFile, PartitionSpecRef};
use iceberg::table::Table;

use super::search::holds_id;
use super::target::Target;
use crate::janitor::{MaintainError, Phase, Progress, Step, read_lists, read_manifests};

/// Files searched at the same time.
const CONCURRENT_SEARCHES: usize = 4;

/// What is known of files, by location.
#[derive(Default)]
pub(super) struct Verdicts {
    holds: HashMap<String, bool>,
}

impl Verdicts {
    /// Whether a file that was searched holds the id.
    pub(super) fn holds(&self, file: &DataFile) -> bool {
        self.holds.get(file.file_path()).copied().unwrap_or(false)
    }

    /// Searches those of `files` that are not known yet and can hold the id.
    ///
    /// With `tolerant`, a file that can't be read counts as one that holds it.
    pub(super) async fn search<'f>(
        &mut self,
        table: &Table,
        target: &Target,
        files: impl Iterator<Item = (&'f DataFile, i32)>,
        tolerant: bool,
        progress: Progress<'_>,
    ) -> Result<(), MaintainError> {
        let metadata = table.metadata();
        let mut seen: HashSet<&str> = HashSet::new();
        let unknown: Vec<&DataFile> = files
            .filter(|(file, _)| !self.holds.contains_key(file.file_path()) && seen.insert(file.file_path()))
            .filter(|(file, spec_id)| {
                let spec = metadata.partition_spec_by_id(*spec_id).map(PartitionSpecRef::as_ref);
                is_searched(file, target) && target.may_be_in(file, spec)
            })
            .map(|(file, _)| file)
            .collect();
        let total = Some(unknown.len() as u64);
        // By place: a closure over references would keep the future on its thread.
        let searching = (0..unknown.len()).map(|place| {
            let file = unknown[place];
            async move { (file.file_path().to_string(), holds_id(table.file_io(), file, target).await) }
        });
        let mut verdicts = futures::stream::iter(searching).buffer_unordered(CONCURRENT_SEARCHES);
        let mut done = 0;
        while let Some((location, verdict)) = verdicts.next().await {
            let holds = match verdict {
                Err(error) if tolerant => {
                    tracing::warn!(location, %error, "a file of an old snapshot can't be searched: it counts as holding the id");
                    true
                }
                other => other?,
            };
            self.holds.insert(location, holds);
            done += 1;
            progress(Step { phase: Phase::Searching, done, total });
        }
        Ok(())
    }
}

/// Position deletes name no ids; equality deletes do, if the column is among their keys.
fn is_searched(file: &DataFile, target: &Target) -> bool {
    match file.content_type() {
        DataContentType::Data => true,
        DataContentType::EqualityDeletes => target.is_key_of(file),
        DataContentType::PositionDeletes => false,
    }
}

/// The snapshots from which the id can be read.
#[derive(Default)]
pub(super) struct Holders {
    /// Their ids.
    pub snapshots: HashSet<i64>,
    /// Whether a manifest of the current snapshot names the id as a bound.
    pub current_names_it: bool,
}

/// Finds the holders among all snapshots in the metadata.
pub(super) async fn find_holders(
    table: &Table,
    target: &Target,
    verdicts: &mut Verdicts,
    progress: Progress<'_>,
) -> Result<Holders, MaintainError> {
    let mut by_snapshot: Vec<(i64, Vec<String>)> = Vec::new();
    let mut unique: HashMap<String, ManifestFile> = HashMap::new();
    let snapshots = table.metadata().snapshots().cloned().collect();
    let mut lists = pin!(read_lists(table, snapshots));
    while let Some((snapshot, manifests)) = lists.try_next().await? {
        let paths = manifests.iter().map(|manifest| manifest.manifest_path.clone()).collect();
        by_snapshot.push((snapshot.snapshot_id(), paths));
        unique.extend(manifests.into_iter().map(|manifest| (manifest.manifest_path.clone(), manifest)));
    }
    let (mut holding, mut naming): (HashSet<String>, HashSet<String>) = (HashSet::new(), HashSet::new());
    let manifests = unique.into_values().collect();
    let mut loaded = pin!(read_manifests(table, manifests, |place, manifest| (place, manifest)));
    while let Some((place, manifest)) = loaded.try_next().await? {
        if manifest.entries().iter().any(|entry| target.is_bound_of(entry.data_file())) {
            naming.insert(place.manifest_path.clone());
        }
        let live =
            || manifest.entries().iter().filter(|entry| entry.is_alive()).map(|entry| entry.data_file());
        let with_spec = live().map(|file| (file, place.partition_spec_id));
        verdicts.search(table, target, with_spec, true, progress).await?;
        if live().any(|file| verdicts.holds(file)) {
            holding.insert(place.manifest_path);
        }
    }
    let current = table.metadata().current_snapshot_id();
    let mut holders = Holders::default();
    for (snapshot_id, manifests) in by_snapshot {
        let names_it = manifests.iter().any(|manifest| naming.contains(manifest));
        if names_it || manifests.iter().any(|manifest| holding.contains(manifest)) {
            holders.snapshots.insert(snapshot_id);
        }
        holders.current_names_it |= names_it && current == Some(snapshot_id);
    }
    Ok(holders)
}
