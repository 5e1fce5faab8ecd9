//! The Kafka source and sink against a real broker, whose address is in `PULSELAKE_TEST_KAFKA`.
//!
//! `make test` starts one and runs these with `--include-ignored`.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod back_pressure;
mod changes;
mod errors;
mod group;
mod ordering;
mod support;
mod transactions;
