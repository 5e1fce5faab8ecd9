//! What can go wrong while a table is read.

use parquet::errors::ParquetError;

/// An error of a reader.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The table's metadata, or the store.
    #[error("cannot {action} {path}: {}", source.message())]
    Iceberg {
        /// What was tried.
        action: &'static str,
        /// The file or the table.
        path: String,
        /// The crate's error.
        #[source]
        source: Box<iceberg::Error>,
    },
    /// A Parquet file that can't be decoded.
    #[error("cannot read {path}: {source}")]
    Parquet {
        /// The file.
        path: String,
        /// The decoder's error.
        #[source]
        source: ParquetError,
    },
    /// Columns that can't be brought into the table's types.
    #[error("cannot convert the columns of {path}: {source}")]
    Arrow {
        /// The file.
        path: String,
        /// Arrow's error.
        #[source]
        source: arrow::error::ArrowError,
    },
    /// The table has no such snapshot.
    #[error("the table has no snapshot {snapshot_id}; it may have expired: read the current one")]
    NoSnapshot {
        /// Its id.
        snapshot_id: i64,
    },
    /// The table has no such column.
    #[error("the table has no column {column}; its columns are {known}")]
    NoColumn {
        /// What was asked for.
        column: String,
        /// Those there are.
        known: String,
    },
    /// A condition that the column's type does not allow.
    #[error(
        "no rows can be chosen by column {column}: {reason}; choose by another column, or filter what was read"
    )]
    Condition {
        /// The column.
        column: String,
        /// Why not.
        reason: String,
    },
    /// A file that is valid but beyond this reader.
    #[error("cannot read {path}: {what}; rewrite it with another engine, such as Spark's rewrite_data_files")]
    Unsupported {
        /// The file.
        path: String,
        /// What is not supported.
        what: String,
    },
    /// A file that contradicts the table's metadata or itself.
    #[error("{path} is damaged: {what}; restore it from a backup")]
    Damaged {
        /// The file.
        path: String,
        /// The contradiction.
        what: String,
    },
    /// A task of the reader was stopped by the runtime.
    #[error("reading {path} was stopped: {reason}")]
    Stopped {
        /// The file.
        path: String,
        /// The runtime's words.
        reason: String,
    },
}

impl ReadError {
    /// Says what was tried, and on which file, about an error of the iceberg crate.
    pub fn iceberg(action: &'static str, path: &str) -> impl FnOnce(iceberg::Error) -> Self {
        let path = path.to_string();
        move |source| Self::Iceberg { action, path, source: Box::new(source) }
    }

    pub(crate) fn parquet(path: &str) -> impl FnOnce(ParquetError) -> Self {
        let path = path.to_string();
        move |source| Self::Parquet { path, source }
    }

    pub(crate) fn arrow(path: &str) -> impl FnOnce(arrow::error::ArrowError) -> Self {
        let path = path.to_string();
        move |source| Self::Arrow { path, source }
    }
}
