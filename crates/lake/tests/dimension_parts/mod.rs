//! Rows of a video dimension, and what its tables hold as text.
#![allow(dead_code, unreachable_pub, missing_docs)]

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, ListBuilder,
    RecordBatch, StringArray, StringBuilder, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::TryStreamExt;
use pulselake_lake::{CommitError, Lake, LedgeredAppend, Receipt, WriterOptions};
use pulselake_model::tables::LakeTable;
use pulselake_model::{ColumnChange, Entity};

use crate::common::{advance, request};

pub const VIDEOS: LakeTable = LakeTable::Dimension(Entity::Videos);
pub const HISTORY: LakeTable = LakeTable::DimensionHistory(Entity::Videos);

/// A row: video, category, hashtags by comma, duration.
pub type Video = (&'static str, Option<&'static str>, Option<&'static str>, Option<i64>);

/// A batch of the columns given, which need not be all that the table has.
pub fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let fields: Vec<Field> =
        columns.iter().map(|(name, column)| Field::new(*name, column.data_type().clone(), true)).collect();
    let arrays = columns.into_iter().map(|(_, column)| column).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

pub fn texts<'a>(values: impl IntoIterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<StringArray>())
}

pub fn longs(values: impl IntoIterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<Int64Array>())
}

pub fn ints(values: impl IntoIterator<Item = Option<i32>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<Int32Array>())
}

pub fn doubles(values: impl IntoIterator<Item = Option<f64>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<Float64Array>())
}

pub fn truths(values: impl IntoIterator<Item = Option<bool>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<BooleanArray>())
}

pub fn days(values: impl IntoIterator<Item = Option<i32>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<Date32Array>())
}

pub fn decimals(values: impl IntoIterator<Item = Option<i128>>, precision: u8) -> ArrayRef {
    let numbers: Decimal128Array = values.into_iter().collect();
    Arc::new(numbers.with_precision_and_scale(precision, 2).unwrap())
}

pub fn times(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_iter_values(values).with_timezone("+00:00"))
}

fn tags(values: impl IntoIterator<Item = Option<&'static str>>) -> ArrayRef {
    let mut lists = ListBuilder::new(StringBuilder::new());
    for value in values {
        for tag in value.iter().flat_map(|text| text.split(',')).filter(|tag| !tag.is_empty()) {
            lists.values().append_value(tag);
        }
        lists.append(value.is_some());
    }
    Arc::new(lists.finish())
}

/// The base columns of some rows, some of the optional ones left out.
pub fn base(videos: &[Video], source_ts_ms: i64) -> Vec<(&'static str, ArrayRef)> {
    vec![
        ("category", texts(videos.iter().map(|video| video.1))),
        ("video_id", texts(videos.iter().map(|video| Some(video.0)))),
        ("hashtags", tags(videos.iter().map(|video| video.2))),
        ("duration_ms", longs(videos.iter().map(|video| video.3))),
        ("updated_at", times(videos.iter().map(|_| 1_770_458_400_000_000))),
        ("source_ts_ms", longs(videos.iter().map(|_| Some(source_ts_ms)))),
    ]
}

/// Writes rows, and deletes of the keys, for one commit on `seq`.
pub async fn work(lake: &Lake, seq: i64, rows: &RecordBatch, deleted: &[&str]) -> LedgeredAppend {
    let options = WriterOptions::default();
    let files = lake.write_rows(VIDEOS, rows, options).await.unwrap();
    let deletes = lake.write_equality_deletes(VIDEOS, deleted, options).await.unwrap();
    LedgeredAppend { files, deletes, ..request(vec![advance(0, seq, seq + 1)]) }
}

/// Replaces the rows of these keys.
pub async fn upsert(
    lake: &Lake,
    seq: i64,
    rows: &RecordBatch,
    deleted: &[&str],
) -> Result<Receipt, CommitError> {
    lake.append(VIDEOS, &work(lake, seq, rows, deleted).await).await
}

pub fn add(name: &str, data_type: DataType) -> ColumnChange {
    ColumnChange::Add { name: name.to_string(), data_type }
}

pub fn promote(name: &str, data_type: DataType) -> ColumnChange {
    ColumnChange::Promote { name: name.to_string(), data_type }
}

/// The rows as text, sorted: cells by '|', `NULL` for none.
pub async fn rows(lake: &Lake, table: LakeTable, columns: &[&str]) -> Vec<String> {
    let read: Vec<RecordBatch> = lake.read(table, columns).await.unwrap().try_collect().await.unwrap();
    as_text(&read)
}

pub fn as_text(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::new().with_null("NULL");
    let mut found = Vec::new();
    for read in batches {
        let formatters: Vec<_> =
            read.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
        for row in 0..read.num_rows() {
            let cells: Vec<String> =
                formatters.iter().map(|formatter| formatter.value(row).to_string()).collect();
            found.push(cells.join("|"));
        }
    }
    found.sort();
    found
}
