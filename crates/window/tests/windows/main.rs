//! The window state against its rules: named cases, an exhaustive small model, and properties against a naive recount.

#![allow(clippy::unwrap_used)]

mod deltas;
mod exhaustive;
mod harness;
mod log;
mod oracle;
mod properties;
mod replay_rules;
mod window_rules;
