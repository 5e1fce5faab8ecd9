//! Keeps tables fast and small: compaction, expiry, orphan removal, erasure, health.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod carry;
pub mod compaction;
pub mod erase;
pub mod health;
pub mod janitor;
mod round;

pub use carry::{CarryLedger, CarryRefusal, FOLDED_PROPERTY};
pub use round::{RoundError, RoundReport, RoundSettings, maintain_table};
