//! Compaction of real tables: the rows are the same before and after, whatever happens meanwhile, and a second run does
//! nothing.
#![allow(clippy::unwrap_used)]

#[path = "../../read/tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{ArrayRef, AsArray, Int32Array, TimestampMicrosecondArray};
use arrow::datatypes::Int64Type;
use futures::TryStreamExt;
use iceberg::TableIdent;
use iceberg::spec::{DataFile, Datum, FormatVersion, Literal, PrimitiveType, Struct, Transform};
use pulselake_commit::{ChangeKind, Rewrite};
use pulselake_maintain::FOLDED_PROPERTY;
use pulselake_maintain::compaction::{
    Budget, Compaction, CompactionError, CompactionReport, TablePolicy, compact_table,
};
use pulselake_read::{PartitionPredicate, TablePlan, plan_table, read_table};
use support::{Lake, longs, nullable_longs, rows_of, schema, strings};

const HOUR_US: i64 = 3_600_000_000;
const DAY_US: i64 = 24 * HOUR_US;

/// Small enough that some kilobytes make several files.
fn small_policy() -> TablePolicy {
    TablePolicy { target_file_bytes: 40_000, max_group_bytes: 400_000, ..TablePolicy::plain() }
}

async fn compact(lake: &Lake, ident: &TableIdent, policy: &TablePolicy) -> CompactionReport {
    let compaction = Compaction::new(policy.clone());
    compact_table(lake.catalog.as_ref(), ident, &compaction).await.unwrap()
}

async fn live(lake: &Lake, ident: &TableIdent) -> TablePlan {
    plan_table(&lake.table(ident).await, None, &PartitionPredicate::all()).await.unwrap()
}

/// A second run commits nothing at all.
async fn assert_at_rest(lake: &Lake, ident: &TableIdent, policy: &TablePolicy) {
    let before = lake.table(ident).await.metadata().current_snapshot_id();
    let second = compact(lake, ident, policy).await;
    assert!(second.planned.is_empty() && second.is_finished && second.groups == 0, "{second:?}");
    assert_eq!(lake.table(ident).await.metadata().current_snapshot_id(), before);
}

/// Data files in the table's directory.
fn files_on_disk(lake: &Lake, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![lake.directory.path().join(name).join("data")];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => open.push(path),
                false => found.push(path.display().to_string()),
            }
        }
    }
    found
}

async fn event_table(lake: &Lake) -> TableIdent {
    let columns = schema(&[
        ("at", PrimitiveType::Timestamptz, true),
        ("id", PrimitiveType::Long, true),
        ("text", PrimitiveType::String, false),
    ]);
    lake.create("events", FormatVersion::V2, columns, &[("at", "at_hour", Transform::Hour)], &[]).await
}

fn hour(number: i32) -> Struct {
    Struct::from_iter([Some(Literal::int(number))])
}

fn times(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_iter_values(values).with_timezone("+00:00"))
}

/// Events `first..` of an hour.
async fn events(lake: &Lake, ident: &TableIdent, place: i32, first: i64, count: i64) -> DataFile {
    let texts: Vec<String> =
        (first..first + count).map(|id| format!("text {}", id * 2_654_435_761 % 1_000_003)).collect();
    let columns = vec![
        times((first..first + count).map(|id| i64::from(place) * HOUR_US + id)),
        longs(first..first + count),
        strings(texts.iter().map(String::as_str)),
    ];
    lake.write(ident, hour(place), columns).await
}

#[tokio::test(flavor = "multi_thread")]
async fn appended_files_of_closed_partitions_are_packed_in_order_and_open_ones_are_left() {
    let lake = Lake::new().await;
    let ident = event_table(&lake).await;
    let now_hour = i32::try_from(chrono::Utc::now().timestamp() / 3_600).unwrap();
    for number in 0..12_i64 {
        let mut files = vec![events(&lake, &ident, 100, number * 400, 400).await];
        files.push(events(&lake, &ident, 101, number * 10, 10).await);
        if number < 3 {
            files.push(events(&lake, &ident, now_hour, number, 1).await);
        }
        lake.append(&ident, files).await;
    }
    let before = lake.rows(&ident).await;
    let report = compact(&lake, &ident, &small_policy()).await;
    assert_eq!(lake.rows(&ident).await, before);
    assert_eq!((report.before.files, report.before.records), (27, before.len() as u64));
    assert_eq!((report.rows_read, report.rows_written, report.rows_deleted), (4_920, 4_920, 0));
    assert!(report.bytes_read > 0 && report.bytes_written > 0 && report.conflicts == 0, "{report:?}");

    let plan = live(&lake, &ident).await;
    let of_hour = |number: i32| {
        let place = hour(number);
        plan.files.iter().filter(move |file| *file.data.file().partition() == place).collect::<Vec<_>>()
    };
    assert_eq!((of_hour(101).len(), of_hour(now_hour).len()), (1, 3));
    let packed = of_hour(100);
    let sizes: Vec<u64> = packed.iter().map(|file| file.data.file().file_size_in_bytes()).collect();
    assert!(packed.len() >= 2 && packed.len() <= 8, "{sizes:?}");
    assert!(sizes.iter().filter(|&&bytes| bytes < 30_000).count() <= 1, "{sizes:?}");
    // Rows keep their order, from file to file.
    let mut ranges: Vec<(Datum, Datum)> = packed
        .iter()
        .map(|file| {
            (file.data.file().lower_bounds()[&2].clone(), file.data.file().upper_bounds()[&2].clone())
        })
        .collect();
    ranges.sort_by(|left, right| left.0.partial_cmp(&right.0).unwrap());
    assert!(ranges.windows(2).all(|pair| pair[0].1 < pair[1].0), "{ranges:?}");
    assert_at_rest(&lake, &ident, &small_policy()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_plans_and_changes_nothing() {
    let lake = Lake::new().await;
    let ident = event_table(&lake).await;
    for number in 0..3 {
        lake.append(&ident, vec![events(&lake, &ident, 5, number * 10, 10).await]).await;
    }
    let snapshot = lake.table(&ident).await.metadata().current_snapshot_id();
    let dry = Compaction { dry_run: true, ..Compaction::new(small_policy()) };
    let report = compact_table(lake.catalog.as_ref(), &ident, &dry).await.unwrap();
    assert_eq!(report.planned.len(), 1);
    assert_eq!((report.planned[0].files, report.planned[0].partition.as_str()), (3, "at_hour=1970-01-01-05"));
    assert!(!report.is_finished && report.before == report.after);
    assert_eq!(lake.table(&ident).await.metadata().current_snapshot_id(), snapshot);
    assert_eq!(files_on_disk(&lake, "events").len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn equality_and_position_deletes_are_applied_and_their_files_dropped() {
    let lake = Lake::new().await;
    let columns = schema(&[("id", PrimitiveType::Long, true), ("views", PrimitiveType::Long, false)]);
    let ident = lake.create("deleted", FormatVersion::V2, columns, &[], &["id"]).await;
    let none = Struct::empty;
    let first =
        lake.write(&ident, none(), vec![longs([4, 3, 2]), nullable_longs(&[Some(1), None, Some(3)])]).await;
    let target = first.file_path().to_string();
    lake.append(&ident, vec![first]).await;
    let second = lake.write(&ident, none(), vec![longs([9, 8]), nullable_longs(&[None, Some(3)])]).await;
    lake.append(&ident, vec![second]).await;
    let deletes = vec![
        lake.equality_deletes(&ident, none(), vec![(2, longs([3]))]).await,
        lake.position_deletes(&ident, none(), &target, &[0], true).await,
        lake.position_deletes(&ident, none(), &target, &[], false).await,
    ];
    lake.delete(&ident, deletes).await;
    assert_eq!(lake.rows(&ident).await, ["3|NULL", "9|NULL"]);
    let policy = TablePolicy::dimension("id");
    let report = compact(&lake, &ident, &policy).await;
    assert_eq!(lake.rows(&ident).await, ["3|NULL", "9|NULL"]);
    assert_eq!((report.rows_deleted, report.delete_files_removed, report.after.delete_files), (3, 3, 0));
    let plan = live(&lake, &ident).await;
    assert_eq!(plan.files.len(), 1);
    assert_eq!(plan.files[0].data.file().sort_order_id(), Some(1));
    assert_at_rest(&lake, &ident, &policy).await;

    // All rows of a table deleted: no file is left, and no delete.
    lake.delete(
        &ident,
        vec![lake.equality_deletes(&ident, none(), vec![(2, nullable_longs(&[None]))]).await],
    )
    .await;
    let emptied = compact(&lake, &ident, &policy).await;
    assert_eq!((emptied.after.files, emptied.after.delete_files, emptied.rows_written), (0, 0, 0));
    assert!(lake.rows(&ident).await.is_empty());
    assert_at_rest(&lake, &ident, &policy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_older_schemas_are_rewritten_in_the_current_one() {
    let lake = Lake::new().await;
    let narrow = schema(&[("n", PrimitiveType::Int, true), ("text", PrimitiveType::String, false)]);
    let ident = lake.create("evolved", FormatVersion::V2, narrow, &[], &[]).await;
    let numbers: ArrayRef = Arc::new(Int32Array::from(vec![7, i32::MIN]));
    lake.append(&ident, vec![lake.write(&ident, Struct::empty(), vec![numbers, strings(["a", "b"])]).await])
        .await;
    let wide = schema(&[
        ("n", PrimitiveType::Long, true),
        ("text", PrimitiveType::String, false),
        ("added", PrimitiveType::Double, false),
    ]);
    lake.evolve(&ident, wide).await;
    let doubles: ArrayRef = Arc::new(arrow::array::Float64Array::from(vec![0.5]));
    let newer = lake.write(&ident, Struct::empty(), vec![longs([i64::MAX]), strings(["c"]), doubles]).await;
    lake.append(&ident, vec![newer]).await;
    let before = lake.rows(&ident).await;
    assert_eq!(before, ["-2147483648|b|NULL", "7|a|NULL", "9223372036854775807|c|0.5"]);
    compact(&lake, &ident, &small_policy()).await;
    assert_eq!(lake.rows(&ident).await, before);
    let plan = live(&lake, &ident).await;
    assert_eq!(plan.files.len(), 1);
    let file = plan.files[0].data.file();
    assert_eq!(file.lower_bounds()[&1], Datum::long(i64::from(i32::MIN)));
    assert_eq!(file.upper_bounds()[&1], Datum::long(i64::MAX));
    assert_eq!((file.null_value_counts()[&3], file.value_counts()[&3]), (2, 3));
    assert_at_rest(&lake, &ident, &small_policy()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bounds_of_long_texts_hold_and_are_short() {
    let lake = Lake::new().await;
    let columns = schema(&[("id", PrimitiveType::Long, true), ("text", PrimitiveType::String, false)]);
    let ident = lake.create("long", FormatVersion::V2, columns, &[], &[]).await;
    let (low, high) = ("a".repeat(300), "é".repeat(300));
    for text in [&low, &high] {
        lake.append(
            &ident,
            vec![lake.write(&ident, Struct::empty(), vec![longs([1]), strings([text.as_str()])]).await],
        )
        .await;
    }
    compact(&lake, &ident, &small_policy()).await;
    let plan = live(&lake, &ident).await;
    let file = plan.files[0].data.file();
    let (lower, upper) = (&file.lower_bounds()[&2], &file.upper_bounds()[&2]);
    assert!(*lower <= Datum::string(&low) && *upper >= Datum::string(&high), "{lower} {upper}");
    assert!(upper.to_bytes().unwrap().len() <= 100);
}

/// The columns of `gold.rt_video_stats_1min`.
async fn gold_table(lake: &Lake, sorted: bool) -> TableIdent {
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
    let order: &[&str] = if sorted { &["video_id", "window_start"] } else { &[] };
    lake.create("gold", FormatVersion::V2, columns, &partition, order).await
}

#[derive(Clone)]
struct GoldRow {
    source_partition: i32,
    video: String,
    minute: i64,
    impressions: i64,
    revision: i32,
}

async fn gold_file(lake: &Lake, ident: &TableIdent, rows: &[GoldRow], window_us: i64) -> DataFile {
    let start = |row: &GoldRow| 10 * DAY_US + row.minute * 60_000_000;
    let count = |factor: i64| longs(rows.iter().map(move |row| row.impressions * factor));
    let ints = |value: fn(&GoldRow) -> i32| {
        Arc::new(Int32Array::from_iter_values(rows.iter().map(value))) as ArrayRef
    };
    let columns = vec![
        ints(|row| row.source_partition),
        strings(rows.iter().map(|row| row.video.as_str())),
        times(rows.iter().map(start)),
        times(rows.iter().map(|row| start(row) + window_us)),
        count(1),
        count(2),
        count(3),
        count(4),
        count(5),
        count(6),
        count(7),
        ints(|row| row.revision),
        times(rows.iter().map(|row| 100 * DAY_US + i64::from(row.revision))),
    ];
    let place = Struct::from_iter([Some(Literal::int(10)), Some(Literal::int(0))]);
    lake.write(ident, place, columns).await
}

const MINUTE_US: i64 = 60_000_000;

/// Sums by video, minute and partition; the highest revision; rows.
async fn gold_truth(lake: &Lake, ident: &TableIdent) -> (BTreeMap<String, (i64, i64, i32)>, usize) {
    let wanted =
        ["video_id", "window_start", "source_partition", "impressions", "watch_time_sum_ms", "revision"];
    let mut truth: BTreeMap<String, (i64, i64, i32)> = BTreeMap::new();
    let rows = rows_of(&lake.table(ident).await, None, Some(&wanted)).await;
    for row in &rows {
        let parts: Vec<&str> = row.split('|').collect();
        let entry = truth.entry(parts[..3].join("|")).or_insert((0, 0, i32::MIN));
        entry.0 += parts[3].parse::<i64>().unwrap();
        entry.1 += parts[4].parse::<i64>().unwrap();
        entry.2 = entry.2.max(parts[5].parse().unwrap());
    }
    (truth, rows.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn revisions_of_gold_are_folded_and_late_ones_too() {
    for sorted in [true, false] {
        let lake = Lake::new().await;
        let ident = gold_table(&lake, sorted).await;
        let row = |video: i64, minute: i64, revision: i32| GoldRow {
            source_partition: i32::try_from(video % 3).unwrap(),
            video: format!("v_{video}"),
            minute,
            impressions: video + minute + i64::from(revision),
            revision,
        };
        for minute in 0..20 {
            let mut rows: Vec<GoldRow> = (0..50).rev().map(|video| row(video, minute, 0)).collect();
            if minute > 10 {
                rows.extend(
                    (0..50).step_by(7).map(|video| row(video, minute - 5, i32::try_from(minute).unwrap())),
                );
            }
            lake.append(&ident, vec![gold_file(&lake, &ident, &rows, MINUTE_US).await]).await;
        }
        let (before, rows_before) = gold_truth(&lake, &ident).await;
        // Without a sort order nobody can tell that a file is folded: it takes enough small ones.
        let policy = TablePolicy { min_input_files: 2, ..TablePolicy::video_stats() };
        let report = compact(&lake, &ident, &policy).await;
        let (after, rows_after) = gold_truth(&lake, &ident).await;
        assert_eq!(after, before);
        assert_eq!((rows_before, rows_after), (1_072, 1_000));
        assert_eq!((report.rows_read, report.rows_written, report.after.files), (1_072, 1_000, 1));
        assert_at_rest(&lake, &ident, &policy).await;
        // The audit has to know.
        assert!(lake.table(&ident).await.metadata().properties().contains_key(FOLDED_PROPERTY));

        // Sorted by video, then time.
        let stream =
            read_table(&lake.table(&ident).await, None, Some(&["video_id", "impressions"])).await.unwrap();
        let batches: Vec<_> = stream.try_collect().await.unwrap();
        let videos: Vec<&str> =
            batches.iter().flat_map(|batch| batch.column(0).as_string::<i32>().iter().flatten()).collect();
        assert!(videos.is_sorted());

        let late = [row(3, 4, 99), row(3, 5, 99)];
        lake.append(&ident, vec![gold_file(&lake, &ident, &late, MINUTE_US).await]).await;
        let (before_late, _) = gold_truth(&lake, &ident).await;
        compact(&lake, &ident, &policy).await;
        let (after_late, rows_late) = gold_truth(&lake, &ident).await;
        assert_eq!((after_late, rows_late), (before_late, 1_000));
        assert_at_rest(&lake, &ident, &policy).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_cant_be_folded_are_refused_and_nothing_is_left_behind() {
    let lake = Lake::new().await;
    let ident = gold_table(&lake, true).await;
    let row = GoldRow { source_partition: 0, video: "v".to_string(), minute: 0, impressions: 1, revision: 0 };
    let files = vec![
        gold_file(&lake, &ident, std::slice::from_ref(&row), MINUTE_US).await,
        // The same window with another end.
        gold_file(&lake, &ident, &[row], 2 * MINUTE_US).await,
    ];
    let before = lake.append(&ident, files).await;
    let compaction = Compaction::new(TablePolicy::video_stats());
    let error = compact_table(lake.catalog.as_ref(), &ident, &compaction).await.unwrap_err();
    assert!(error.to_string().contains("column window_end differs"), "{error}");
    let after = lake.table(&ident).await;
    assert_eq!(after.metadata().current_snapshot_id(), before.metadata().current_snapshot_id());
    assert_eq!(files_on_disk(&lake, "gold").len(), 2);
    assert_eq!(compaction.meter.reserved_bytes(), 0);
}

/// A compaction during which `meanwhile` happens once, when the first batch was read.
async fn compact_while(
    lake: &Arc<Lake>,
    ident: &TableIdent,
    policy: TablePolicy,
    meanwhile: impl AsyncFnOnce(&Lake),
) -> (Result<CompactionReport, CompactionError>, Compaction) {
    let (reached, wait_reached) = tokio::sync::oneshot::channel::<()>();
    let (go_on, wait_go_on) = std::sync::mpsc::channel::<()>();
    let gate = parking_lot::Mutex::new(Some((reached, wait_go_on)));
    let passed = AtomicBool::new(false);
    let mut compaction = Compaction::new(policy);
    compaction.progress = Arc::new(move |progress| {
        // Also called before the group begins, on a thread of the runtime.
        if progress.bytes_read > 0
            && !passed.swap(true, Ordering::SeqCst)
            && let Some((reached, wait_go_on)) = gate.lock().take()
        {
            reached.send(()).unwrap();
            wait_go_on.recv().unwrap();
        }
    });
    let (running_lake, running_ident, running) = (lake.clone(), ident.clone(), compaction.clone());
    let run =
        tokio::spawn(
            async move { compact_table(running_lake.catalog.as_ref(), &running_ident, &running).await },
        );
    wait_reached.await.unwrap();
    meanwhile(lake).await;
    go_on.send(()).unwrap();
    (run.await.unwrap(), compaction)
}

async fn some_events(lake: &Lake) -> (TableIdent, Vec<String>) {
    let ident = event_table(lake).await;
    let mut paths = Vec::new();
    for number in 0..4 {
        let file = events(lake, &ident, 7, number * 10, 10).await;
        paths.push(file.file_path().to_string());
        lake.append(&ident, vec![file]).await;
    }
    (ident, paths)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_equality_delete_and_an_append_that_land_meanwhile_hold() {
    let lake = Arc::new(Lake::new().await);
    let (ident, _) = some_events(&lake).await;
    let (report, _) = compact_while(&lake, &ident, small_policy(), async |lake| {
        lake.delete(&ident, vec![lake.equality_deletes(&ident, hour(7), vec![(2, longs([13]))]).await]).await;
        lake.append(&ident, vec![events(lake, &ident, 7, 13, 1).await]).await;
        assert_eq!(lake.rows(&ident).await.len(), 40);
    })
    .await;
    let report = report.unwrap();
    assert_eq!(report.conflicts, 0);
    let rows = lake.rows(&ident).await;
    assert_eq!(rows.len(), 40);
    assert!(!lake.table(&ident).await.metadata().properties().contains_key(FOLDED_PROPERTY));
    // The deleted row is gone, the later one with its id is there.
    assert_eq!(rows.iter().filter(|row| row.contains("|13|")).count(), 1);
    assert_at_rest(&lake, &ident, &small_policy()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_delete_that_lands_meanwhile_is_a_conflict_and_planned_anew() {
    let lake = Arc::new(Lake::new().await);
    let (ident, paths) = some_events(&lake).await;
    let (report, _) = compact_while(&lake, &ident, small_policy(), async |lake| {
        lake.delete(&ident, vec![lake.position_deletes(&ident, hour(7), &paths[1], &[0], true).await]).await;
    })
    .await;
    let report = report.unwrap();
    assert_eq!((report.conflicts, report.groups, report.rows_deleted), (1, 1, 1));
    let rows = lake.rows(&ident).await;
    assert_eq!(rows.len(), 39);
    assert!(rows.iter().all(|row| !row.contains("|10|")));
    // What was written for the first plan is gone: four inputs, one delete file, one output.
    assert_eq!(files_on_disk(&lake, "events").len(), 6);
    assert_at_rest(&lake, &ident, &small_policy()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inputs_that_another_rewrite_took_are_a_conflict() {
    let lake = Arc::new(Lake::new().await);
    let (ident, paths) = some_events(&lake).await;
    let (report, _) = compact_while(&lake, &ident, small_policy(), async |lake| {
        let table = lake.table(&ident).await;
        let rewrite = Rewrite {
            planned_sequence_number: table.metadata().current_snapshot().unwrap().sequence_number(),
            remove: paths[..2].iter().cloned().collect(),
            partitions: [(0, hour(7))].into(),
            seen_in: Default::default(),
            add: vec![events(lake, &ident, 7, 0, 20).await],
        };
        lake.commit(&ident, ChangeKind::Rewrite(rewrite)).await;
    })
    .await;
    assert_eq!(report.unwrap().conflicts, 1);
    assert_eq!(lake.rows(&ident).await.len(), 40);
    assert_eq!(live(&lake, &ident).await.files.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_run_changes_nothing_and_leaves_no_file() {
    let lake = Arc::new(Lake::new().await);
    let (ident, _) = some_events(&lake).await;
    let cancel = pulselake_maintain::compaction::CancelToken::default();
    let mut compaction = Compaction::new(small_policy());
    compaction.cancel = cancel.clone();
    compaction.progress = Arc::new(move |progress| {
        if progress.bytes_read > 0 {
            cancel.cancel();
        }
    });
    let before = lake.table(&ident).await.metadata().current_snapshot_id();
    let result = compact_table(lake.catalog.as_ref(), &ident, &compaction).await;
    assert!(matches!(result, Err(CompactionError::Cancelled)), "{result:?}");
    assert_eq!(lake.table(&ident).await.metadata().current_snapshot_id(), before);
    assert_eq!(files_on_disk(&lake, "events").len(), 4);
    assert_eq!(compaction.meter.reserved_bytes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_manifests_are_written_anew_once() {
    let lake = Lake::new().await;
    let ident = event_table(&lake).await;
    // One file a partition: nothing to pack.
    for number in 0..12 {
        lake.append(&ident, vec![events(&lake, &ident, number, 0, 10).await]).await;
    }
    let before = lake.rows(&ident).await;
    let policy = TablePolicy { max_manifests: 10, ..small_policy() };
    let report = compact(&lake, &ident, &policy).await;
    assert!(report.manifests_rewritten && report.groups == 0);
    assert_eq!((report.before.manifests, report.after.manifests), (12, 1));
    assert_eq!(lake.rows(&ident).await, before);
    assert_at_rest(&lake, &ident, &policy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_million_rows_are_sorted_within_64_mib() {
    const FILES: i64 = 10;
    const ROWS: i64 = 200_000;
    let lake = Lake::new().await;
    let columns = schema(&[("id", PrimitiveType::Long, true), ("text", PrimitiveType::String, false)]);
    let ident = lake.create("large", FormatVersion::V2, columns, &[], &["id"]).await;
    let texts: Vec<String> = (0..ROWS).map(|row| format!("{:024}", row * 7_919)).collect();
    let mut files = Vec::new();
    for file in 0..FILES {
        // A permutation of all ids, dealt over the files.
        let ids = (0..ROWS).map(|row| (row * FILES + file) * 1_000_003 % (FILES * ROWS));
        files.push(
            lake.write(&ident, Struct::empty(), vec![longs(ids), strings(texts.iter().map(String::as_str))])
                .await,
        );
    }
    lake.append(&ident, files).await;
    let mut compaction = Compaction::new(TablePolicy::dimension("id"));
    let spill = tempfile::tempdir().unwrap();
    compaction.budget =
        Budget { memory_bytes: 64 << 20, spill_directory: spill.path().to_path_buf(), ..Budget::default() };
    let report = compact_table(lake.catalog.as_ref(), &ident, &compaction).await.unwrap();
    let most = compaction.meter.peak_bytes();
    assert_eq!(report.peak_memory_bytes, most);
    // The rows alone are 100 MB: they did not fit, and what was used is what was allowed.
    assert!(most <= 64 << 20, "{most} bytes");
    assert!(most >= 20 << 20, "{most} bytes: the meter sees too little");
    assert_eq!(compaction.meter.reserved_bytes(), 0);
    assert_eq!(std::fs::read_dir(spill.path()).unwrap().count(), 0);
    assert_eq!(report.rows_written, (FILES * ROWS) as u64);
    let mut next = 0;
    let mut stream = read_table(&lake.table(&ident).await, None, Some(&["id"])).await.unwrap();
    assert_eq!(report.after.files, 1);
    while let Some(batch) = stream.try_next().await.unwrap() {
        for &id in batch.column(0).as_primitive::<Int64Type>().values() {
            assert_eq!(id, next);
            next += 1;
        }
    }
    assert_eq!(next, FILES * ROWS);
}
