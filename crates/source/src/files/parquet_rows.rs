//! Rows of a Parquet file as the bytes a Kafka record would have had.
//!
//! A file either has a column `value` (or a single column) of text or bytes: taken as it stands. Or it has the
//! event's fields as columns, as `bronze.raw_events` does: each row becomes the event's JSON again.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BinaryArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use arrow::json::LineDelimitedWriter;

/// Columns of bronze that say where a record came from: the new run says it anew.
const PROVENANCE: [&str; 4] = ["source_topic", "source_partition", "source_offset", "ingested_at"];
const HEADER_EXTRA: &str = "header_extra_json";

/// Encodes the rows of one file.
pub(super) struct RowEncoder {
    shape: Shape,
}

enum Shape {
    /// The record's bytes stand in this column.
    Value(usize),
    /// The record's fields stand in these columns, under these names and types.
    Fields { columns: Vec<usize>, schema: SchemaRef, header_extra: Option<usize> },
}

/// The encoded rows of one batch.
pub(super) enum Rows {
    Values(BinaryArray),
    Lines(Vec<Vec<u8>>),
}

impl Rows {
    /// Each row's bytes; empty for a null value.
    pub(super) fn iter(&self) -> Box<dyn Iterator<Item = &[u8]> + '_> {
        match self {
            Self::Values(values) => Box::new(values.iter().map(Option::unwrap_or_default)),
            Self::Lines(lines) => Box::new(lines.iter().map(Vec::as_slice)),
        }
    }
}

impl RowEncoder {
    /// Finds out how the rows of a file are to be read; the error says what is missing.
    pub(super) fn new(schema: &Schema) -> Result<Self, String> {
        if let Ok(index) = schema.index_of("value")
            && schema.index_of("event_id").is_err()
        {
            return value_column(schema, index);
        }
        if schema.fields().len() == 1 {
            return value_column(schema, 0);
        }
        if schema.index_of("event_id").is_err() {
            let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            return Err(format!(
                "has neither a column value nor the event's fields (event_id, event_timestamp, …), but {names:?}"
            ));
        }
        let is_bronze = PROVENANCE.iter().all(|name| schema.index_of(name).is_ok());
        let header_extra = schema.index_of(HEADER_EXTRA).ok().filter(|index| {
            matches!(
                schema.field(*index).data_type(),
                DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
            )
        });
        let mut columns = Vec::new();
        let mut fields = Vec::new();
        for (index, field) in schema.fields().iter().enumerate() {
            let is_provenance = is_bronze && PROVENANCE.contains(&field.name().as_str());
            if is_provenance || header_extra == Some(index) {
                continue;
            }
            columns.push(index);
            fields.push(json_field(field));
        }
        let shape = Shape::Fields { columns, schema: Arc::new(Schema::new(fields)), header_extra };
        Ok(Self { shape })
    }

    /// Encodes a batch.
    pub(super) fn encode(&self, batch: &RecordBatch) -> Result<Rows, ArrowError> {
        match &self.shape {
            Shape::Value(index) => {
                let values = cast(batch.column(*index), &DataType::Binary)?;
                Ok(Rows::Values(values.as_binary::<i32>().clone()))
            }
            Shape::Fields { columns, schema, header_extra } => {
                let arrays: Result<Vec<ArrayRef>, ArrowError> = columns
                    .iter()
                    .zip(schema.fields())
                    .map(|(index, field)| cast(batch.column(*index), field.data_type()))
                    .collect();
                let mut lines = json_lines(&RecordBatch::try_new(schema.clone(), arrays?)?)?;
                if let Some(index) = header_extra {
                    let extra = cast(batch.column(*index), &DataType::Utf8)?;
                    for (line, object) in lines.iter_mut().zip(extra.as_string::<i32>()) {
                        splice(line, object.unwrap_or_default());
                    }
                }
                Ok(Rows::Lines(lines))
            }
        }
    }
}

fn value_column(schema: &Schema, index: usize) -> Result<RowEncoder, String> {
    let field = schema.field(index);
    match field.data_type() {
        DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView => Ok(RowEncoder { shape: Shape::Value(index) }),
        other => {
            Err(format!("column {:?} is {other}, but must be text or bytes to be a record", field.name()))
        }
    }
}

/// How a column is written: text under `payload` is what the contract calls `payload_json`, times are UTC.
fn json_field(field: &Field) -> Field {
    let is_text = matches!(field.data_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    if field.name() == "payload" && is_text {
        return field.clone().with_name("payload_json");
    }
    match field.data_type() {
        DataType::Timestamp(_, _) => {
            field.clone().with_data_type(DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())))
        }
        _ => field.clone(),
    }
}

fn json_lines(batch: &RecordBatch) -> Result<Vec<Vec<u8>>, ArrowError> {
    let mut writer = LineDelimitedWriter::new(Vec::new());
    writer.write(batch)?;
    writer.finish()?;
    let text = writer.into_inner();
    let lines: Vec<Vec<u8>> =
        text.split(|byte| *byte == b'\n').filter(|l| !l.is_empty()).map(<[u8]>::to_vec).collect();
    if lines.len() == batch.num_rows() {
        return Ok(lines);
    }
    Err(ArrowError::JsonError(format!("{} rows gave {} JSON lines", batch.num_rows(), lines.len())))
}

/// Puts the members of a JSON object in front of the end of another one's text.
fn splice(line: &mut Vec<u8>, object: &str) {
    let Some(members) = object.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
        return;
    };
    if members.trim().is_empty() || line.pop() != Some(b'}') {
        return;
    }
    if line.as_slice() != b"{" {
        line.push(b',');
    }
    line.extend_from_slice(members.as_bytes());
    line.push(b'}');
}
