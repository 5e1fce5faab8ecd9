//! Actions for the unit tests.

use pulselake_decision::{Action, DecisionType, MINUTE_US, Metrics30m, action_id};

/// A decision about a video's minute (since 1970), taken at its end under `rules-1`; good for 15 minutes.
pub(crate) fn action(video_id: &str, minute: i64, decision: DecisionType) -> Action {
    action_under("rules-1", video_id, minute, decision)
}

/// The same under another version of the rules.
pub(crate) fn action_under(version: &str, video_id: &str, minute: i64, decision: DecisionType) -> Action {
    let (window_start_us, decided_at_us) = (minute * MINUTE_US, (minute + 1) * MINUTE_US);
    Action {
        action_id: action_id(video_id, window_start_us, version),
        video_id: video_id.to_owned(),
        decision,
        window_start_us,
        decided_at_us,
        expires_at_us: decided_at_us + 15 * MINUTE_US,
        rule_version: version.to_owned(),
        metrics: Metrics30m { impressions: 900, velocity: 0.25, ..Metrics30m::default() },
        reasons: Vec::new(),
    }
}
