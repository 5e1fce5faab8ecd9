//! Dimensions: upserts by equality deletes, columns that come and grow wider, and who may commit.
#![allow(clippy::unwrap_used)]

#[path = "dimension_parts/columns.rs"]
mod columns;
mod common;
mod dimension_parts;
#[path = "dimension_parts/readers.rs"]
mod readers;

use std::collections::HashSet;
use std::path::PathBuf;

use arrow::array::RecordBatch;
use common::Place;
use dimension_parts::*;
use futures::TryStreamExt;
use iceberg::spec::{DataContentType, DataFile, Literal, MAIN_BRANCH, SnapshotReference, SnapshotRetention};
use iceberg::{TableRequirement, TableUpdate};
use pulselake_commit::Swap;
use pulselake_commit::catalog::SwapBounds;
use pulselake_lake::{CommitAction, CommitError, Lake, LakeError, LedgeredAppend, OpenMode, WriterOptions};
use pulselake_model::tables::LakeTable;
use pulselake_model::{Entity, schema};

const COLUMNS: [&str; 4] = ["video_id", "category", "hashtags", "duration_ms"];

async fn lake_of(place: &Place) -> Lake {
    let lake = Lake::open(&place.settings(), OpenMode::CreateIfMissing).await.unwrap();
    lake.ensure_tables(&LakeTable::of_changes(Entity::Videos)).await.unwrap();
    lake
}

async fn live_rows(lake: &Lake) -> Vec<String> {
    rows(lake, VIDEOS, &COLUMNS).await
}

#[tokio::test]
async fn tables_of_changes_are_created_and_recognised() {
    let place = Place::new();
    let lake = lake_of(&place).await;
    for entity in Entity::ALL {
        let tables = LakeTable::of_changes(entity);
        lake.ensure_tables(&tables).await.unwrap();
        let again = lake_of(&place).await.ensure_tables(&tables).await.unwrap();
        assert_eq!(again, tables.map(|table| (table, false)));
        for (table, columns) in [
            (LakeTable::Dimension(entity), schema::dimension(entity)),
            (LakeTable::DimensionHistory(entity), schema::dimension_history(entity)),
        ] {
            assert_eq!(lake.table_schema(table).await.unwrap(), columns, "{table:?}");
            let loaded = lake.load(table).await.unwrap();
            let metadata = loaded.metadata();
            let key = entity.key_column();
            let fields = metadata.default_partition_spec().fields();
            assert_eq!(fields.len(), 1);
            assert_eq!(
                format!("{} {}", fields[0].name, fields[0].transform),
                format!("{key}_bucket bucket[16]")
            );
            let order: Vec<&str> = metadata
                .default_sort_order()
                .fields
                .iter()
                .map(|field| metadata.current_schema().name_by_field_id(field.source_id).unwrap())
                .collect();
            let is_history = matches!(table, LakeTable::DimensionHistory(_));
            match is_history {
                true => {
                    assert_eq!(order, [key, "source_position", "source_position_minor", "source_ts_ms"]);
                }
                false => assert_eq!(order, [key]),
            }
            let identifier: Vec<i32> = metadata.current_schema().identifier_field_ids().collect();
            assert_eq!(identifier, if is_history { vec![] } else { vec![1] });
        }
    }
}

#[tokio::test]
async fn upserts_replace_and_deletes_remove() {
    let place = Place::new();
    let lake = lake_of(&place).await;
    assert!(live_rows(&lake).await.is_empty());
    let first = [
        ("v_1", Some("music"), Some("a,b"), Some(1_000)),
        ("v_2", None, None, None),
        ("v_3", Some("news"), Some(""), Some(3)),
    ];
    upsert(&lake, 0, &batch(base(&first, 1)), &["v_1", "v_2", "v_3"]).await.unwrap();
    assert_eq!(live_rows(&lake).await, ["v_1|music|[a, b]|1000", "v_2|NULL|NULL|NULL", "v_3|news|[]|3"]);

    let second = [("v_2", Some("film"), Some("c"), Some(2)), ("v_4", Some("new"), None, Some(4))];
    let receipt = upsert(&lake, 1, &batch(base(&second, 2)), &["v_2", "v_4"]).await.unwrap();
    let third = [("v_2", Some("film again"), None, Some(22))];
    upsert(&lake, 2, &batch(base(&third, 3)), &["v_2", "v_3"]).await.unwrap();
    let expected = ["v_1|music|[a, b]|1000", "v_2|film again|NULL|22", "v_4|new|NULL|4"];
    assert_eq!(live_rows(&lake).await, expected);
    // Deletes alone, one of a key that was never there.
    let nothing = batch(base(&[], 0));
    upsert(&lake, 3, &nothing, &["v_1", "v_9"]).await.unwrap();
    assert_eq!(live_rows(&lake_of(&place).await).await, expected[1..]);
    assert_eq!(receipt.ledger.partition("content_events", 0).unwrap().seq, 2);
    let summary = lake.load(VIDEOS).await.unwrap().metadata().current_snapshot().unwrap().summary().clone();
    assert_eq!(summary.additional_properties["added-equality-deletes"], "2");
}

#[tokio::test]
async fn each_file_is_of_one_bucket_and_says_what_it_is() {
    let place = Place::new();
    let lake = lake_of(&place).await;
    let names: Vec<String> = (0..500).map(|number| format!("v_{number}")).collect();
    let leaked: Vec<&'static str> = names.iter().map(|name| &*name.clone().leak()).collect();
    let videos: Vec<Video> = leaked.iter().map(|&name| (name, Some("x"), Some("t,u"), Some(7))).collect();
    let request = work(&lake, 0, &batch(base(&videos, 1)), &leaked).await;
    let bucket = |file: &DataFile| match file.partition().iter().next() {
        Some(Some(Literal::Primitive(value))) => format!("{value:?}"),
        other => panic!("{other:?}"),
    };
    for (files, content, equality_ids) in [
        (&request.files, DataContentType::Data, None),
        (&request.deletes, DataContentType::EqualityDeletes, Some(vec![1])),
    ] {
        assert_eq!(files.iter().map(bucket).collect::<HashSet<_>>().len(), 16);
        assert_eq!(files.len(), 16);
        assert_eq!(files.iter().map(DataFile::record_count).sum::<u64>(), 500);
        for file in files {
            assert_eq!((file.content_type(), file.equality_ids()), (content, equality_ids.clone()));
            assert!(file.file_path().contains("/data/video_id_bucket="), "{}", file.file_path());
            assert_eq!(file.value_counts()[&1], file.record_count());
            assert!(file.lower_bounds().contains_key(&1) && file.upper_bounds().contains_key(&1));
        }
    }
    let tags =
        lake.load(VIDEOS).await.unwrap().metadata().current_schema().field_id_by_name("hashtags.element");
    let file = &request.files[0];
    assert_eq!(file.value_counts()[&tags.unwrap()], 2 * file.record_count());
    lake.append(VIDEOS, &request).await.unwrap();
    // The engine's buckets are Iceberg's: the crate's own scan prunes by them, and finds the row.
    let wanted = iceberg::expr::Reference::new("video_id").equal_to(iceberg::spec::Datum::string("v_77"));
    let found: Vec<RecordBatch> =
        lake.scan(VIDEOS, &["video_id"], Some(wanted)).await.unwrap().try_collect().await.unwrap();
    assert_eq!(as_text(&found), ["v_77"]);

    let keys = ["v_77", "v_499", "v_none"].map(str::to_string);
    let picked: Vec<RecordBatch> = lake
        .read_keys(VIDEOS, &["duration_ms"], "video_id", &keys)
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(as_text(&picked), ["7", "7"]);
    // A file that can't have the key is not opened: it may be gone.
    let mut needed = 0;
    for file in place.files(VIDEOS, ".parquet") {
        let aside = file.with_extension("aside");
        std::fs::rename(&file, &aside).unwrap();
        let reading = lake.read_keys(VIDEOS, &["video_id"], "video_id", &keys[..1]).await.unwrap();
        match reading.try_collect::<Vec<_>>().await {
            Ok(read) => assert_eq!(as_text(&read), ["v_77"]),
            Err(_) => needed += 1,
        }
        std::fs::rename(&aside, &file).unwrap();
    }
    assert_eq!(needed, 1);
    let whole: Vec<RecordBatch> =
        lake.read_keys(VIDEOS, &[], "video_id", &keys).await.unwrap().try_collect().await.unwrap();
    assert_eq!(whole.iter().map(RecordBatch::num_rows).sum::<usize>(), 2);
    assert_eq!(whole[0].num_columns(), schema::dimension(Entity::Videos).fields().len());
}

#[tokio::test]
async fn files_end_at_their_target_size() {
    let place = Place::new();
    let lake = lake_of(&place).await;
    let name = "v_1";
    let videos: Vec<Video> = (0..100_000).map(|number| (name, None, None, Some(number * 7_919))).collect();
    let options = WriterOptions { target_file_bytes: 40_000, ..WriterOptions::default() };
    let files = lake.write_rows(VIDEOS, &batch(base(&videos, 1)), options).await.unwrap();
    assert!(files.len() > 2, "{} files", files.len());
    assert_eq!(files.iter().map(DataFile::record_count).sum::<u64>(), 100_000);
}

#[tokio::test]
async fn rows_that_do_not_fit_leave_no_file() {
    let place = Place::new();
    let lake = lake_of(&place).await;
    let one = || base(&[("v_1", None, None, None)], 1);
    let with = |name: &'static str, column| {
        let mut columns = one();
        columns.retain(|(known, _)| *known != name);
        columns.push((name, column));
        batch(columns)
    };
    let mut without_key = one();
    without_key.retain(|(name, _)| *name != "video_id");
    for (wrong, said) in [
        (with("likes", longs([Some(1)])), "no column likes"),
        (with("duration_ms", texts([Some("1")])), "duration_ms Utf8"),
        (with("video_id", texts([None])), "required column video_id"),
        (with("source_ts_ms", longs([None])), "required column source_ts_ms"),
        (batch(without_key), "required column video_id"),
    ] {
        let refused =
            lake.write_rows(VIDEOS, &wrong, WriterOptions::default()).await.unwrap_err().to_string();
        assert!(refused.contains(said), "{refused}");
    }
    // The second half does not fit: what the first half became is deleted.
    let mut videos: Vec<Video> = vec![("v_1", None, None, Some(1)); 40_000];
    videos[39_999].0 = "v_2";
    let mut columns = base(&videos, 1);
    let keys = videos.iter().enumerate().map(|(row, video)| (row < 39_999).then_some(video.0));
    columns[1].1 = texts(keys);
    let options = WriterOptions { target_file_bytes: 1_000, ..WriterOptions::default() };
    assert!(lake.write_rows(VIDEOS, &batch(columns), options).await.is_err());
    assert_eq!(place.files(VIDEOS, ".parquet"), Vec::<PathBuf>::new());
    for table in [HISTORY, LakeTable::InvalidChanges(Entity::Videos)] {
        let refused = lake.write_equality_deletes(table, &["v_1"], WriterOptions::default()).await;
        assert!(matches!(refused, Err(LakeError::BadBatch { .. })));
    }
}

#[tokio::test]
async fn a_row_delta_is_fenced_and_lands_once() {
    let place = Place::new();
    let lake = lake_of(&place).await;
    let rows_of = |category| batch(base(&[("v_1", Some(category), None, None)], 1));
    let request = work(&lake, 0, &rows_of("first"), &["v_1"]).await;
    let first = lake.append(VIDEOS, &request).await.unwrap();
    let again = lake_of(&place).await.append(VIDEOS, &request).await.unwrap();
    assert!(!first.already_there && again.already_there);
    let stale: LedgeredAppend = work(&lake, 0, &rows_of("stale"), &["v_1"]).await;
    let refused = lake.append(VIDEOS, &stale).await.unwrap_err();
    assert_eq!((refused.action(), refused.files_may_be_deleted()), (CommitAction::Fence, true));
    assert_eq!(rows(&lake, VIDEOS, &["video_id", "category"]).await, ["v_1|first"]);
    assert_eq!(lake.load(VIDEOS).await.unwrap().metadata().snapshots().count(), 1);
}

#[tokio::test]
async fn a_dimension_that_was_rolled_back_is_refused() {
    let place = Place::new();
    let lake = lake_of(&place).await;
    let rows_of = |category| batch(base(&[("v_1", Some(category), None, None)], 1));
    let first = upsert(&lake, 0, &rows_of("first"), &["v_1"]).await.unwrap();
    upsert(&lake, 1, &rows_of("second"), &["v_1"]).await.unwrap();
    let table = lake.load(VIDEOS).await.unwrap();
    let back = TableUpdate::SetSnapshotRef {
        ref_name: MAIN_BRANCH.to_string(),
        reference: SnapshotReference::new(first.snapshot_id, SnapshotRetention::branch(None, None, None)),
    };
    let bounds = SwapBounds {
        deadline: std::time::Instant::now() + std::time::Duration::from_secs(10),
        answer_timeout: std::time::Duration::from_secs(10),
    };
    let uuid = TableRequirement::UuidMatch { uuid: table.metadata().uuid() };
    assert!(matches!(lake.catalog().swap(&table, vec![uuid], vec![back], bounds).await, Swap::Done(_)));
    let refused = upsert(&lake, 2, &rows_of("third"), &["v_1"]).await.unwrap_err();
    assert_eq!(refused.action(), CommitAction::Stop);
    assert!(
        matches!(refused, CommitError::Stopped { source: LakeError::RolledBack { .. }, .. }),
        "{refused}"
    );
    assert_eq!(rows(&lake, VIDEOS, &["video_id", "category"]).await, ["v_1|first"]);
}

#[tokio::test]
async fn a_dimension_of_another_shape_is_refused() {
    for (from, to, what) in [
        (r#""name":"category""#, r#""name":"kind""#, "schema"),
        (r#""name":"video_id_bucket""#, r#""name":"bucket""#, "partition spec"),
    ] {
        let place = Place::new();
        lake_of(&place).await;
        let files = place.files(VIDEOS, ".metadata.json");
        let text = std::fs::read_to_string(&files[0]).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(&files[0], text.replace(from, to)).unwrap();
        let lake = Lake::open(&place.settings(), OpenMode::MustExist).await.unwrap();
        let refused = lake.ensure_tables(&[VIDEOS]).await.unwrap_err();
        assert!(matches!(&refused, LakeError::OtherShape { what: found, .. } if *found == what), "{refused}");
    }
}
