//! The tables of batch jobs: created, exchanged a day at a time, and given further columns.
#![allow(clippy::unwrap_used)]

mod cold_parts;
mod common;

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use cold_parts::*;
use common::{Place, commit};
use futures::{TryStreamExt, stream};
use pulselake_lake::{CommitError, DayRows, LakeError, Moved, ReplaceError, Replaced, ReplacedPart};
use pulselake_model::tables::LakeTable;
use pulselake_model::{ColumnChange, cold};

fn bad_batch<E: std::error::Error + 'static>(refused: ReplaceError<E>) -> String {
    match refused {
        ReplaceError::Commit(CommitError::Failed { source: LakeError::BadBatch { reason, .. }, .. }) => {
            reason
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn tables_are_created_with_their_partitions_and_recognised() {
    let place = Place::new();
    let lake = open(&place).await;
    let again = open(&place).await.ensure_tables(&LakeTable::OF_BATCH).await.unwrap();
    assert_eq!(again, LakeTable::OF_BATCH.map(|table| (table, false)));
    for table in LakeTable::OF_BATCH {
        assert!(!table.has_ledger() && LakeTable::ALL.contains(&table), "{table:?}");
        let loaded = lake.load(table).await.unwrap();
        let fields = loaded.metadata().default_partition_spec().fields().to_vec();
        let spec: Vec<String> =
            fields.iter().map(|field| format!("{} {}", field.name, field.transform)).collect();
        let expected: &[&str] = match table {
            FIELDS | LakeTable::BatchRuns => &[],
            FACTS => &["event_timestamp_day day"],
            _ => &["date identity"],
        };
        assert_eq!(spec, expected, "{table:?}");
    }
    assert_eq!(lake.table_schema(FACTS).await.unwrap(), cold::engagement_facts());
    assert_eq!(lake.table_schema(VIDEOS).await.unwrap(), cold::batch_video_daily());
}

#[tokio::test]
async fn a_day_is_exchanged_and_the_others_stay() {
    let place = Place::new();
    let lake = open(&place).await;
    for (table, schema, column) in [
        (FACTS, cold::engagement_facts(), "source_offset"),
        (VIDEOS, cold::batch_video_daily(), "impressions"),
    ] {
        let of = |number, range| rows_of(&schema, day(number), range);
        let first =
            lake.replace_partition(table, part(6), stream_of(vec![of(6, 0..3), of(6, 3..5)])).await.unwrap();
        assert_eq!((first.rows, first.files), (5, 1));
        let next = lake.replace_partition(table, part(7), stream_of(vec![of(7, 10..13)])).await.unwrap();
        assert_ne!(first.snapshot_id, next.snapshot_id);
        assert_eq!(numbers(&lake, table, column).await, [0, 1, 2, 3, 4, 10, 11, 12]);

        let again = lake.replace_partition(table, part(6), stream_of(vec![of(6, 20..22)])).await.unwrap();
        assert_eq!(again, Replaced { rows: 2, files: 1, snapshot_id: again.snapshot_id });
        assert_eq!(numbers(&lake, table, column).await, [10, 11, 12, 20, 21]);
        let loaded = lake.load(table).await.unwrap();
        let current = loaded.metadata().current_snapshot().unwrap();
        assert_eq!(Some(current.snapshot_id()), again.snapshot_id);
        let summary = &current.summary().additional_properties;
        assert_eq!(
            (summary["added-records"].as_str(), summary["deleted-records"].as_str()),
            ("2", "5"),
            "one commit exchanges the day"
        );

        // No rows empty the day; where there are none already, nothing is committed.
        let emptied = lake.replace_partition(table, part(6), stream_of(vec![])).await.unwrap();
        assert_eq!((emptied.rows, emptied.files), (0, 0));
        assert_eq!(numbers(&lake, table, column).await, [10, 11, 12]);
        let commits = snapshots(&lake, table).await;
        for number in [6, 5] {
            let nothing =
                lake.replace_partition(table, part(number), stream_of(vec![of(6, 0..0)])).await.unwrap();
            assert_eq!(nothing, emptied, "{number}");
        }
        assert_eq!(snapshots(&lake, table).await, commits);
        let expected = DayRows { rows: 3, deletes: 0, files: 1 };
        let days = lake.view(table).await.unwrap().rows_by_day().await.unwrap();
        assert_eq!(days.into_iter().collect::<Vec<_>>(), [(day(7), expected)]);
    }
}

#[tokio::test]
async fn columns_are_matched_by_their_names() {
    let place = Place::new();
    let lake = open(&place).await;
    let rows = rows_of(&cold::batch_video_daily(), day(6), 0..4);
    let mut names: Vec<String> = rows.schema().fields().iter().map(|field| field.name().clone()).collect();
    names.reverse();
    // An optional column that the job does not have, and texts as queries hand them out.
    names.retain(|name| name != "retention_d1");
    let columns = names.iter().map(|name| {
        let column = rows.column_by_name(name).unwrap();
        let shown =
            if name == "video_id" { cast(column, &DataType::Utf8View).unwrap() } else { column.clone() };
        (name.clone(), shown)
    });
    let turned = RecordBatch::try_from_iter(columns).unwrap();
    lake.replace_partition(VIDEOS, part(6), stream_of(vec![turned])).await.unwrap();
    assert_eq!(numbers(&lake, VIDEOS, "likes").await, [0, 1, 2, 3]);
    let found: Vec<RecordBatch> =
        lake.read(VIDEOS, &["video_id", "retention_d1"]).await.unwrap().try_collect().await.unwrap();
    let texts: Vec<&str> =
        found.iter().flat_map(|batch| batch.column(0).as_string::<i32>().iter().flatten()).collect();
    assert_eq!(texts, ["video_id-0", "video_id-1", "video_id-2", "video_id-3"]);
    assert_eq!(found.iter().map(|batch| batch.column(1).null_count()).sum::<usize>(), 4);
}

#[tokio::test]
async fn rows_of_another_day_are_refused_and_leave_nothing() {
    let place = Place::new();
    let lake = open(&place).await;
    for (table, schema) in [(FACTS, cold::engagement_facts()), (VIDEOS, cold::batch_video_daily())] {
        let good = rows_of(&schema, day(6), 0..3);
        lake.replace_partition(table, part(6), stream_of(vec![good.clone()])).await.unwrap();
        let foreign = rows_of(&schema, day(7), 3..4);
        let refused =
            lake.replace_partition(table, part(6), stream_of(vec![good, foreign])).await.unwrap_err();
        let reason = bad_batch(refused);
        assert!(reason.contains("2026-02-07") && reason.contains("2026-02-06"), "{reason}");
        assert_eq!(snapshots(&lake, table).await, 1);
        assert_eq!(place.files(table, ".parquet").len(), 1, "the files of what was refused are gone");
        assert!(place.files(table, ".tmp").is_empty());
    }
}

#[tokio::test]
async fn parts_that_a_table_does_not_have_are_refused() {
    let place = Place::new();
    let lake = open(&place).await;
    lake.ensure_tables(&LakeTable::OF_EVENTS).await.unwrap();
    for (table, wrong, words) in [
        (FIELDS, part(6), "not partitioned by day"),
        (VIDEOS, ReplacedPart::Whole, "partitioned by day"),
        (VIDEOS, ReplacedPart::WholeOf(None), "partitioned by day"),
        (LakeTable::BatchRuns, ReplacedPart::Whole, "no batch job makes it"),
        (LakeTable::VideoStats1Min, part(6), "no batch job makes it"),
        (LakeTable::RuleBaselines, ReplacedPart::Whole, "no batch job makes it"),
    ] {
        let reason = bad_batch(lake.replace_partition(table, wrong, stream_of(vec![])).await.unwrap_err());
        assert!(reason.contains(words), "{table:?}: {reason}");
    }
}

#[tokio::test]
async fn a_source_that_fails_leaves_the_day_as_it_was() {
    let place = Place::new();
    let lake = open(&place).await;
    let rows = rows_of(&cold::engagement_facts(), day(6), 0..3);
    lake.replace_partition(FACTS, part(6), stream_of(vec![rows.clone()])).await.unwrap();
    let broken = stream::iter([Ok(rows), Err(std::io::Error::other("the query ended"))]);
    let failed = lake.replace_partition(FACTS, part(6), broken).await.unwrap_err();
    assert!(
        matches!(&failed, ReplaceError::Rows(source) if source.to_string() == "the query ended"),
        "{failed}"
    );
    assert_eq!((snapshots(&lake, FACTS).await, place.files(FACTS, ".parquet").len()), (1, 1));
}

#[tokio::test]
async fn a_whole_table_is_exchanged_on_what_was_read_of_it() {
    let place = Place::new();
    let lake = open(&place).await;
    let rows = |range| stream_of(vec![rows_of(&cold::payload_fields(), day(6), range)]);
    let first = lake.replace_partition(FIELDS, ReplacedPart::WholeOf(None), rows(0..2)).await.unwrap();
    let second =
        lake.replace_partition(FIELDS, ReplacedPart::WholeOf(first.snapshot_id), rows(2..5)).await.unwrap();
    assert_eq!(numbers(&lake, FIELDS, "events").await, [2, 3, 4]);
    for stale in [ReplacedPart::WholeOf(first.snapshot_id), ReplacedPart::WholeOf(None)] {
        let moved = lake.replace_partition(FIELDS, stale, rows(5..6)).await.unwrap_err();
        assert!(
            matches!(moved, ReplaceError::Moved(Moved { found, .. }) if found == second.snapshot_id),
            "{moved}"
        );
    }
    assert_eq!(place.files(FIELDS, ".parquet").len(), 2, "those of refused exchanges are gone");
    lake.replace_partition(FIELDS, ReplacedPart::Whole, rows(7..8)).await.unwrap();
    assert_eq!(numbers(&lake, FIELDS, "events").await, [7]);
    assert!(lake.view(FIELDS).await.unwrap().rows_by_day().await.unwrap().is_empty(), "it has no days");
}

#[tokio::test]
async fn silver_gains_columns_and_old_days_lack_them() {
    let place = Place::new();
    let lake = open(&place).await;
    let plain = rows_of(&cold::engagement_facts(), day(6), 0..2);
    lake.replace_partition(FACTS, part(6), stream_of(vec![plain.clone()])).await.unwrap();

    let (text, long) = (DataType::Utf8, DataType::Int64);
    let add = |name: &str, data_type: &DataType| ColumnChange::Add {
        name: name.to_string(),
        data_type: data_type.clone(),
    };
    let changes = [add("select", &text), add("frame drops", &long)];
    lake.evolve(FACTS, &changes).await.unwrap();
    // Another process has an older state of the table in mind.
    let other = open(&place).await;
    lake.evolve(FACTS, &[changes[0].clone(), add("later", &text)]).await.unwrap();
    let mut fields: Vec<Field> = plain.schema().fields().iter().map(|field| field.as_ref().clone()).collect();
    fields.extend([Field::new("select", text, true), Field::new("later", DataType::Utf8, true)]);
    let mut columns: Vec<ArrayRef> = rows_of(&cold::engagement_facts(), day(7), 2..4).columns().to_vec();
    columns.extend([
        Arc::new(StringArray::from(vec![Some("a"), None])) as ArrayRef,
        Arc::new(StringArray::from(vec!["b", "c"])) as ArrayRef,
    ]);
    let wide = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    other.replace_partition(FACTS, part(7), stream_of(vec![wide])).await.unwrap();

    let found: Vec<RecordBatch> = lake
        .read(FACTS, &["source_offset", "select", "frame drops", "later"])
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(found.iter().map(|batch| batch.column(3).null_count()).sum::<usize>(), 2);
    assert_eq!(found.iter().map(|batch| batch.column(1).null_count()).sum::<usize>(), 3);
    assert_eq!(numbers(&lake, FACTS, "source_offset").await, [0, 1, 2, 3]);
    // An older day without the columns is made again beside them.
    lake.replace_partition(FACTS, part(6), stream_of(vec![plain])).await.unwrap();
    assert_eq!(numbers(&lake, FACTS, "source_offset").await, [0, 1, 2, 3]);
    assert_eq!(open(&place).await.table_schema(FACTS).await.unwrap().fields().len(), 27 + 3);

    for (table, change) in [
        (VIDEOS, add("more", &long)),
        (FACTS, add("watch_time_ms", &DataType::Float64)),
        (FACTS, add("Select", &long)),
        (FACTS, add("event_timestamp_day", &long)),
    ] {
        let refused = lake.evolve(table, &[change]).await.unwrap_err();
        let expected = matches!(
            &refused,
            CommitError::Failed { source: LakeError::FixedColumn { .. } | LakeError::Conflict { .. }, .. }
        );
        assert!(expected, "{refused}");
    }
}

#[tokio::test]
async fn rows_of_hours_are_counted_by_their_day() {
    let place = Place::new();
    let lake = place.lake().await;
    let empty = lake.view(LakeTable::RawEvents).await.unwrap();
    assert!(empty.rows_by_day().await.unwrap().is_empty());
    // One second an offset from the epoch on: the last second of an hour, of a day, and the first of the next.
    for (seq, (first, next)) in [(0, 10), (3_599, 3_601), (86_390, 86_403)].into_iter().enumerate() {
        commit(&lake, 0, seq as i64, first, next).await;
    }
    let view = lake.view(LakeTable::RawEvents).await.unwrap();
    let days = view.rows_by_day().await.unwrap();
    assert!(view.snapshot_id().is_some());
    let counted: Vec<(String, u64, u64)> =
        days.iter().map(|(date, found)| (date.to_string(), found.rows, found.files)).collect();
    assert_eq!(counted, [("1970-01-01".to_string(), 22, 4), ("1970-01-02".to_string(), 3, 1)]);
}

#[tokio::test]
async fn runs_are_appended() {
    let place = Place::new();
    let lake = open(&place).await;
    for number in 0..3 {
        let row = rows_of(&cold::batch_runs(), day(6), number..number + 1);
        assert!(lake.append_rows(LakeTable::BatchRuns, &row).await.unwrap().is_some());
    }
    assert_eq!(numbers(&lake, LakeTable::BatchRuns, "rows_out").await, [0, 1, 2]);
}

#[tokio::test]
async fn many_rows_make_full_files_of_one_day() {
    let place = Place::new();
    let lake = open(&place).await;
    let batches: Vec<RecordBatch> = (0..20)
        .map(|number| rows_of(&cold::engagement_facts(), day(6), number * 4_000..(number + 1) * 4_000))
        .collect();
    let replaced = lake.replace_partition(FACTS, part(6), stream_of(batches)).await.unwrap();
    assert_eq!((replaced.rows, replaced.files), (80_000, 1));
    assert_eq!(
        numbers(&lake, FACTS, "source_offset").await,
        Int64Array::from_iter_values(0..80_000).values().to_vec()
    );
}
