//! The ledger: what a table has consumed, carried inside the table's own commits, and the pure decisions on it.
//!
//! Each commit of the engine writes, in one atomic metadata change, the table property [`PROPERTY`] (the head) and
//! the same JSON in the snapshot's summary. There is no checkpoint store beside the tables: whoever reads the
//! ledgers knows where to go on, and whoever commits proves by `seq` that nobody else did in between.
//!
//! This crate does no I/O. Everything that can decide whether a row is lost or doubled is a function here, so that
//! a model test can drive the real thing through every order of events.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod ancestry;
pub mod change_recovery;
pub mod decision;
pub mod ranges;
pub mod recovery;
pub mod restated;
pub mod rewind;
pub mod state;

pub use ancestry::{AncestryVerdict, judge_ancestry};
pub use change_recovery::{ChangeHeads, ChangePlan, ChangeTables, plan_changes};
pub use decision::{Advance, Decision, FenceReason, apply_advances, decide};
pub use ranges::OffsetRanges;
pub use recovery::{
    LedgerHeads, PartitionPlan, RecoveryStop, SourceBounds, SourceFacts, plan_identity, plan_partition,
};
pub use restated::{RESTATED_PROPERTY, Restated};
pub use rewind::rewound;
pub use state::{Counts, LastSeen, Ledger, LedgerError, PartitionLedger, ReplayLedger};

/// Table property (and snapshot summary key) that holds the ledger's JSON.
pub const PROPERTY: &str = "pulselake.ledger";
