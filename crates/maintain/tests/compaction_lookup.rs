//! What a look-up of one video over 24 hours has to read of compacted gold: at most 5 % of the bytes.
#![allow(clippy::unwrap_used)]

#[path = "../../read/tests/support/mod.rs"]
mod support;

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, RecordBatch, TimestampMicrosecondArray};
use futures::TryStreamExt;
use iceberg::spec::{Datum, FormatVersion, Literal, PrimitiveType, Struct, Transform};
use iceberg::transform::create_transform_function;
use pulselake_maintain::compaction::{Compaction, TablePolicy, compact_table};
use pulselake_read::{BytesRead, RowFilter, read_rows};
use support::{Lake, longs, schema, strings};

const VIDEOS: i64 = 150;
const WINDOWS: i64 = 24 * 60;
const BUCKETS: i32 = 2;

fn times(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_iter_values(values).with_timezone("+00:00"))
}

fn videos_of_bucket(bucket: i32) -> Vec<String> {
    let transform = create_transform_function(&Transform::Bucket(16)).unwrap();
    let is_there = |name: &String| {
        transform.transform_literal(&Datum::string(name)).unwrap() == Some(Datum::int(bucket))
    };
    (0..).map(|number| format!("v_{number}")).filter(is_there).take(VIDEOS as usize).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_video_over_a_day_reads_a_twentieth_of_the_bytes() {
    let lake = Lake::new().await;
    let long = |name| (name, PrimitiveType::Long, true);
    let columns = schema(&[
        ("source_partition", PrimitiveType::Int, true),
        ("video_id", PrimitiveType::String, true),
        ("window_start", PrimitiveType::Timestamptz, true),
        ("window_end", PrimitiveType::Timestamptz, true),
        long("impressions"),
        long("play_start"),
        long("play_finish"),
        long("likes"),
        long("shares"),
        long("skips"),
        long("watch_time_sum_ms"),
        ("revision", PrimitiveType::Int, true),
        ("processed_at", PrimitiveType::Timestamptz, true),
    ]);
    let partition = [
        ("window_start", "window_start_day", Transform::Day),
        ("video_id", "video_id_bucket", Transform::Bucket(16)),
    ];
    let ident =
        lake.create("gold", FormatVersion::V2, columns, &partition, &["video_id", "window_start"]).await;
    let of_buckets: Vec<Vec<String>> = (0..BUCKETS).map(videos_of_bucket).collect();
    for part in 0..6_i64 {
        let mut files = Vec::new();
        for bucket in 0..BUCKETS {
            let rows = || {
                (part * WINDOWS / 6..(part + 1) * WINDOWS / 6)
                    .flat_map(move |window| (0..VIDEOS).map(move |video| (window, video)))
            };
            let videos = &of_buckets[bucket as usize];
            let names: Vec<&str> = rows().map(|(_, video)| videos[video as usize].as_str()).collect();
            let noise = |factor: i64| {
                longs(rows().map(move |(window, video)| (window * 7_919 + video) * factor % 1_009))
            };
            let start = |window: i64| 86_400_000_000 + window * 60_000_000;
            let ints = |value: i32| Arc::new(Int32Array::from(vec![value; names.len()])) as ArrayRef;
            let values = vec![
                ints(0),
                strings(names.iter().copied()),
                times(rows().map(|(window, _)| start(window))),
                times(rows().map(|(window, _)| start(window + 1))),
                noise(1),
                noise(3),
                noise(5),
                noise(7),
                noise(11),
                noise(13),
                noise(17),
                ints(0),
                times(rows().map(|(window, _)| start(window + 2))),
            ];
            let place = Struct::from_iter([Some(Literal::int(1)), Some(Literal::int(bucket))]);
            files.push(lake.write(&ident, place, values).await);
        }
        lake.append(&ident, files).await;
    }
    let report = compact_table(lake.catalog.as_ref(), &ident, &Compaction::new(TablePolicy::video_stats()))
        .await
        .unwrap();
    assert_eq!((report.after.files, report.rows_written), (2, (2 * VIDEOS * WINDOWS) as u64));

    let table = lake.table(&ident).await;
    let day = 86_400_000_000;
    let wanted = RowFilter::all().one_of("video_id", [of_buckets[0][77].as_str()]).between(
        "window_start",
        Datum::timestamptz_micros(day),
        Datum::timestamptz_micros(2 * day - 1),
    );
    let counter = BytesRead::default();
    let stream = read_rows(&table, None, None, &wanted, counter.clone()).await.unwrap();
    let rows: Vec<RecordBatch> = stream.try_collect().await.unwrap();
    assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>() as i64, WINDOWS);

    // All that was read: footer, bounds and places of pages, and the pages themselves.
    let percent = 100.0 * counter.get() as f64 / report.after.bytes as f64;
    println!("{} of {} bytes: {percent:.1} %", counter.get(), report.after.bytes);
    assert!(percent <= 5.0, "{percent:.1} % of {} bytes", report.after.bytes);
    // A look-up reads something; and a bucket of 16 was two here: the whole table would divide this by eight once more.
    assert!(percent > 0.1);

    let everything = BytesRead::default();
    let all = read_rows(&table, None, None, &RowFilter::all(), everything.clone()).await.unwrap();
    let count = all.try_fold(0, |sum, batch| async move { Ok(sum + batch.num_rows()) }).await.unwrap();
    assert_eq!(count as i64, 2 * VIDEOS * WINDOWS);
    assert!(everything.get() > report.after.bytes * 9 / 10);
}
