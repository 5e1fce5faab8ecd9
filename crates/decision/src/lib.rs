//! What to do about a video: BOOST, REVIEW, RESCUE or nothing, from its counts per minute, its row of the dimension and
//! a baseline.
//!
//! Pure: no I/O, no clock. Every moment is an argument (microseconds since the epoch), so that the engine, a replay
//! and the generator's expectations come to the same actions from the same counts.
//!
//! # In the order in which they are used
//! [`minutes`] sums 30 minutes, [`metrics`] makes rates of the sums, [`baseline`] says what is much and what is little,
//! [`decide`] goes through the table of decisions, [`action`] is a decision with its id and its expiry, and
//! [`selection`] settles collisions and the pause between two actions of a video. [`rules`] holds every number that a
//! change of the rules may change, under a version.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod action;
pub mod baseline;
pub mod decide;
pub mod metrics;
pub mod minutes;
pub mod percentile;
pub mod rules;
pub mod selection;

pub use action::{Action, action_id};
pub use baseline::{Baseline, BaselineError, Cohort, ObservedRow, ThresholdOrigin, Thresholds};
pub use decide::{DecisionType, ReasonCode, Verdict, VideoFacts, decide};
pub use metrics::Metrics30m;
pub use minutes::{MINUTE_US, VideoMinutes, first_covered_minute, rolling_30m};
pub use percentile::percentile_cont;
pub use rules::Rules;
pub use selection::{actions_of_video, is_cooled_down, resolve_collisions};
