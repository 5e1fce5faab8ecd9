//! What can go wrong with the queue, and what the caller should do about it.

use pulselake_decision::ActionState;
use pulselake_lake::{CommitAction, CommitError, LakeError, UpsertError};
use uuid::Uuid;

/// Why an action was not changed, or nothing decided.
#[derive(Debug, thiserror::Error)]
pub enum ActionError {
    /// There is no such action, or it is older than what is kept in memory.
    #[error("there is no action {action_id} in the queue")]
    NotFound {
        /// The id asked for.
        action_id: Uuid,
    },
    /// Its state is not the expected one, or does not lead to the wanted one.
    #[error("action {action_id} is {is}: it can't become {wanted}, or another state was expected")]
    WrongState {
        /// The action.
        action_id: Uuid,
        /// The state that it is in.
        is: ActionState,
        /// The state that was asked for.
        wanted: ActionState,
    },
    /// Its time is over.
    #[error("action {action_id} has expired: it must not be carried out any more")]
    Expired {
        /// The action.
        action_id: Uuid,
        /// Since when, microseconds since the epoch.
        expired_at_us: i64,
    },
    /// Catalog or store did not answer, or others kept committing. Whether the change was made is known once the queue can
    /// be read again: ask for the action, then try again.
    #[error("the queue can't be changed now: {reason}; look at the action and try again")]
    Unavailable {
        /// What stands in the way.
        reason: String,
    },
    /// A person has to look at it: another build's table, rows that can't be read.
    #[error("the queue can't be used: {reason}")]
    Broken {
        /// Why; says what to do.
        reason: String,
    },
}

impl ActionError {
    /// Whether waiting may help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

impl From<LakeError> for ActionError {
    fn from(error: LakeError) -> Self {
        let reason = error.to_string();
        if error.is_transient() { Self::Unavailable { reason } } else { Self::Broken { reason } }
    }
}

impl From<CommitError> for ActionError {
    fn from(error: CommitError) -> Self {
        let reason = error.to_string();
        match error.action() {
            CommitAction::Stop => Self::Broken { reason },
            CommitAction::Fence
            | CommitAction::StartOver
            | CommitAction::Retry
            | CommitAction::RestartGeneration => Self::Unavailable { reason },
        }
    }
}

impl From<UpsertError> for ActionError {
    fn from(error: UpsertError) -> Self {
        match error {
            UpsertError::Moved { .. } => Self::Unavailable { reason: error.to_string() },
            UpsertError::Commit(source) => source.into(),
        }
    }
}
