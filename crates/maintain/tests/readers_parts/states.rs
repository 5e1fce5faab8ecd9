//! Tables in each state, and the rows that they hold.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use iceberg::TableIdent;
use iceberg::spec::{DataFile, Literal, PrimitiveType, Schema, Struct};
use iceberg::table::Table;
use pulselake_commit::{ChangeKind, Rewrite, RowDelta};
use pulselake_read::{PartitionPredicate, plan_table};

use crate::any_lake::{AnyLake, data, equality_deletes, position_deletes, schema};
use crate::compact;

const KEY: i32 = 1;
const NAME: i32 = 3;
/// 2026-02-07, in days.
const FIRST_DAY: i64 = 20_491;

fn columns(number: PrimitiveType) -> Vec<(&'static str, PrimitiveType, bool)> {
    vec![
        ("id", PrimitiveType::Long, true),
        ("part", PrimitiveType::String, true),
        ("name", PrimitiveType::String, false),
        ("n", number, false),
        ("day", PrimitiveType::Date, false),
    ]
}

/// An `int` has become a `long`, and there is one more column.
fn evolved() -> Schema {
    schema(&[columns(PrimitiveType::Long), vec![("added", PrimitiveType::String, false)]].concat())
}

pub async fn create(lake: &AnyLake, name: &str) -> TableIdent {
    lake.create(name, schema(&columns(PrimitiveType::Int)), "part").await
}

/// Ids below 1,000 are in partition a.
fn part(id: i64) -> &'static str {
    if id < 1_000 { "a" } else { "é b" }
}

/// Every third has no name, every fourth no number.
fn name(id: i64) -> Option<String> {
    (id % 3 != 0).then(|| format!("name {id} ü"))
}

fn number(id: i64) -> Option<i64> {
    (id % 4 != 0).then_some(-id)
}

/// The row of a key as each reader has to give it.
pub fn row_text(id: i64) -> String {
    let day = chrono::DateTime::from_timestamp((FIRST_DAY + id % 7) * 86_400, 0).unwrap().date_naive();
    let none = || "NULL".to_string();
    let number = number(id).map_or_else(none, |number| number.to_string());
    format!("{id}|{}|{}|{number}|{day}", part(id), name(id).unwrap_or_else(none))
}

/// The same as a row of SQL's VALUES.
pub fn row_sql(id: i64) -> String {
    let text = row_text(id);
    let cells: Vec<&str> = text.split('|').collect();
    let quoted = |cell: &str| if cell == "NULL" { cell.to_string() } else { format!("'{cell}'") };
    format!("({id}, '{}', {}, {}, DATE '{}')", cells[1], quoted(cells[2]), cells[3], cells[4])
}

fn partition(id: i64) -> Struct {
    Struct::from_iter([Some(Literal::string(part(id)))])
}

/// A file with the rows of these keys, all of one partition, in the table's current schema.
pub async fn append_file(table: &Table, ids: &[i64]) -> DataFile {
    let is_evolved = table.metadata().current_schema().field_by_name("added").is_some();
    let numbers = ids.iter().map(|id| number(*id));
    let numbers: ArrayRef = match is_evolved {
        true => Arc::new(Int64Array::from_iter(numbers)),
        false => Arc::new(Int32Array::from_iter(numbers.map(|number| number.map(|value| value as i32)))),
    };
    let mut cells: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(ids.to_vec())),
        Arc::new(StringArray::from_iter_values(ids.iter().map(|id| part(*id)))),
        Arc::new(StringArray::from_iter(ids.iter().map(|id| name(*id)))),
        numbers,
        Arc::new(Date32Array::from_iter_values(ids.iter().map(|id| (FIRST_DAY + id % 7) as i32))),
    ];
    if is_evolved {
        cells.push(Arc::new(StringArray::from_iter_values(ids.iter().map(|id| format!("added {id}")))));
    }
    data(table, partition(ids[0]), cells).await
}

async fn append(lake: &AnyLake, table: &TableIdent, ids: &[i64]) -> DataFile {
    let file = append_file(&lake.load(table).await, ids).await;
    lake.land(table, ChangeKind::Append { files: vec![file.clone()] }).await;
    file
}

/// Deletes some keys, and writes new rows for others, in one commit.
async fn upsert(lake: &AnyLake, table: &TableIdent, delete: &[i64], write: &[i64]) {
    let loaded = lake.load(table).await;
    let keys = Arc::new(Int64Array::from(delete.to_vec()));
    let mut delta = RowDelta::default();
    delta.deletes.push(equality_deletes(&loaded, partition(delete[0]), KEY, keys).await);
    if !write.is_empty() {
        delta.data.push(append_file(&loaded, write).await);
    }
    lake.land(table, ChangeKind::RowDelta(delta)).await;
}

async fn delete_positions(lake: &AnyLake, table: &TableIdent, file: &DataFile, positions: &[i64]) {
    let loaded = lake.load(table).await;
    let path = file.file_path();
    let deletes = vec![position_deletes(&loaded, file.partition().clone(), path, positions.to_vec()).await];
    let must_exist = HashSet::from([path.to_string()]);
    lake.land(table, ChangeKind::RowDelta(RowDelta { data: Vec::new(), deletes, must_exist })).await;
}

type State = (TableIdent, Vec<String>);

fn state(table: TableIdent, ids: impl IntoIterator<Item = i64>) -> State {
    let mut rows: Vec<String> = ids.into_iter().map(row_text).collect();
    rows.sort();
    (table, rows)
}

/// One table in each state, and its rows.
pub async fn make_all(lake: &AnyLake) -> Vec<State> {
    vec![
        appended(lake).await,
        upserted(lake, "upserted", false).await,
        upserted(lake, "upserted_rewritten", true).await,
        without_names(lake).await,
        positions_deleted(lake, "positions", false).await,
        positions_deleted(lake, "positions_rewritten", true).await,
        deleted_after_a_rewrite(lake).await,
        deleted_during_a_rewrite(lake).await,
        of_two_schemas(lake, "evolved", false).await,
        of_two_schemas(lake, "evolved_rewritten", true).await,
        with_new_manifests(lake).await,
    ]
}

async fn appended(lake: &AnyLake) -> State {
    let table = create(lake, "appended").await;
    append(lake, &table, &[1, 2, 3, 4]).await;
    append(lake, &table, &[1_001, 1_002]).await;
    state(table, [1, 2, 3, 4, 1_001, 1_002])
}

async fn upserted(lake: &AnyLake, name: &str, is_rewritten: bool) -> State {
    let table = create(lake, name).await;
    append(lake, &table, &[1, 2, 3, 4, 5]).await;
    append(lake, &table, &[1_001, 1_002, 1_003]).await;
    upsert(lake, &table, &[2, 3], &[3, 6]).await;
    upsert(lake, &table, &[1_002], &[]).await;
    // Written anew after it was deleted.
    append(lake, &table, &[2]).await;
    if is_rewritten {
        compact(lake, &table).await;
    }
    state(table, [1, 2, 3, 4, 5, 6, 1_001, 1_003])
}

/// A delete of all rows that have no name: none equals none.
async fn without_names(lake: &AnyLake) -> State {
    let table = create(lake, "without_names").await;
    append(lake, &table, &[1, 2, 3, 4, 5, 6]).await;
    let loaded = lake.load(&table).await;
    let values: ArrayRef = Arc::new(StringArray::from(vec![None, Some("name 4 ü")]));
    let deletes = vec![equality_deletes(&loaded, partition(1), NAME, values).await];
    lake.land(&table, ChangeKind::RowDelta(RowDelta { deletes, ..RowDelta::default() })).await;
    state(table, [1, 2, 5])
}

async fn positions_deleted(lake: &AnyLake, name: &str, is_rewritten: bool) -> State {
    let table = create(lake, name).await;
    let first = append(lake, &table, &[1, 2, 3, 4, 5]).await;
    append(lake, &table, &[6, 7]).await;
    delete_positions(lake, &table, &first, &[0, 3]).await;
    delete_positions(lake, &table, &first, &[4]).await;
    if is_rewritten {
        compact(lake, &table).await;
    }
    state(table, [2, 3, 6, 7])
}

async fn deleted_after_a_rewrite(lake: &AnyLake) -> State {
    let table = create(lake, "deleted_after_rewrite").await;
    append(lake, &table, &[1, 2, 3]).await;
    append(lake, &table, &[4, 5, 6]).await;
    compact(lake, &table).await;
    upsert(lake, &table, &[3, 4], &[4]).await;
    state(table, [1, 2, 4, 5, 6])
}

/// The rewritten file is younger than the delete, and its rows are older: only its data sequence number tells.
async fn deleted_during_a_rewrite(lake: &AnyLake) -> State {
    let table = create(lake, "deleted_during_rewrite").await;
    append(lake, &table, &[1, 2, 3]).await;
    append(lake, &table, &[4, 5, 6]).await;
    let base = lake.load(&table).await;
    let plan = plan_table(&base, None, &PartitionPredicate::all()).await.unwrap();
    let merged = append_file(&base, &[1, 2, 3, 4, 5, 6]).await;
    upsert(lake, &table, &[3, 4], &[4]).await;
    let rewrite = Rewrite {
        planned_sequence_number: plan.sequence_number,
        remove: plan.files.iter().map(|planned| planned.data.file().file_path().to_string()).collect(),
        partitions: HashSet::from([(0, partition(1))]),
        seen_in: HashSet::new(),
        add: vec![merged],
    };
    lake.land(&table, ChangeKind::Rewrite(rewrite)).await;
    state(table, [1, 2, 4, 5, 6])
}

async fn of_two_schemas(lake: &AnyLake, name: &str, is_rewritten: bool) -> State {
    let table = create(lake, name).await;
    append(lake, &table, &[1, 2, 3]).await;
    lake.evolve(&table, evolved()).await;
    append(lake, &table, &[4, 5]).await;
    upsert(lake, &table, &[2], &[6]).await;
    if is_rewritten {
        compact(lake, &table).await;
    }
    let old = [1, 3].map(|id| format!("{}|NULL", row_text(id)));
    let new = [4, 5, 6].map(|id| format!("{}|added {id}", row_text(id)));
    (table, old.into_iter().chain(new).collect())
}

async fn with_new_manifests(lake: &AnyLake) -> State {
    let table = create(lake, "manifests").await;
    for id in 1..=5 {
        append(lake, &table, &[id]).await;
        append(lake, &table, &[1_000 + id]).await;
    }
    upsert(lake, &table, &[2], &[]).await;
    lake.land(&table, ChangeKind::RewriteManifests { target_bytes: 8 << 20 }).await;
    upsert(lake, &table, &[1_003], &[]).await;
    state(table, [1, 3, 4, 5, 1_001, 1_002, 1_004, 1_005])
}

/// The rows of batches as text, sorted.
pub fn texts(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let mut rows = Vec::new();
    for batch in batches {
        let cells: Vec<ArrayFormatter<'_>> =
            batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
        let row =
            |at: usize| cells.iter().map(|cell| cell.value(at).to_string()).collect::<Vec<_>>().join("|");
        rows.extend((0..batch.num_rows()).map(row));
    }
    rows.sort();
    rows
}
