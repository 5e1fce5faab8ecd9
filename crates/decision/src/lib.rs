//! What to do about a video: BOOST, REVIEW, RESCUE or nothing, from its counts per minute, its row of the dimension and
//! a baseline.
//!
//! Pure: no I/O, no clock. Every moment is an argument (microseconds since the epoch), so that the engine, a replay
//! and the generator's expectations come to the same actions from the same counts.
//!
//! # In the order in which they are used
//! [`minutes`] sums 30 minutes, [`metrics`] makes rates of the sums, [`baseline`] says what is much and what is little,
//! [`eligibility`] says whether the data are there to decide on, [`freshness`] how far they can be relied on, [`mod@decide`]
//! goes through the table of decisions, with [`maturity`] before it calls for a REVIEW, [`action`] is a decision with its id
//! and its expiry, [`selection`] settles collisions and the pause between two actions of a video, and [`lifecycle`] is what
//! becomes of an action. [`rules`] holds every number that a change of the rules may change, under a version;
//! [`rules_file`] and [`baseline_file`] read them from TOML.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod action;
pub mod baseline;
pub mod baseline_file;
pub mod decide;
pub mod eligibility;
mod file_reader;
pub mod freshness;
pub mod lifecycle;
pub mod maturity;
pub mod metrics;
pub mod minutes;
pub mod percentile;
pub mod rules;
pub mod rules_file;
pub mod selection;

pub use action::{Action, action_id};
pub use baseline::{Baseline, BaselineError, Cohort, ObservedRow, ThresholdOrigin, Thresholds};
pub use baseline_file::parse_baseline;
pub use decide::{DecisionType, ReasonCode, Verdict, VideoFacts, decide, decide_minute};
pub use eligibility::{PartitionEvidence, WhyNot, may_decide};
pub use file_reader::{FileError, FileProblem};
pub use freshness::{Freshness, FreshnessMachine};
pub use lifecycle::{ActionState, NotAllowed, UnknownState};
pub use metrics::Metrics30m;
pub use minutes::{MINUTE_US, VideoMinutes, first_covered_minute, plays_since, rolling_30m};
pub use percentile::percentile_cont;
pub use rules::Rules;
pub use rules_file::{check_successor, parse_rules};
pub use selection::{actions_of_video, is_cooled_down, resolve_collisions};
