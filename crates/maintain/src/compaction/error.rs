//! What can go wrong while a table is compacted. Nothing of it harms the table: a group lands whole or not at all.

use std::path::PathBuf;

use pulselake_commit::CatalogError;
use pulselake_read::ReadError;

use crate::CarryRefusal;
use crate::janitor::young::TooOld;

/// An error of a compaction.
#[derive(Debug, thiserror::Error)]
pub enum CompactionError {
    /// Reading the table.
    #[error(transparent)]
    Read(Box<ReadError>),
    /// The catalog.
    #[error(transparent)]
    Catalog(Box<CatalogError>),
    /// The table's ledger is not sound.
    #[error("table {table} is not compacted: {refusal}")]
    Refused {
        /// `namespace.name`.
        table: String,
        /// The guard's words.
        refusal: CarryRefusal,
    },
    /// Writing to the store, or describing what was written.
    #[error("cannot {action} {path}: {}", source.message())]
    Store {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: String,
        /// The crate's error.
        #[source]
        source: Box<iceberg::Error>,
    },
    /// Encoding a file.
    #[error("cannot encode {path}: {source}")]
    Parquet {
        /// The file.
        path: String,
        /// The encoder's error.
        #[source]
        source: parquet::errors::ParquetError,
    },
    /// Sorting, merging or folding rows.
    #[error("cannot {action} the rows of table {table}: {source}")]
    Arrow {
        /// What was tried.
        action: &'static str,
        /// `namespace.name`.
        table: String,
        /// Arrow's error.
        #[source]
        source: arrow::error::ArrowError,
    },
    /// Rows that wait on the local disk.
    #[error("cannot keep sorted rows in {}: {source}; free space there, or set another directory", directory.display())]
    Spill {
        /// The directory.
        directory: PathBuf,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// The policy asks for something that the table can't give.
    #[error("table {table} can't be compacted by its policy: {reason}")]
    Unsuitable {
        /// `namespace.name`.
        table: String,
        /// Why.
        reason: String,
    },
    /// The deletes of a group alone need more memory than there is.
    #[error(
        "the deletes of {partition} of table {table} need {needed_bytes} bytes of memory; raise the memory budget of compaction to more than {raise_to_bytes}"
    )]
    TooManyDeletes {
        /// `namespace.name`.
        table: String,
        /// The partition.
        partition: String,
        /// What they need, bytes.
        needed_bytes: u64,
        /// A budget that would do, bytes.
        raise_to_bytes: u64,
    },
    /// The rows written are not those that were read. Nothing was committed.
    #[error(
        "a rewrite of {partition} of table {table} was refused: {what}; nothing was changed, please report this as a defect"
    )]
    RowsDiffer {
        /// `namespace.name`.
        table: String,
        /// The partition.
        partition: String,
        /// The numbers.
        what: String,
    },
    /// The group took so long that the janitor could take its files for orphans.
    #[error("a rewrite of {partition} of table {table} was given up: {source}")]
    TooSlow {
        /// `namespace.name`.
        table: String,
        /// The partition.
        partition: String,
        /// The ages.
        #[source]
        source: TooOld,
    },
    /// Others kept changing what was being rewritten.
    #[error("compaction of table {table} gave up after {conflicts} conflicts; the last: {reason}")]
    Contended {
        /// `namespace.name`.
        table: String,
        /// How many.
        conflicts: u32,
        /// The last one.
        reason: String,
    },
    /// Nobody knows whether a group was committed; its files were kept.
    #[error(
        "the outcome of a compaction commit to table {table} is unknown ({source}); the next run finds out"
    )]
    OutcomeUnknown {
        /// `namespace.name`.
        table: String,
        /// What hid the outcome.
        source: Box<CatalogError>,
    },
    /// It was asked to stop.
    #[error("compaction was stopped; what was committed stays")]
    Cancelled,
    /// The compaction's thread could not be started, or died.
    #[error("the compaction thread failed: {reason}")]
    Thread {
        /// Why.
        reason: String,
    },
    /// A failpoint of a test.
    #[error("injected failure at {point}")]
    Injected {
        /// Its name.
        point: &'static str,
    },
}

impl From<ReadError> for CompactionError {
    fn from(error: ReadError) -> Self {
        Self::Read(Box::new(error))
    }
}

impl From<CatalogError> for CompactionError {
    fn from(error: CatalogError) -> Self {
        Self::Catalog(Box::new(error))
    }
}

impl CompactionError {
    pub(crate) fn store(action: &'static str, path: &str) -> impl FnOnce(iceberg::Error) -> Self {
        let path = path.to_string();
        move |source| Self::Store { action, path, source: Box::new(source) }
    }

    pub(crate) fn arrow(action: &'static str, table: &str) -> impl FnOnce(arrow::error::ArrowError) -> Self {
        let table = table.to_string();
        move |source| Self::Arrow { action, table, source }
    }
}
