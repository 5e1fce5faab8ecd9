//! What can go wrong in the lake, and what the caller should do about it.

use std::path::PathBuf;

use pulselake_commit::{CatalogError, CommitFailure, Conflict};
use pulselake_ledger::{FenceReason, LedgerError};
use pulselake_model::tables::LakeTable;
use pulselake_read::ReadError;
use pulselake_store::StoreError;

/// An error of the lake other than a refused commit.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// The catalog, or the commit layer.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The warehouse as a whole: its settings, or work on many of its files.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Reading rows.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The catalog has no such table, but the table's files are there: creating it anew would hide them.
    #[error(
        "catalog {catalog} does not have table {table}, but its files lie in {location}: the catalog was lost or exchanged; restore it from a backup (the newest metadata/*.metadata.json there is the table's state), or name another warehouse"
    )]
    CatalogLost {
        /// `namespace.name`.
        table: String,
        /// Where the catalog is.
        catalog: String,
        /// The table's directory.
        location: String,
    },
    /// A directory or file that could not be made.
    #[error("cannot {action} {}: {source}{}", path.display(), pulselake_store::local::advice(source))]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// The table was made by another version, or by something else.
    #[error(
        "table {table} has pulselake.format {found}, this build writes format {expected}: run the pulselake that made this warehouse, or name another catalog and warehouse"
    )]
    OtherFormat {
        /// `namespace.name`.
        table: String,
        /// What the table says; "none" where it has no such property.
        found: String,
        /// What this build writes.
        expected: &'static str,
    },
    /// The table says the right format, but its schema, partitioning or Iceberg version is another.
    #[error(
        "table {table} has another {what} than this build writes ({detail}); restore it, or name another catalog and warehouse"
    )]
    OtherShape {
        /// `namespace.name`.
        table: String,
        /// Schema, partition spec or format version.
        what: &'static str,
        /// Expected and found.
        detail: String,
    },
    /// The table was rolled back (or forward) behind the engine's back.
    #[error(
        "table {table} was rolled back: its ledger property belongs to another snapshot than the current one; if that is meant, run `pulselake ledger rewind` and the records come again"
    )]
    RolledBack {
        /// `namespace.name`.
        table: String,
    },
    /// The ledger property was removed.
    #[error(
        "table {table} lost its property pulselake.ledger while its snapshots still carry a ledger; restore it with `pulselake ledger rewind`"
    )]
    PropertyMissing {
        /// `namespace.name`.
        table: String,
    },
    /// The ledger can't be read.
    #[error("table {table}: {source}")]
    Ledger {
        /// `namespace.name`.
        table: String,
        /// Why.
        #[source]
        source: LedgerError,
    },
    /// Reading or writing the table's files.
    #[error("cannot {action} {table}: {}", source.message())]
    Iceberg {
        /// What was tried.
        action: &'static str,
        /// `namespace.name`.
        table: String,
        /// The crate's error.
        #[source]
        source: Box<iceberg::Error>,
    },
    /// Encoding Parquet.
    #[error("cannot encode {path}: {source}")]
    Parquet {
        /// The file.
        path: String,
        /// The encoder's error.
        #[source]
        source: parquet::errors::ParquetError,
    },
    /// A batch that does not fit the table: a defect of the caller.
    #[error("batch does not fit table {table}: {reason}")]
    BadBatch {
        /// `namespace.name`.
        table: String,
        /// What does not fit.
        reason: String,
    },
    /// A column was to be added or widened that is the same in every table of this build.
    #[error("column {column} of table {table} can't be added or changed: the engine itself decides on it")]
    FixedColumn {
        /// `namespace.name`.
        table: String,
        /// The column.
        column: String,
    },
    /// A writer was used after one of its calls was cancelled or failed.
    #[error("writer of {table} is not usable any more: an earlier call failed or was cancelled; abort it")]
    WriterBroken {
        /// `namespace.name`.
        table: String,
    },
    /// The table has changed so that the commit can't be applied.
    #[error("commit to {table}: {conflict}")]
    Conflict {
        /// `namespace.name`.
        table: String,
        /// Which rule.
        conflict: Conflict,
    },
    /// A failpoint of a test.
    #[error("injected failure at {point}")]
    Injected {
        /// Its name.
        point: &'static str,
    },
}

impl LakeError {
    /// Whether waiting may help: a full disk, a busy catalog. False for what a person has to put right.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Injected { .. } => true,
            Self::Catalog(source) => source.is_transient(),
            Self::Store(source) => source.is_transient(),
            Self::Io { source, .. } => pulselake_store::local::may_pass(source.kind()),
            Self::Iceberg { source, .. } | Self::Read(ReadError::Iceberg { source, .. }) => {
                pulselake_commit::may_pass(source)
            }
            _ => false,
        }
    }

    /// Whether the catalog's database was locked by somebody else.
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Catalog(source) if source.is_busy())
    }

    pub(crate) fn iceberg(action: &'static str, table: &str) -> impl FnOnce(iceberg::Error) -> Self {
        let table = table.to_string();
        move |source| Self::Iceberg { action, table, source: Box::new(source) }
    }
}

/// What the caller of a refused commit has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitAction {
    /// Another owner is at work: throw the work away and start again from the ledger. Spends no restart budget.
    Fence,
    /// A person has to look at it: stop and show the message.
    Stop,
    /// Its files are too old to be committed: throw the work away and start again from the ledger.
    StartOver,
    /// The commit did not happen: the same request may be tried again.
    Retry,
    /// Nobody knows: try the same request (same `commit_id`) again, or restart the generation from the ledger. Keep the files.
    RestartGeneration,
}

/// A commit that was not confirmed.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Somebody else committed one of the partitions.
    #[error("table {table}: {reason}; starting again from the ledger")]
    Fenced {
        /// `namespace.name`.
        table: String,
        /// Who is in the way.
        reason: FenceReason,
        /// Whether no attempt at this request is in any snapshot of the table, nor can be.
        files_may_be_deleted: bool,
    },
    /// The table is not what the ledger says: rolled back, ledger removed or unreadable. Not committed.
    #[error("{source}")]
    Stopped {
        /// Why; says what to do.
        #[source]
        source: LakeError,
        /// Whether no attempt at this request is in any snapshot of the table, nor can be.
        files_may_be_deleted: bool,
    },
    /// This call did not commit, and nothing of it will appear later. The same request may be tried again.
    #[error("commit to {table} failed: {source}")]
    Failed {
        /// `namespace.name`.
        table: String,
        /// Why.
        #[source]
        source: LakeError,
        /// Whether this call saw the table without the commit. False where it failed before: an earlier call of the same
        /// request may have landed.
        files_may_be_deleted: bool,
    },
    /// Nobody knows whether the commit is in the table. Its files must stay.
    #[error(
        "outcome of the commit to {table} is unknown ({source}); the table's ledger will tell, no file was deleted"
    )]
    OutcomeUnknown {
        /// `namespace.name`.
        table: String,
        /// What hid the outcome.
        #[source]
        source: LakeError,
    },
}

impl CommitError {
    /// What the commit layer said. `refused`: what the guard's refusal means, and whether the files may be deleted.
    pub(crate) fn of_failure<R, E: From<Self>>(
        table: LakeTable,
        failure: CommitFailure<R>,
        refused: impl FnOnce(R, bool) -> E,
    ) -> E {
        let name = || table.full_name().to_string();
        let error = match failure {
            CommitFailure::Refused { refusal, files_may_be_deleted } => {
                return refused(refusal, files_may_be_deleted);
            }
            CommitFailure::Conflict { conflict, files_may_be_deleted } => Self::Failed {
                table: name(),
                source: LakeError::Conflict { table: name(), conflict },
                files_may_be_deleted,
            },
            CommitFailure::Failed { source, files_may_be_deleted } => {
                Self::Failed { table: name(), source: source.into(), files_may_be_deleted }
            }
            CommitFailure::OutcomeUnknown { source } => {
                Self::OutcomeUnknown { table: name(), source: source.into() }
            }
        };
        error.into()
    }

    /// Whether the request's data files are certainly not referred to by any snapshot.
    pub fn files_may_be_deleted(&self) -> bool {
        match self {
            Self::Fenced { files_may_be_deleted, .. }
            | Self::Stopped { files_may_be_deleted, .. }
            | Self::Failed { files_may_be_deleted, .. } => *files_may_be_deleted,
            Self::OutcomeUnknown { .. } => false,
        }
    }

    /// What to do.
    pub fn action(&self) -> CommitAction {
        match self {
            Self::Fenced { .. } => CommitAction::Fence,
            Self::Stopped { .. } => CommitAction::Stop,
            Self::Failed { source: LakeError::Catalog(CatalogError::TooOld { .. }), .. } => {
                CommitAction::StartOver
            }
            Self::Failed { source, .. } if source.is_transient() => CommitAction::Retry,
            Self::Failed { .. } => CommitAction::Stop,
            Self::OutcomeUnknown { .. } => CommitAction::RestartGeneration,
        }
    }
}
