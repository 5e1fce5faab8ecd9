//! The commit layer: every change of an Iceberg table goes through one entrance, [`commit`].
//!
//! A change ([`TableChange`]) is one value, expressed in files that are written already, so that it can be applied to a
//! newer base as often as an optimistic commit needs. What it promises:
//! - A change lands whole or not at all, and at most once per call: an attempt whose outcome is unknown is looked for in
//!   the table before the next one is made.
//! - Whether it may land is decided anew on every base, by pure rules ([`rules`]) and by the caller's [`Guard`].
//! - Nothing that a landed or unknown attempt may refer to is deleted; what a refused attempt wrote is.
//! - A commit keeps the metadata small by itself: small manifests are merged, surplus snapshots leave the metadata.
//!
//! Catalogs are behind one trait ([`Catalog`]): SQL ([`catalog::sql`]) and REST.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod catalog;
mod change;
mod commit;
mod error;
pub mod failpoint;
mod manifests;
mod prepare;
mod retention;
pub mod rules;
mod schema_change;
mod summary;

pub use catalog::{Catalog, Swap};
pub use change::{ChangeKind, OverwritePartitions, Rewrite, RowDelta, TableChange};
pub use commit::{
    CommitFailure, CommitLimits, Guard, Judgement, Landing, Riders, Unguarded, back_off, commit,
};
pub use error::{CatalogError, may_pass};
pub use retention::references;
pub use rules::{Conflict, LiveFile};
pub use schema_change::SchemaChange;
pub use summary::{COMMIT_ID, nearest_summary_value, value_beside};
