//! The changes: the same however they are read, consistent from version to version, and what the truth says.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod content;
mod delivery;
mod reading;
mod scenarios;
mod support;
mod truth;
