//! Columns of every type that dimension tables have, nested ones too, through evolution and deletes.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int32Array,
    LargeBinaryArray, ListArray, ListBuilder, StringBuilder, StructArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Fields};
use iceberg::TableIdent;
use iceberg::spec::{FormatVersion, ListType, NestedField, PrimitiveType, Schema, Struct, StructType, Type};
use pulselake_read::{BytesRead, RowFilter, read_rows};
use support::{Lake, rows_of, strings, texts};

fn optional(id: i32, name: &str, primitive: PrimitiveType) -> Arc<NestedField> {
    NestedField::optional(id, name, Type::Primitive(primitive)).into()
}

fn tags(id: i32, element_id: i32) -> Arc<NestedField> {
    let element = NestedField::list_element(element_id, Type::Primitive(PrimitiveType::String), false).into();
    NestedField::optional(id, "tags", Type::List(ListType::new(element))).into()
}

/// `precision`: digits of the decimal column. Field ids are those that a catalog gives out: nested ones last.
fn dimension(precision: u32, number: PrimitiveType, share: PrimitiveType) -> Schema {
    let place = StructType::new(vec![
        optional(13, "country", PrimitiveType::String),
        optional(14, "zone", PrimitiveType::Int),
    ]);
    let fields = [
        NestedField::required(1, "id", Type::Primitive(PrimitiveType::String)).into(),
        tags(2, 12),
        optional(3, "is_live", PrimitiveType::Boolean),
        optional(4, "born", PrimitiveType::Date),
        optional(5, "price", PrimitiveType::Decimal { precision, scale: 2 }),
        optional(6, "score", PrimitiveType::Double),
        optional(7, "share", share),
        optional(8, "blob", PrimitiveType::Binary),
        optional(9, "number", number),
        optional(10, "seen_at", PrimitiveType::Timestamptz),
        Arc::new(NestedField::optional(11, "place", Type::Struct(place))),
    ];
    Schema::builder().with_fields(fields).build().unwrap()
}

fn tag_lists(field: &DataType, lists: &[Option<Vec<Option<&str>>>]) -> ArrayRef {
    let mut builder = ListBuilder::new(StringBuilder::new());
    for list in lists {
        match list {
            None => builder.append_null(),
            Some(values) => builder.append_value(values.iter().copied()),
        }
    }
    let plain = builder.finish();
    let DataType::List(element) = field else { panic!("{field}") };
    let (offsets, values, nulls) = (plain.offsets().clone(), plain.values().clone(), plain.nulls().cloned());
    Arc::new(ListArray::new(element.clone(), offsets, values, nulls))
}

/// Rows of the table as it is created; the second has NULL wherever it may.
async fn write_first(lake: &Lake, ident: &TableIdent) {
    let table = lake.table(ident).await;
    let arrow = iceberg::arrow::schema_to_arrow_schema(table.metadata().current_schema()).unwrap();
    let type_of = |name: &str| arrow.field_with_name(name).unwrap().data_type().clone();
    let DataType::Struct(members) = type_of("place") else { panic!("place") };
    let members: Fields = members;
    let place = StructArray::new(
        members,
        vec![strings(["de", "fr", "it"]), Arc::new(Int32Array::from(vec![1, 2, 3]))],
        Some(vec![true, false, true].into()),
    );
    let moments = TimestampMicrosecondArray::from(vec![Some(1), None, Some(-1)]).with_timezone("+00:00");
    let prices =
        Decimal128Array::from(vec![Some(12_345), None, Some(-1)]).with_precision_and_scale(9, 2).unwrap();
    let columns: Vec<ArrayRef> = vec![
        strings(["a", "b", "c"]),
        tag_lists(&type_of("tags"), &[Some(vec![Some("x"), None, Some("y")]), None, Some(vec![])]),
        Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])),
        Arc::new(Date32Array::from(vec![Some(19_000), None, Some(-1)])),
        Arc::new(prices),
        Arc::new(Float64Array::from(vec![Some(0.1), None, Some(f64::NAN)])),
        Arc::new(Float32Array::from(vec![Some(0.5), None, Some(-0.0)])),
        Arc::new(LargeBinaryArray::from_opt_vec(vec![Some(&[0, 255][..]), None, Some(&[][..])])),
        Arc::new(Int32Array::from(vec![Some(i32::MAX), None, Some(-7)])),
        Arc::new(moments),
        Arc::new(place),
    ];
    let file = lake.write(ident, Struct::empty(), columns).await;
    lake.append(ident, vec![file]).await;
}

async fn table(lake: &Lake) -> TableIdent {
    let schema = dimension(9, PrimitiveType::Int, PrimitiveType::Float);
    let ident = lake.create("types", FormatVersion::V2, schema, &[], &[]).await;
    write_first(lake, &ident).await;
    ident
}

const A: &str = "a|[x, NULL, y]|true|2022-01-08|123.45|0.1|0.5|00ff|2147483647|1970-01-01T00:00:00.000001Z|{country: de, zone: 1}";
const B: &str = "b|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL";
const C: &str = "c|[]|false|1969-12-31|-0.01|NaN|-0.0||-7|1969-12-31T23:59:59.999999Z|{country: it, zone: 3}";

#[tokio::test(flavor = "multi_thread")]
async fn all_types_are_read_with_their_nulls() {
    let lake = Lake::new().await;
    let ident = table(&lake).await;
    assert_eq!(lake.rows(&ident).await, [A, B, C]);
    let deletes = lake.equality_deletes(&ident, Struct::empty(), vec![(1, strings(["a"]))]).await;
    lake.delete(&ident, vec![deletes]).await;
    assert_eq!(lake.rows(&ident).await, [B, C]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_promotion_keeps_the_values() {
    let lake = Lake::new().await;
    let ident = table(&lake).await;
    let table = lake.evolve(&ident, dimension(20, PrimitiveType::Long, PrimitiveType::Double)).await;
    assert_eq!(rows_of(&table, None, None).await, [A, B, C]);
    let arrow = iceberg::arrow::schema_to_arrow_schema(table.metadata().current_schema()).unwrap();
    assert_eq!(arrow.field_with_name("price").unwrap().data_type(), &DataType::Decimal128(20, 2));
    // Bounds and statistics of the narrower type still choose the right rows.
    let range = |from: i64, to: i64| {
        RowFilter::all().between("number", iceberg::spec::Datum::long(from), iceberg::spec::Datum::long(to))
    };
    for (filter, expected) in [(range(-7, -7), "c"), (range(1 << 30, 1 << 40), "a")] {
        let stream = read_rows(&table, None, Some(&["id"]), &filter, BytesRead::default()).await.unwrap();
        let batches: Vec<_> = futures::TryStreamExt::try_collect(stream).await.unwrap();
        assert_eq!(texts(&batches), [expected]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_older_files_lack_is_null_and_a_dropped_column_is_gone() {
    let lake = Lake::new().await;
    let before = Schema::builder()
        .with_fields([
            NestedField::required(1, "id", Type::Primitive(PrimitiveType::String)).into(),
            optional(2, "old", PrimitiveType::Boolean),
        ])
        .build()
        .unwrap();
    let ident = lake.create("lists", FormatVersion::V2, before, &[], &[]).await;
    let old = vec![strings(["a"]), Arc::new(BooleanArray::from(vec![true])) as ArrayRef];
    let file = lake.write(&ident, Struct::empty(), old).await;
    lake.append(&ident, vec![file]).await;
    let after = Schema::builder()
        .with_fields([
            NestedField::required(1, "id", Type::Primitive(PrimitiveType::String)).into(),
            tags(3, 4),
        ])
        .build()
        .unwrap();
    let table = lake.evolve(&ident, after).await;
    let arrow = iceberg::arrow::schema_to_arrow_schema(table.metadata().current_schema()).unwrap();
    let lists = tag_lists(arrow.field(1).data_type(), &[Some(vec![Some("x")])]);
    let newer = lake.write(&ident, Struct::empty(), vec![strings(["b"]), lists]).await;
    lake.append(&ident, vec![newer]).await;
    assert_eq!(lake.rows(&ident).await, ["a|NULL", "b|[x]"]);
}
