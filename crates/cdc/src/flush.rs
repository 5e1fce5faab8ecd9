//! What a flush brings to the three tables, out of what was pending.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, new_null_array};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;

use crate::arrays::{column, texts, timestamps};
use crate::attribute::attribute_count;
use crate::columns::{Columns, Slot};
use crate::envelope::Operation;
use crate::error::CdcError;
use crate::index::VersionIndex;
use crate::invalid;
use crate::order::VersionOrder;
use crate::pending::{FlushedPosition, KeyChanges, Pending, Version};
use crate::value::{ColumnType, Value};

const US_PER_MS: i64 = 1_000;

/// Everything that was pending, as rows. Columns are matched to the tables' by name.
#[derive(Clone, Debug)]
pub struct Flush {
    /// New versions, by key, then order, then delivery.
    pub history: RecordBatch,
    /// The last version of each changed key whose last version is no deletion, by key.
    pub upserts: RecordBatch,
    /// Changed keys of which the dimension may have a row, sorted.
    pub deleted: Vec<String>,
    /// Rejected records in the columns of [`pulselake_model::schema::invalid_events`], by partition and offset.
    pub invalid: RecordBatch,
    /// What each partition brought.
    pub positions: BTreeMap<i32, FlushedPosition>,
}

/// What a key's changes come down to.
struct Decision {
    /// Place of the version that is the key's last one now.
    last: usize,
    /// Whether the dimension may have a row of the key.
    may_have_row: bool,
}

pub(crate) fn take(
    pending: Pending,
    columns: &Columns,
    index: &mut VersionIndex,
    source_topic: &str,
) -> Result<Flush, CdcError> {
    let Pending { waiting, by_key, invalid, mut positions, .. } = pending;
    let mut is_late = vec![false; waiting.len()];
    let version = |at: usize| &waiting[at].version;
    let mut decisions = Vec::new();
    for (key_hash, changes) in &by_key {
        let fresh = changes.waiting.iter().map(|at| *at as usize).filter(|at| !waiting[*at].is_repetition);
        let fresh = fresh.map(|at| (at, version(at).order));
        decisions.extend(decide(*key_hash, changes, fresh, index, &mut is_late));
    }
    for Decision { last, .. } in &decisions {
        let last = version(*last);
        index.set_last(last.key_hash, last.order, last.version_hash);
    }
    count(
        &waiting
            .iter()
            .zip(&is_late)
            .map(|(waiting, late)| {
                let place = (waiting.version.partition, waiting.version.offset);
                (place, waiting.is_repetition, *late)
            })
            .collect::<Vec<_>>(),
        &mut positions,
    );
    let mut history: Vec<&Version> =
        waiting.iter().filter(|waiting| !waiting.is_repetition).map(|waiting| &waiting.version).collect();
    history.sort_by(|one, other| {
        let place = |version: &Version| (version.order, version.partition, version.offset);
        one.key.cmp(&other.key).then_with(|| place(one).cmp(&place(other)))
    });
    decisions.sort_by(|one, other| version(one.last).key.cmp(&version(other.last).key));
    let last = decisions.iter().map(|decision| version(decision.last));
    let upserts: Vec<&Version> = last.filter(|version| version.operation != Operation::Delete).collect();
    let with_row = decisions.iter().filter(|decision| decision.may_have_row);
    Ok(Flush {
        deleted: with_row.map(|decision| version(decision.last).key.to_string()).collect(),
        history: rows(columns.history_schema(), &columns.history_slots(), columns, &history, source_topic)
            .map_err(|source| CdcError::Arrow { what: "history rows", source })?,
        upserts: rows(
            columns.dimension_schema(),
            &columns.dimension_slots(),
            columns,
            &upserts,
            source_topic,
        )
        .map_err(|source| CdcError::Arrow { what: "dimension rows", source })?,
        invalid: invalid::rows(invalid, source_topic)
            .map_err(|source| CdcError::Arrow { what: "rejected records", source })?,
        positions,
    })
}

/// Which of a key's new versions is its last one, if any; marks the late ones. Of equal ones the later delivered wins.
fn decide(
    key_hash: u128,
    changes: &KeyChanges,
    fresh: impl Iterator<Item = (usize, VersionOrder)>,
    index: &VersionIndex,
    is_late: &mut [bool],
) -> Option<Decision> {
    let in_history = changes.history.as_ref().map(|versions| versions.iter().map(|(order, _)| *order).max());
    let known = index.last_order(key_hash);
    let mut newest = known.max(in_history.flatten());
    let may_have_row = match in_history {
        Some(found) => known.is_some() || found.is_some(),
        None => known.is_some() || index.floor().is_some(),
    };
    let mut last = None;
    for (at, order) in fresh {
        if newest.is_some_and(|newest| order < newest) {
            is_late[at] = true;
        } else {
            newest = Some(order);
            last = Some(at);
        }
    }
    last.map(|last| Decision { last, may_have_row })
}

/// Counts records by what became of their versions, given as (partition and offset, repetition, late) by delivery.
fn count(versions: &[((i32, i64), bool, bool)], positions: &mut BTreeMap<i32, FlushedPosition>) {
    for of_record in versions.chunk_by(|(one, ..), (other, ..)| one == other) {
        let Some(((partition, _), ..)) = of_record.first() else { continue };
        let position = positions.entry(*partition).or_default();
        if of_record.iter().all(|(_, is_repetition, _)| *is_repetition) {
            position.duplicates += 1;
        } else if of_record.iter().any(|(_, _, is_late)| *is_late) {
            position.late += 1;
        }
    }
}

fn rows(
    schema: SchemaRef,
    slots: &[Slot],
    columns: &Columns,
    versions: &[&Version],
    source_topic: &str,
) -> Result<RecordBatch, ArrowError> {
    let base_count = attribute_count(columns.entity());
    let arrays = slots.iter().zip(schema.fields()).map(|(slot, field)| match slot {
        Slot::Null(data_type) => Ok(new_null_array(data_type, versions.len())),
        Slot::Bookkeeping(name) => bookkeeping(name, versions, source_topic),
        Slot::Attribute(0) => texts(versions.iter().map(|version| version.key.as_ref())),
        Slot::Attribute(place) => values(ColumnType::of(field.data_type()), *place, versions),
        Slot::Further(number) => values(columns.further(*number).1, base_count + number, versions),
    });
    let arrays = arrays.collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(schema, arrays)
}

fn values(
    column_type: Option<ColumnType>,
    place: usize,
    versions: &[&Version],
) -> Result<ArrayRef, ArrowError> {
    let Some(column_type) = column_type else {
        return Err(ArrowError::InvalidArgumentError("a column that can't be written".to_owned()));
    };
    column(column_type, versions.iter().map(|version| version.values.get(place).unwrap_or(&Value::Null)))
}

fn bookkeeping(name: &str, versions: &[&Version], source_topic: &str) -> Result<ArrayRef, ArrowError> {
    let longs = |value: &dyn Fn(&Version) -> Option<i64>| -> ArrayRef {
        Arc::new(Int64Array::from_iter(versions.iter().map(|version| value(version))))
    };
    Ok(match name {
        "updated_at" => timestamps(versions.iter().map(|version| Some(version.ingested_at_us))),
        "source_ts_ms" => longs(&|version| Some(version.order.source_ts_ms)),
        "op" => {
            Arc::new(StringArray::from_iter_values(versions.iter().map(|version| version.operation.as_str())))
        }
        "valid_from" => timestamps(
            versions.iter().map(|version| Some(version.order.source_ts_ms.saturating_mul(US_PER_MS))),
        ),
        "source_position" => longs(&|version| version.order.position),
        "source_position_minor" => longs(&|version| version.order.position_minor),
        "version_hash" => longs(&|version| Some(version.version_hash)),
        "source_topic" => texts(std::iter::repeat_n(source_topic, versions.len()))?,
        "source_partition" => {
            Arc::new(Int32Array::from_iter_values(versions.iter().map(|version| version.partition)))
        }
        "source_offset" => longs(&|version| Some(version.offset)),
        other => {
            return Err(ArrowError::InvalidArgumentError(format!("no column of the engine's own: {other}")));
        }
    })
}
