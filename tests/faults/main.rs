//! What goes wrong around the engine: settings, brokers, topics, disks, catalogs. Each time it has to say what and
//! where and what to do, end with an exit code that is not 0 or go on by itself, and lose or double nothing: a run
//! after the repair ends with exactly the right tables.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

#[path = "../common/mod.rs"]
mod common;

mod answers;
mod broker;
mod catalog;
mod decoder;
mod disk;
mod rollback;
mod settings;
mod sources;
mod support;
mod topic;
mod transactions;
