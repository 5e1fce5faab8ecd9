//! Brings a query's rows to the columns of the table that they are for.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{Field, Schema, SchemaRef};

use crate::QueryError;

/// The batch with its columns in the types that `table` has for their names. What does not fit a type is an error, never null.
/// Columns that the table does not have are left to whoever writes it to refuse.
pub(super) fn fit(batch: &RecordBatch, table: &SchemaRef) -> Result<RecordBatch, QueryError> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let wanted = table.field_with_name(field.name()).map(Field::data_type);
        match wanted {
            Ok(data_type) if data_type != column.data_type() => {
                fields.push(Arc::new(Field::new(field.name(), data_type.clone(), field.is_nullable())));
                columns.push(cast_with_options(column, data_type, &options)?);
            }
            _ => {
                fields.push(field.clone());
                columns.push(column.clone());
            }
        }
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, AsArray, StringArray, UInt64Array};
    use arrow::datatypes::{DataType, Int64Type};

    use super::*;

    fn batch(count: u64) -> RecordBatch {
        let columns: [(&str, ArrayRef); 2] = [
            ("n", Arc::new(UInt64Array::from(vec![count]))),
            ("text", Arc::new(StringArray::from(vec!["a"]))),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    #[test]
    fn types_become_the_tables() {
        let table: SchemaRef = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
        let fitted = fit(&batch(7), &table).unwrap();
        assert_eq!(fitted.column(0).as_primitive::<Int64Type>().value(0), 7);
        assert_eq!(fitted.schema().field(1).name(), "text");
        assert!(fit(&batch(u64::MAX), &table).is_err(), "never null in its place");
    }
}
