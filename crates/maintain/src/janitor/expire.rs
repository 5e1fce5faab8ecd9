//! Expires snapshots, then deletes what nothing leads to any more.
//!
//! Files are deleted only after the expiry is confirmed, and only those that the table, as it stands after it, does not
//! lead to. A run that is killed in between leaves orphans, never a reference to a file that is gone; so does an unknown
//! outcome, after which nothing is deleted. A commit that is under way at the same time builds on the current snapshot,
//! which never expires: all it inherits stays.
//!
//! Ingestion drops surplus snapshots from the metadata by itself, without deleting their files. Those are the orphan
//! pass's. Waiting for the safety age there costs less room than the snapshots' whole retention would have.

use std::collections::HashSet;

use chrono::Utc;
use iceberg::TableIdent;
use iceberg::spec::SnapshotRef;
use iceberg::table::Table;
use pulselake_commit::{Catalog, ChangeKind, CommitLimits, TableChange, commit, failpoint, references};
use serde::Serialize;
use uuid::Uuid;

use super::delete::{Deleted, delete_files};
use super::error::{MaintainError, unless_conflict};
use super::lease::{LEASE_SUMMARY, Lease};
use super::reachable::{Reachable, only_reachable_from};
use super::retention::{RetentionRules, SnapshotGraph, expiring};
use super::store::FileStore;
use super::{Phase, Progress};

/// The failpoint before the expiry is committed.
pub const BEFORE_EXPIRE: &str = "maintain::before_expire";
/// The failpoint between the confirmed expiry and the first deletion.
pub const AFTER_EXPIRE: &str = "maintain::after_expire";

/// Plans that may fail because a branch or tag came to point at an expiring snapshot.
const MAX_ROUNDS: u32 = 5;

/// What an expiry did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ExpireReport {
    /// Snapshots that left the metadata.
    pub snapshots: u64,
    /// Files that nothing leads to any more.
    pub unreferenced_files: u64,
    /// What became of them.
    pub deleted: Deleted,
}

/// Which snapshots to expire.
#[derive(Clone, Copy, Debug)]
pub enum Expiring<'a> {
    /// Those that the rules let go, but for those that unfinished plans read.
    ByAge {
        /// The rules.
        rules: RetentionRules,
        /// Snapshots that unfinished plans read.
        needed: &'a HashSet<i64>,
    },
    /// These, if nothing points to them; for an erasure that must not wait.
    Exactly(&'a HashSet<i64>),
}

/// The snapshots of `table` that expire now, oldest first. Those that a branch or tag points to are never among them.
pub fn plan_expiry(table: &Table, which: Expiring<'_>) -> Result<Vec<i64>, MaintainError> {
    let metadata = table.metadata();
    let references = references(metadata)
        .ok_or_else(|| MaintainError::NoReferences { table: table.identifier().to_string() })?;
    let graph = SnapshotGraph::of(metadata, &references);
    let now_ms = Utc::now().timestamp_millis();
    Ok(match which {
        Expiring::ByAge { rules, needed } => {
            let leaving = expiring(&graph, needed, rules, now_ms);
            let is_bookkeeping = |id: &i64| {
                let snapshot = metadata.snapshot_by_id(*id);
                snapshot
                    .is_some_and(|found| found.summary().additional_properties.contains_key(LEASE_SUMMARY))
            };
            // Expiring them takes a lease, whose snapshots would be the next to expire, for ever.
            if leaving.iter().all(is_bookkeeping) { Vec::new() } else { leaving }
        }
        Expiring::Exactly(wanted) => {
            let rules = RetentionRules { max_age_ms: i64::MIN, min_snapshots: 0 };
            let mut leaving = expiring(&graph, &HashSet::new(), rules, 0);
            leaving.retain(|id| wanted.contains(id));
            leaving
        }
    })
}

/// Expires what `which` names, and deletes what is not referred to any more. Without anything to expire it does nothing.
pub async fn expire(
    catalog: &dyn Catalog,
    store: &dyn FileStore,
    table: &TableIdent,
    limits: &CommitLimits,
    which: Expiring<'_>,
    lease: &mut Lease<'_>,
    progress: Progress<'_>,
) -> Result<ExpireReport, MaintainError> {
    let Some((before, after)) = drop_snapshots(catalog, table, limits, which, lease).await? else {
        return Ok(ExpireReport::default());
    };
    let gone: Vec<SnapshotRef> = before
        .metadata()
        .snapshots()
        .filter(|snapshot| after.metadata().snapshot_by_id(snapshot.snapshot_id()).is_none())
        .cloned()
        .collect();
    if failpoint::reach(AFTER_EXPIRE).await.is_some() {
        return Err(MaintainError::Injected { point: AFTER_EXPIRE });
    }
    let kept = Reachable::of(&after).await?;
    let unreferenced = only_reachable_from(&before, &gone, &kept).await?;
    let deleted = delete_files(store, &unreferenced, Phase::DeletingExpired, lease, progress).await?;
    Ok(ExpireReport { snapshots: gone.len() as u64, unreferenced_files: unreferenced.len() as u64, deleted })
}

/// The table before and after; `None` where there was nothing to do.
async fn drop_snapshots(
    catalog: &dyn Catalog,
    table: &TableIdent,
    limits: &CommitLimits,
    which: Expiring<'_>,
    lease: &mut Lease<'_>,
) -> Result<Option<(Table, Table)>, MaintainError> {
    let mut round = 1;
    loop {
        lease.keep_alive().await?;
        let before = catalog.load_existing(table).await?;
        let snapshot_ids = plan_expiry(&before, which)?;
        if snapshot_ids.is_empty() {
            return Ok(None);
        }
        if failpoint::reach(BEFORE_EXPIRE).await.is_some() {
            return Err(MaintainError::Injected { point: BEFORE_EXPIRE });
        }
        let change =
            TableChange { commit_id: Uuid::now_v7().to_string(), kind: ChangeKind::Expire { snapshot_ids } };
        match commit(catalog, table, &change, &lease.guard(), limits).await {
            Ok(landing) => return Ok(Some((before, landing.table))),
            Err(failure) => {
                let conflict = unless_conflict(table, failure)?;
                if round == MAX_ROUNDS {
                    return Err(MaintainError::Conflicts {
                        table: table.to_string(),
                        rounds: round,
                        conflict,
                    });
                }
                round += 1;
            }
        }
    }
}

/// What [`expire`] would do now. Reads all manifests.
pub async fn preview(table: &Table, which: Expiring<'_>) -> Result<ExpireReport, MaintainError> {
    let leaving: HashSet<i64> = plan_expiry(table, which)?.into_iter().collect();
    if leaving.is_empty() {
        return Ok(ExpireReport::default());
    }
    let (gone, kept): (Vec<SnapshotRef>, Vec<SnapshotRef>) =
        table.metadata().snapshots().cloned().partition(|snapshot| leaving.contains(&snapshot.snapshot_id()));
    let reachable = Reachable::of_snapshots(table, &kept).await?;
    let unreferenced = only_reachable_from(table, &gone, &reachable).await?;
    Ok(ExpireReport {
        snapshots: gone.len() as u64,
        unreferenced_files: unreferenced.len() as u64,
        deleted: Deleted::default(),
    })
}
