//! What the dimension lacks when a crash has left it behind the history: derived from the history's own rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, new_empty_array, new_null_array};
use arrow::compute::{cast, concat, take};
use arrow::datatypes::{DataType, Int64Type};
use arrow::error::ArrowError;
use hashbrown::HashMap;
use pulselake_model::Entity;

use crate::columns::Columns;
use crate::envelope::Operation;
use crate::error::CdcError;
use crate::index::{HistoryKeys, VersionIndex, column};
use crate::order::{HistoryVersion, VersionOrder, key_hash};

/// What has to go into the dimension, as in a [`Flush`](crate::Flush).
#[derive(Clone, Debug)]
pub struct CatchUp {
    /// The last version of each key whose last version is no deletion, by key.
    pub upserts: RecordBatch,
    /// Keys of which the dimension may have a row, sorted.
    pub deleted: Vec<String>,
}

/// The last of a key's rows.
struct LastRow {
    order: VersionOrder,
    offset: i64,
    /// Place among all rows.
    at: u32,
    is_deletion: bool,
}

/// Keys of these rows that a bounded index has forgotten, sorted: all of their versions in the history have to be looked up
/// for [`catch_up`]. None as long as the index has evicted nothing.
///
/// # Errors
/// The rows are not those of a history.
pub fn catch_up_doubts(
    entity: Entity,
    rows: &[RecordBatch],
    index: &VersionIndex,
) -> Result<Vec<String>, CdcError> {
    let last_rows = last_rows(entity, rows)?;
    let doubtful = last_rows.into_iter().filter(|(key, row)| is_doubtful(key, row.order, index));
    Ok(doubtful.map(|(key, _)| key).collect())
}

fn is_doubtful(key: &str, order: VersionOrder, index: &VersionIndex) -> bool {
    index.last_order(key_hash(key)).is_none() && index.floor().is_some_and(|floor| order <= floor)
}

/// What the dimension lacks: `rows` are all rows of the history whose offsets the dimension has not applied and the history
/// has, of all partitions. `index` has the whole history, these rows included; `looked_up` the versions of the keys that
/// [`catch_up_doubts`] names.
///
/// # Errors
/// The rows are not those of a history, a doubtful key was not looked up, or a batch can't be built.
pub fn catch_up(
    entity: Entity,
    columns: &Columns,
    rows: &[RecordBatch],
    index: &VersionIndex,
    looked_up: &[HistoryVersion],
) -> Result<CatchUp, CdcError> {
    let mut last_in_history: HashMap<&str, VersionOrder> = HashMap::new();
    for version in looked_up {
        let last = last_in_history.entry(version.key.as_str()).or_insert(version.order);
        *last = version.order.max(*last);
    }
    let mut present = last_rows(entity, rows)?;
    let unsettled = present.iter().filter(|(key, row)| {
        is_doubtful(key, row.order, index) && !last_in_history.contains_key(key.as_str())
    });
    let unsettled = unsettled.count();
    if unsettled > 0 {
        return Err(CdcError::Unsettled { keys: unsettled });
    }
    present.retain(|key, row| {
        let last = index.last_order(key_hash(key)).max(last_in_history.get(key.as_str()).copied());
        last.is_none_or(|last| row.order >= last)
    });
    let chosen: Vec<u32> = present.values().filter(|row| !row.is_deletion).map(|row| row.at).collect();
    let upserts = taken(columns, rows, chosen)
        .map_err(|source| CdcError::Arrow { what: "rows that the dimension lacks", source })?;
    Ok(CatchUp { upserts, deleted: present.into_keys().collect() })
}

/// By key: the row with the highest order, of equal ones the one delivered last.
fn last_rows(entity: Entity, batches: &[RecordBatch]) -> Result<BTreeMap<String, LastRow>, CdcError> {
    let mut last: BTreeMap<String, LastRow> = BTreeMap::new();
    let mut at = 0;
    for batch in batches {
        let keys = HistoryKeys::of(entity, batch)?;
        let offsets = column(batch, "source_offset", &DataType::Int64)?.as_primitive::<Int64Type>();
        let operations = column(batch, "op", &DataType::Utf8)?.as_string::<i32>();
        for row in 0..batch.num_rows() {
            let found = LastRow {
                order: keys.order(row),
                offset: offsets.value(row),
                at,
                is_deletion: operations.value(row) == Operation::Delete.as_str(),
            };
            at += 1;
            match last.get_mut(keys.key(row)) {
                Some(known) if (known.order, known.offset) > (found.order, found.offset) => {}
                Some(known) => *known = found,
                None => {
                    last.insert(keys.key(row).to_owned(), found);
                }
            }
        }
    }
    Ok(last)
}

/// The chosen rows in the dimension's columns.
fn taken(columns: &Columns, batches: &[RecordBatch], chosen: Vec<u32>) -> Result<RecordBatch, ArrowError> {
    let schema = columns.dimension_schema();
    let chosen = arrow::array::UInt32Array::from(chosen);
    let arrays = schema.fields().iter().map(|field| -> Result<ArrayRef, ArrowError> {
        let parts = batches.iter().map(|batch| match batch.column_by_name(field.name()) {
            Some(found) if found.data_type() == field.data_type() => Ok(Arc::clone(found)),
            Some(found) => cast(found, field.data_type()),
            None => Ok(new_null_array(field.data_type(), batch.num_rows())),
        });
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        let parts: Vec<_> = parts.iter().map(AsRef::as_ref).collect();
        let whole = if parts.is_empty() { new_empty_array(field.data_type()) } else { concat(&parts)? };
        take(&whole, &chosen, None)
    });
    let arrays = arrays.collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(schema, arrays)
}
