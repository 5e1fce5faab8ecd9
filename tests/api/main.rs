//! The HTTP API of a running demo, as a whole process.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

#[path = "../common/mod.rs"]
mod common;

mod answers;
mod client;
mod misuse;
mod sql;
