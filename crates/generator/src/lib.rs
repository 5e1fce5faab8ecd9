//! Short-video events as a deterministic, endless, seekable log.
//!
//! # What is promised
//! - The same [`GeneratorConfig`] gives the same records, byte for byte, with the same offsets and timestamps, in the
//!   same order in each partition: on every machine, read forward or after any seek.
//! - A **block** is one second of record time in one partition. Which funnels *begin* in a block is a function of
//!   (configuration, partition, block number) alone. A funnel's later events spill into the blocks that follow, at
//!   most [`World::spill_blocks`] of them; so the records of a block are a function of that many blocks before it.
//! - An offset is `block << 20 | index in the block`: a seek is arithmetic, and offsets have gaps between blocks.
//! - Records are ordered by record time. Event time is the client's clock, up to 2 s earlier (more for events that
//!   are held back on purpose), so event times are not in order.
//!
//! # Layout
//! [`config`] is what a user sets. [`world`] is what follows from it once: videos, their popularity and partitions,
//! the audience, the laws of the funnel. `planner` turns (world, partition, block) into planned records, `spill`
//! holds them until their block comes, `encode` writes the bytes, [`log`] is the reader, [`truth`] the recount.
//! [`cdc`] is the log of changes of the same videos and users, as a database's change data capture would write it.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod audience;
mod catalogue;
pub mod cdc;
pub mod config;
mod encode;
pub mod error;
mod event_id;
mod funnel;
pub mod log;
mod malformed;
mod mix;
mod partitioner;
mod planned;
mod planner;
mod popularity;
mod quantiles;
mod random;
mod spill;
mod timestamp;
pub mod truth;
pub mod world;

pub use cdc::{CdcConfig, CdcPartitionLog, CdcTruth, CdcWorld};
pub use config::GeneratorConfig;
pub use error::GeneratorError;
pub use log::{LogRecord, PartitionLog, ReadOutcome};
pub use malformed::MalformedKind;
pub use partitioner::partition_of_key;
pub use planned::RecordKind;
pub use truth::{TruthCounts, count_events};
pub use world::World;
