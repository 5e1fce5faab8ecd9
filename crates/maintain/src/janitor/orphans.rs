//! Finds and removes files below a table's location that nothing leads to: left by killed writers, refused plans, lost
//! answers, snapshots that ingestion dropped, metadata files beyond the log, temporary files.
//!
//! **Why no file of a running commit is ever taken.** Everything that a commit may still add (data files, manifests,
//! compaction output, of this process or another, also of a commit whose outcome is unknown) was written less than half
//! the safety age before it lands (see [`super::young`]). The pass lists the location first, loads the table *after*
//! that, and takes only what is older than the whole safety age, was in the listing, and is not reachable in that later
//! state. Such a file was not in the table when it was loaded, and no later commit may add it; what a later commit
//! inherits is in the loaded state's current snapshot.
//!
//! Foreign procedures that add files written long ago and lying below the location (Spark's `add_files`, say) do not keep
//! to this: import from elsewhere, or with the orphan pass off.
//!
//! **Clocks.** Ages are differences of times of the store's own clock: the pass writes a small probe file into the
//! table's metadata directory before it lists, and takes the probe's modified time for now. How far host and store are
//! apart does not matter. The probe shows besides that the listing covers the place.
//!
//! **A listing that speaks another language** than the table (spelling of locations, wrong root) would make every file
//! an orphan. So each file that the table needs must be in the listing; where one lacks, nothing is deleted.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use iceberg::TableIdent;
use iceberg::table::Table;
use pulselake_commit::Catalog;
use pulselake_store::StoredFile;
use serde::Serialize;
use uuid::Uuid;

use super::error::MaintainError;
use super::location::{FileKey, is_inside};
use super::reachable::{Reachable, needed_but_unseen};
use super::store::FileStore;
use super::{Phase, Progress, Step};

/// How many examples a report names.
const MAX_EXAMPLES: usize = 1000;

/// When a file without references counts as an orphan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrphanSettings {
    /// Files younger than this are left alone, by the store's clock. Commits use no file older than half of it: every
    /// process that writes to the table must know the same value.
    pub safety_age: Duration,
}

impl Default for OrphanSettings {
    fn default() -> Self {
        Self { safety_age: Duration::from_secs(3 * 24 * 60 * 60) }
    }
}

/// A file that nothing leads to and that may go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Orphan {
    /// Its location.
    pub location: String,
    /// Its size, bytes.
    pub bytes: u64,
    /// Its age, milliseconds.
    pub age_ms: i64,
}

/// What a look at a table's location found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrphanScan {
    /// Files that may be deleted, now or later: no commit can come to need them.
    pub orphans: Vec<Orphan>,
    /// Files without references that are too young to judge.
    pub too_young: u64,
    /// Files below the location.
    pub listed: u64,
}

/// As [`OrphanScan`], for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OrphanReport {
    /// Files that may be deleted.
    pub orphans: u64,
    /// Their size, bytes.
    pub orphan_bytes: u64,
    /// Files without references that are too young to judge.
    pub too_young: u64,
    /// Files below the table's location.
    pub listed: u64,
    /// The orphans, by location; the first thousand.
    pub files: Vec<Orphan>,
    /// What became of them.
    pub deleted: super::delete::Deleted,
}

impl OrphanScan {
    /// The report, before anything is deleted.
    pub fn report(&self) -> OrphanReport {
        let mut files = self.orphans.clone();
        files.sort_by(|left, right| left.location.cmp(&right.location));
        files.truncate(MAX_EXAMPLES);
        OrphanReport {
            orphans: self.orphans.len() as u64,
            orphan_bytes: self.orphans.iter().map(|orphan| orphan.bytes).sum(),
            too_young: self.too_young,
            listed: self.listed,
            files,
            deleted: super::delete::Deleted::default(),
        }
    }
}

/// Looks for orphans of `table`. Deletes nothing but its own probe. Tables of the catalog that lie below this one's
/// location are left out of the view.
pub async fn find_orphans(
    catalog: &dyn Catalog,
    store: &dyn FileStore,
    table: &TableIdent,
    settings: OrphanSettings,
    progress: Progress<'_>,
) -> Result<OrphanScan, MaintainError> {
    let before = catalog.load_existing(table).await?;
    let location = before.metadata().location().trim_end_matches('/').to_string();
    let foreign = tables_below(catalog, table, &location).await?;
    let mut reachable = Reachable::of(&before).await?;
    let probe = Probe::write(&before, &location).await?;
    let listing = list(store, &location, &foreign, &reachable, &probe, progress).await;
    let removed = store.delete(vec![probe.location.clone()]).await;
    let Listing { unreferenced, seen, store_now_ms, listed } = listing?;
    for error in removed.failed {
        tracing::warn!(%error, "could not delete the probe; a later run does");
    }

    let after = catalog.load_existing(table).await?;
    if reachable.needs_more_than(&seen) {
        // Others may have expired and deleted some meanwhile: only what is needed still counts.
        let mut missing = needed_but_unseen(&after, &seen).await?;
        missing.retain(|file| reachable.contains(file));
        if let Some(example) = missing.iter().min() {
            return Err(MaintainError::ListingLacks {
                location,
                count: missing.len(),
                example: example.clone(),
            });
        }
    }
    reachable.add_table(&after).await?;
    let safety_age_ms = settings.safety_age.as_millis() as i64;
    let mut scan = OrphanScan { listed, ..OrphanScan::default() };
    for file in unreferenced {
        if reachable.contains(&file.location) {
            continue;
        }
        let age_ms = store_now_ms.saturating_sub(file.modified_at_ms);
        if age_ms < safety_age_ms {
            scan.too_young += 1;
            continue;
        }
        scan.orphans.push(Orphan { location: file.location, bytes: file.size_bytes, age_ms });
    }
    Ok(scan)
}

struct Listing {
    /// Files that were not reachable before the listing, the probe excepted.
    unreferenced: Vec<StoredFile>,
    /// Reachable files that are there.
    seen: HashSet<FileKey>,
    store_now_ms: i64,
    listed: u64,
}

async fn list(
    store: &dyn FileStore,
    location: &str,
    foreign: &[String],
    reachable: &Reachable,
    probe: &Probe,
    progress: Progress<'_>,
) -> Result<Listing, MaintainError> {
    let probe_key = FileKey::of(&probe.location);
    let mut result = Listing { unreferenced: Vec::new(), seen: HashSet::new(), store_now_ms: 0, listed: 0 };
    let mut probe_seen = false;
    let mut files = store.list(location);
    while let Some(file) = files.next().await {
        let file = file?;
        let key = FileKey::of(&file.location);
        if key == probe_key {
            (probe_seen, result.store_now_ms) = (true, file.modified_at_ms);
            continue;
        }
        let is_reachable = reachable.contains_key(&key);
        let is_ours = is_inside(&file.location, location)
            && !foreign.iter().any(|directory| is_inside(&file.location, directory));
        if !is_ours && !is_reachable {
            continue;
        }
        result.listed += 1;
        if result.listed.is_multiple_of(1000) {
            progress(Step { phase: Phase::Listing, done: result.listed, total: None });
        }
        if is_reachable {
            result.seen.insert(key);
        } else {
            result.unreferenced.push(file);
        }
    }
    if !probe_seen {
        return Err(MaintainError::ProbeNotListed { location: probe.location.clone() });
    }
    Ok(result)
}

/// A file that is written to learn the store's time.
struct Probe {
    location: String,
}

impl Probe {
    async fn write(table: &Table, location: &str) -> Result<Self, MaintainError> {
        let name = format!("{location}/metadata/.pulselake-clock-{}.tmp", Uuid::now_v7().simple());
        let failed = || MaintainError::files("write a probe beside the metadata", table.identifier());
        let output = table.file_io().new_output(&name).map_err(failed())?;
        output.write(Bytes::from_static(b"clock")).await.map_err(failed())?;
        Ok(Self { location: name })
    }
}

/// Locations of other tables of the catalog below `location`.
async fn tables_below(
    catalog: &dyn Catalog,
    table: &TableIdent,
    location: &str,
) -> Result<Vec<String>, MaintainError> {
    let mut below = Vec::new();
    for other in catalog.list_tables().await? {
        if other == *table {
            continue;
        }
        // One that is dropped meanwhile has no files to protect.
        if let Some(loaded) = catalog.load(&other).await? {
            let directory = loaded.metadata().location();
            if is_inside(directory, location) {
                below.push(directory.to_string());
            }
        }
    }
    Ok(below)
}
