//! Columns of the two tables: what is taken, what is refused, and what aligns them.
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;

use arrow::array::Array;
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use pulselake_cdc::{CdcError, CdcSettings, Columns, Upserter, VersionIndex};
use pulselake_model::{Entity, ErrorCode, RawBatch, schema};

const ENTITY: Entity = Entity::Videos;

fn with(base: &SchemaRef, further: &[(&str, DataType)]) -> Schema {
    let mut fields: Vec<_> = base.fields().iter().cloned().collect();
    fields
        .extend(further.iter().map(|(name, data_type)| Arc::new(Field::new(*name, data_type.clone(), true))));
    Schema::new(fields)
}

fn columns(history: &[(&str, DataType)], dimension: &[(&str, DataType)]) -> Result<Columns, CdcError> {
    Columns::new(
        ENTITY,
        &with(&schema::dimension_history(ENTITY), history),
        &with(&schema::dimension(ENTITY), dimension),
    )
}

fn texts(changes: &[pulselake_cdc::ColumnChange]) -> Vec<String> {
    changes.iter().map(ToString::to_string).collect()
}

#[test]
fn tables_as_created_need_nothing() {
    let columns = columns(&[], &[]).unwrap();
    assert!(columns.changes().is_empty());
    assert_eq!(columns.history_schema(), schema::dimension_history(ENTITY));
    assert_eq!(columns.dimension_schema(), schema::dimension(ENTITY));
}

#[test]
fn a_table_that_a_crash_left_behind_is_aligned() {
    let columns = columns(
        &[("a", DataType::Int64), ("b", DataType::Utf8), ("c", DataType::Decimal128(9, 2))],
        &[("c", DataType::Decimal128(5, 2)), ("d", DataType::Boolean), ("a", DataType::Int32)],
    )
    .unwrap();
    let alignment = columns.changes_to_align();
    assert_eq!(texts(&alignment.history), ["add d as Boolean"]);
    assert_eq!(
        texts(&alignment.dimension),
        ["widen a to Int64", "add b as Utf8", "widen c to Decimal128(9, 2)"]
    );
}

#[test]
fn binary_columns_come_as_iceberg_gives_them() {
    let columns = columns(&[("a", DataType::LargeBinary)], &[("a", DataType::LargeBinary)]).unwrap();
    assert!(columns.changes().is_empty());
    assert_eq!(columns.dimension_schema().field_with_name("a").unwrap().data_type(), &DataType::Binary);
}

#[test]
fn columns_that_nothing_can_be_written_to_are_null_and_refuse_values() {
    let structure = DataType::Struct(Fields::from(vec![Field::new("x", DataType::Int32, true)]));
    let time = DataType::Time64(TimeUnit::Microsecond);
    let columns = columns(&[("note", time)], &[("own", structure), ("op", DataType::Utf8)]).unwrap();
    assert!(columns.changes().is_empty());
    let mut upserter = Upserter::new(ENTITY, CdcSettings::default(), columns, VersionIndex::new(10));
    let mut batch = RawBatch::at(0, 0);
    batch.push(0, None, br#"{"op":"c","after":{"video_id":"v"},"ts_ms":1}"#);
    batch.push(1, None, br#"{"op":"c","after":{"video_id":"v","note":5},"ts_ms":1}"#);
    batch.push(2, None, br#"{"op":"c","after":{"video_id":"v","own":5},"ts_ms":1}"#);
    let applied = upserter.apply(&batch, 0, None);
    assert_eq!(applied.rejected_by_code[ErrorCode::TypeChanged as usize], 2);
    let flush = upserter.take_flush().unwrap();
    for (rows, name) in [(&flush.history, "note"), (&flush.upserts, "own"), (&flush.upserts, "op")] {
        assert_eq!(rows.column_by_name(name).unwrap().null_count(), 1, "{name}");
    }
}

#[test]
fn what_can_not_be_worked_with_is_refused() {
    let conflict = columns(&[("a", DataType::Utf8)], &[("a", DataType::Int64)]);
    assert!(matches!(conflict, Err(CdcError::ColumnType { column, .. }) if column == "a"));

    let missing = Columns::new(ENTITY, &schema::dimension(ENTITY), &schema::dimension(ENTITY));
    assert!(
        matches!(missing, Err(CdcError::MissingColumn { table: "history", column, .. }) if column == "op")
    );

    let mut fields: Vec<_> = schema::dimension(ENTITY).fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new("a", DataType::Int64, false)));
    let required = Columns::new(ENTITY, &schema::dimension_history(ENTITY), &Schema::new(fields.clone()));
    assert!(matches!(required, Err(CdcError::RequiredColumn { table: "dimension", .. })));

    fields.pop();
    fields[2] = Arc::new(Field::new("category", DataType::Int32, true));
    let changed = Columns::new(ENTITY, &schema::dimension_history(ENTITY), &Schema::new(fields));
    assert!(matches!(changed, Err(CdcError::ColumnType { column, .. }) if column == "category"));
}
