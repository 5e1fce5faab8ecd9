//! One row of the queue, and how it comes into another state.

use pulselake_decision::{Action, ActionState, DecisionType, lifecycle};
use uuid::Uuid;

use crate::{ActionError, StateChange};

/// A row of `gold.rt_action_queue`. Moments are microseconds since the epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct QueuedAction {
    /// A function of video, window and rule version; the table's key.
    pub action_id: Uuid,
    /// The video.
    pub video_id: String,
    /// BOOST, REVIEW or RESCUE.
    pub decision: DecisionType,
    /// Of two actions for one video and window the higher wins.
    pub priority: i32,
    /// Where it stands.
    pub state: ActionState,
    /// When it was decided.
    pub decided_at_us: i64,
    /// Start of the last of the 30 minutes that were decided about.
    pub window_start_us: i64,
    /// Its end.
    pub window_end_us: i64,
    /// From here on it must not be carried out any more.
    pub expires_at_us: i64,
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
    /// Why; codes as the table has them, also those that this build does not know.
    pub reason_codes: Vec<String>,
    /// When the row was made.
    pub created_at_us: i64,
    /// When it was last written.
    pub updated_at_us: i64,
    /// When it came into its state. Rises with every change of an action: with the id it names the change.
    pub state_updated_at_us: i64,
}

impl QueuedAction {
    /// A decision as it enters the queue at `at_us`: PENDING.
    pub fn pending(action: &Action, at_us: i64) -> Self {
        Self {
            action_id: action.action_id,
            video_id: action.video_id.clone(),
            decision: action.decision,
            priority: action.decision.priority(),
            state: ActionState::Pending,
            decided_at_us: action.decided_at_us,
            window_start_us: action.window_start_us,
            window_end_us: action.window_end_us(),
            expires_at_us: action.expires_at_us,
            rule_version: action.rule_version.clone(),
            velocity_30m: action.metrics.velocity,
            completion_rate_30m: action.metrics.completion_rate,
            skip_rate_30m: action.metrics.skip_rate,
            impressions_30m: action.metrics.impressions,
            reason_codes: action.reasons.iter().map(|reason| reason.as_str().to_owned()).collect(),
            created_at_us: at_us,
            updated_at_us: at_us,
            state_updated_at_us: at_us,
        }
    }

    /// Whether somebody may still act on it: PENDING or ACKED.
    pub fn is_open(&self) -> bool {
        self.state.is_open()
    }

    /// Whether its time is over, but its state does not say so yet.
    pub fn is_overdue(&self, at_us: i64) -> bool {
        self.is_open() && lifecycle::is_expired(self.expires_at_us, at_us)
    }

    /// The action in another state, from `at_us` on. Whether it may come into it was asked before.
    pub(crate) fn in_state(&self, state: ActionState, at_us: i64) -> Self {
        // A clock that was set back must not give two changes of an action the same moment.
        let moment_us = at_us.max(self.state_updated_at_us + 1);
        Self { state, updated_at_us: moment_us, state_updated_at_us: moment_us, ..self.clone() }
    }

    /// What a change makes of the action, or why it may not be made: compare and set.
    ///
    /// # Errors
    /// [`ActionError::Expired`] for an action that is, or that is overdue; [`ActionError::WrongState`] where it is not in the
    /// expected state, or where its state does not lead to the wanted one.
    pub fn changed(&self, change: StateChange) -> Result<Self, ActionError> {
        let wrong =
            || ActionError::WrongState { action_id: self.action_id, is: self.state, wanted: change.to };
        if self.state == ActionState::Expired || self.is_overdue(change.at_us) {
            return Err(ActionError::Expired {
                action_id: self.action_id,
                expired_at_us: self.expires_at_us,
            });
        }
        if change.expected.is_some_and(|expected| expected != self.state) {
            return Err(wrong());
        }
        lifecycle::change(self.state, change.to).map_err(|_| wrong())?;
        Ok(self.in_state(change.to, change.at_us))
    }
}
