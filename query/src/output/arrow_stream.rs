//! A result as an Arrow IPC stream.

use std::io::Write;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::ipc::writer::StreamWriter;

use super::ResultWriter;
use crate::{QueryError, Summary};

/// Writes an Arrow IPC stream.
pub(super) enum ArrowWriter<W: Write> {
    /// Before the columns are known.
    Waiting(Option<W>),
    /// After.
    Open(StreamWriter<W>),
}

impl<W: Write> ArrowWriter<W> {
    pub(super) fn new(out: W) -> Self {
        Self::Waiting(Some(out))
    }
}

impl<W: Write + Send> ResultWriter for ArrowWriter<W> {
    fn begin(&mut self, schema: &SchemaRef) -> Result<(), QueryError> {
        if let Self::Waiting(waiting) = self
            && let Some(out) = waiting.take()
        {
            *self = Self::Open(StreamWriter::try_new(out, schema)?);
        }
        Ok(())
    }

    fn batch(&mut self, batch: &RecordBatch) -> Result<(), QueryError> {
        match self {
            Self::Waiting(_) => Err(QueryError::Internal("rows came before their columns".to_owned())),
            Self::Open(stream) => Ok(stream.write(batch)?),
        }
    }

    fn end(&mut self, _summary: &Summary) -> Result<(), QueryError> {
        match self {
            Self::Waiting(_) => Ok(()),
            Self::Open(stream) => Ok(stream.finish()?),
        }
    }
}
