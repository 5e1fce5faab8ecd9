//! Maintenance as a user meets it: inside a running engine and as `pulselake maintain`, killed at each of its points,
//! beside other programs, and the erasure of a user. Each time the tables hold the same rows as before, the audit
//! agrees, and what is left below a table's location is what it needs.
//!
//! Time is never waited for. Files are made old by their modification time, and a dead maintainer's lease by its property.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

#[path = "../common/mod.rs"]
mod common;

mod command;
mod erasure;
mod foreign;
mod kills;
mod lake;
mod live;
mod readers;
mod support;
