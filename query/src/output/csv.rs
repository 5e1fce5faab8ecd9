//! A result as CSV with a header.
//!
//! NULL is an empty field, as is an empty text: who has to tell them apart asks for JSON or Arrow. Lists and structures are
//! JSON in their field.

use std::io::Write;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, StringArray};
use datafusion::arrow::csv::{Writer, WriterBuilder};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::arrow::json::EncoderOptions;
use datafusion::arrow::json::writer::make_encoder;

use super::ResultWriter;
use crate::{QueryError, Summary};

/// Writes CSV.
pub(super) struct CsvWriter<W: Write> {
    writer: Writer<W>,
}

impl<W: Write> CsvWriter<W> {
    pub(super) fn new(out: W) -> Self {
        Self { writer: WriterBuilder::new().with_header(true).build(out) }
    }
}

impl<W: Write + Send> ResultWriter for CsvWriter<W> {
    fn begin(&mut self, schema: &SchemaRef) -> Result<(), QueryError> {
        // The header comes with the first batch, which may never be.
        self.batch(&RecordBatch::new_empty(schema.clone()))
    }

    fn batch(&mut self, batch: &RecordBatch) -> Result<(), QueryError> {
        Ok(self.writer.write(&without_nesting(batch)?)?)
    }

    fn end(&mut self, _summary: &Summary) -> Result<(), QueryError> {
        Ok(())
    }
}

/// The batch with lists and structures as JSON texts.
fn without_nesting(batch: &RecordBatch) -> Result<RecordBatch, QueryError> {
    let (mut fields, mut columns): (Vec<FieldRef>, Vec<ArrayRef>) = (Vec::new(), Vec::new());
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        match column.data_type().is_nested() {
            false => {
                fields.push(field.clone());
                columns.push(column.clone());
            }
            true => {
                fields.push(Arc::new(Field::new(field.name(), DataType::Utf8, true)));
                columns.push(Arc::new(as_json(field, column)?));
            }
        }
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?)
}

fn as_json(field: &FieldRef, column: &ArrayRef) -> Result<StringArray, QueryError> {
    let options = EncoderOptions::default().with_explicit_nulls(true);
    let mut encoder = make_encoder(field, column.as_ref(), &options)?;
    let mut texts: Vec<Option<String>> = Vec::with_capacity(column.len());
    for row in 0..column.len() {
        let text = (!encoder.is_null(row)).then(|| {
            let mut bytes = Vec::new();
            encoder.encode(row, &mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        });
        texts.push(text);
    }
    Ok(StringArray::from(texts))
}
