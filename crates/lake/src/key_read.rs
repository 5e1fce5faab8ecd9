//! Rows of a few keys out of a dimension or its history, without reading the files that can't have them.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int32Array, RecordBatch, StringArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Schema as ArrowSchema, SchemaRef};
use futures::{StreamExt, TryStreamExt};
use iceberg::arrow::schema_to_arrow_schema;
use iceberg::spec::{Datum, Literal, PrimitiveLiteral, Transform};
use iceberg::table::Table;
use iceberg::transform::create_transform_function;
use pulselake_model::tables::LakeTable;
use pulselake_read::{
    BytesRead, PartitionPredicate, PlannedFile, ReadError, ScanOptions, plan_table, read_files,
};

use crate::tables::KEY_BUCKETS;
use crate::view::BatchStream;
use crate::{Lake, LakeError};

impl Lake {
    /// As [`Lake::read`], the rows alone whose `key_column` is one of `keys`. Files are left out whose partition or whose
    /// bounds say that they have none of them; of the others, `columns` and the key are read.
    pub async fn read_keys(
        &self,
        table: LakeTable,
        columns: &[&str],
        key_column: &str,
        keys: &[String],
    ) -> Result<BatchStream, LakeError> {
        let loaded = self.load(table).await?;
        let schema = columns_with_key(table, &loaded, columns, key_column)?;
        let wanted = Arc::new(WantedKeys::new(table, &loaded, key_column, keys)?);
        let mut files = plan_table(&loaded, None, &PartitionPredicate::all()).await?.files;
        files.retain(|file| wanted.may_be_in(file));
        let batches =
            read_files(&loaded, files, schema.clone(), ScanOptions::default(), BytesRead::default())?;
        let key_index = schema.fields().iter().position(|field| field.name() == key_column);
        let asked_for = if columns.is_empty() { schema.fields().len() } else { columns.len() };
        let kept_columns: Vec<usize> = (0..asked_for).collect();
        let picked = batches.map_err(LakeError::from).map(move |read| {
            let batch = read?;
            let arrow = |source| ReadError::Arrow { path: table.full_name().to_string(), source };
            let mask = wanted.mask(key_index.map(|index| batch.column(index)));
            let rows = filter_record_batch(&batch, &mask).map_err(arrow)?;
            Ok(rows.project(&kept_columns).map_err(arrow)?)
        });
        let has_rows = |batch: &RecordBatch| std::future::ready(batch.num_rows() > 0);
        Ok(picked.try_filter(has_rows).boxed())
    }
}

/// The columns in the order asked for, and the key behind them where it was not.
fn columns_with_key(
    table: LakeTable,
    loaded: &Table,
    columns: &[&str],
    key_column: &str,
) -> Result<SchemaRef, LakeError> {
    let whole = schema_to_arrow_schema(loaded.metadata().current_schema())
        .map_err(LakeError::iceberg("read the schema of", table.full_name()))?;
    if whole.field_with_name(key_column).is_ok_and(|key| *key.data_type() != DataType::Utf8) {
        let reason = format!("column {key_column} is no text: rows can't be looked up by it");
        return Err(LakeError::BadBatch { table: table.full_name().to_string(), reason });
    }
    if columns.is_empty() && whole.field_with_name(key_column).is_ok() {
        return Ok(Arc::new(whole));
    }
    let further = (!columns.contains(&key_column)).then_some(&key_column);
    let fields = columns
        .iter()
        .chain(further)
        .map(|column| {
            whole.field_with_name(column).cloned().map_err(|_| {
                let known: Vec<&str> = whole.fields().iter().map(|field| field.name().as_str()).collect();
                ReadError::NoColumn { column: (*column).to_string(), known: known.join(", ") }
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Arc::new(ArrowSchema::new(fields)))
}

struct WantedKeys {
    all: HashSet<String>,
    sorted: Vec<String>,
    /// Where the current partition spec is one bucket of the key: its id, and the buckets of the keys.
    buckets: Option<(i32, HashSet<i32>)>,
    field_id: i32,
}

impl WantedKeys {
    fn new(table: LakeTable, loaded: &Table, key_column: &str, keys: &[String]) -> Result<Self, LakeError> {
        let metadata = loaded.metadata();
        let mut sorted = keys.to_vec();
        sorted.sort_unstable();
        let field_id = metadata.current_schema().field_id_by_name(key_column).unwrap_or_default();
        let spec = metadata.default_partition_spec();
        let buckets = match spec.fields() {
            [field] if field.source_id == field_id && field.transform == Transform::Bucket(KEY_BUCKETS) => {
                let failed = || LakeError::iceberg("partition the keys of", table.full_name());
                let column: ArrayRef = Arc::new(StringArray::from_iter_values(&sorted));
                let found = create_transform_function(&field.transform)
                    .and_then(|function| function.transform(column))
                    .map_err(failed())?;
                let numbers = found.as_any().downcast_ref::<Int32Array>();
                numbers.map(|numbers| (spec.spec_id(), numbers.values().iter().copied().collect()))
            }
            _ => None,
        };
        Ok(Self { all: keys.iter().cloned().collect(), sorted, buckets, field_id })
    }

    fn may_be_in(&self, file: &PlannedFile) -> bool {
        let data = file.data.file();
        if let Some((spec_id, buckets)) = &self.buckets
            && file.data.spec_id == *spec_id
            && let Some(Some(Literal::Primitive(PrimitiveLiteral::Int(bucket)))) =
                data.partition().iter().next()
            && !buckets.contains(bucket)
        {
            return false;
        }
        let bound = |found: Option<&Datum>| match found.map(Datum::literal) {
            Some(PrimitiveLiteral::String(text)) => Some(text.clone()),
            _ => None,
        };
        let (lower, upper) =
            (bound(data.lower_bounds().get(&self.field_id)), bound(data.upper_bounds().get(&self.field_id)));
        let first = lower.map_or(0, |lowest| self.sorted.partition_point(|key| *key < lowest));
        let end =
            upper.map_or(self.sorted.len(), |highest| self.sorted.partition_point(|key| *key <= highest));
        first < end
    }

    fn mask(&self, keys: Option<&ArrayRef>) -> BooleanArray {
        let Some(texts) = keys.and_then(|column| column.as_string_opt::<i32>()) else {
            return BooleanArray::from(Vec::<bool>::new());
        };
        texts.iter().map(|key| Some(key.is_some_and(|key| self.all.contains(key)))).collect()
    }
}
