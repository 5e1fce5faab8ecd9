//! A lake in a temporary directory, and rows to put into it.
#![allow(dead_code, unreachable_pub, missing_docs)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{Int32Type, Int64Type};
use futures::TryStreamExt;
use pulselake_lake::{
    Lake, LakeError, LakeSettings, LedgeredAppend, OpenMode, Receipt, TableWriter, WriterOptions,
};
use pulselake_ledger::{Advance, Counts, Ledger, PartitionLedger};
use pulselake_model::schema;
use pulselake_model::tables::LakeTable;
use tempfile::TempDir;

pub const BRONZE: LakeTable = LakeTable::RawEvents;
pub const HOUR_US: i64 = 3_600_000_000;

pub struct Place {
    pub directory: TempDir,
}

impl Place {
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn settings(&self) -> LakeSettings {
        LakeSettings {
            catalog_uri: format!("sqlite://{}/catalog.db", self.path().display()),
            warehouse: format!("file://{}/warehouse", self.path().display()),
            fsync: false,
            ..LakeSettings::new("", "")
        }
    }

    pub async fn lake(&self) -> Lake {
        let lake = Lake::open(&self.settings(), OpenMode::CreateIfMissing).await.unwrap();
        lake.ensure_tables(&LakeTable::OF_EVENTS).await.unwrap();
        lake
    }

    pub fn table_directory(&self, table: LakeTable) -> PathBuf {
        self.path().join("warehouse").join(table.namespace()).join(table.name())
    }

    /// Files below the table's directory whose name ends so.
    pub fn files(&self, table: LakeTable, suffix: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut pending = vec![self.table_directory(table)];
        while let Some(directory) = pending.pop() {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    pending.push(path);
                } else if path.to_string_lossy().ends_with(suffix) {
                    found.push(path);
                }
            }
        }
        found
    }
}

/// Bronze rows of one partition with these offsets; event time is one second per offset from `start_us`.
pub fn rows(partition: i32, offsets: std::ops::Range<i64>, start_us: i64) -> RecordBatch {
    let list: Vec<i64> = offsets.collect();
    let count = list.len();
    let text = |value: &str| Arc::new(StringArray::from(vec![value; count])) as ArrayRef;
    let each = |make: &dyn Fn(i64) -> String| {
        Arc::new(StringArray::from_iter_values(list.iter().map(|&offset| make(offset)))) as ArrayRef
    };
    let times = Arc::new(
        TimestampMicrosecondArray::from_iter_values(list.iter().map(|offset| start_us + offset * 1_000_000))
            .with_timezone("+00:00"),
    );
    let columns: Vec<ArrayRef> = vec![
        each(&|offset| format!("event-{partition}-{offset}")),
        times.clone(),
        each(&|offset| format!("v_{}", offset % 7)),
        each(&|offset| format!("u_{}", offset % 5)),
        text("like"),
        text("1.0"),
        each(&|offset| format!("{{\"watch_time_ms\":{offset}}}")),
        Arc::new(StringArray::new_null(count)),
        text("content_events"),
        Arc::new(Int32Array::from(vec![partition; count])),
        Arc::new(Int64Array::from(list.clone())),
        times,
    ];
    RecordBatch::try_new(schema::bronze_events(), columns).unwrap()
}

pub fn advance(partition: i32, built_on_seq: i64, next: i64) -> Advance {
    let counts = Counts { records: next as u64, ..Default::default() };
    let entry = PartitionLedger { next, replay_from: next, counts, ..Default::default() };
    Advance { topic: "content_events".into(), partition, built_on_seq, entry }
}

pub fn request(advances: Vec<Advance>) -> LedgeredAppend {
    LedgeredAppend {
        commit_id: uuid::Uuid::now_v7().to_string(),
        cluster_id: "cluster".into(),
        fingerprint: "decoder-1".into(),
        advances,
        files: vec![],
        deletes: Vec::new(),
        replayed: None,
    }
}

/// Writes rows `[first, next)` of a partition and asks to commit them on `seq`.
pub async fn work(lake: &Lake, partition: i32, seq: i64, first: i64, next: i64) -> LedgeredAppend {
    try_work(lake, partition, seq, first, next).await.unwrap()
}

/// The same, where writing may fail.
pub async fn try_work(
    lake: &Lake,
    partition: i32,
    seq: i64,
    first: i64,
    next: i64,
) -> Result<LedgeredAppend, LakeError> {
    let mut writer = TableWriter::new(lake, BRONZE, WriterOptions::default()).await?;
    writer.write(&rows(partition, first..next, 0)).await?;
    let files = writer.close().await?;
    Ok(LedgeredAppend { files, ..request(vec![advance(partition, seq, next)]) })
}

pub async fn commit(lake: &Lake, partition: i32, seq: i64, first: i64, next: i64) -> Receipt {
    let request = work(lake, partition, seq, first, next).await;
    lake.append(BRONZE, &request).await.unwrap()
}

/// All (partition, offset) in bronze, sorted.
pub async fn offsets(lake: &Lake) -> Vec<(i32, i64)> {
    let stream = lake.scan(BRONZE, &["source_partition", "source_offset"], None).await.unwrap();
    let batches: Vec<RecordBatch> = stream.try_collect().await.unwrap();
    let mut found = Vec::new();
    for batch in batches {
        let partitions = batch.column(0).as_primitive::<Int32Type>();
        let numbers = batch.column(1).as_primitive::<Int64Type>();
        found.extend(partitions.values().iter().copied().zip(numbers.values().iter().copied()));
    }
    found.sort_unstable();
    found
}

pub fn expected(partition: i32, range: std::ops::Range<i64>) -> Vec<(i32, i64)> {
    range.map(|offset| (partition, offset)).collect()
}

pub async fn seq(lake: &Lake, partition: i32) -> i64 {
    let ledger: Option<Ledger> = lake.ledger(BRONZE).await.unwrap();
    ledger.and_then(|found| found.partition("content_events", partition).map(|entry| entry.seq)).unwrap_or(0)
}
