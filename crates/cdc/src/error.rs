//! What can go wrong that is not a record's fault.

use pulselake_model::Entity;

/// Why the tables, rather than a record, can't be worked with.
#[derive(Debug, thiserror::Error)]
pub enum CdcError {
    /// A column that every build keeps is absent.
    #[error(
        "the {table} of {} has no column {column}: restore it, or set `next` back by `pulselake ledger rewind` to a snapshot that has it",
        entity.as_str()
    )]
    MissingColumn {
        /// Whose.
        entity: Entity,
        /// Which of its two tables.
        table: &'static str,
        /// The column.
        column: String,
    },
    /// A column has a type that no schema change of this engine leads to.
    #[error("column {column} of the {table} of {} has type {found}, expected {expected}: change it back", entity.as_str())]
    ColumnType {
        /// Whose.
        entity: Entity,
        /// Which of its two tables.
        table: &'static str,
        /// The column.
        column: String,
        /// As the table has it.
        found: String,
        /// As it must be.
        expected: String,
    },
    /// A foreign column wants values that no change brings.
    #[error(
        "column {column} of the {table} of {} is required, but no change brings it: make it optional or drop it",
        entity.as_str()
    )]
    RequiredColumn {
        /// Whose.
        entity: Entity,
        /// Which of its two tables.
        table: &'static str,
        /// The column.
        column: String,
    },
    /// Rows of the history are not as this engine writes them.
    #[error(
        "rows read from the history have no readable column {column}: {reason}; read it with the table's own schema"
    )]
    HistoryRows {
        /// The column.
        column: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Changes wait for a look-up in the history.
    #[error(
        "{keys} keys have changes that only the history can judge: look them up and call settle before take_flush"
    )]
    Unsettled {
        /// How many keys.
        keys: usize,
    },
    /// Arrow refused to build a batch.
    #[error("can't build a batch of {what}: {source}; flush earlier if it is about size")]
    Arrow {
        /// Which batch.
        what: &'static str,
        /// Arrow's words.
        source: arrow::error::ArrowError,
    },
}
