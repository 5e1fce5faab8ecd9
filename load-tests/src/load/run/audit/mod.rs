//! The tables against the truth: every record that was sent is in the table in which it belongs, once; gold's sums are
//! those of the events; the dimensions are the last versions of their rows. Reading alone, with the workspace's own crates.
//!
//! # Layout
//! [`findings`] collects what is wrong; [`offsets`] compares bronze and quarantine with what was sent; [`sums`] compares gold;
//! [`changes`] the dimensions; [`read`] reads the tables. All but the last are pure.

pub(crate) mod changes;
pub(crate) mod findings;
pub(crate) mod offsets;
pub(crate) mod read;
pub(crate) mod sums;
