//! A result as lines, each a JSON object by column name.

use std::io::Write;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::json::WriterBuilder;
use datafusion::arrow::json::writer::LineDelimited;

use super::ResultWriter;
use crate::{QueryError, Summary};

/// Writes the lines.
pub(super) struct NdjsonWriter<W> {
    out: W,
}

impl<W: Write> NdjsonWriter<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out }
    }
}

impl<W: Write + Send> ResultWriter for NdjsonWriter<W> {
    fn begin(&mut self, _schema: &SchemaRef) -> Result<(), QueryError> {
        Ok(())
    }

    fn batch(&mut self, batch: &RecordBatch) -> Result<(), QueryError> {
        let mut writer =
            WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(&mut self.out);
        writer.write(batch)?;
        writer.finish()?;
        Ok(())
    }

    fn end(&mut self, _summary: &Summary) -> Result<(), QueryError> {
        self.out.flush()?;
        Ok(())
    }
}
