//! The live board: the last 30 minutes of every video, in memory, fed by events before their windows close (DOMAIN.md 4).
//!
//! Pure: no I/O, no clock, no threads of its own. Moments are arguments, microseconds since the epoch.
//!
//! # What it holds
//! Counts by source partition, video and minute. Of a partition it holds what its *generation* (one run of it) has put
//! there since [`LiveBoard::begin`]: the rows that gold had committed when the run began, and every event that the run
//! counts on top. So it always is gold(committed) + open windows + corrections that wait, and a replay never counts twice.
//! What another generation adds is ignored.
//!
//! # Promises
//! * Every answer is a function of what was added, not of the order or the batches in which it came.
//! * [`Coverage`] says from which minute on a partition's counts are whole. Missing data never looks like a video that
//!   nobody sees: what isn't whole is named.
//! * Memory is bounded: videos that have gone quiet leave; beyond [`BoardSettings::max_videos`] the quietest go, and are
//!   counted.
//! * No lock is held for longer than a few thousand videos take, so that asking does not hold ingestion up.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod board;
mod coverage;
mod delta;
mod inner;
mod minute;
mod packed;
mod partition;
pub mod scores;
mod settings;
mod shard;
mod slots;
mod top;
mod video;

pub use board::LiveBoard;
pub use coverage::{BoardStats, Coverage, PartitionCoverage};
pub use delta::{PartitionTime, VideoDelta};
pub use settings::BoardSettings;
pub use top::{TopOrder, TopQuery};
pub use video::{BoardVideo, RollingVisit};
