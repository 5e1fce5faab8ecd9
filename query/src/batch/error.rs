//! What can go wrong with batch jobs.

use pulselake_lake::{CommitError, LakeError, ReplaceError, UpsertError};

use super::drift::DriftError;
use super::template::TemplateError;
use crate::QueryError;

/// Why a job, or a command about jobs, did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// Reading or computing the rows.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The lake.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// A commit.
    #[error(transparent)]
    Commit(Box<CommitError>),
    /// The registry of payload fields.
    #[error(transparent)]
    Drift(#[from] DriftError),
    /// A template.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// What was asked for can't be done as things stand.
    #[error("{0}")]
    Refused(String),
    /// A defect of the program.
    #[error("{0}")]
    Defect(String),
}

impl From<CommitError> for BatchError {
    fn from(source: CommitError) -> Self {
        Self::Commit(Box::new(source))
    }
}

impl From<ReplaceError<QueryError>> for BatchError {
    fn from(error: ReplaceError<QueryError>) -> Self {
        match error {
            ReplaceError::Rows(source) => source.into(),
            ReplaceError::Commit(source) => source.into(),
            ReplaceError::Moved(moved) => Self::Refused(moved.to_string()),
        }
    }
}

impl From<UpsertError> for BatchError {
    fn from(error: UpsertError) -> Self {
        match error {
            UpsertError::Commit(source) => source.into(),
            UpsertError::Moved(moved) => Self::Refused(moved.to_string()),
        }
    }
}

impl BatchError {
    /// Whether more memory, or smaller portions, would have helped.
    pub fn is_memory(&self) -> bool {
        matches!(self, Self::Query(QueryError::Memory(_)))
    }
}
