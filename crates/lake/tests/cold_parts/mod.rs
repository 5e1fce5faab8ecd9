//! Rows of the cold path's tables, and what is in them.
#![allow(dead_code, unreachable_pub, missing_docs)]

use std::convert::Infallible;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, Date32Array, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Int64Type, SchemaRef};
use chrono::NaiveDate;
use futures::{Stream, TryStreamExt, stream};
use pulselake_lake::{Lake, OpenMode, ReplacedPart};
use pulselake_model::tables::LakeTable;

use crate::common::Place;

pub const FACTS: LakeTable = LakeTable::EngagementFacts;
pub const VIDEOS: LakeTable = LakeTable::BatchVideoDaily;
pub const FIELDS: LakeTable = LakeTable::PayloadFields;

pub fn day(number: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 2, number).unwrap()
}

pub fn part(number: u32) -> ReplacedPart {
    ReplacedPart::Day(day(number))
}

fn day_number(date: NaiveDate) -> i32 {
    date.signed_duration_since(NaiveDate::default()).num_days() as i32
}

/// Rows of `schema` on a day, each column filled by its type: texts are `name-number`, numbers the row's number.
pub fn rows_of(schema: &SchemaRef, date: NaiveDate, numbers: Range<i64>) -> RecordBatch {
    let count = numbers.clone().count();
    let start_us = i64::from(day_number(date)) * 86_400_000_000;
    let columns = schema.fields().iter().map(|field| -> ArrayRef {
        match field.data_type() {
            DataType::Utf8 => Arc::new(StringArray::from_iter_values(
                numbers.clone().map(|number| format!("{}-{number}", field.name())),
            )),
            DataType::Int64 => Arc::new(Int64Array::from_iter_values(numbers.clone())),
            DataType::Int32 => {
                Arc::new(Int32Array::from_iter_values(numbers.clone().map(|number| number as i32)))
            }
            DataType::Float64 => {
                Arc::new(Float64Array::from_iter_values(numbers.clone().map(|number| number as f64)))
            }
            DataType::Boolean => {
                Arc::new(BooleanArray::from_iter(numbers.clone().map(|number| Some(number % 2 == 0))))
            }
            DataType::Date32 => Arc::new(Date32Array::from(vec![day_number(date); count])),
            DataType::Timestamp(..) => Arc::new(
                TimestampMicrosecondArray::from_iter_values(
                    numbers.clone().map(|number| start_us + number * 1_000_000),
                )
                .with_timezone("+00:00"),
            ),
            other => panic!("no values for {other}"),
        }
    });
    RecordBatch::try_new(schema.clone(), columns.collect()).unwrap()
}

/// A job's answer in batches.
pub fn stream_of(batches: Vec<RecordBatch>) -> impl Stream<Item = Result<RecordBatch, Infallible>> + Send {
    stream::iter(batches.into_iter().map(Ok))
}

pub async fn open(place: &Place) -> Lake {
    let lake = Lake::open(&place.settings(), OpenMode::CreateIfMissing).await.unwrap();
    lake.ensure_tables(&LakeTable::OF_BATCH).await.unwrap();
    lake
}

/// The numbers in a column of the whole table, sorted.
pub async fn numbers(lake: &Lake, table: LakeTable, column: &str) -> Vec<i64> {
    let batches: Vec<RecordBatch> = lake.read(table, &[column]).await.unwrap().try_collect().await.unwrap();
    let mut found: Vec<i64> = batches
        .iter()
        .flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec())
        .collect();
    found.sort_unstable();
    found
}

pub async fn snapshots(lake: &Lake, table: LakeTable) -> usize {
    lake.load(table).await.unwrap().metadata().snapshots().len()
}
