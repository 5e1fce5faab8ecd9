//! Dimensions by changes as whole processes: a broker, the engine killed, failed, stalled and rebalanced at every step of
//! the way, and each time a recount of the topics by another program has to agree with all three tables of both entities.
//!
//! A seed (`PULSELAKE_TEST_SEED`, else the clock) chooses the changes and the moments.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

#[path = "../common/mod.rs"]
mod common;

mod altered;
mod avro;
mod commands;
mod failpoints;
mod feed;
mod kill_loop;
mod place;
mod points;
mod rebalance;
mod schema;
