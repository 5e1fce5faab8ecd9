//! Erasures from what the streams of changes write: dimension, history of every version, rejected changes.
#![allow(clippy::unwrap_used)]

mod small_lake;

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, LargeBinaryArray, StringArray};
use iceberg::TableIdent;
use iceberg::spec::{Datum, Literal, PrimitiveLiteral, PrimitiveType, Struct, Transform};
use iceberg::transform::create_transform_function;
use pulselake_maintain::erase::{EraseReport, EraseTableReport, Subject, erase, erased_so_far};
use pulselake_maintain::health::health_of;
use small_lake::cells::files_naming;
use small_lake::people::{USER, at_once, texts, user};
use small_lake::{SmallLake, silent};

const BUCKETS: Transform = Transform::Bucket(16);

fn place(key: &str) -> Struct {
    let function = create_transform_function(&BUCKETS).unwrap();
    match function.transform_literal(&Datum::string(key)).unwrap().unwrap().literal() {
        PrimitiveLiteral::Int(bucket) => Struct::from_iter([Some(Literal::int(*bucket))]),
        other => panic!("{other:?}"),
    }
}

fn strings(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

/// The key's present rows, one upsert after another.
async fn dimension(lake: &SmallLake, name: &str, key: &str, versions: &[(&str, &str)]) -> TableIdent {
    let columns = [(key, PrimitiveType::String), ("creator_id", PrimitiveType::String)];
    let table = lake.create(name, &columns, &[(1, "key_bucket", BUCKETS)]).await;
    for (id, creator) in versions {
        let rows = vec![strings(&[id]), strings(&[creator])];
        lake.upsert(&table, place(id), (1, strings(&[id])), rows).await;
    }
    table
}

/// Every version of the keys: id, op.
async fn history(lake: &SmallLake, name: &str, key: &str, versions: &[(&str, &str)]) -> TableIdent {
    let columns = [
        (key, PrimitiveType::String),
        ("op", PrimitiveType::String),
        ("source_topic", PrimitiveType::String),
        ("source_partition", PrimitiveType::Int),
        ("source_offset", PrimitiveType::Long),
    ];
    let table = lake.create(name, &columns, &[(1, "key_bucket", BUCKETS)]).await;
    for (offset, (id, op)) in (0..).zip(versions) {
        let rows: Vec<ArrayRef> = vec![
            strings(&[id]),
            strings(&[op]),
            strings(&["cdc.users.profiles"]),
            Arc::new(Int32Array::from(vec![1])),
            Arc::new(Int64Array::from(vec![offset])),
        ];
        lake.append(&table, place(id), rows).await;
    }
    table
}

async fn rejected(lake: &SmallLake, name: &str, values: &[&[u8]]) -> TableIdent {
    let columns = [("raw_value", PrimitiveType::Binary), ("error_code", PrimitiveType::String)];
    let table = lake.create(name, &columns, &[]).await;
    let codes = vec!["TYPE_CHANGED"; values.len()];
    let rows: Vec<ArrayRef> = vec![Arc::new(LargeBinaryArray::from_vec(values.to_vec())), strings(&codes)];
    lake.append(&table, Struct::empty(), rows).await;
    table
}

fn of<'a>(report: &'a EraseReport, table: &TableIdent) -> &'a EraseTableReport {
    report.tables.iter().find(|found| found.table == table.to_string()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_leaves_dimension_history_and_rejected_changes() {
    let lake = SmallLake::new().await;
    let users =
        dimension(&lake, "dim_users", "user_id", &[(USER, "-"), ("u_2", "-"), (USER, "-"), ("u_2", "-")])
            .await;
    // Also a version that deletes, which keeps the key.
    let versions = [(USER, "c"), ("u_2", "c"), (USER, "u"), (USER, "d"), ("u_2", "u")];
    let past = history(&lake, "dim_users_history", "user_id", &versions).await;
    let invalid = rejected(
        &lake,
        "invalid_events_cdc_users",
        &[
            br#"{"schema":{"type":"struct"},"payload":{"op":"u","before":{"user_id":"u_8812"},"after":null}}"#,
            br#"{"op":"c","after":{"user_id":"u_8812","is_creator":"maybe"},"source":{"lsn":7}}"#,
            br#"{"op":"c","after":{"user_id":"u_88123"},"source":{"lsn":8}}"#,
            br#"{"op":"c","after":{"user_id":"u_8812""#,
        ],
    )
    .await;
    let videos = dimension(&lake, "dim_videos", "video_id", &[("v_1", USER)]).await;

    let report = erase(lake.tools(), &user(), &at_once(), "test", false, silent()).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!((of(&report, &users).rows_erased, of(&report, &past).rows_erased), (1, 3));
    // The first delete of the key applies to nothing, and names it all the same.
    assert_eq!(of(&report, &users).delete_files_found, 2);
    assert_eq!(of(&report, &invalid).rows_erased, 3);
    assert_eq!(texts(&lake, &users, "user_id").await, ["u_2"]);
    assert_eq!(texts(&lake, &past, "op").await, ["c", "u"]);
    // Of the rejected records' bounds only a manifest could tell, and the engine writes none of raw_value.
    for table in [&users, &past] {
        assert_eq!(files_naming(&lake.place(table), USER), Vec::<String>::new());
    }
    assert_eq!(texts(&lake, &invalid, "raw_value").await.len(), 1);
    let erased = erased_so_far(lake.load(&past).await.metadata()).unwrap();
    assert_eq!(erased["cdc.users.profiles"]["1"], 3);
    // Who made a video is no row of the user's.
    assert!(report.tables.iter().all(|found| found.table != videos.to_string()));
    assert_eq!(texts(&lake, &videos, "creator_id").await, [USER]);
    assert_eq!(health_of(&lake.load(&users).await).await.unwrap().delete_files.equality, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_video_leaves_them_too() {
    let lake = SmallLake::new().await;
    let videos =
        dimension(&lake, "dim_videos", "video_id", &[("v_1", "u_1"), ("v_2", "u_1"), ("v_1", "u_1")]).await;
    let past =
        history(&lake, "dim_videos_history", "video_id", &[("v_1", "c"), ("v_1", "u"), ("v_2", "r")]).await;
    let invalid = rejected(
        &lake,
        "invalid_events_cdc_videos",
        &[
            br#"{"op":"u","after":{"video_id":"v_1","duration_ms":"long"}}"#,
            br#"{"op":"u","after":{"video_id":"v_2"}}"#,
        ],
    )
    .await;
    let video = Subject::Video("v_1".to_string());
    let report = erase(lake.tools(), &video, &at_once(), "test", false, silent()).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    let erased = [&videos, &past, &invalid].map(|table| of(&report, table).rows_erased);
    assert_eq!(erased, [1, 2, 1]);
    assert_eq!(texts(&lake, &videos, "video_id").await, ["v_2"]);
    assert_eq!(texts(&lake, &past, "op").await, ["r"]);
}
