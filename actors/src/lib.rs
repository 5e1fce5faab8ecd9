//! The actors of the hot path and the supervisor that starts and ends them.
//!
//! ```text
//! PartitionConsumer ──► VelocityAggregator ──► GoldWriter ──► Committer (gold)
//!        └────────────► BronzeWriter ──► Committer (quarantine), then Committer (bronze)
//! ```
//!
//! A *shard* is a thread with some partitions; a *generation* is one run of a shard from what the tables say. What
//! travels are Arrow batches with their offset ranges; every mailbox is bounded and every send of data waits.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod aggregator;
mod board_feed;
mod board_refill;
#[cfg(test)]
mod board_tests;
mod bronze_open;
mod bronze_writer;
mod committer;
mod consumer;
pub mod decisions;
pub mod dimensions;
mod failpoint;
mod flush_commit;
mod flush_timing;
pub mod gold_rows;
mod gold_writer;
mod heartbeat;
pub mod kill_switch;
mod latency;
pub mod maintenance;
mod messages;
pub mod pipeline;
mod prepare;
#[cfg(test)]
mod protocol_tests;
pub mod recovery;
mod refill;
mod restarts;
mod route;
mod sabotage;
mod same_topic;
mod services;
pub mod settings;
mod shard;
pub mod status;
mod stream;
pub mod supervisor;
mod watchdog;

pub use decisions::{
    DecisionParts, DecisionSettings, Decisions, DecisionsHandle, VIDEO_COLUMNS, VideoRow, VideoRows,
};
pub use dimensions::{CachedVideo, DimensionCache, DimensionSettings, DimensionStream, SchemaBook};
pub use maintenance::{MaintainedTable, Maintenance, MaintenancePace};
pub use pipeline::Pipeline;
pub use settings::PipelineSettings;
pub use status::{EngineStatus, Phase};
pub use supervisor::{RunEnd, RunError, run};
