//! An action as the API shows it: every column of `gold.rt_action_queue`.

use pulselake_actions::QueuedAction;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::Moment;

/// An action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ActionAnswer {
    /// A function of video, window and rule version.
    pub action_id: Uuid,
    /// The video.
    pub video_id: String,
    /// BOOST, REVIEW or RESCUE.
    pub decision_type: String,
    /// Of two actions for one video and window the higher wins.
    pub priority: i32,
    /// PENDING, ACKED, DONE, EXPIRED or HOLD.
    pub state: String,
    /// When it was decided.
    pub decided_at: Moment,
    /// Start of the minute that was decided about.
    pub window_start: Moment,
    /// Its end.
    pub window_end: Moment,
    /// From here on it must not be carried out any more.
    pub expires_at: Moment,
    /// Version of the rules.
    pub rule_version: String,
    /// What it was decided on.
    pub velocity_30m: f64,
    /// What it was decided on.
    pub completion_rate_30m: f64,
    /// What it was decided on.
    pub skip_rate_30m: f64,
    /// What it was decided on.
    pub impressions_30m: i64,
    /// Why.
    pub reason_codes: Vec<String>,
    /// When the row was made.
    pub created_at: Moment,
    /// When it was last written.
    pub updated_at: Moment,
    /// When it came into its state.
    pub state_updated_at: Moment,
}

impl From<&QueuedAction> for ActionAnswer {
    fn from(action: &QueuedAction) -> Self {
        Self {
            action_id: action.action_id,
            video_id: action.video_id.clone(),
            decision_type: action.decision.as_str().to_owned(),
            priority: action.priority,
            state: action.state.as_str().to_owned(),
            decided_at: Moment::from_us(action.decided_at_us),
            window_start: Moment::from_us(action.window_start_us),
            window_end: Moment::from_us(action.window_end_us),
            expires_at: Moment::from_us(action.expires_at_us),
            rule_version: action.rule_version.clone(),
            velocity_30m: action.velocity_30m,
            completion_rate_30m: action.completion_rate_30m,
            skip_rate_30m: action.skip_rate_30m,
            impressions_30m: action.impressions_30m,
            reason_codes: action.reason_codes.clone(),
            created_at: Moment::from_us(action.created_at_us),
            updated_at: Moment::from_us(action.updated_at_us),
            state_updated_at: Moment::from_us(action.state_updated_at_us),
        }
    }
}
