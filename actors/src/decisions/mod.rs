//! Decisions: each minute, what the live board, the dimension of videos and a baseline lead to, into the queue of actions.
//!
//! ```text
//! LiveBoard, DimensionCache, dim_videos, baseline ──► DecisionMaker ──► ActionQueue ──► gold.rt_action_queue ──► Outbox
//! ```
//!
//! What it promises:
//! - A video is decided about only where its partition's 30 minutes are all there and its event time is the clock's; with
//!   the dimension's row as it is committed at that moment, never with a memory of it alone.
//! - Nothing here stops ingestion. The [`maker`] keeps no state that its end could lose: it is started again by itself, one
//!   for one, as often as it takes. What it decides again is in the queue already.
//! - Rules and baseline come from files that may change at any time. One that can't be used is reported, and the ones before
//!   it stay in force.

mod ages;
mod files;
mod maker;
pub mod outbox;
mod pacing;
mod proposal;
mod published;
mod round;
mod run;
mod settings;
mod state;
#[cfg(test)]
mod tests;
mod video_rows;

pub use files::FileRefused;
pub use published::{PublishedError, published_baseline};
pub use run::{DecisionParts, Decisions};
pub use settings::DecisionSettings;
pub use state::DecisionsHandle;
pub use video_rows::{VIDEO_COLUMNS, VideoRow, VideoRows};
