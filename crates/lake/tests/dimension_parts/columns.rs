//! Tables whose columns follow the source's.

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use futures::TryStreamExt;
use pulselake_commit::Conflict;
use pulselake_lake::{CommitAction, CommitError, LakeError, LedgeredAppend, WriterOptions};
use pulselake_model::tables::LakeTable;
use pulselake_model::{Entity, schema};

use crate::common::{Place, advance, request};
use crate::dimension_parts::*;
use crate::lake_of;

/// All kinds of columns that a source can bring; int, float and decimal grow wider.
#[tokio::test]
async fn tables_follow_the_sources_columns() {
    let place = Place::new();
    let lake = lake_of(&place).await;
    let old = [("v_1", Some("old"), None, Some(1)), ("v_2", Some("old"), None, Some(2))];
    upsert(&lake, 0, &batch(base(&old, 1)), &[]).await.unwrap();

    let list = schema::dimension(Entity::Videos).field_with_name("hashtags").unwrap().data_type().clone();
    let changes = [
        add("likes", DataType::Int32),
        add("price", DataType::Decimal128(9, 2)),
        add("hd", DataType::Boolean),
        add("day", DataType::Date32),
        add("score", DataType::Float64),
        add("labels", list),
    ];
    for table in [VIDEOS, HISTORY] {
        lake.evolve(table, &changes).await.unwrap();
        lake.evolve(table, &changes).await.unwrap();
    }
    let further = ["likes", "price", "hd", "day", "score", "labels"];
    let narrow = [("v_2", Some("narrow"), None, Some(2)), ("v_3", None, None, None)];
    let mut columns = base(&narrow, 2);
    columns.extend([
        ("likes", ints([Some(5), None])),
        ("price", decimals([Some(12_345), None], 9)),
        ("hd", truths([Some(true), Some(false)])),
        ("day", days([Some(0), None])),
        ("score", doubles([Some(0.5), None])),
    ]);
    let narrow_batch = batch(columns);
    upsert(&lake, 1, &narrow_batch, &["v_2", "v_3"]).await.unwrap();
    let wider = [promote("likes", DataType::Int64), promote("price", DataType::Decimal128(18, 2))];
    lake.evolve(VIDEOS, &wider).await.unwrap();
    // What was made for the narrower table is written all the same.
    let mut late = base(&[("v_4", None, None, None)], 3);
    late.extend([("likes", ints([Some(6)])), ("price", decimals([Some(1)], 9))]);
    upsert(&lake, 2, &batch(late), &["v_4"]).await.unwrap();
    let mut wide = base(&[("v_5", None, None, None)], 4);
    wide.extend([("likes", longs([Some(1 << 40)])), ("price", decimals([Some(10_i128.pow(15))], 18))]);
    upsert(&lake, 3, &batch(wide), &["v_5"]).await.unwrap();

    let read_columns: Vec<&str> = ["video_id", "category"].into_iter().chain(further).collect();
    let expected = [
        "v_1|old|NULL|NULL|NULL|NULL|NULL|NULL",
        "v_2|narrow|5|123.45|true|1970-01-01|0.5|NULL",
        "v_3|NULL|NULL|NULL|false|NULL|NULL|NULL",
        "v_4|NULL|6|0.01|NULL|NULL|NULL|NULL",
        "v_5|NULL|1099511627776|10000000000000.00|NULL|NULL|NULL|NULL",
    ];
    assert_eq!(rows(&lake, VIDEOS, &read_columns).await, expected);
    let elsewhere = lake_of(&place).await;
    assert_eq!(rows(&elsewhere, VIDEOS, &read_columns).await, expected);
    let columns_now = elsewhere.table_schema(VIDEOS).await.unwrap();
    assert_eq!(columns_now.field_with_name("likes").unwrap().data_type(), &DataType::Int64);
    assert_eq!(columns_now.fields().len(), schema::dimension(Entity::Videos).fields().len() + 6);
    assert_eq!(lake.load(VIDEOS).await.unwrap().metadata().snapshots().count(), 4);
}

/// The history has no deletes: a filtered scan, which prunes, serves for it, whatever columns came since.
#[tokio::test]
async fn an_evolved_history_can_be_scanned_with_a_filter() {
    let place = Place::new();
    let lake = lake_of(&place).await;
    let versions = |offset: i64, further: Vec<(&'static str, arrow::array::ArrayRef)>| {
        let mut columns = base(&[("v_1", Some("x"), Some("a,b"), Some(offset))], offset);
        columns.extend([
            ("op", texts([Some("u")])),
            ("valid_from", times([offset * 1_000])),
            ("source_position", longs([None])),
            ("version_hash", longs([Some(-offset)])),
            ("source_topic", texts([Some("cdc.content.videos")])),
            ("source_partition", ints([Some(0)])),
            ("source_offset", longs([Some(offset)])),
        ]);
        columns.extend(further);
        batch(columns)
    };
    let write = async |seq: i64, rows: RecordBatch| {
        let files = lake.write_rows(HISTORY, &rows, WriterOptions::default()).await.unwrap();
        let request = LedgeredAppend { files, ..request(vec![advance(0, seq, seq + 1)]) };
        lake.append(HISTORY, &request).await.unwrap();
    };
    write(0, versions(1, vec![])).await;
    let changes = [add("likes", DataType::Int32), add("price", DataType::Decimal128(9, 2))];
    lake.evolve(HISTORY, &changes).await.unwrap();
    write(1, versions(2, vec![("likes", ints([Some(5)])), ("price", decimals([Some(7)], 9))])).await;
    let wider = [promote("likes", DataType::Int64), promote("price", DataType::Decimal128(12, 2))];
    lake.evolve(HISTORY, &wider).await.unwrap();
    write(2, versions(3, vec![("likes", longs([Some(1 << 40)]))])).await;
    let columns = ["video_id", "hashtags", "source_offset", "likes", "price"];
    let expected = ["v_1|[a, b]|1|NULL|NULL", "v_1|[a, b]|2|5|0.07", "v_1|[a, b]|3|1099511627776|NULL"];
    assert_eq!(rows(&lake, HISTORY, &columns).await, expected);
    for (least, wanted) in [(1, &expected[..]), (2, &expected[1..]), (4, &[])] {
        let filter = iceberg::expr::Reference::new("source_offset")
            .greater_than_or_equal_to(iceberg::spec::Datum::long(least));
        let whole: Vec<RecordBatch> =
            lake.scan(HISTORY, &[], Some(filter.clone())).await.unwrap().try_collect().await.unwrap();
        assert_eq!(whole.iter().map(RecordBatch::num_rows).sum::<usize>(), wanted.len());
        let some: Vec<RecordBatch> =
            lake.scan(HISTORY, &columns, Some(filter)).await.unwrap().try_collect().await.unwrap();
        assert_eq!(as_text(&some), wanted);
    }
}

#[tokio::test]
async fn a_column_that_another_process_added_is_written_at_once() {
    let place = Place::new();
    let (lake, other) = (lake_of(&place).await, lake_of(&place).await);
    other.evolve(VIDEOS, &[add("likes", DataType::Int64)]).await.unwrap();
    let mut columns = base(&[("v_1", None, None, None)], 1);
    columns.push(("likes", longs([Some(9)])));
    upsert(&lake, 0, &batch(columns), &["v_1"]).await.unwrap();
    assert_eq!(rows(&lake, VIDEOS, &["video_id", "likes"]).await, ["v_1|9"]);
}

#[tokio::test]
async fn what_a_table_can_t_become_is_refused() {
    let place = Place::new();
    let lake = lake_of(&place).await;
    lake.evolve(VIDEOS, &[add("likes", DataType::Int64)]).await.unwrap();
    let before = lake.table_schema(VIDEOS).await.unwrap();
    for change in
        [promote("likes", DataType::Utf8), add("likes", DataType::Boolean), add("LIKES", DataType::Int64)]
    {
        let refused = lake.evolve(VIDEOS, std::slice::from_ref(&change)).await.unwrap_err();
        assert_eq!(refused.action(), CommitAction::Stop);
        assert!(
            matches!(
                &refused,
                CommitError::Failed {
                    source: LakeError::Conflict {
                        conflict: Conflict::ColumnType { .. } | Conflict::ColumnNameTaken { .. },
                        ..
                    },
                    ..
                }
            ),
            "{change:?}: {refused}"
        );
    }
    for (table, change) in [
        (VIDEOS, promote("duration_ms", DataType::Float64)),
        (VIDEOS, add("category", DataType::Int64)),
        (HISTORY, promote("source_partition", DataType::Int64)),
        (LakeTable::InvalidChanges(Entity::Videos), add("likes", DataType::Int64)),
    ] {
        let refused = lake.evolve(table, &[change]).await.unwrap_err();
        assert!(
            matches!(&refused, CommitError::Failed { source: LakeError::FixedColumn { .. }, .. }),
            "{refused}"
        );
    }
    // A base column as it is, is nothing to do.
    lake.evolve(VIDEOS, &[add("duration_ms", DataType::Int64)]).await.unwrap();
    assert_eq!(lake.table_schema(VIDEOS).await.unwrap(), before);
}
