//! The order of rows: some columns, encoded so that bytes compare as rows do. NULL comes first.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::row::{RowConverter, Rows, SortField};

/// Encodes the key columns of batches of one schema.
#[derive(Debug)]
pub(crate) struct SortKey {
    columns: Vec<usize>,
    converter: RowConverter,
}

impl SortKey {
    /// A key of these columns, each once, in this order.
    pub(crate) fn new<'a>(
        schema: &SchemaRef,
        names: impl IntoIterator<Item = &'a String>,
    ) -> Result<Self, ArrowError> {
        let mut columns = Vec::new();
        for name in names {
            let index = schema.index_of(name)?;
            if !columns.contains(&index) {
                columns.push(index);
            }
        }
        let fields = columns.iter().map(|&index| SortField::new(schema.field(index).data_type().clone()));
        let converter = RowConverter::new(fields.collect())?;
        Ok(Self { columns, converter })
    }

    /// The keys of a batch's rows.
    pub(crate) fn encode(&self, batch: &RecordBatch) -> Result<Rows, ArrowError> {
        let columns: Vec<_> = self.columns.iter().map(|&index| batch.column(index).clone()).collect();
        self.converter.convert_columns(&columns)
    }
}
