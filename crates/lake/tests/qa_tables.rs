//! Tables that no stream feeds: rows are appended to them without a ledger.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, Int64Array, ListBuilder, RecordBatch, StringArray, StringBuilder,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Int64Type};
use common::*;
use futures::TryStreamExt;
use pulselake_lake::{CommitError, LakeError, Moved, UpsertError};
use pulselake_model::qa;
use pulselake_model::tables::LakeTable;

const RUNS: LakeTable = LakeTable::RunManifest;

/// Rows of `qa.run_manifest`: each column filled by its type, the seed is the row's number.
fn runs(seeds: std::ops::Range<i64>) -> RecordBatch {
    let schema = qa::run_manifest();
    let count = seeds.clone().count();
    let columns = schema.fields().iter().map(|field| -> ArrayRef {
        match field.data_type() {
            DataType::Utf8 => Arc::new(StringArray::from(vec![field.name().as_str(); count])),
            DataType::Int64 => Arc::new(Int64Array::from_iter_values(seeds.clone())),
            DataType::Timestamp(..) if field.is_nullable() => {
                Arc::new(TimestampMicrosecondArray::from(vec![None; count]).with_timezone("+00:00"))
            }
            DataType::Timestamp(..) => {
                Arc::new(TimestampMicrosecondArray::from_iter_values(seeds.clone()).with_timezone("+00:00"))
            }
            DataType::List(element) => {
                let mut lists = ListBuilder::new(StringBuilder::new()).with_field(element.clone());
                for seed in seeds.clone() {
                    lists.append_value((0..seed).map(|number| Some(format!("scenario {number}"))));
                }
                Arc::new(lists.finish())
            }
            other => panic!("no values for {other}"),
        }
    });
    RecordBatch::try_new(schema.clone(), columns.collect()).unwrap()
}

#[tokio::test]
async fn rows_are_appended_and_read_again() {
    let place = Place::new();
    let lake = place.lake().await;
    assert_eq!(
        lake.ensure_tables(&LakeTable::OF_QA).await.unwrap(),
        LakeTable::OF_QA.map(|table| (table, true))
    );
    assert!(lake.append_rows(RUNS, &runs(0..0)).await.unwrap().is_none(), "no rows, no commit");
    let first = lake.append_rows(RUNS, &runs(0..2)).await.unwrap();
    let second = lake.append_rows(RUNS, &runs(2..5)).await.unwrap();
    assert!(first.is_some() && second.is_some() && first != second);

    let batches: Vec<RecordBatch> =
        lake.read(RUNS, &["seed", "scenarios"]).await.unwrap().try_collect().await.unwrap();
    let mut found: Vec<(i64, usize)> = Vec::new();
    for batch in &batches {
        let (seeds, lists) = (batch.column(0).as_primitive::<Int64Type>(), batch.column(1).as_list::<i32>());
        found.extend((0..batch.num_rows()).map(|row| (seeds.value(row), lists.value(row).len())));
    }
    found.sort_unstable();
    assert_eq!(found, [(0, 0), (1, 1), (2, 2), (3, 3), (4, 4)]);
    assert_eq!(lake.ledger(RUNS).await.unwrap(), None);
    assert!(lake.existing_tables().await.unwrap().ends_with(&LakeTable::OF_QA));
    let files = place.files(RUNS, ".parquet");
    assert_eq!(files.len(), 2);
    assert!(files.iter().all(|file| file.parent() == Some(&place.table_directory(RUNS).join("data"))));
}

#[tokio::test]
async fn rows_are_appended_on_the_snapshot_that_was_looked_at_alone() {
    let place = Place::new();
    let lake = place.lake().await;
    lake.ensure_tables(&LakeTable::OF_QA).await.unwrap();
    let first = lake.append_rows_on(RUNS, &runs(0..2), None).await.unwrap();
    for stale in [None, Some(7)] {
        let moved = lake.append_rows_on(RUNS, &runs(2..3), stale).await.unwrap_err();
        assert!(matches!(moved, UpsertError::Moved(Moved { found, .. }) if found == first), "{moved}");
    }
    assert_eq!(place.files(RUNS, ".parquet").len(), 1, "the refused ones' files are gone");
    assert!(lake.append_rows_on(RUNS, &runs(2..3), first).await.unwrap() > Some(0));
    assert_eq!(place.files(RUNS, ".parquet").len(), 2);
}

#[tokio::test]
async fn a_table_with_a_ledger_takes_no_rows_without_one() {
    let place = Place::new();
    let lake = place.lake().await;
    let refused = lake.append_rows(BRONZE, &rows(0, 0..3, 0)).await.unwrap_err();
    assert!(matches!(&refused, CommitError::Failed { source: LakeError::BadBatch { .. }, .. }), "{refused}");
    assert_eq!(place.files(BRONZE, ".parquet").len(), 0);
}

#[tokio::test]
async fn a_batch_of_other_columns_leaves_no_file() {
    let place = Place::new();
    let lake = place.lake().await;
    lake.ensure_tables(&[RUNS]).await.unwrap();
    let refused = lake.append_rows(RUNS, &rows(0, 0..3, 0)).await.unwrap_err().to_string();
    assert!(refused.contains("qa.run_manifest"), "{refused}");
    assert_eq!(place.files(RUNS, ".parquet").len(), 0);
    assert_eq!(lake.load(RUNS).await.unwrap().metadata().current_snapshot_id(), None);
}

#[tokio::test]
async fn columns_keep_their_names_in_whatever_order_they_are_asked_for() {
    let place = Place::new();
    let lake = place.lake().await;
    lake.ensure_tables(&LakeTable::OF_QA).await.unwrap();
    lake.append_rows(RUNS, &runs(0..2)).await.unwrap();
    // Two texts: by their types, each could be the other.
    for columns in [["run_id", "identity"], ["identity", "run_id"]] {
        let batches: Vec<RecordBatch> =
            lake.scan(RUNS, &columns, None).await.unwrap().try_collect().await.unwrap();
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 2);
        for batch in &batches {
            for (place, name) in columns.iter().enumerate() {
                assert_eq!(batch.schema().field(place).name(), name, "{columns:?}");
                let values = batch.column(place).as_string::<i32>();
                assert!(values.iter().all(|value| value == Some(*name)), "{columns:?}: {values:?}");
            }
        }
    }
}
