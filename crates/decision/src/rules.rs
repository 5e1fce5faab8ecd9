//! The numbers of the rules, under a version.

use crate::MINUTE_US;

/// Everything that the decisions compare with, beside the thresholds of a baseline. Equal versions must mean equal
/// numbers: the version is part of every action's id.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Name of this set of rules; not empty.
    pub version: String,
    /// Quality gate: the completion rate must be at least this.
    pub min_completion_rate: f64,
    /// Quality gate: the skip rate must be at most this.
    pub max_skip_rate: f64,
    /// Quality gate: plays must be at least these.
    pub min_play_starts: i64,
    /// A candidate has at least these impressions.
    pub min_candidate_impressions: i64,
    /// Maturity: a low completion rate is taken at its word when at most this share of the plays may still be running.
    /// 1 takes every one at its word.
    pub max_running_share: f64,
    /// Maturity: no play is taken to be running longer than this, and one of a video of unknown duration as long,
    /// microseconds.
    pub max_play_us: i64,
    /// A video that was uploaded at most so long ago is new, microseconds.
    pub max_rescue_age_us: i64,
    /// How long a BOOST is good for, microseconds.
    pub boost_expiry_us: i64,
    /// How long a REVIEW is good for, microseconds.
    pub review_expiry_us: i64,
    /// How long a RESCUE is good for, microseconds.
    pub rescue_expiry_us: i64,
    /// One video's actions lie at least so far apart, microseconds.
    pub cooldown_us: i64,
}

impl Rules {
    /// The version of [`Rules::default`]. `rules-1` was without maturity.
    pub const DEFAULT_VERSION: &str = "rules-2";
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            version: Self::DEFAULT_VERSION.to_owned(),
            min_completion_rate: 0.55,
            max_skip_rate: 0.35,
            min_play_starts: 30,
            min_candidate_impressions: 100,
            max_running_share: 0.2,
            max_play_us: 5 * MINUTE_US,
            max_rescue_age_us: 60 * MINUTE_US,
            boost_expiry_us: 15 * MINUTE_US,
            review_expiry_us: 30 * MINUTE_US,
            rescue_expiry_us: 30 * MINUTE_US,
            cooldown_us: 60 * MINUTE_US,
        }
    }
}
