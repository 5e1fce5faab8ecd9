//! What a look-up by keys costs: files, row groups and pages without a wanted key are not read.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::TryStreamExt;
use iceberg::spec::{
    DataContentType, DataFile, Datum, FormatVersion, Literal, PrimitiveType, Struct, Transform,
};
use iceberg::table::Table;
use iceberg::transform::create_transform_function;
use parquet::file::properties::WriterProperties;
use pulselake_read::{BytesRead, RowFilter, plan_rows, read_rows};
use support::{Lake, longs, schema, strings, texts};

const BUCKETS: u32 = 3;

fn place(bucket: Option<i32>) -> Struct {
    Struct::from_iter([bucket.map(Literal::int)])
}

async fn chosen(table: &Table, filter: &RowFilter, counter: &BytesRead) -> Vec<String> {
    let stream = read_rows(table, None, None, filter, counter.clone()).await.unwrap();
    texts(&stream.try_collect::<Vec<_>>().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn files_row_groups_and_pages_without_wanted_keys_are_not_read() {
    let lake = Lake::new().await;
    let columns = schema(&[("k", PrimitiveType::String, true), ("v", PrimitiveType::Long, false)]);
    let partition = [("k", "k_bucket", Transform::Bucket(BUCKETS))];
    let ident = lake.create("skipped", FormatVersion::V2, columns, &partition, &[]).await;
    let arrow = iceberg::arrow::schema_to_arrow_schema(lake.table(&ident).await.metadata().current_schema());
    let arrow = Arc::new(arrow.unwrap());
    let of_bucket = |bucket: i32, first: u32| -> Vec<String> {
        let function = create_transform_function(&Transform::Bucket(BUCKETS)).unwrap();
        (first..)
            .map(|number| format!("key {number:07}"))
            .filter(|key| {
                function.transform_literal(&Datum::string(key)).unwrap().unwrap() == Datum::int(bucket)
            })
            .take(20_000)
            .collect()
    };
    let mut files = Vec::new();
    for bucket in 0..BUCKETS as i32 {
        // The second half of the keys, in files that note their bounds.
        for half in 0..2 {
            let keys = of_bucket(bucket, half * 1_000_000);
            let noise = (0..keys.len() as i64).map(|row| row * 0x9E37_79B9 % 1_000_003 * 1_000_003);
            let values = vec![strings(keys.iter().map(String::as_str)), longs(noise)];
            let rows = RecordBatch::try_new(arrow.clone(), values).unwrap();
            let properties = WriterProperties::builder()
                .set_max_row_group_row_count(Some(5_000))
                .set_data_page_row_count_limit(500)
                .set_dictionary_enabled(false)
                .build();
            let (content, partition) = (DataContentType::Data, place(Some(bucket)));
            let mut file = lake.write_as(&ident, content, &rows, partition, properties).await;
            if half == 1 {
                let bound = |text: &String| HashMap::from([(1, Datum::string(text))]);
                file.lower_bounds(bound(&keys[0])).upper_bounds(bound(&keys[keys.len() - 1]));
            }
            files.push(file.build().unwrap());
        }
    }
    let (table_bytes, file_bytes): (u64, u64) =
        (files.iter().map(DataFile::file_size_in_bytes).sum(), files[0].file_size_in_bytes());
    let table = lake.append(&ident, files).await;

    let wanted = of_bucket(0, 0)[7_777].clone();
    let filter = RowFilter::all().one_of("k", [wanted.clone()]);
    let bound = filter.bind(table.metadata().current_schema()).unwrap();
    // Two of three buckets are left out by the partition, and the file with bounds by them.
    assert_eq!(plan_rows(&table, None, &bound).await.unwrap().files.len(), 1);
    let counter = BytesRead::default();
    assert_eq!(chosen(&table, &filter, &counter).await.len(), 1);
    // The footer with the page index, and two pages of 500 rows out of 20,000.
    assert!(counter.get() * 8 < file_bytes, "{} of {file_bytes} bytes of the file", counter.get());

    let whole = BytesRead::default();
    let all_rows = chosen(&table, &RowFilter::all(), &whole).await;
    assert_eq!(all_rows.len(), 120_000);
    assert!(whole.get() * 10 > table_bytes * 9);

    let nowhere = BytesRead::default();
    let absent = RowFilter::all().one_of("k", ["zzz"]);
    assert!(chosen(&table, &absent, &nowhere).await.is_empty());
    // Of the file without bounds only the footer.
    assert!(nowhere.get() * 8 < file_bytes);
    let none = RowFilter::all().one_of("k", Vec::<String>::new());
    let untouched = BytesRead::default();
    assert!(chosen(&table, &none, &untouched).await.is_empty());
    assert_eq!(untouched.get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_keys_are_looked_up_at_once_and_their_column_need_not_be_returned() {
    let lake = Lake::new().await;
    let columns = schema(&[("k", PrimitiveType::String, true), ("v", PrimitiveType::Long, false)]);
    let ident = lake.create("many", FormatVersion::V2, columns, &[], &[]).await;
    let keys: Vec<String> = (0..20_000).map(|number| format!("key {}", number * 7_919 % 20_000)).collect();
    let values = vec![strings(keys.iter().map(String::as_str)), longs(0..20_000)];
    let file = lake.write(&ident, Struct::empty(), values).await;
    let table = lake.append(&ident, vec![file]).await;
    let wanted: Vec<String> = (0..5_000).map(|number| format!("key {}", number * 8)).collect();
    let filter = RowFilter::all().one_of("k", wanted);
    let stream = read_rows(&table, None, Some(&["v"]), &filter, BytesRead::default()).await.unwrap();
    let batches: Vec<RecordBatch> = stream.try_collect().await.unwrap();
    assert!(batches.iter().all(|batch| batch.num_columns() == 1));
    let mut found: Vec<String> = texts(&batches);
    let is_wanted = |row: &usize| keys[*row][4..].parse::<usize>().unwrap() % 8 == 0;
    let mut expected: Vec<String> = (0..20_000).filter(is_wanted).map(|row| row.to_string()).collect();
    found.sort();
    expected.sort();
    assert_eq!(found.len(), 2_500);
    assert_eq!(found, expected);
}
