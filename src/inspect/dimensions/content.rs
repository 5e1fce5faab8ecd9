//! What a row of a dimension says, as one number: for comparing it with the version that it was made from.

use anyhow::Context;
use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::SchemaRef;
use arrow::row::{RowConverter, SortField};
use pulselake_decode::record_hash;

/// Hashes the columns that the dimension has, of its own rows and of its history's.
pub(super) struct ContentHasher {
    columns: SchemaRef,
    converter: RowConverter,
}

impl ContentHasher {
    /// For a dimension with these columns.
    pub(super) fn of_dimension(columns: &SchemaRef) -> anyhow::Result<Self> {
        let fields = columns.fields().iter().map(|field| SortField::new(field.data_type().clone()));
        Ok(Self { columns: columns.clone(), converter: RowConverter::new(fields.collect())? })
    }

    /// One number a row: xxh3-64 of the values in the dimension's columns.
    pub(super) fn hashes(&mut self, rows: &RecordBatch) -> anyhow::Result<Vec<u64>> {
        let columns = self.columns.fields().iter().map(|field| {
            let found = rows
                .column_by_name(field.name())
                .with_context(|| format!("the history has no column {}", field.name()))?;
            Ok(cast(found, field.data_type())?)
        });
        let columns = columns.collect::<anyhow::Result<Vec<_>>>()?;
        let encoded = self.converter.convert_columns(&columns)?;
        Ok(encoded.iter().map(|row| record_hash(row.as_ref())).collect())
    }
}
