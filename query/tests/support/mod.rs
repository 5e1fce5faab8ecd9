//! Lakes of two tables for the tests of this package: `t.evolved` with everything that makes reading hard, `t.days` with
//! partitions to leave out.

#![allow(clippy::unwrap_used, dead_code, missing_docs, unreachable_pub)]

pub mod server;
#[path = "../../../crates/read/tests/support/mod.rs"]
pub mod tables;

use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Int32Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use iceberg::TableIdent;
use iceberg::spec::{FormatVersion, Literal, PrimitiveType, Struct, Transform};
use pulselake_lake::LakeSettings;
use pulselake_query::{EngineSettings, QueryEngine};
use tables::{Lake, longs, nullable_longs, schema, texts};

pub const HOUR_US: i64 = 3_600_000_000;
pub const DAY_US: i64 = 24 * HOUR_US;
/// 2026-02-07T00:00:00Z.
pub const FIRST_DAY: i64 = 20_491;
/// Days of `t.days`, one file each.
pub const DAYS: i64 = 6;
/// Rows of one file of `t.days`.
pub const ROWS_OF_A_DAY: i64 = 1_200;
/// Rows of the two files of `t.evolved`.
pub const OLD_ROWS: i64 = 9_000;
pub const NEW_ROWS: i64 = 6_000;

pub fn settings(lake: &Lake) -> EngineSettings {
    let directory = lake.directory.path().display();
    let at = LakeSettings::new(
        format!("sqlite://{directory}/catalog.db"),
        format!("file://{directory}/warehouse"),
    );
    EngineSettings { threads: 3, ..EngineSettings::new(at) }
}

pub async fn engine(lake: &Lake) -> QueryEngine {
    QueryEngine::open(&settings(lake)).await.unwrap()
}

/// The rows of a statement as sorted texts.
pub async fn rows(engine: &QueryEngine, sql: &str) -> Vec<String> {
    texts(&engine.collect(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}")))
}

/// The one value of a statement with one.
pub async fn value(engine: &QueryEngine, sql: &str) -> String {
    let found = rows(engine, sql).await;
    assert_eq!(found.len(), 1, "{sql}: {found:?}");
    found[0].clone()
}

pub async fn lake() -> Lake {
    let lake = Lake::new().await;
    create_evolved(&lake).await;
    create_days(&lake).await;
    lake
}

/// A file of an older schema with NULL in its key, equality deletes on that key (NULL included), then a wider and a new
/// column, a second file, and position deletes in it.
async fn create_evolved(lake: &Lake) {
    use PrimitiveType::{Int, Long, String as Text};
    let old = schema(&[("id", Long, true), ("name", Text, false), ("n", Int, false)]);
    let ident = lake.create("evolved", FormatVersion::V2, old, &[], &[]).await;
    let names: Vec<Option<String>> = (0..OLD_ROWS).map(name_of).collect();
    let numbers: Vec<Option<i32>> =
        (0..OLD_ROWS).map(|id| (id % 11 != 0).then(|| i32::try_from(id % 1_000).unwrap() - 500)).collect();
    let columns: Vec<ArrayRef> =
        vec![longs(0..OLD_ROWS), Arc::new(StringArray::from(names)), Arc::new(Int32Array::from(numbers))];
    let file = lake.write(&ident, Struct::empty(), columns).await;
    lake.append(&ident, vec![file]).await;
    let keys: ArrayRef = Arc::new(StringArray::from(vec![Some("v3"), None]));
    let deletes = lake.equality_deletes(&ident, Struct::empty(), vec![(2, keys)]).await;
    lake.delete(&ident, vec![deletes]).await;
    lake.evolve(
        &ident,
        schema(&[("id", Long, true), ("name", Text, false), ("n", Long, false), ("extra", Text, false)]),
    )
    .await;
    let new = OLD_ROWS..OLD_ROWS + NEW_ROWS;
    let columns: Vec<ArrayRef> = vec![
        longs(new.clone()),
        Arc::new(StringArray::from(new.clone().map(name_of).collect::<Vec<_>>())),
        nullable_longs(&new.clone().map(|id| (id % 13 != 0).then_some(id << 33)).collect::<Vec<_>>()),
        Arc::new(StringArray::from(
            new.map(|id| (id % 3 == 0).then(|| format!("x{id}"))).collect::<Vec<_>>(),
        )),
    ];
    let file = lake.write(&ident, Struct::empty(), columns).await;
    let path = file.file_path().to_string();
    lake.append(&ident, vec![file]).await;
    let deletes = lake.position_deletes(&ident, Struct::empty(), &path, &[0, 1, 2_500, 5_999], true).await;
    lake.delete(&ident, vec![deletes]).await;
}

fn name_of(id: i64) -> Option<String> {
    (id % 7 != 0).then(|| format!("v{}", id % 50))
}

/// The rows that `t.evolved` has, computed without any reader.
pub fn evolved_ids() -> Vec<i64> {
    let is_old = |id: &i64| *id % 7 != 0 && id % 50 != 3;
    let deleted = [0, 1, 2_500, 5_999].map(|position| OLD_ROWS + position);
    let new = (OLD_ROWS..OLD_ROWS + NEW_ROWS).filter(move |id| !deleted.contains(id));
    (0..OLD_ROWS).filter(is_old).chain(new).collect()
}

async fn create_days(lake: &Lake) {
    use PrimitiveType::{Date, Int, Long, String as Text, Timestamptz};
    let columns = schema(&[
        ("video_id", Text, true),
        ("at", Timestamptz, true),
        ("day", Date, false),
        ("part", Int, true),
        ("likes", Long, false),
        ("note", Text, false),
    ]);
    let ident =
        lake.create("days", FormatVersion::V2, columns, &[("at", "at_day", Transform::Day)], &[]).await;
    let mut files = Vec::new();
    for day in 0..DAYS {
        let partition = Struct::from_iter([Some(Literal::date(i32::try_from(FIRST_DAY + day).unwrap()))]);
        files.push(lake.write(&ident, partition, columns_of_a_day(day)).await);
    }
    lake.append(&ident, files).await;
}

/// One file of `t.days`.
pub fn columns_of_a_day(day: i64) -> Vec<ArrayRef> {
    let rows = 0..ROWS_OF_A_DAY;
    let start = (FIRST_DAY + day) * DAY_US;
    let text = |row: i64| format!("v{}", (row * 31 + day) % 40);
    let date = i32::try_from(FIRST_DAY + day).unwrap();
    vec![
        Arc::new(StringArray::from_iter_values(rows.clone().map(text))),
        Arc::new(
            TimestampMicrosecondArray::from_iter_values(rows.clone().map(|row| start + row * 72_000_000))
                .with_timezone("+00:00"),
        ),
        Arc::new(Date32Array::from(
            rows.clone().map(|row| (row % 17 != 0).then_some(date)).collect::<Vec<_>>(),
        )),
        Arc::new(Int32Array::from_iter_values(rows.clone().map(|row| i32::try_from(row % 5).unwrap()))),
        nullable_longs(
            &rows.clone().map(|row| (row % 9 != 0).then_some(row * day - 300)).collect::<Vec<_>>(),
        ),
        Arc::new(StringArray::from(
            rows.map(|row| (row % 4 != 0).then(|| format!("n{row}"))).collect::<Vec<_>>(),
        )),
    ]
}

pub fn ident(name: &str) -> TableIdent {
    TableIdent::from_strs(["t", name]).unwrap()
}

/// A whole table by the reader, without any filter.
pub async fn everything(lake: &Lake, name: &str) -> Vec<RecordBatch> {
    use futures::TryStreamExt;
    let table = lake.table(&ident(name)).await;
    pulselake_read::read_table(&table, None, None).await.unwrap().try_collect().await.unwrap()
}
