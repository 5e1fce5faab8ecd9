//! Dimensions that follow a real database: PostgreSQL, Debezium on Kafka Connect, a broker and the engine, each a process
//! of its own. What the dimensions hold is compared with PostgreSQL's own rows, column by column, as DuckDB reads them
//! and, in the long form, Trino.
//!
//! Only these tests start Debezium (`tests/tools/debezium-up.sh`).

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

#[path = "../common/mod.rs"]
mod common;

mod avro_to_dimensions;
mod changes;
mod database;
mod debezium;
mod debezium_to_dimensions;
mod dimensions;
mod services;
mod snapshot_order;
mod source;
