//! Decisions as whole processes: the actions that come of the generator's scenarios are those that its truth expects; kills and
//! panics break neither the pause between two actions of a video nor ingestion; other readers see the queue as it is; the
//! outbox sends what is committed, whatever dies in between.
//!
//! Decisions need 30 covered minutes. The logs here began half an hour ago: the engine catches up in seconds, and lives from
//! there on.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

#[path = "../common/mod.rs"]
mod common;
mod demo;
mod expectations;
mod kafka;
mod kills;
mod queue;
#[path = "../generate/truth.rs"]
#[allow(dead_code)]
mod truth;
