//! The changes of the videos and users that the events speak of, as Debezium would capture them from PostgreSQL.
//!
//! # What is promised
//! - One log per entity. The same [`CdcConfig`] gives the same records, byte for byte, with the same offsets and
//!   timestamps, in the same order in each partition: read forward or after any seek.
//! - It begins with one `c` for each key that exists at the start, none of them later than `start_ms`: the creates come
//!   before the events that use them. New keys that are created afterwards are in no event, but for the videos of cold
//!   starts, which are created 5 s before their first event.
//! - A key lies in the partition that Kafka's default partitioner gives it. `source.lsn` rises with the true order of the
//!   versions over all partitions, and `source.ts_ms` never falls with it.
//! - Memory does not grow with the number of keys: which key changes when, which version that is and what the row then
//!   looks like is arithmetic on hashes.
//! - An offset is `block << 20 | index in the block`. The first blocks hold the initial creates; then a block is one
//!   second of record time, as in the event log.
//!
//! # Layout
//! [`config`] is what can be set. `rounds` and `schedule` say which key changes in which slot, `lives` what kind of
//! change that is and what a `drought` leaves out, `rows` what a version looks like, `focus` which rows the scenarios
//! add, `plan` when a record is delivered, `encode` writes the bytes, [`log`] is the reader, [`truth`] says what a reader
//! must come to.

pub mod config;
mod drought;
mod encode;
mod focus;
mod lives;
pub mod log;
pub mod malformed;
mod plan;
mod rounds;
pub mod rows;
mod schedule;
pub mod truth;
pub mod world;

pub use config::CdcConfig;
pub use log::{CdcPartitionLog, CdcRecord};
pub use malformed::MalformedChange;
pub use plan::CdcRecordKind;
pub use rows::{CdcRow, ChangeOperation, UserRow, VideoRow};
pub use truth::{CdcTruth, KeyTruth};
pub use world::CdcWorld;
