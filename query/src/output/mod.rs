//! How results are written: for people as a table, for programs as JSON, NDJSON, CSV or Arrow.
//!
//! Rows are written as they come; only the table waits for the last one, because its columns are as wide as their longest
//! value.

mod arrow_stream;
mod csv;
mod json;
mod names;
mod ndjson;
mod shared_buffer;
mod table;

use std::io::Write;

use clap::ValueEnum;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use serde::Deserialize;

use crate::{QueryError, Summary};

pub use names::sql_type;
pub use shared_buffer::SharedBuffer;

/// How a result is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum OutputFormat {
    /// For people
    Table,
    /// One JSON document: columns with their types, rows as arrays
    #[default]
    Json,
    /// One JSON object a line
    Ndjson,
    /// CSV with a header
    Csv,
    /// An Arrow IPC stream
    Arrow,
}

impl OutputFormat {
    /// A writer to `out`.
    pub fn writer<'a>(self, out: impl Write + Send + 'a) -> Box<dyn ResultWriter + 'a> {
        match self {
            Self::Table => Box::new(table::TableWriter::new(out)),
            Self::Json => Box::new(json::JsonWriter::new(out)),
            Self::Ndjson => Box::new(ndjson::NdjsonWriter::new(out)),
            Self::Csv => Box::new(csv::CsvWriter::new(out)),
            Self::Arrow => Box::new(arrow_stream::ArrowWriter::new(out)),
        }
    }

    /// Its media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Table => "text/plain; charset=utf-8",
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Arrow => "application/vnd.apache.arrow.stream",
        }
    }
}

/// Takes a result in its order: its columns, its rows, its end.
pub trait ResultWriter: Send {
    /// The columns, once, before all rows.
    ///
    /// # Errors
    /// When they can't be written.
    fn begin(&mut self, schema: &SchemaRef) -> Result<(), QueryError>;

    /// Some rows.
    ///
    /// # Errors
    /// When they can't be written.
    fn batch(&mut self, batch: &RecordBatch) -> Result<(), QueryError>;

    /// That there are no more.
    ///
    /// # Errors
    /// When the end can't be written.
    fn end(&mut self, summary: &Summary) -> Result<(), QueryError>;
}
