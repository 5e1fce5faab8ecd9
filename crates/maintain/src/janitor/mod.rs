//! Expires snapshots, and removes the files that nothing refers to any more.
//!
//! [`plan_sweep`] looks and changes nothing; [`run_sweep`] does it under a [`Lease`]; [`sweep`] does both, and takes the
//! lease only when there is work, so that a table at rest gets no snapshots from its janitor. What it promises:
//! - Nothing that a retained snapshot, a branch or tag, or a running commit needs is ever deleted ([`orphans`] says why).
//! - Deletions follow confirmed expiries. A kill, an error or an unknown outcome at any point leaves orphans at worst,
//!   which a later run removes.

mod delete;
mod error;
mod expire;
mod lease;
mod location;
mod manifests;
mod orphans;
mod reachable;
mod retention;
mod store;
mod sweep;
mod ttl;
pub mod young;

use serde::Serialize;

pub use delete::{Deleted, WHILE_DELETING};
pub use error::{MaintainError, Refusal};
pub use expire::{AFTER_EXPIRE, BEFORE_EXPIRE, ExpireReport, Expiring, expire, plan_expiry, preview};
pub use lease::{
    LEASE_PROPERTY, LEASE_SUMMARY, Lease, LeaseRecord, LeaseRefusal, LeaseSettings, Step as LeaseStep,
    UnderLease, Wish, decide, present_lease,
};
pub use location::{canonical, is_inside};
pub use orphans::{Orphan, OrphanReport, OrphanScan, OrphanSettings, find_orphans};
pub use reachable::{Reachable, only_reachable_from};
pub use retention::{DAY_MS, RetentionRules, SnapshotFacts, SnapshotGraph, expiring};
pub use store::FileStore;
pub use sweep::{SweepPlan, SweepReport, SweepSettings, Tools, plan_sweep, run_sweep, sweep};
pub use ttl::{TtlPlan, TtlReport, apply_ttl, ends_at_ms, plan_ttl};

pub(crate) use error::unless_conflict;
pub(crate) use manifests::{read_lists, read_manifests};

/// A part of the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Listing the table's location.
    Listing,
    /// Deleting what expired snapshots alone led to.
    DeletingExpired,
    /// Deleting orphans.
    DeletingOrphans,
    /// Searching files for an id.
    Searching,
    /// Rewriting files without the rows of an id.
    Rewriting,
}

/// How far the work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The part.
    pub phase: Phase,
    /// Files that are done.
    pub done: u64,
    /// Of how many, where that is known.
    pub total: Option<u64>,
}

/// Is told how far the work is. Called often, from the thread that does it: it must return at once.
pub type Progress<'a> = &'a (dyn Fn(Step) + Send + Sync);
