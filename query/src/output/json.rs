//! A result as one JSON document:
//! `{"columns":[{"name","type"}],"rows":[[…]],"row_count":…,"truncated":…,"elapsed_ms":…}`.
//!
//! Moments with a zone are RFC 3339 in UTC; 64-bit integers are numbers with all their digits; binary values are
//! hexadecimal; NaN and infinities are null, as JSON has none.

use std::io::Write;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{FieldRef, SchemaRef};
use datafusion::arrow::json::EncoderOptions;
use datafusion::arrow::json::writer::{NullableEncoder, make_encoder};
use serde::Serialize;

use super::{ResultWriter, sql_type};
use crate::{QueryError, Summary};

/// Writes the document.
pub(super) struct JsonWriter<W> {
    out: W,
    options: EncoderOptions,
    has_rows: bool,
}

impl<W: Write> JsonWriter<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, options: EncoderOptions::default().with_explicit_nulls(true), has_rows: false }
    }
}

#[derive(Serialize)]
struct Column<'a> {
    name: &'a str,
    r#type: String,
}

impl<W: Write + Send> ResultWriter for JsonWriter<W> {
    fn begin(&mut self, schema: &SchemaRef) -> Result<(), QueryError> {
        let columns: Vec<Column<'_>> = schema
            .fields()
            .iter()
            .map(|field| Column { name: field.name(), r#type: sql_type(field.data_type()) })
            .collect();
        let text =
            serde_json::to_string(&columns).map_err(|error| QueryError::Internal(error.to_string()))?;
        write!(self.out, "{{\"columns\":{text},\"rows\":[")?;
        Ok(())
    }

    fn batch(&mut self, batch: &RecordBatch) -> Result<(), QueryError> {
        let schema = batch.schema();
        let mut of_columns = encoders(batch, schema.fields(), &self.options)?;
        let mut text = Vec::new();
        for row in 0..batch.num_rows() {
            text.extend_from_slice(if self.has_rows { b",\n[" } else { b"\n[" });
            self.has_rows = true;
            for (place, encoder) in of_columns.iter_mut().enumerate() {
                if place > 0 {
                    text.push(b',');
                }
                encode(encoder, row, &mut text);
            }
            text.push(b']');
        }
        self.out.write_all(&text)?;
        Ok(())
    }

    fn end(&mut self, summary: &Summary) -> Result<(), QueryError> {
        let Summary { row_count, truncated, elapsed_ms } = summary;
        writeln!(
            self.out,
            "],\"row_count\":{row_count},\"truncated\":{truncated},\"elapsed_ms\":{elapsed_ms}}}"
        )?;
        self.out.flush()?;
        Ok(())
    }
}

fn encoders<'a>(
    batch: &'a RecordBatch,
    fields: &'a [FieldRef],
    options: &'a EncoderOptions,
) -> Result<Vec<NullableEncoder<'a>>, QueryError> {
    let of_column = fields.iter().zip(batch.columns());
    of_column.map(|(field, column)| Ok(make_encoder(field, column.as_ref(), options)?)).collect()
}

/// One value.
fn encode(encoder: &mut NullableEncoder<'_>, row: usize, text: &mut Vec<u8>) {
    match encoder.is_null(row) {
        true => text.extend_from_slice(b"null"),
        false => encoder.encode(row, text),
    }
}
