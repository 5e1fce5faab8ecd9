//! Keeps tables fast and small: compaction, expiry, orphan removal, erasure, health.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod carry;
pub mod compaction;
pub mod erase;
pub mod health;
pub mod janitor;

pub use carry::{CarryLedger, CarryRefusal};
