//! Gold with its stream, differences, and what is in it.
#![allow(dead_code, unreachable_pub, missing_docs)]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimestampMicrosecondType};
use chrono::NaiveDate;
use futures::TryStreamExt;
use iceberg::spec::{MAIN_BRANCH, SnapshotReference, SnapshotRetention};
use iceberg::{TableRequirement, TableUpdate};
use pulselake_commit::catalog::SwapBounds;
use pulselake_commit::{Swap, nearest_summary_value};
use pulselake_lake::{
    Lake, LedgeredAppend, Receipt, RestateError, Restatement, RestatementBase, TableWriter, WriterOptions,
};
use pulselake_ledger::{PROPERTY, Restated};
use pulselake_model::gold_counts::{COUNT_COLUMNS, WATCH_TIME_COLUMN};
use pulselake_model::schema;
use pulselake_model::tables::LakeTable;

use crate::cold_parts::stream_of;
use crate::common::{advance, request};

pub const GOLD: LakeTable = LakeTable::VideoStats1Min;
pub const MINUTE_US: i64 = 60_000_000;
pub const DAY_US: i64 = 1_440 * MINUTE_US;
/// The columns of counts, the watch time last.
pub const COUNTS: [&str; 7] = [
    COUNT_COLUMNS[0],
    COUNT_COLUMNS[1],
    COUNT_COLUMNS[2],
    COUNT_COLUMNS[3],
    COUNT_COLUMNS[4],
    COUNT_COLUMNS[5],
    WATCH_TIME_COLUMN,
];

/// The second day of the epoch.
pub fn date() -> NaiveDate {
    "1970-01-02".parse().unwrap()
}

pub fn minute_us(minute: i64) -> i64 {
    DAY_US + minute * MINUTE_US
}

/// A video, a minute of the day, and what each count is.
pub type Window = (&'static str, i64, i64);

pub fn moments(values: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_iter_values(values).with_timezone("+00:00"))
}

pub fn streamed(windows: &[Window], revision: i32) -> RecordBatch {
    let starts = || windows.iter().map(|(_, minute, _)| minute_us(*minute));
    let counts =
        || -> ArrayRef { Arc::new(Int64Array::from_iter_values(windows.iter().map(|window| window.2))) };
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from(vec![0; windows.len()])),
        Arc::new(StringArray::from_iter_values(windows.iter().map(|window| window.0))),
        moments(starts()),
        moments(starts().map(|start_us| start_us + MINUTE_US)),
    ];
    columns.extend((0..7).map(|_| counts()));
    columns.push(Arc::new(Int32Array::from(vec![revision; windows.len()])));
    columns.push(moments(starts()));
    RecordBatch::try_new(schema::gold_video_stats(), columns).unwrap()
}

/// Differences as a query has them: other columns beside, another order, texts as views.
pub fn differences(windows: &[Window]) -> RecordBatch {
    let counts: ArrayRef = Arc::new(Int64Array::from_iter_values(windows.iter().map(|window| window.2)));
    let videos: ArrayRef = Arc::new(StringArray::from_iter_values(windows.iter().map(|window| window.0)));
    let mut columns: Vec<(&str, ArrayRef)> = COUNTS.iter().map(|name| (*name, counts.clone())).collect();
    columns.push(("window_start", moments(windows.iter().map(|(_, minute, _)| minute_us(*minute)))));
    columns.push(("note", videos.clone()));
    columns.push(("video_id", cast(&videos, &DataType::Utf8View).unwrap()));
    RecordBatch::try_from_iter(columns).unwrap()
}

/// A commit of the stream, which closes the day.
pub async fn stream_commit(lake: &Lake, seq: i64, windows: &[Window]) -> Receipt {
    let mut writer = TableWriter::new(lake, GOLD, WriterOptions::default()).await.unwrap();
    writer.write(&streamed(windows, if seq == 0 { 0 } else { seq as i32 + 1 })).await.unwrap();
    let files = writer.close().await.unwrap();
    let mut moved = advance(0, seq, 10 * (seq + 1));
    moved.entry.closed_through = Some(minute_us(1_440));
    lake.append(GOLD, &LedgeredAppend { files, ..request(vec![moved]) }).await.unwrap()
}

pub async fn begin(lake: &Lake) -> Result<RestatementBase, RestateError<Infallible>> {
    lake.begin_restatement(date()).await
}

pub async fn restate(
    lake: &Lake,
    base: &RestatementBase,
    windows: &[Window],
) -> Result<Restatement, RestateError<Infallible>> {
    lake.append_restatement(base, stream_of(vec![differences(windows)])).await
}

/// Sums of the likes by video and minute, and the rows of restatements as (video, minute, revision, likes).
pub async fn gold(lake: &Lake) -> (BTreeMap<(String, i64), i64>, Vec<(String, i64, i32, i64)>) {
    let columns = [
        "source_partition",
        "video_id",
        "window_start",
        "window_end",
        "likes",
        "revision",
        "watch_time_sum_ms",
    ];
    let batches: Vec<RecordBatch> = lake.read(GOLD, &columns).await.unwrap().try_collect().await.unwrap();
    let (mut sums, mut restated) = (BTreeMap::new(), Vec::new());
    for batch in &batches {
        for row in 0..batch.num_rows() {
            let video = batch.column(1).as_string::<i32>().value(row).to_string();
            let time =
                |column: usize| batch.column(column).as_primitive::<TimestampMicrosecondType>().value(row);
            let likes = batch.column(4).as_primitive::<Int64Type>().value(row);
            let minute = (time(2) - DAY_US) / MINUTE_US;
            assert_eq!(time(3) - time(2), MINUTE_US);
            assert_eq!(batch.column(6).as_primitive::<Int64Type>().value(row), likes);
            *sums.entry((video.clone(), minute)).or_default() += likes;
            if batch.column(0).as_primitive::<Int32Type>().value(row) == -1 {
                restated.push((video, minute, batch.column(5).as_primitive::<Int32Type>().value(row), likes));
            }
        }
    }
    restated.sort();
    (sums, restated)
}

pub fn sums_of(windows: &[Window]) -> BTreeMap<(String, i64), i64> {
    windows.iter().map(|(video, minute, count)| (((*video).to_string(), *minute), *count)).collect()
}

pub async fn ledger_texts(lake: &Lake) -> (String, String) {
    let loaded = lake.load(GOLD).await.unwrap();
    let metadata = loaded.metadata();
    (metadata.properties()[PROPERTY].clone(), nearest_summary_value(metadata, PROPERTY).unwrap().to_string())
}

pub async fn restated(lake: &Lake) -> Restated {
    lake.view(GOLD).await.unwrap().restated().unwrap()
}

pub fn all_counts(sum: i64) -> BTreeMap<String, i64> {
    COUNTS.iter().map(|column| ((*column).to_string(), sum)).collect()
}

pub async fn roll_back(lake: &Lake, snapshot_id: i64) {
    let table = lake.load(GOLD).await.unwrap();
    let back = TableUpdate::SetSnapshotRef {
        ref_name: MAIN_BRANCH.to_string(),
        reference: SnapshotReference::new(snapshot_id, SnapshotRetention::branch(None, None, None)),
    };
    let soon = std::time::Duration::from_secs(10);
    let bounds = SwapBounds { deadline: std::time::Instant::now() + soon, answer_timeout: soon };
    let uuid = TableRequirement::UuidMatch { uuid: table.metadata().uuid() };
    assert!(matches!(lake.catalog().swap(&table, vec![uuid], vec![back], bounds).await, Swap::Done(_)));
}
