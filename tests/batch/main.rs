//! The cold path as whole processes: a generated week through real time and batch is what a plain count gives
//! (`tests/verify/cold_path.py`), whatever is killed on the way; what real time has wrong is found, blocks baselines, and is
//! restated.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod batch;
mod by_hand;
#[path = "../common/mod.rs"]
mod common;
mod reconciled;
mod week;
