//! What a look-up of one video over 24 hours has to read of compacted gold: at most 5 % of the bytes.
#![allow(clippy::unwrap_used)]

#[path = "../../read/tests/support/mod.rs"]
mod support;

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, TimestampMicrosecondArray};
use iceberg::spec::{Datum, FormatVersion, Literal, PrimitiveType, Struct, Transform};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaDataReader};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use pulselake_maintain::compaction::{Compaction, TablePolicy, compact_table};
use pulselake_read::{PartitionPredicate, plan_table};
use support::{Lake, longs, schema, strings};

const VIDEOS: i64 = 150;
const WINDOWS: i64 = 24 * 60;
const BUCKETS: i32 = 2;

fn times(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_iter_values(values).with_timezone("+00:00"))
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
    for part in 0..6_i64 {
        let mut files = Vec::new();
        for bucket in 0..BUCKETS {
            let rows = || {
                (part * WINDOWS / 6..(part + 1) * WINDOWS / 6)
                    .flat_map(move |window| (0..VIDEOS).map(move |video| (window, video)))
            };
            let names: Vec<String> = rows().map(|(_, video)| format!("v_{bucket}_{video}")).collect();
            let noise = |factor: i64| {
                longs(rows().map(move |(window, video)| (window * 7_919 + video) * factor % 1_009))
            };
            let start = |window: i64| 86_400_000_000 + window * 60_000_000;
            let ints = |value: i32| Arc::new(Int32Array::from(vec![value; names.len()])) as ArrayRef;
            let values = vec![
                ints(0),
                strings(names.iter().map(String::as_str)),
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
    let wanted = PartitionPredicate::all().between("video_id_bucket", Datum::int(0), Datum::int(0));
    let plan = plan_table(&table, None, &wanted).await.unwrap();
    assert_eq!(plan.files.len(), 1);
    let file = plan.files[0].data.file();
    let bytes = table.file_io().new_input(file.file_path()).unwrap().read().await.unwrap();
    let metadata = ParquetMetaDataReader::new()
        .with_page_index_policy(PageIndexPolicy::Required)
        .parse_and_finish(&bytes)
        .unwrap();
    assert!(metadata.num_row_groups() >= 3);
    let video = "v_0_77";
    let mut needed = 0;
    for (number, row_group) in metadata.row_groups().iter().enumerate() {
        let ids = row_group.column(1);
        assert!(ids.bloom_filter_offset().is_some());
        let statistics = ids.statistics().unwrap();
        if statistics.min_bytes_opt().unwrap() > video.as_bytes()
            || statistics.max_bytes_opt().unwrap() < video.as_bytes()
        {
            continue;
        }
        let ColumnIndexMetaData::BYTE_ARRAY(index) = &metadata.column_index().unwrap()[number][1] else {
            panic!("video_id has no column index");
        };
        let pages = &metadata.offset_index().unwrap()[number];
        let id_pages = pages[1].page_locations();
        let rows = row_group.num_rows();
        let spans: Vec<(i64, i64)> = (0..id_pages.len())
            .filter(|&page| {
                let (low, high) = (index.min_value(page).unwrap(), index.max_value(page).unwrap());
                low <= video.as_bytes() && high >= video.as_bytes()
            })
            .map(|page| {
                let end = id_pages.get(page + 1).map_or(rows, |next| next.first_row_index);
                (id_pages[page].first_row_index, end)
            })
            .collect();
        for (column, chunk) in row_group.columns().iter().enumerate() {
            if chunk.dictionary_page_offset().is_some() {
                needed += chunk.data_page_offset() - chunk.dictionary_page_offset().unwrap();
            }
            let locations = pages[column].page_locations();
            for (page, location) in locations.iter().enumerate() {
                let end = locations.get(page + 1).map_or(rows, |next| next.first_row_index);
                let overlaps =
                    spans.iter().any(|&(start, stop)| location.first_row_index < stop && end > start);
                if overlaps {
                    needed += i64::from(location.compressed_page_size);
                }
            }
        }
    }
    assert!(needed > 0);
    let percent = 100.0 * needed as f64 / report.after.bytes as f64;
    assert!(percent <= 5.0, "{percent:.1} % of {} bytes", report.after.bytes);
    // A bucket of 16 was two here: the whole table would divide this by eight once more.
    assert!(percent > 0.1);
}
