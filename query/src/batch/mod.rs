//! The cold path: what is true of a day, computed from bronze the morning after, one day of one table at a time
//! (docs/adr/0027, docs/batch.md).
//!
//! What it promises:
//! - A job replaces its day in one commit ([`run`]); killed at any moment, it leaves the day as it was, or as it is now.
//! - What has to be made, and why, is decided by what was made of what ([`plan`]), never by the clock. So a run can be
//!   repeated, and goes on where the one before ended.
//! - Memory is bounded whatever the number of events ([`silver`]).

mod baselines;
pub mod command;
pub mod drift;
pub mod error;
pub mod fingerprint;
mod fit;
pub mod inputs;
pub mod job;
mod metrics_file;
pub mod payload_column;
pub mod plan;
#[cfg(test)]
mod plan_tests;
pub mod progress;
pub mod reconcile;
pub mod reconcile_metrics;
pub mod report;
pub mod restate;
pub mod run;
pub mod run_log;
pub mod silver;
pub mod steps;
pub mod template;
mod work;

pub use error::BatchError;
pub use run::{Batch, BatchSettings};
