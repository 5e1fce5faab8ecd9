//! What the files of one writer have in common: their columns with the field ids of the table's schema, and whether they
//! hold rows or equality deletes.
//!
//! Batches of the event stream have exactly the table's columns, which never change. Those of other tables are matched by
//! name to the schema that the table has now: a dimension's follows the source's, and a batch may be older than it.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef as ArrowSchemaRef};
use iceberg::arrow::schema_to_arrow_schema;
use iceberg::spec::{DataContentType, TableMetadata};
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;
use pulselake_model::tables::LakeTable;

use crate::{LakeError, tables};

/// Columns and content of files.
#[derive(Debug)]
pub(crate) struct FileLayout {
    /// Whose files they are.
    pub table: LakeTable,
    /// Rows or equality deletes.
    pub content: DataContentType,
    /// The columns, each with its field id.
    pub schema: ArrowSchemaRef,
    /// Field ids of the key; for equality deletes alone.
    pub equality_ids: Option<Vec<i32>>,
}

impl FileLayout {
    /// Files of rows.
    pub(crate) fn of_rows(table: LakeTable, metadata: &TableMetadata) -> Result<Self, LakeError> {
        let schema = match tables::is_fitted_by_name(table) {
            false => tables::arrow_write_schema(table),
            true => current_columns(table, metadata)?,
        };
        Ok(Self { table, content: DataContentType::Data, schema, equality_ids: None })
    }

    /// Files of deleted keys, for a table that is upserted.
    pub(crate) fn of_deleted_keys(table: LakeTable, metadata: &TableMetadata) -> Result<Self, LakeError> {
        let Some(key_column) = table.key_column() else {
            return Err(bad_batch(table, "rows of this table are never deleted by their key".to_string()));
        };
        let columns = current_columns(table, metadata)?;
        let key =
            columns.field_with_name(key_column).map_err(|error| bad_batch(table, error.to_string()))?.clone();
        let equality_ids = Some(field_id(&key).into_iter().collect());
        let schema = Arc::new(ArrowSchema::new(vec![key]));
        Ok(Self { table, content: DataContentType::EqualityDeletes, schema, equality_ids })
    }

    /// Whether every column of `batch` is one of the files'.
    pub(crate) fn knows_all(&self, batch: &RecordBatch) -> bool {
        batch.schema_ref().fields().iter().all(|field| self.schema.index_of(field.name()).is_ok())
    }

    /// The rows of `batch` as the files have them. A column that they have and the batch does not is NULL; a narrower
    /// type is widened where Iceberg allows it. Refuses columns that the files don't have, and NULLs in required ones.
    pub(crate) fn fit(&self, batch: &RecordBatch) -> Result<RecordBatch, LakeError> {
        if !tables::is_fitted_by_name(self.table) {
            super::check_columns(self.table, batch)?;
            return Ok(batch.clone());
        }
        let found = batch.schema_ref();
        if let Some(unknown) = found.fields().iter().find(|field| self.schema.index_of(field.name()).is_err())
        {
            let reason = format!("the table has no column {}; add it with Lake::evolve", unknown.name());
            return Err(bad_batch(self.table, reason));
        }
        let columns = self
            .schema
            .fields()
            .iter()
            .map(|field| match found.index_of(field.name()) {
                Ok(index) => self.fit_column(batch.column(index), field),
                Err(_) => self.fit_column(&new_null_array(field.data_type(), batch.num_rows()), field),
            })
            .collect::<Result<Vec<ArrayRef>, LakeError>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
            .map_err(|error| bad_batch(self.table, error.to_string()))
    }

    fn fit_column(&self, column: &ArrayRef, wanted: &Field) -> Result<ArrayRef, LakeError> {
        if !wanted.is_nullable() && column.null_count() > 0 {
            let reason = format!("{} nulls in required column {}", column.null_count(), wanted.name());
            return Err(bad_batch(self.table, reason));
        }
        if column.data_type() == wanted.data_type() {
            return Ok(column.clone());
        }
        if !can_hold(wanted.data_type(), column.data_type()) {
            let (name, found) = (wanted.name(), column.data_type());
            let reason = format!("column {name} {found}, the table's is {}", wanted.data_type());
            return Err(bad_batch(self.table, reason));
        }
        cast(column, wanted.data_type()).map_err(|error| bad_batch(self.table, error.to_string()))
    }
}

/// The table's columns now, with their ids.
fn current_columns(table: LakeTable, metadata: &TableMetadata) -> Result<ArrowSchemaRef, LakeError> {
    schema_to_arrow_schema(metadata.current_schema())
        .map(Arc::new)
        .map_err(LakeError::iceberg("read the schema of", table.full_name()))
}

/// The field id that an Arrow field carries.
pub(crate) fn field_id(field: &Field) -> Option<i32> {
    field.metadata().get(PARQUET_FIELD_ID_META_KEY)?.parse().ok()
}

/// Whether every value of type `found` is one of type `wanted`: Iceberg's promotions, and differences of name or layout alone.
fn can_hold(wanted: &DataType, found: &DataType) -> bool {
    use DataType::{
        Binary, BinaryView, Decimal128, Float32, Float64, Int32, Int64, LargeBinary, LargeUtf8, List,
        Timestamp, Utf8, Utf8View,
    };
    match (wanted, found) {
        (Int64, Int32) | (Float64, Float32) => true,
        // The same values in other buffers: what queries come up with.
        (LargeBinary, Binary | BinaryView) | (Utf8, Utf8View | LargeUtf8) => true,
        (Decimal128(digits, scale), Decimal128(found_digits, found_scale)) => {
            scale == found_scale && digits >= found_digits
        }
        (Timestamp(unit, zone), Timestamp(found_unit, found_zone)) => {
            unit == found_unit && zone.is_some() == found_zone.is_some()
        }
        (List(element), List(found_element)) => can_hold(element.data_type(), found_element.data_type()),
        _ => wanted.equals_datatype(found),
    }
}

fn bad_batch(table: LakeTable, reason: String) -> LakeError {
    LakeError::BadBatch { table: table.full_name().to_string(), reason }
}
