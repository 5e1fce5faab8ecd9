//! A result as a table of characters, for people.

use std::io::Write;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::util::display::FormatOptions;
use datafusion::arrow::util::pretty::pretty_format_batches_with_options;

use super::ResultWriter;
use crate::{QueryError, Summary};

/// Gathers the rows and writes them at the end.
pub(super) struct TableWriter<W> {
    out: W,
    batches: Vec<RecordBatch>,
}

impl<W: Write> TableWriter<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, batches: Vec::new() }
    }
}

impl<W: Write + Send> ResultWriter for TableWriter<W> {
    fn begin(&mut self, schema: &SchemaRef) -> Result<(), QueryError> {
        self.batches.push(RecordBatch::new_empty(schema.clone()));
        Ok(())
    }

    fn batch(&mut self, batch: &RecordBatch) -> Result<(), QueryError> {
        self.batches.push(batch.clone());
        Ok(())
    }

    fn end(&mut self, summary: &Summary) -> Result<(), QueryError> {
        let options = FormatOptions::default().with_null("NULL").with_display_error(true);
        let table = pretty_format_batches_with_options(&self.batches, &options)?;
        let rows = match summary.row_count {
            1 => "1 row".to_owned(),
            count => format!("{count} rows"),
        };
        let more = if summary.truncated { " and more, cut off (--max-rows)" } else { "" };
        let seconds = summary.elapsed_ms as f64 / 1_000.0;
        writeln!(self.out, "{table}\n{rows}{more} in {seconds:.3} s")?;
        self.out.flush()?;
        Ok(())
    }
}
