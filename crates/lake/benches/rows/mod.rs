//! Rows as the load test's events make them: random ids, Zipf-skewed videos, times in order but for three seconds.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used)]

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use pulselake_lake::{Lake, LakeSettings, OpenMode};
use pulselake_model::schema;
use pulselake_model::tables::LakeTable;
use rand::prelude::*;
use tempfile::TempDir;

/// Rows of a batch: the engine's default.
pub const BATCH_ROWS: usize = 4_096;
pub const HOUR_US: i64 = 3_600_000_000;
/// The start of an hour.
pub const FIRST_US: i64 = 1_760_000_400_000_000;

const SOURCE_PARTITIONS: usize = 6;
const VIDEOS: usize = 10_000;
const EVENTS_PER_MS: i64 = 3;
const JITTER_MS: i64 = 3_000;

fn text(values: impl Iterator<Item = String>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn utc(values: Vec<i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(values).with_timezone("+00:00"))
}

struct Videos {
    cumulative: Vec<f64>,
}

impl Videos {
    fn new() -> Self {
        let mut sum = 0.0;
        let mut cumulative = Vec::with_capacity(VIDEOS);
        for rank in 1..=VIDEOS {
            sum += (rank as f64).powf(1.1).recip();
            cumulative.push(sum);
        }
        cumulative.iter_mut().for_each(|share| *share /= sum);
        Self { cumulative }
    }

    fn draw(&self, random: &mut StdRng) -> String {
        let point: f64 = random.random();
        format!("v{:06}", self.cumulative.partition_point(|&share| share < point).min(VIDEOS - 1))
    }
}

/// Bronze batches of some source partitions in turn, all of one hour.
pub fn bronze(batches: usize) -> Vec<RecordBatch> {
    let mut random = StdRng::seed_from_u64(7);
    let videos = Videos::new();
    (0..batches).map(|number| bronze_batch(&mut random, &videos, number)).collect()
}

fn bronze_batch(random: &mut StdRng, videos: &Videos, number: usize) -> RecordBatch {
    const KINDS: [(&str, f64); 6] = [
        ("impression", 0.45),
        ("play_start", 0.70),
        ("play_finish", 0.82),
        ("like", 0.88),
        ("share", 0.90),
        ("skip", 1.0),
    ];
    let (source_partition, round) = (number % SOURCE_PARTITIONS, number / SOURCE_PARTITIONS);
    let offsets: Vec<i64> = (0..BATCH_ROWS).map(|row| (round * BATCH_ROWS + row) as i64).collect();
    let ids = offsets.iter().map(|offset| {
        let bits: u64 = random.random();
        format!(
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            bits >> 32,
            bits >> 16 & 0xffff,
            bits >> 4 & 0xfff,
            bits & 0xfff,
            offset * SOURCE_PARTITIONS as i64
        )
    });
    let ids = text(ids);
    let times = offsets.iter().map(|offset| {
        let in_order_ms = JITTER_MS + offset * SOURCE_PARTITIONS as i64 / EVENTS_PER_MS;
        FIRST_US + (in_order_ms - random.random_range(0..JITTER_MS)) * 1_000
    });
    let times = utc(times.collect());
    let watched: Vec<usize> = (0..BATCH_ROWS).map(|_| random.random_range(0..100_000)).collect();
    let bodies = watched.iter().map(|ms| {
        format!(
            r#"{{"watch_time_ms":{ms},"device":"{}","app":"8.{}.1","net":"wifi","pos":{}}}"#,
            ["ios", "android", "web"][ms % 3],
            ms % 40,
            ms % 25
        )
    });
    let video_ids = text((0..BATCH_ROWS).map(|_| videos.draw(random)));
    let user_ids = text((0..BATCH_ROWS).map(|_| format!("u{:07}", random.random_range(0..1_000_000))));
    let kinds = text((0..BATCH_ROWS).map(|_| {
        let point: f64 = random.random();
        KINDS.iter().find(|(_, share)| point < *share).map_or("skip", |(kind, _)| *kind).to_string()
    }));
    let constant = |value: &str| Arc::new(StringArray::from(vec![value; BATCH_ROWS])) as ArrayRef;
    let columns: Vec<ArrayRef> = vec![
        ids,
        times,
        video_ids,
        user_ids,
        kinds,
        constant("1.0"),
        text(bodies),
        Arc::new(StringArray::new_null(BATCH_ROWS)),
        constant("content_events"),
        Arc::new(Int32Array::from(vec![source_partition as i32; BATCH_ROWS])),
        Arc::new(Int64Array::from(offsets)),
        utc(vec![FIRST_US + number as i64 * 7_321; BATCH_ROWS]),
    ];
    RecordBatch::try_new(schema::bronze_events(), columns).unwrap()
}

/// The same rows with other event times.
pub fn with_event_times(batch: &RecordBatch, times_us: impl Iterator<Item = i64>) -> RecordBatch {
    let mut columns = batch.columns().to_vec();
    columns[1] = utc(times_us.collect());
    RecordBatch::try_new(batch.schema(), columns).unwrap()
}

/// Gold batches: each is one minute of one source partition.
pub fn gold(batches: usize) -> Vec<RecordBatch> {
    let mut random = StdRng::seed_from_u64(7);
    (0..batches).map(|number| gold_batch(&mut random, number)).collect()
}

fn gold_batch(random: &mut StdRng, number: usize) -> RecordBatch {
    let window_us = FIRST_US + (number / SOURCE_PARTITIONS) as i64 * 60_000_000;
    let columns: Vec<ArrayRef> = schema::gold_video_stats()
        .fields()
        .iter()
        .map(|field| match field.name().as_str() {
            "source_partition" => {
                Arc::new(Int32Array::from(vec![(number % SOURCE_PARTITIONS) as i32; BATCH_ROWS])) as ArrayRef
            }
            "revision" => Arc::new(Int32Array::from(vec![0; BATCH_ROWS])),
            "video_id" => text((0..BATCH_ROWS).map(|row| format!("v{:06}", row * 2))),
            "window_start" => utc(vec![window_us; BATCH_ROWS]),
            "window_end" => utc(vec![window_us + 60_000_000; BATCH_ROWS]),
            "processed_at" => utc(vec![window_us + 71_234_567; BATCH_ROWS]),
            "watch_time_sum_ms" => Arc::new(Int64Array::from_iter_values(
                (0..BATCH_ROWS).map(|_| random.random_range(0..900_000)),
            )),
            _ => Arc::new(Int64Array::from_iter_values((0..BATCH_ROWS).map(|_| random.random_range(0..40)))),
        })
        .collect();
    RecordBatch::try_new(schema::gold_video_stats(), columns).unwrap()
}

/// A lake with empty tables in a temporary directory.
pub async fn lake() -> (TempDir, Lake) {
    let directory = tempfile::tempdir().unwrap();
    let settings = LakeSettings {
        catalog_uri: format!("sqlite://{}/catalog.db", directory.path().display()),
        warehouse: format!("file://{}/warehouse", directory.path().display()),
        fsync: false,
        ..LakeSettings::new("", "")
    };
    let lake = Lake::open(&settings, OpenMode::CreateIfMissing).await.unwrap();
    lake.ensure_tables(&LakeTable::OF_EVENTS).await.unwrap();
    (directory, lake)
}
