//! What a table reads as: deletes of all kinds, evolved schemas, time travel, pruning. Where the iceberg crate's own scan
//! loses rows, a test says so by its name.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use arrow::array::{Int32Array, RecordBatch};
use futures::TryStreamExt;
use iceberg::spec::{
    DataContentType, DataFileBuilder, DataFileFormat, Datum, FormatVersion, Literal, NestedField,
    PrimitiveType, Schema, Struct, Transform, Type,
};
use pulselake_read::{
    BytesRead, Deletes, FileScan, PartitionPredicate, ReadError, RowCounts, ScanOptions, plan_table,
    read_files, read_table,
};
use support::{Lake, longs, nullable_longs, rows_of, schema, strings};

fn id_and_name() -> Schema {
    schema(&[("id", PrimitiveType::Long, true), ("name", PrimitiveType::String, false)])
}

async fn plain_table(lake: &Lake, version: FormatVersion) -> iceberg::TableIdent {
    lake.create("plain", version, id_and_name(), &[], &[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_columns_and_an_empty_table() {
    let lake = Lake::new().await;
    let ident = plain_table(&lake, FormatVersion::V2).await;
    assert!(lake.rows(&ident).await.is_empty());
    let file = lake.write(&ident, Struct::empty(), vec![longs([1, 2]), strings(["a", "b"])]).await;
    let first = lake.append(&ident, vec![file]).await;
    let more = lake.write(&ident, Struct::empty(), vec![longs([3]), strings(["c"])]).await;
    let second = lake.append(&ident, vec![more]).await;
    assert_eq!(lake.rows(&ident).await, ["1|a", "2|b", "3|c"]);
    assert_eq!(rows_of(&second, None, Some(&["name"])).await, ["a", "b", "c"]);
    assert_eq!(rows_of(&second, None, Some(&["name", "id"])).await, ["a|1", "b|2", "c|3"]);
    let old = first.metadata().current_snapshot_id();
    assert_eq!(rows_of(&second, old, None).await, ["1|a", "2|b"]);
    assert!(matches!(
        read_table(&second, Some(1), None).await,
        Err(ReadError::NoSnapshot { snapshot_id: 1 })
    ));
    assert!(matches!(read_table(&second, None, Some(&["nope"])).await, Err(ReadError::NoColumn { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn null_keys_survive_equality_deletes_and_are_deleted_by_null() {
    let lake = Lake::new().await;
    let columns = schema(&[("name", PrimitiveType::String, true), ("views", PrimitiveType::Long, false)]);
    let ident = lake.create("nullable", FormatVersion::V2, columns, &[], &[]).await;
    let views = nullable_longs(&[Some(5), Some(6), None]);
    let file = lake.write(&ident, Struct::empty(), vec![strings(["a", "b", "n"]), views]).await;
    lake.append(&ident, vec![file]).await;
    let five = lake.equality_deletes(&ident, Struct::empty(), vec![(2, longs([5]))]).await;
    lake.delete(&ident, vec![five]).await;
    assert_eq!(lake.rows(&ident).await, ["b|6", "n|NULL"]);
    // The key is read although it is not asked for.
    assert_eq!(rows_of(&lake.table(&ident).await, None, Some(&["name"])).await, ["b", "n"]);
    let null = lake.equality_deletes(&ident, Struct::empty(), vec![(2, nullable_longs(&[None]))]).await;
    lake.delete(&ident, vec![null]).await;
    assert_eq!(lake.rows(&ident).await, ["b|6"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn equality_deletes_on_a_column_that_older_files_lack() {
    let lake = Lake::new().await;
    let ident = plain_table(&lake, FormatVersion::V2).await;
    let file = lake.write(&ident, Struct::empty(), vec![longs([1, 2]), strings(["a", "b"])]).await;
    lake.append(&ident, vec![file]).await;
    let wider = schema(&[
        ("id", PrimitiveType::Long, true),
        ("name", PrimitiveType::String, false),
        ("k", PrimitiveType::Long, false),
    ]);
    lake.evolve(&ident, wider).await;
    let other_key = lake.equality_deletes(&ident, Struct::empty(), vec![(3, longs([5]))]).await;
    lake.delete(&ident, vec![other_key]).await;
    assert_eq!(lake.rows(&ident).await, ["1|a|NULL", "2|b|NULL"]);
    let null_key = lake
        .equality_deletes(&ident, Struct::empty(), vec![(1, longs([2])), (3, nullable_longs(&[None]))])
        .await;
    lake.delete(&ident, vec![null_key]).await;
    assert_eq!(lake.rows(&ident).await, ["1|a|NULL"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upsert_deletes_older_rows_and_not_its_own_nor_later_ones() {
    let lake = Lake::new().await;
    let ident = plain_table(&lake, FormatVersion::V2).await;
    for name in ["first", "second", "third"] {
        let data = vec![lake.write(&ident, Struct::empty(), vec![longs([1]), strings([name])]).await];
        let deletes = vec![lake.equality_deletes(&ident, Struct::empty(), vec![(1, longs([1]))]).await];
        let delta = pulselake_commit::RowDelta { data, deletes, ..Default::default() };
        lake.commit(&ident, pulselake_commit::ChangeKind::RowDelta(delta)).await;
        assert_eq!(lake.rows(&ident).await, [format!("1|{name}")]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn equality_deletes_stay_in_their_partition() {
    let lake = Lake::new().await;
    let partition = [("id", "id", Transform::Identity)];
    let ident = lake.create("parts", FormatVersion::V2, id_and_name(), &partition, &[]).await;
    let place = |id: i64| Struct::from_iter([Some(Literal::long(id))]);
    let mut files = Vec::new();
    for id in [1, 2] {
        files.push(lake.write(&ident, place(id), vec![longs([id]), strings(["x"])]).await);
    }
    lake.append(&ident, files).await;
    let everything_named_x = lake.equality_deletes(&ident, place(2), vec![(2, strings(["x"]))]).await;
    let table = lake.delete(&ident, vec![everything_named_x]).await;
    assert_eq!(lake.rows(&ident).await, ["1|x"]);

    let wanted = PartitionPredicate::all().between("id", Datum::long(1), Datum::long(1));
    let plan = plan_table(&table, None, &wanted).await.unwrap();
    assert_eq!((plan.files.len(), plan.deletes.len()), (1, 0));
    let none = PartitionPredicate::all().between("id", Datum::long(3), Datum::long(9));
    assert!(plan_table(&table, None, &none).await.unwrap().files.is_empty());
    let unknown_field = PartitionPredicate::all().between("nope", Datum::long(3), Datum::long(9));
    assert_eq!(plan_table(&table, None, &unknown_field).await.unwrap().files.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn position_deletes_hit_their_rows_across_row_groups_and_windows() {
    let lake = Lake::new().await;
    let ident = plain_table(&lake, FormatVersion::V2).await;
    let rows = 12_000;
    let names: Vec<String> = (0..rows).map(|id| format!("name {}", id * 7_919 % 10_007)).collect();
    let columns = || vec![longs(0..rows), strings(names.iter().map(String::as_str))];
    let hit = lake.write(&ident, Struct::empty(), columns()).await;
    let untouched = lake.write(&ident, Struct::empty(), columns()).await;
    let (hit_path, other_path) = (hit.file_path().to_string(), untouched.file_path().to_string());
    lake.append(&ident, vec![hit, untouched]).await;
    let deleted = [0, 499, 500, 4_999, 5_000, 9_999, 10_000, 11_999];
    let named = lake.position_deletes(&ident, Struct::empty(), &hit_path, &deleted[..4], true).await;
    let wide = lake.position_deletes(&ident, Struct::empty(), &hit_path, &deleted[4..], false).await;
    let table = lake.delete(&ident, vec![named, wide]).await;
    let plan = plan_table(&table, None, &PartitionPredicate::all()).await.unwrap();
    for file in &plan.files {
        let applying = if file.data.file().file_path() == other_path { 1 } else { 2 };
        assert_eq!(file.deletes.len(), applying);
    }
    let arrow = Arc::new(iceberg::arrow::schema_to_arrow_schema(table.metadata().current_schema()).unwrap());
    for window_bytes in [2_000, 10_000, 16 << 20] {
        let options = ScanOptions { batch_rows: 1_000, window_bytes, ..ScanOptions::default() };
        let mut ids = Vec::new();
        let deletes = Deletes::new(&table, &plan.files, BytesRead::default()).unwrap();
        for file in &plan.files {
            let counter = BytesRead::default();
            let mut scan = FileScan::open(&table, file, arrow.clone(), &deletes, options, counter.clone())
                .await
                .unwrap();
            let mut largest = 0;
            while let Some(batch) = scan.next().await.unwrap() {
                largest = largest.max(scan.buffered_bytes());
                use arrow::array::AsArray;
                ids.extend_from_slice(batch.column(0).as_primitive::<arrow::datatypes::Int64Type>().values());
            }
            let gone = if file.data.file().file_path() == hit_path { deleted.len() as u64 } else { 0 };
            assert_eq!(scan.counts(), RowCounts { read: rows as u64, deleted: gone, unwanted: 0 });
            assert!(largest <= window_bytes, "{largest} bytes in a window of {window_bytes}");
            assert!(counter.get() > 0);
        }
        ids.sort_unstable();
        let mut expected: Vec<i64> = (0..rows).chain((0..rows).filter(|id| !deleted.contains(id))).collect();
        expected.sort_unstable();
        assert_eq!(ids, expected, "windows of {window_bytes} bytes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_evolved_schema_is_followed_by_field_id() {
    let lake = Lake::new().await;
    let columns = schema(&[("n", PrimitiveType::Int, true), ("old", PrimitiveType::String, false)]);
    let ident = lake.create("evolved", FormatVersion::V2, columns, &[], &[]).await;
    let file = lake.write(
        &ident,
        Struct::empty(),
        vec![Arc::new(Int32Array::from(vec![1, -2])), strings(["a", "b"])],
    );
    let before = lake.append(&ident, vec![file.await]).await;
    let old_snapshot = before.metadata().current_snapshot_id();
    let field = |id, name: &str, primitive, required| {
        Arc::new(NestedField::new(id, name, Type::Primitive(primitive), required))
    };
    let evolved = Schema::builder()
        .with_fields([
            field(2, "renamed", PrimitiveType::String, false),
            field(3, "added", PrimitiveType::Double, false),
            field(1, "n", PrimitiveType::Long, true),
        ])
        .build()
        .unwrap();
    lake.evolve(&ident, evolved).await;
    let doubles = Arc::new(arrow::array::Float64Array::from(vec![0.5]));
    let newer = lake.write(&ident, Struct::empty(), vec![strings(["c"]), doubles, longs([1 << 40])]).await;
    let table = lake.append(&ident, vec![newer]).await;
    assert_eq!(lake.rows(&ident).await, ["a|NULL|1", "b|NULL|-2", "c|0.5|1099511627776"]);
    // A snapshot reads as it was written.
    let stream = read_table(&table, old_snapshot, None).await.unwrap();
    let batches: Vec<_> = stream.try_collect().await.unwrap();
    assert_eq!(batches[0].schema().field(1).name(), "old");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_vector_is_applied_and_a_damaged_one_names_its_file() {
    let lake = Lake::new().await;
    let ident = plain_table(&lake, FormatVersion::V3).await;
    let file = lake.write(&ident, Struct::empty(), vec![longs([1, 2, 3]), strings(["a", "b", "c"])]).await;
    let target = file.file_path().to_string();
    let table = lake.append(&ident, vec![file]).await;

    let mut body = vec![0xD1, 0xD3, 0x39, 0x64];
    roaring::RoaringTreemap::from_iter([1_u64]).serialize_into(&mut body).unwrap();
    let mut blob = (body.len() as u32).to_be_bytes().to_vec();
    blob.extend(&body);
    blob.extend(crc32fast::hash(&body).to_be_bytes());
    let write = |name: &str, blob: Vec<u8>| {
        let path = format!("{}/data/{name}.puffin", table.metadata().location());
        let output = table.file_io().new_output(&path).unwrap();
        let length = blob.len() as i64;
        // Some bytes before the blob, as a real Puffin file has them.
        let content = [b"PFA1".to_vec(), blob].concat();
        let described = DataFileBuilder::default()
            .content(DataContentType::PositionDeletes)
            .file_path(path)
            .file_format(DataFileFormat::Puffin)
            .record_count(1)
            .file_size_in_bytes(content.len() as u64)
            .partition_spec_id(0)
            .referenced_data_file(Some(target.clone()))
            .content_offset(Some(4))
            .content_size_in_bytes(Some(length))
            .build()
            .unwrap();
        async move {
            output.write(content.into()).await.unwrap();
            described
        }
    };
    let good = write("good", blob.clone()).await;
    lake.delete(&ident, vec![good]).await;
    assert_eq!(lake.rows(&ident).await, ["1|a", "3|c"]);

    blob[10] ^= 1;
    let damaged = write("damaged", blob).await;
    let broken = lake.delete(&ident, vec![damaged]).await;
    let read: Result<Vec<_>, _> = read_table(&broken, None, None).await.unwrap().try_collect().await;
    assert!(read.unwrap_err().to_string().contains("damaged.puffin is damaged"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_gone_or_shorter_than_its_manifest_says_is_an_error_and_not_fewer_rows() {
    let lake = Lake::new().await;
    let ident = lake.create("short", FormatVersion::V2, id_and_name(), &[], &[]).await;
    let table = lake.table(&ident).await;
    let arrow = Arc::new(iceberg::arrow::schema_to_arrow_schema(table.metadata().current_schema()).unwrap());
    let batch = RecordBatch::try_new(arrow, vec![longs([1]), strings(["a"])]).unwrap();
    let mut described = lake.write_file(&ident, DataContentType::Data, &batch, Struct::empty()).await;
    let short = lake.append(&ident, vec![described.record_count(2).build().unwrap()]).await;
    let read: Result<Vec<_>, _> = read_table(&short, None, None).await.unwrap().try_collect().await;
    assert!(matches!(read, Err(ReadError::Damaged { .. })));

    let ident = plain_table(&lake, FormatVersion::V2).await;
    let file = lake.write(&ident, Struct::empty(), vec![longs([1]), strings(["a"])]).await;
    let path = file.file_path().to_string();
    let table = lake.append(&ident, vec![file]).await;
    table.file_io().delete(&path).await.unwrap();
    let plan = plan_table(&table, None, &PartitionPredicate::all()).await.unwrap();
    let arrow = Arc::new(iceberg::arrow::schema_to_arrow_schema(table.metadata().current_schema()).unwrap());
    let stream = read_files(&table, plan.files, arrow, ScanOptions::default(), BytesRead::default()).unwrap();
    let error = stream.try_collect::<Vec<_>>().await.unwrap_err();
    assert!(error.to_string().contains(&path), "{error}");
}
