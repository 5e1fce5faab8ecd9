//! What can stop the step.

use arrow::error::ArrowError;
use pulselake_lake::{CommitError, LakeError, ReplaceError};

/// Why the registry was not brought up to a day. Nothing of it is half done: the same day can be done again.
#[derive(Debug, thiserror::Error)]
pub enum DriftError {
    /// Reading bronze or the registry.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// Writing the registry.
    #[error(transparent)]
    Replace(Box<ReplaceError<ArrowError>>),
    /// Adding the columns.
    #[error(transparent)]
    Commit(Box<CommitError>),
    /// The registry is not as this build writes it.
    #[error("silver.payload_fields can't be read: {reason}")]
    Registry {
        /// What is wrong.
        reason: String,
    },
    /// Bronze is not as this build writes it.
    #[error("bronze.raw_events can't be profiled: {reason}")]
    Bronze {
        /// What is wrong.
        reason: String,
    },
    /// A day that the calendar does not have.
    #[error("{date} can't be profiled: its microseconds don't fit; choose a day nearer to now")]
    Date {
        /// The day.
        date: chrono::NaiveDate,
    },
    /// Somebody else changed the registry, again and again.
    #[error(
        "silver.payload_fields was changed by others in each of {attempts} attempts: end the other run, then do this again"
    )]
    Contended {
        /// How many.
        attempts: u32,
    },
    /// A part of the work ended by itself.
    #[error("a task that profiles bronze ended: {reason}")]
    TaskStopped {
        /// Why.
        reason: String,
    },
}

impl From<ReplaceError<ArrowError>> for DriftError {
    fn from(error: ReplaceError<ArrowError>) -> Self {
        Self::Replace(Box::new(error))
    }
}

impl From<CommitError> for DriftError {
    fn from(error: CommitError) -> Self {
        Self::Commit(Box::new(error))
    }
}
