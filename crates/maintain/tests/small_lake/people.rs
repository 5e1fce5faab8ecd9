//! Events of users, and what is erased of them.

#![allow(dead_code, clippy::unwrap_used)]

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray};
use futures::TryStreamExt;
use iceberg::TableIdent;
use iceberg::spec::PrimitiveType;
use pulselake_maintain::erase::{EraseSettings, Subject};
use pulselake_read::read_table;

use super::SmallLake;
use super::cells::cells;

pub const USER: &str = "u_8812";

pub fn user() -> Subject {
    Subject::User(USER.to_string())
}

pub fn at_once() -> EraseSettings {
    EraseSettings { expire_now: true, ..EraseSettings::default() }
}

pub async fn events_table(lake: &SmallLake) -> TableIdent {
    let columns = [
        ("user_id", PrimitiveType::String),
        ("source_topic", PrimitiveType::String),
        ("source_partition", PrimitiveType::Int),
        ("source_offset", PrimitiveType::Long),
        ("payload_json", PrimitiveType::String),
    ];
    lake.create("events", &columns, &[]).await
}

/// One row for each user, at offsets from `first`, with a body.
pub fn events(users: &[&str], partition: i32, first: i64, body: &str) -> Vec<ArrayRef> {
    let count = users.len();
    vec![
        Arc::new(StringArray::from(users.to_vec())),
        Arc::new(StringArray::from(vec!["content_events"; count])),
        Arc::new(Int32Array::from(vec![partition; count])),
        Arc::new(Int64Array::from_iter_values(first..first + count as i64)),
        Arc::new(StringArray::from(vec![body; count])),
    ]
}

/// The values of one text column, sorted.
pub async fn texts(lake: &SmallLake, table: &TableIdent, column: &str) -> Vec<String> {
    let loaded = lake.load(table).await;
    let batches: Vec<RecordBatch> =
        read_table(&loaded, None, Some(&[column])).await.unwrap().try_collect().await.unwrap();
    let mut values: Vec<String> = batches.iter().flat_map(|batch| cells(batch.column(0).as_ref())).collect();
    values.sort();
    values
}
