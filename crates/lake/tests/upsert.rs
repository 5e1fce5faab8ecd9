//! Rows in the place of those with the same keys, on the snapshot that was read and no other.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, Float64Array, Int32Array, Int64Array, ListBuilder, RecordBatch, StringArray,
    StringBuilder, TimestampMicrosecondArray,
};
use arrow::datatypes::DataType;
use common::*;
use futures::TryStreamExt;
use iceberg::spec::Operation;
use pulselake_lake::{CommitError, Lake, LakeError, Moved, UpsertError};
use pulselake_model::decisions;
use pulselake_model::tables::LakeTable;

const QUEUE: LakeTable = LakeTable::ActionQueue;

/// Rows of the queue: every text but the key is `state`, every number is 7.
fn rows(keys: &[&str], state: &str) -> RecordBatch {
    let schema = decisions::action_queue();
    let count = keys.len();
    let columns = schema.fields().iter().map(|field| -> ArrayRef {
        match field.data_type() {
            DataType::Utf8 if field.name() == "action_id" => Arc::new(StringArray::from(keys.to_vec())),
            DataType::Utf8 => Arc::new(StringArray::from(vec![state; count])),
            DataType::Int32 => Arc::new(Int32Array::from(vec![7; count])),
            DataType::Int64 => Arc::new(Int64Array::from(vec![7; count])),
            DataType::Float64 => Arc::new(Float64Array::from(vec![7.0; count])),
            DataType::Timestamp(..) => {
                Arc::new(TimestampMicrosecondArray::from(vec![7; count]).with_timezone("+00:00"))
            }
            DataType::List(element) => {
                let mut lists = ListBuilder::new(StringBuilder::new()).with_field(element.clone());
                keys.iter().for_each(|key| lists.append_value([Some(*key), None]));
                Arc::new(lists.finish())
            }
            other => panic!("no values for {other}"),
        }
    });
    RecordBatch::try_new(schema.clone(), columns.collect()).unwrap()
}

async fn queue(place: &Place) -> Lake {
    let lake = place.lake().await;
    lake.ensure_tables(&LakeTable::OF_DECISIONS).await.unwrap();
    lake
}

/// State by key, as a process sees it that has read nothing before.
async fn states(lake: &Lake) -> BTreeMap<String, String> {
    let batches: Vec<RecordBatch> =
        lake.read(QUEUE, &["action_id", "state"]).await.unwrap().try_collect().await.unwrap();
    let mut found = BTreeMap::new();
    for batch in batches {
        let (keys, states) = (batch.column(0).as_string::<i32>(), batch.column(1).as_string::<i32>());
        for row in 0..batch.num_rows() {
            let doubled = found.insert(keys.value(row).to_owned(), states.value(row).to_owned());
            assert_eq!(doubled, None, "{} is there twice", keys.value(row));
        }
    }
    found
}

fn expected(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, state)| ((*key).to_owned(), (*state).to_owned())).collect()
}

async fn snapshot(lake: &Lake) -> Option<i64> {
    lake.load(QUEUE).await.unwrap().metadata().current_snapshot_id()
}

#[tokio::test]
async fn rows_take_the_place_of_those_with_their_keys() {
    let place = Place::new();
    let lake = queue(&place).await;
    let first = lake.upsert_rows(QUEUE, &rows(&["a", "b"], "PENDING"), None).await.unwrap();
    assert_eq!((first.snapshot_id, first.is_own_snapshot, first.attempts), (snapshot(&lake).await, true, 1));
    let second = lake.upsert_rows(QUEUE, &rows(&["b", "c"], "ACKED"), first.snapshot_id).await.unwrap();
    assert_eq!(states(&lake).await, expected(&[("a", "PENDING"), ("b", "ACKED"), ("c", "ACKED")]));
    let table = lake.load(QUEUE).await.unwrap();
    let metadata = table.metadata();
    assert_eq!(metadata.snapshots().count(), 2, "deletes and rows are one commit");
    assert_eq!(metadata.current_snapshot().unwrap().summary().operation, Operation::Overwrite);
    assert_eq!(metadata.current_snapshot_id(), second.snapshot_id);
    let key = metadata.current_schema().field_id_by_name("action_id").unwrap();
    assert!(metadata.current_schema().identifier_field_ids().eq([key]));
    assert_eq!(metadata.default_sort_order().fields[0].source_id, key);
    assert_eq!(lake.ledger(QUEUE).await.unwrap(), None);
}

#[tokio::test]
async fn another_snapshot_than_the_planned_one_is_refused_and_leaves_nothing() {
    let place = Place::new();
    let lake = queue(&place).await;
    let first = lake.upsert_rows(QUEUE, &rows(&["a"], "PENDING"), None).await.unwrap().snapshot_id;
    lake.upsert_rows(QUEUE, &rows(&["a"], "ACKED"), first).await.unwrap();
    let (files, now) = (place.files(QUEUE, ".parquet").len(), snapshot(&lake).await);
    for planned_on in [None, first, Some(7)] {
        let refused = lake.upsert_rows(QUEUE, &rows(&["a"], "HOLD"), planned_on).await.unwrap_err();
        let UpsertError::Moved(Moved { planned_on: named, found, .. }) = &refused else {
            panic!("{refused}")
        };
        assert_eq!((*named, *found), (planned_on, now));
    }
    assert_eq!((place.files(QUEUE, ".parquet").len(), snapshot(&lake).await), (files, now));
    assert_eq!(states(&lake).await, expected(&[("a", "ACKED")]));
}

#[tokio::test]
async fn of_two_that_planned_on_one_snapshot_one_lands() {
    let place = Place::new();
    let (ours, theirs) = (queue(&place).await, queue(&place).await);
    let mut planned_on = None;
    for round in 0..10 {
        let (first, second) = (rows(&["a"], "PENDING"), rows(&["a"], "ACKED"));
        let (one, other) = tokio::join!(
            ours.upsert_rows(QUEUE, &first, planned_on),
            theirs.upsert_rows(QUEUE, &second, planned_on)
        );
        let landed: Vec<&str> = [(&one, "PENDING"), (&other, "ACKED")]
            .iter()
            .filter(|found| found.0.is_ok())
            .map(|found| found.1)
            .collect();
        assert_eq!(landed.len(), 1, "round {round}: {one:?}, {other:?}");
        assert_eq!(states(&ours).await, expected(&[("a", landed[0])]));
        for outcome in [one, other] {
            match outcome {
                Ok(upserted) => planned_on = upserted.snapshot_id,
                Err(error) => assert!(matches!(error, UpsertError::Moved { .. }), "{error}"),
            }
        }
    }
}

#[tokio::test]
async fn what_can_t_be_upserted_is_said_and_leaves_no_file() {
    let place = Place::new();
    let lake = queue(&place).await;
    let unchanged = lake.upsert_rows(QUEUE, &rows(&[], ""), None).await.unwrap();
    assert_eq!((unchanged.snapshot_id, unchanged.attempts), (None, 0), "no rows, no commit");
    for (table, batch, reason) in [
        (QUEUE, rows(&["a", "b", "a"], "PENDING"), "its key a is in two rows"),
        (QUEUE, rows(&["a"], "PENDING").project(&[1]).unwrap(), "no text column action_id"),
        (QUEUE, rows(&["a"], "PENDING").project(&[0, 1]).unwrap(), "nulls in required column"),
        (LakeTable::RuleBaselines, rows(&["a"], "PENDING"), "it has no key"),
        (BRONZE, common::rows(0, 0..2, 0), "a stream feeds it"),
    ] {
        let refused = lake.upsert_rows(table, &batch, None).await.unwrap_err();
        let UpsertError::Commit(CommitError::Failed { source: LakeError::BadBatch { .. }, .. }) = &refused
        else {
            panic!("{refused}");
        };
        assert!(refused.to_string().contains(reason), "{refused}");
        assert!(place.files(table, ".parquet").is_empty());
    }
}
