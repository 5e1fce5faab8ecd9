//! Compaction of dimensions and their histories: partitions are buckets of the key, without a time; upserts leave a delete
//! file each; columns are lists, and are added and widened meanwhile.
#![allow(clippy::unwrap_used)]

#[path = "../../read/tests/support/mod.rs"]
mod support;

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, ListArray, ListBuilder, RecordBatch, StringBuilder,
    TimestampMicrosecondArray,
};
use arrow::datatypes::DataType;
use futures::TryStreamExt;
use iceberg::TableIdent;
use iceberg::spec::{
    DataFile, Datum, FormatVersion, ListType, Literal, NestedField, PrimitiveLiteral, PrimitiveType, Schema,
    Struct, Transform, Type,
};
use iceberg::transform::create_transform_function;
use pulselake_commit::{ChangeKind, RowDelta};
use pulselake_maintain::compaction::{Compaction, CompactionReport, TablePolicy, compact_table};
use pulselake_maintain::health::health_of;
use pulselake_read::{
    BytesRead, Deletes, FileScan, PartitionPredicate, RowFilter, ScanOptions, TablePlan, plan_table,
    read_rows,
};
use support::{Lake, longs, nullable_longs, schema, strings, texts};

const BUCKETS: u32 = 16;

fn bucket_of(key: &str) -> i32 {
    let function = create_transform_function(&Transform::Bucket(BUCKETS)).unwrap();
    match function.transform_literal(&Datum::string(key)).unwrap().unwrap().literal() {
        PrimitiveLiteral::Int(bucket) => *bucket,
        other => panic!("{other:?}"),
    }
}

fn place(bucket: i32) -> Struct {
    Struct::from_iter([Some(Literal::int(bucket))])
}

fn video(number: i64) -> String {
    format!("v_{number}")
}

/// A smaller `dims.dim_videos`. `rating`: a column that the source got later.
fn video_columns(rating: Option<PrimitiveType>) -> Schema {
    let optional =
        |id, name: &str, primitive| Arc::new(NestedField::optional(id, name, Type::Primitive(primitive)));
    let element = NestedField::list_element(6, Type::Primitive(PrimitiveType::String), false).into();
    let mut fields = vec![
        Arc::new(NestedField::required(1, "video_id", Type::Primitive(PrimitiveType::String))),
        optional(2, "category", PrimitiveType::String),
        NestedField::optional(3, "hashtags", Type::List(ListType::new(element))).into(),
        optional(4, "upload_time", PrimitiveType::Timestamptz),
        Arc::new(NestedField::required(5, "source_ts_ms", Type::Primitive(PrimitiveType::Long))),
    ];
    fields.extend(rating.map(|primitive| optional(7, "rating", primitive)));
    Schema::builder().with_fields(fields).build().unwrap()
}

async fn dimension(lake: &Lake) -> TableIdent {
    let partition = [("video_id", "video_id_bucket", Transform::Bucket(BUCKETS))];
    lake.create("dim_videos", FormatVersion::V2, video_columns(None), &partition, &["video_id"]).await
}

fn hashtags(data_type: &DataType, numbers: &[i64], version: i64) -> ArrayRef {
    let mut builder = ListBuilder::new(StringBuilder::new());
    for number in numbers {
        match number % 5 {
            0 => builder.append_null(),
            length => {
                builder.append_value((1..length).map(|tag| (tag != 3).then(|| format!("#{tag}_{version}"))));
            }
        }
    }
    let plain = builder.finish();
    let DataType::List(element) = data_type else { panic!("{data_type}") };
    let (offsets, values, nulls) = (plain.offsets().clone(), plain.values().clone(), plain.nulls().cloned());
    Arc::new(ListArray::new(element.clone(), offsets, values, nulls))
}

/// One flush: the present rows of some videos, which replace older ones, and the deletion of others. `numbers`: in any
/// order, each once.
async fn flush(lake: &Lake, ident: &TableIdent, version: i64, upserted: &[i64], deleted: &[i64]) {
    flush_of(lake, ident, version, "kind", upserted, deleted).await;
}

/// The same with this category.
async fn flush_of(
    lake: &Lake,
    ident: &TableIdent,
    version: i64,
    category: &str,
    upserted: &[i64],
    deleted: &[i64],
) {
    let table = lake.table(ident).await;
    let arrow = iceberg::arrow::schema_to_arrow_schema(table.metadata().current_schema()).unwrap();
    let mut delta = RowDelta::default();
    for bucket in 0..BUCKETS as i32 {
        let here = |numbers: &[i64]| -> Vec<i64> {
            numbers.iter().copied().filter(|number| bucket_of(&video(*number)) == bucket).collect()
        };
        let (rows, gone) = (here(upserted), here(deleted));
        let keys: Vec<String> = rows.iter().chain(&gone).map(|number| video(*number)).collect();
        if keys.is_empty() {
            continue;
        }
        let key_column = strings(keys.iter().map(String::as_str));
        delta.deletes.push(lake.equality_deletes(ident, place(bucket), vec![(1, key_column)]).await);
        if rows.is_empty() {
            continue;
        }
        let columns = arrow.fields().iter().map(|field| -> ArrayRef {
            match field.name().as_str() {
                "video_id" => strings(keys[..rows.len()].iter().map(String::as_str)),
                "category" => strings(rows.iter().map(|_| category)),
                "hashtags" => hashtags(field.data_type(), &rows, version),
                "upload_time" => {
                    let times = rows.iter().map(|number| (number % 7 != 0).then_some(*number));
                    Arc::new(times.collect::<TimestampMicrosecondArray>().with_timezone("+00:00"))
                }
                "rating" => {
                    let ratings: Int64Array =
                        rows.iter().map(|number| (number % 3 == 0).then_some(*number)).collect();
                    arrow::compute::cast(&ratings, field.data_type()).unwrap()
                }
                _ => longs(vec![version; rows.len()]),
            }
        });
        delta.data.push(lake.write(ident, place(bucket), columns.collect()).await);
    }
    lake.commit(ident, ChangeKind::RowDelta(delta)).await;
}

async fn compact(lake: &Lake, ident: &TableIdent, policy: &TablePolicy) -> CompactionReport {
    compact_with(lake, ident, policy, Compaction::new(policy.clone()).budget.memory_bytes).await
}

async fn compact_with(
    lake: &Lake,
    ident: &TableIdent,
    policy: &TablePolicy,
    memory_bytes: u64,
) -> CompactionReport {
    let mut compaction = Compaction::new(policy.clone());
    compaction.budget.memory_bytes = memory_bytes;
    compact_table(lake.catalog.as_ref(), ident, &compaction).await.unwrap()
}

async fn live(lake: &Lake, ident: &TableIdent) -> TablePlan {
    plan_table(&lake.table(ident).await, None, &PartitionPredicate::all()).await.unwrap()
}

async fn assert_at_rest(lake: &Lake, ident: &TableIdent, policy: &TablePolicy) {
    let before = lake.table(ident).await.metadata().current_snapshot_id();
    let second = compact(lake, ident, policy).await;
    assert!(second.planned.is_empty() && second.is_finished && second.groups == 0, "{second:?}");
    assert_eq!(lake.table(ident).await.metadata().current_snapshot_id(), before);
}

/// The rows of each live file, in its own order.
async fn rows_in_order(lake: &Lake, ident: &TableIdent) -> Vec<Vec<RecordBatch>> {
    let table = lake.table(ident).await;
    let arrow = Arc::new(iceberg::arrow::schema_to_arrow_schema(table.metadata().current_schema()).unwrap());
    let plan = live(lake, ident).await;
    let deletes = Deletes::new(&table, &plan.files, BytesRead::default()).unwrap();
    let mut found = Vec::new();
    for file in &plan.files {
        let (options, counter) = (ScanOptions::default(), BytesRead::default());
        let scan = FileScan::open(&table, file, arrow.clone(), &deletes, options, counter).await.unwrap();
        found.push(scan.into_stream().try_collect().await.unwrap());
    }
    found
}

fn keys_of(batches: &[RecordBatch]) -> Vec<String> {
    let of_batch = |batch: &RecordBatch| -> Vec<String> {
        batch.column(0).as_string::<i32>().iter().map(|key| key.unwrap().to_string()).collect()
    };
    batches.iter().flat_map(of_batch).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn upserts_become_one_sorted_file_a_bucket_through_an_evolving_schema() {
    let lake = Lake::new().await;
    let ident = dimension(&lake).await;
    let policy = TablePolicy::of_table("dims.dim_videos");
    let all: Vec<i64> = (0..400).map(|number| number * 7_919 % 400).collect();
    flush(&lake, &ident, 0, &all, &[]).await;
    for version in 1..12 {
        match version {
            4 => drop(lake.evolve(&ident, video_columns(Some(PrimitiveType::Int))).await),
            8 => drop(lake.evolve(&ident, video_columns(Some(PrimitiveType::Long))).await),
            _ => {}
        }
        let changed: Vec<i64> = all.iter().copied().filter(|number| number % 12 == version).collect();
        let deleted: Vec<i64> = all.iter().copied().filter(|number| number % 40 == version).collect();
        let kept: Vec<i64> = changed.into_iter().filter(|number| !deleted.contains(number)).collect();
        flush(&lake, &ident, version, &kept, &deleted).await;
    }
    let before = lake.rows(&ident).await;
    assert!(before.len() > 280 && before.len() < 400, "{}", before.len());
    let seen = health_of(&lake.table(&ident).await).await.unwrap();
    assert!(seen.delete_files.equality > 100 && seen.delete_files.position == 0, "{seen:?}");
    assert!(seen.delete_files.data_files_touched > 16);
    assert!(seen.busiest_partitions[0].partition.starts_with("video_id_bucket="), "{seen:?}");

    let report = compact(&lake, &ident, &policy).await;
    assert_eq!(lake.rows(&ident).await, before);
    assert_eq!((report.after.delete_files, report.rows_written), (0, before.len() as u64));
    assert_eq!(report.rows_read, report.rows_deleted + report.rows_written);
    let plan = live(&lake, &ident).await;
    assert_eq!(plan.files.len(), BUCKETS as usize);
    assert!(plan.files.iter().all(|file| file.data.file().sort_order_id() == Some(1)));
    for batches in rows_in_order(&lake, &ident).await {
        let keys = keys_of(&batches);
        assert!(keys.is_sorted() && !keys.is_empty());
        assert!(keys.iter().all(|key| bucket_of(key) == bucket_of(&keys[0])));
    }
    assert_at_rest(&lake, &ident, &policy).await;

    // One delete is enough for its file, and only for that.
    flush(&lake, &ident, 99, &[], &[0]).await;
    let second = compact(&lake, &ident, &policy).await;
    assert_eq!((second.files_removed, second.delete_files_removed), (1, 1));
    assert_eq!(lake.rows(&ident).await.len(), before.len() - 1);
    assert_at_rest(&lake, &ident, &policy).await;

    // Deletes of keys that were never there go by themselves.
    flush(&lake, &ident, 100, &[], &[1_000_000]).await;
    compact(&lake, &ident, &policy).await;
    assert_eq!(live(&lake, &ident).await.deletes.len(), 0);
    assert_at_rest(&lake, &ident, &policy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_small_files_without_deletes_are_packed_whatever_the_time() {
    let lake = Lake::new().await;
    let ident = dimension(&lake).await;
    let one_bucket: Vec<i64> = (0..).filter(|number| bucket_of(&video(*number)) == 3).take(60).collect();
    let files: Vec<DataFile> = {
        for (version, part) in (0..).zip(one_bucket.chunks(10)) {
            flush(&lake, &ident, version, part, &[]).await;
        }
        live(&lake, &ident).await.files.iter().map(|file| file.data.file().clone()).collect()
    };
    assert_eq!(files.len(), 6);
    let before = lake.rows(&ident).await;
    let policy = TablePolicy::of_table("dims.dim_videos");
    let report = compact(&lake, &ident, &policy).await;
    assert_eq!(report.planned[0].partition, "video_id_bucket=3");
    assert!(!report.planned[0].is_open);
    assert_eq!((report.after.files, report.after.delete_files, report.rows_deleted), (1, 0, 0));
    assert_eq!(lake.rows(&ident).await, before);
    assert_at_rest(&lake, &ident, &policy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_survive_a_sort_that_goes_through_the_disk() {
    let lake = Lake::new().await;
    let ident = dimension(&lake).await;
    let one_bucket: Vec<i64> = (0..).filter(|number| bucket_of(&video(*number)) == 3).take(9_000).collect();
    // Small in a file, where it is in a dictionary, and 36 MB as rows.
    let long = "long ".repeat(800);
    for (version, part) in (0..).zip(one_bucket.rchunks(3_000)) {
        flush_of(&lake, &ident, version, &long, part, &[]).await;
    }
    flush(&lake, &ident, 9, &one_bucket[5..10], &one_bucket[..5]).await;
    let before = lake.rows(&ident).await;
    let policy = TablePolicy::of_table("dims.dim_videos");
    // The least memory that a budget gives, less than the rows need.
    let least = 32 << 20;
    let report = compact_with(&lake, &ident, &policy, least).await;
    assert!(report.peak_memory_bytes <= least && 9_000 * long.len() as u64 > least, "{report:?}");
    assert_eq!((report.after.files, report.after.delete_files, report.rows_written), (1, 0, 8_995));
    assert_eq!(lake.rows(&ident).await, before);
    let keys = keys_of(&rows_in_order(&lake, &ident).await[0]);
    assert!(keys.is_sorted());
    assert_at_rest(&lake, &ident, &policy).await;
}

/// A smaller `dims.dim_videos_history`.
async fn history(lake: &Lake) -> TableIdent {
    let columns = schema(&[
        ("video_id", PrimitiveType::String, true),
        ("op", PrimitiveType::String, true),
        ("source_position", PrimitiveType::Long, false),
        ("source_position_minor", PrimitiveType::Long, false),
        ("source_ts_ms", PrimitiveType::Long, true),
        ("version_hash", PrimitiveType::Long, true),
        ("source_offset", PrimitiveType::Long, true),
    ]);
    let partition = [("video_id", "video_id_bucket", Transform::Bucket(BUCKETS))];
    let order = ["video_id", "source_position", "source_position_minor", "source_ts_ms"];
    lake.create("dim_videos_history", FormatVersion::V2, columns, &partition, &order).await
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_of_a_key_lie_together_in_their_order_and_are_found_without_reading_the_rest() {
    let lake = Lake::new().await;
    let ident = history(&lake).await;
    let one_bucket: Vec<String> = (0..).map(video).filter(|key| bucket_of(key) == 5).take(4_000).collect();
    for round in 0..6_i64 {
        // Every key once a round, in another order; a few without a position; later rounds bring older positions too.
        let rows: Vec<i64> = (0..4_000).map(|row| (row * 1_009 + round * 37) % 4_000).collect();
        let position = |row: i64| (row % 9 != 0).then_some((row * 31 + round * 17) % 50);
        let positions: Vec<Option<i64>> = rows.iter().map(|row| position(*row)).collect();
        let minors: Vec<Option<i64>> = positions.iter().map(|known| known.map(|number| number % 2)).collect();
        let columns = vec![
            strings(rows.iter().map(|row| one_bucket[*row as usize].as_str())),
            strings(rows.iter().map(|_| if round == 0 { "c" } else { "u" })),
            nullable_longs(&positions),
            nullable_longs(&minors),
            longs(rows.iter().map(|row| round * 1_000 - row % 3)),
            longs(rows.iter().map(|row| (row + round * 4_001).wrapping_mul(0x5DEE_CE66_D1CE_4E5B))),
            longs(rows.iter().map(|row| round * 4_000 + row)),
        ];
        lake.append(&ident, vec![lake.write(&ident, place(5), columns).await]).await;
    }
    let before = lake.rows(&ident).await;
    let policy = TablePolicy::of_table("dims.dim_videos_history");
    let report = compact(&lake, &ident, &policy).await;
    assert_eq!((report.before.files, report.after.files, report.rows_written), (6, 1, 24_000));
    assert_eq!(lake.rows(&ident).await, before);
    assert_eq!(live(&lake, &ident).await.files[0].data.file().sort_order_id(), Some(1));
    assert_at_rest(&lake, &ident, &policy).await;

    let batches = &rows_in_order(&lake, &ident).await[0];
    let mut versions: Vec<(String, [Option<i64>; 3])> = Vec::new();
    for batch in batches {
        let number = |column: usize, row: usize| {
            let numbers = batch.column(column).as_primitive::<arrow::datatypes::Int64Type>();
            numbers.is_valid(row).then(|| numbers.value(row))
        };
        let keys = keys_of(std::slice::from_ref(batch));
        versions.extend(
            keys.into_iter().enumerate().map(|(row, key)| (key, [2, 3, 4].map(|column| number(column, row)))),
        );
    }
    // NULL, which is no position, comes before any.
    assert!(versions.is_sorted());

    let table = lake.table(&ident).await;
    let counter = BytesRead::default();
    let wanted = RowFilter::all().one_of("video_id", [one_bucket[11].as_str(), one_bucket[12].as_str()]);
    let stream =
        read_rows(&table, None, Some(&["video_id", "version_hash"]), &wanted, counter.clone()).await.unwrap();
    let found = texts(&stream.try_collect::<Vec<_>>().await.unwrap());
    assert_eq!(found.len(), 12);
    let of_bucket: u64 =
        live(&lake, &ident).await.files.iter().map(|file| file.data.file().file_size_in_bytes()).sum();
    assert!(counter.get() * 2 < of_bucket, "{} of {of_bucket} bytes", counter.get());
}
