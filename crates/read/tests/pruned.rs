//! Rows chosen by a filter: the same as of a full read that is filtered afterwards, whatever is skipped, and fewer bytes.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Int32Array, ListArray, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::Field;
use futures::TryStreamExt;
use iceberg::TableIdent;
use iceberg::spec::{
    DataContentType, DataFile, Datum, FormatVersion, ListType, Literal, NestedField, PrimitiveLiteral,
    PrimitiveType, Schema, Struct, Transform, Type,
};
use iceberg::table::Table;
use iceberg::transform::create_transform_function;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use proptest::prelude::*;
use pulselake_read::{BytesRead, RowFilter, read_rows};
use support::{Lake, rows_of, texts};

const BUCKETS: u32 = 3;

/// What a row holds: key, number, moment (microseconds).
type Row = (Option<u8>, Option<i32>, i64);

#[derive(Clone, Debug)]
struct FileShape {
    rows: Vec<Row>,
    is_sorted: bool,
    row_group_rows: usize,
    page_rows: usize,
    statistics: EnabledStatistics,
    has_page_index: bool,
    has_bounds: bool,
}

#[derive(Clone, Debug)]
enum Step {
    Append(FileShape),
    DeleteKeys(Vec<Option<u8>>),
    DeleteNumber(Option<i32>),
    /// Rows of the n-th file so far.
    DeletePositions(usize, Vec<usize>),
}

#[derive(Clone, Debug)]
struct Wanted {
    keys: Option<Vec<u8>>,
    numbers: Option<(i32, i32)>,
    moments: Option<(i64, i64)>,
}

fn key_name(key: u8) -> String {
    match key % 3 {
        // Longer than the 64 bytes at which writers cut bounds, and different only behind them.
        0 => format!("{key:0>70}"),
        _ => format!("key {key}"),
    }
}

fn row() -> impl Strategy<Value = Row> {
    (prop::option::weighted(0.9, 0..12_u8), prop::option::weighted(0.8, -3..9_i32), 0..40_i64)
}

fn file_shape() -> impl Strategy<Value = FileShape> {
    let statistics = prop::sample::select(vec![
        EnabledStatistics::Page,
        EnabledStatistics::Page,
        EnabledStatistics::Chunk,
        EnabledStatistics::None,
    ]);
    let rows = prop::collection::vec(row(), 1..80);
    (rows, any::<bool>(), 3..40_usize, 1..9_usize, statistics, prop::bool::weighted(0.8), any::<bool>())
        .prop_map(|(rows, is_sorted, row_group_rows, page_rows, statistics, has_page_index, has_bounds)| {
            FileShape { rows, is_sorted, row_group_rows, page_rows, statistics, has_page_index, has_bounds }
        })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => file_shape().prop_map(Step::Append),
        1 => prop::collection::vec(prop::option::weighted(0.8, 0..12_u8), 1..4).prop_map(Step::DeleteKeys),
        1 => prop::option::weighted(0.8, -3..9_i32).prop_map(Step::DeleteNumber),
        2 => (0..20_usize, prop::collection::vec(0..80_usize, 1..12))
            .prop_map(|(file, rows)| Step::DeletePositions(file, rows)),
    ]
}

fn wanted() -> impl Strategy<Value = Wanted> {
    let keys = prop::collection::vec(0..14_u8, 0..4);
    let range = |low: i64, high: i64| (low..high, 0..8_i64).prop_map(|(from, length)| (from, from + length));
    (
        prop::option::weighted(0.7, keys),
        prop::option::weighted(0.4, range(-5, 10)),
        prop::option::weighted(0.4, range(-2, 42)),
    )
        .prop_map(|(keys, numbers, moments)| Wanted {
            keys,
            numbers: numbers.map(|(from, to)| (from as i32, to as i32)),
            moments,
        })
}

impl Wanted {
    fn filter(&self) -> RowFilter {
        let mut filter = RowFilter::all();
        if let Some(keys) = &self.keys {
            filter = filter.one_of("k", keys.iter().map(|key| key_name(*key)));
        }
        if let Some((from, to)) = self.numbers {
            filter = filter.between("n", Datum::long(from), Datum::long(to));
        }
        if let Some((from, to)) = self.moments {
            filter = filter.between(2, Datum::timestamptz_micros(from), Datum::timestamptz_micros(to));
        }
        filter
    }

    /// Whether a row as text, `k|n|moment|tags`, is wanted.
    fn wants(&self, row: &str) -> bool {
        let cells: Vec<&str> = row.split('|').collect();
        let is_key = |keys: &Vec<u8>| keys.iter().any(|key| key_name(*key) == cells[0]);
        let number = cells[1].parse::<i32>().ok();
        // 1970-01-01T00:00:00.000007Z
        let moment: i64 = cells[2]
            .trim_end_matches('Z')
            .rsplit(':')
            .next()
            .unwrap()
            .parse::<f64>()
            .map(|seconds| (seconds * 1e6).round() as i64)
            .unwrap();
        self.keys.as_ref().is_none_or(is_key)
            && self.numbers.is_none_or(|(from, to)| number.is_some_and(|found| found >= from && found <= to))
            && self.moments.is_none_or(|(from, to)| moment >= from && moment <= to)
    }
}

/// The table at first: key, moment, tags. `n` is added later, and widened after that.
fn first_schema() -> Schema {
    columns(&[(1, "k"), (2, "t"), (3, "tags")], &PrimitiveType::Int)
}

fn columns(wanted: &[(i32, &str)], number: &PrimitiveType) -> Schema {
    let fields = wanted.iter().map(|(id, name)| {
        let field_type = match id {
            1 => Type::Primitive(PrimitiveType::String),
            5 => Type::Primitive(number.clone()),
            2 => Type::Primitive(PrimitiveType::Timestamptz),
            _ => Type::List(ListType::new(
                NestedField::list_element(4, Type::Primitive(PrimitiveType::String), false).into(),
            )),
        };
        Arc::new(NestedField::new(*id, *name, field_type, *id == 2))
    });
    Schema::builder().with_fields(fields.collect::<Vec<_>>()).build().unwrap()
}

fn bucket_of(key: Option<u8>) -> Option<i32> {
    let function = create_transform_function(&Transform::Bucket(BUCKETS)).unwrap();
    let value = function.transform_literal(&Datum::string(key_name(key?))).unwrap().unwrap();
    match value.literal() {
        PrimitiveLiteral::Int(bucket) => Some(*bucket),
        other => panic!("{other:?}"),
    }
}

fn place(bucket: Option<i32>) -> Struct {
    Struct::from_iter([bucket.map(Literal::int)])
}

fn keys_column(keys: impl Iterator<Item = Option<u8>>) -> ArrayRef {
    Arc::new(keys.map(|key| key.map(key_name)).collect::<StringArray>())
}

fn tags_column(field: &Field, rows: &[Row]) -> ArrayRef {
    let mut builder = arrow::array::ListBuilder::new(arrow::array::StringBuilder::new());
    for (_, _, moment) in rows {
        // NULL, empty, and longer lists.
        match moment % 4 {
            0 => builder.append_null(),
            length => builder.append_value((1..length).map(|tag| (tag != 2).then(|| format!("#{tag}")))),
        }
    }
    let list = builder.finish();
    let arrow::datatypes::DataType::List(element) = field.data_type() else { panic!("{field}") };
    let (offsets, values, nulls) = (list.offsets().clone(), list.values().clone(), list.nulls().cloned());
    Arc::new(ListArray::new(element.clone(), offsets, values, nulls))
}

/// A batch of the table's present columns.
fn batch(table: &Table, rows: &[Row]) -> RecordBatch {
    let arrow = Arc::new(iceberg::arrow::schema_to_arrow_schema(table.metadata().current_schema()).unwrap());
    let of_field = |field: &Arc<Field>| -> ArrayRef {
        let numbers: Int32Array = rows.iter().map(|row| row.1).collect();
        match field.name().as_str() {
            "k" => keys_column(rows.iter().map(|row| row.0)),
            "n" => arrow::compute::cast(&numbers, field.data_type()).unwrap(),
            "t" => {
                let moments = rows.iter().map(|row| row.2);
                Arc::new(TimestampMicrosecondArray::from_iter_values(moments).with_timezone("+00:00"))
            }
            _ => tags_column(field, rows),
        }
    };
    let columns = arrow.fields().iter().map(of_field).collect();
    RecordBatch::try_new(arrow, columns).unwrap()
}

async fn write(
    lake: &Lake,
    ident: &TableIdent,
    shape: &FileShape,
    rows: &[Row],
    bucket: Option<i32>,
) -> DataFile {
    let table = lake.table(ident).await;
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(shape.row_group_rows))
        .set_data_page_row_count_limit(shape.page_rows)
        .set_write_batch_size(1)
        .set_statistics_enabled(shape.statistics)
        .set_offset_index_disabled(!shape.has_page_index)
        .set_column_index_truncate_length(Some(64))
        .build();
    let written = batch(&table, rows);
    let mut file = lake.write_as(ident, DataContentType::Data, &written, place(bucket), properties).await;
    if shape.has_bounds {
        let (mut lower, mut upper, mut nulls) = (HashMap::new(), HashMap::new(), HashMap::new());
        let mut note = |id: i32, values: Vec<Datum>| {
            nulls.insert(id, (rows.len() - values.len()) as u64);
            let order = |left: &&Datum, right: &&Datum| left.partial_cmp(right).unwrap();
            if let (Some(low), Some(high)) = (values.iter().min_by(order), values.iter().max_by(order)) {
                lower.insert(id, low.clone());
                upper.insert(id, high.clone());
            }
        };
        note(1, rows.iter().filter_map(|row| row.0).map(|key| Datum::string(key_name(key))).collect());
        note(2, rows.iter().map(|row| Datum::timestamptz_micros(row.2)).collect());
        match table
            .metadata()
            .current_schema()
            .field_by_name("n")
            .map(|field| field.field_type.as_ref().clone())
        {
            Some(Type::Primitive(PrimitiveType::Int)) => {
                note(5, rows.iter().filter_map(|row| row.1).map(Datum::int).collect());
            }
            Some(_) => note(5, rows.iter().filter_map(|row| row.1).map(Datum::long).collect()),
            None => {}
        }
        file.lower_bounds(lower).upper_bounds(upper).null_value_counts(nulls);
    }
    file.build().unwrap()
}

async fn apply(lake: &Lake, ident: &TableIdent, step: &Step, files: &mut Vec<DataFile>) {
    match step {
        Step::Append(shape) => {
            let mut rows = shape.rows.clone();
            if shape.is_sorted {
                rows.sort();
            }
            let mut buckets: Vec<Option<i32>> = rows.iter().map(|row| bucket_of(row.0)).collect();
            buckets.sort_unstable();
            buckets.dedup();
            let mut added = Vec::new();
            for bucket in buckets {
                let own: Vec<Row> = rows.iter().filter(|row| bucket_of(row.0) == bucket).copied().collect();
                added.push(write(lake, ident, shape, &own, bucket).await);
            }
            files.extend(added.clone());
            lake.append(ident, added).await;
        }
        Step::DeleteKeys(keys) => {
            for key in keys {
                let column = keys_column(std::iter::once(*key));
                let file = lake.equality_deletes(ident, place(bucket_of(*key)), vec![(1, column)]).await;
                lake.delete(ident, vec![file]).await;
            }
        }
        Step::DeleteNumber(number) => {
            let current = lake.table(ident).await.metadata().current_schema().clone();
            let Some(field) = current.field_by_name("n") else { return };
            let narrow: ArrayRef = Arc::new(Int32Array::from(vec![*number]));
            let wide = iceberg::arrow::type_to_arrow_type(&field.field_type).unwrap();
            let column = arrow::compute::cast(&narrow, &wide).unwrap();
            for bucket in (0..BUCKETS as i32).map(Some).chain([None]) {
                let file = lake.equality_deletes(ident, place(bucket), vec![(5, column.clone())]).await;
                lake.delete(ident, vec![file]).await;
            }
        }
        Step::DeletePositions(number, rows) => {
            let Some(target) = files.get(number % files.len().max(1)) else { return };
            let mut positions: Vec<i64> =
                rows.iter().map(|row| (*row as u64 % target.record_count()) as i64).collect();
            positions.sort_unstable();
            positions.dedup();
            let (partition, path) = (target.partition().clone(), target.file_path());
            let file = lake.position_deletes(ident, partition, path, &positions, true).await;
            lake.delete(ident, vec![file]).await;
        }
    }
}

async fn chosen(table: &Table, filter: &RowFilter) -> Vec<String> {
    let stream = read_rows(table, None, None, filter, BytesRead::default()).await.unwrap();
    texts(&stream.try_collect::<Vec<_>>().await.unwrap())
}

async fn same_as_a_filtered_read(steps: Vec<Step>, all_wanted: Vec<Wanted>) {
    let lake = Lake::new().await;
    let partition = [("k", "k_bucket", Transform::Bucket(BUCKETS))];
    let ident = lake.create("chosen", FormatVersion::V2, first_schema(), &partition, &[]).await;
    let mut files = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        if number == 2 {
            lake.evolve(&ident, columns(&[(1, "k"), (5, "n"), (2, "t"), (3, "tags")], &PrimitiveType::Int))
                .await;
        }
        if number == 4 {
            lake.evolve(&ident, columns(&[(1, "k"), (5, "n"), (2, "t"), (3, "tags")], &PrimitiveType::Long))
                .await;
        }
        apply(&lake, &ident, step, &mut files).await;
    }
    let wide = columns(&[(1, "k"), (5, "n"), (2, "t"), (3, "tags")], &PrimitiveType::Long);
    let table = lake.evolve(&ident, wide).await;
    let whole = rows_of(&table, None, None).await;
    for wanted in all_wanted {
        let expected: Vec<&String> = whole.iter().filter(|row| wanted.wants(row)).collect();
        let found = chosen(&table, &wanted.filter()).await;
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{wanted:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 60, ..ProptestConfig::default() })]
    #[test]
    fn chosen_rows_are_those_of_a_full_read_that_is_filtered(
        steps in prop::collection::vec(step(), 1..9),
        all_wanted in prop::collection::vec(wanted(), 6),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(same_as_a_filtered_read(steps, all_wanted));
    }
}
