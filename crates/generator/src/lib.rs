//! Short-video events as a deterministic, endless, seekable log.
//!
//! # What is promised
//! - The same [`GeneratorConfig`] gives the same records, byte for byte, with the same offsets and timestamps, in the
//!   same order in each partition: on every machine, read forward or after any seek.
//! - A **block** is one second of record time. Which funnels *begin* in a block is a function of (configuration, block
//!   number) alone, for all partitions together. A funnel's later events spill into the blocks that follow, at most
//!   [`World::spill_blocks`] of them; so the records of a block are a function of that many blocks before it.
//! - A user looks at one video at a time, in sessions with breaks between them, and is the same user after any seek.
//! - An offset is `block << 20 | index in the block`: a seek is arithmetic, and offsets have gaps between blocks.
//! - Records are ordered by record time. Event time is the client's clock, up to 2 s earlier (more for events that
//!   are held back on purpose, and anything for clocks that are wrong on purpose), so event times are not in order.
//! - A [`Scenario`] changes what it is about and nothing else.
//!
//! # Layout
//! [`config`] is what a user sets, [`scenario`] what goes wrong on purpose. [`world`] is what follows from it once: videos
//! with their popularity and partitions (`catalogue`), the laws of the `funnel`, who watches when (`sessions`), the focus
//! videos. `hall` is the state of everybody who watches; `block_plan` turns it into the records of what begins in a block,
//! with the `effects` of scenarios; `planner` shares these plans among the partitions. `spill` holds records until their
//! block comes, `encode` writes the bytes, [`log`] is the reader, [`truth`] the recount. `docs/generator.md` says where the
//! laws come from.
//! [`cdc`] is the log of changes of the same videos and users, as a database's change data capture would write it.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod audience;
mod block_plan;
mod catalogue;
pub mod cdc;
pub mod config;
mod day_curve;
mod effects;
mod encode;
pub mod error;
mod event_id;
mod focus;
mod funnel;
mod hall;
pub mod log;
mod malformed;
mod mix;
mod partitioner;
mod planned;
mod planner;
mod popularity;
mod quantiles;
mod random;
pub mod scenario;
mod sessions;
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
pub use scenario::{FIRST_FOCUS_VIDEO, Scenario, ScenarioKind, focus_video};
pub use truth::{TruthCounter, TruthCounts, count_events};
pub use world::World;
