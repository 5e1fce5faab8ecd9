//! Data files: partitions, sizes, bounds, memory, clean-up.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use futures::TryStreamExt;
use iceberg::expr::Reference;
use iceberg::spec::Datum;
use parquet::basic::Encoding;
use parquet::file::reader::{FileReader, SerializedFileReader};
use pulselake_lake::{LedgeredAppend, TableWriter, WriterOptions};

#[tokio::test]
async fn each_hour_gets_its_file_and_its_metrics() {
    let place = Place::new();
    let lake = place.lake().await;
    let mut writer = TableWriter::new(&lake, BRONZE, WriterOptions::default()).await.unwrap();
    writer.write(&rows(0, 3_500..3_700, 0)).await.unwrap();
    writer.write(&rows(0, 3_700..3_710, -3_700_000_000)).await.unwrap();
    assert_eq!((writer.open_partitions(), writer.rows()), (2, 210));
    assert_eq!(writer.time_partitions(), &[0, 1].into_iter().collect());
    let files = writer.close().await.unwrap();
    assert_eq!(files.len(), 2);
    let first = files.iter().find(|file| file.record_count() == 110).unwrap();
    assert!(first.file_path().contains("/data/event_timestamp_hour=1970-01-01-00/"), "{}", first.file_path());
    assert_eq!(first.lower_bounds()[&11], Datum::long(3_500));
    assert_eq!(first.upper_bounds()[&11], Datum::long(3_709));
    assert_eq!(first.upper_bounds()[&2], Datum::timestamptz_micros(3_599_000_000));
    assert_eq!(first.lower_bounds()[&3], Datum::string("v_0"));
    assert_eq!(first.upper_bounds()[&9], Datum::string("content_events"));
    assert_eq!((first.null_value_counts()[&8], first.null_value_counts()[&1]), (110, 0));
    assert!(!first.lower_bounds().contains_key(&7), "payload_json has bounds");
    let size = std::fs::metadata(first.file_path().trim_start_matches("file://")).unwrap().len();
    assert_eq!(first.file_size_in_bytes(), size);
}

/// Row groups whose longest strings are cut must still be covered by the file's bounds.
#[tokio::test]
async fn bounds_cover_row_groups_with_cut_strings() {
    use arrow::array::{ArrayRef, RecordBatch, StringArray};
    let place = Place::new();
    let lake = place.lake().await;
    let (low, high) = ("a".repeat(200), "z".repeat(200));
    let plain = rows(0, 0..4, 0);
    let mut columns = plain.columns().to_vec();
    columns[2] = std::sync::Arc::new(StringArray::from(vec![low.as_str(), &high, "m", "n"])) as ArrayRef;
    let batch = RecordBatch::try_new(plain.schema(), columns).unwrap();
    let options = WriterOptions { row_group_rows: 2, ..Default::default() };
    let mut writer = TableWriter::new(&lake, BRONZE, options).await.unwrap();
    writer.write(&batch).await.unwrap();
    let files = writer.close().await.unwrap();
    assert!(files[0].lower_bounds()[&3] <= Datum::string(&low));
    assert!(files[0].upper_bounds()[&3] >= Datum::string(&high));
    lake.append(BRONZE, &LedgeredAppend { files, ..request(vec![advance(0, 0, 4)]) }).await.unwrap();
    for (video_id, offset) in [(low.as_str(), 0), (&high, 1), ("m", 2)] {
        let filter = Reference::new("video_id").equal_to(Datum::string(video_id));
        let stream = lake.scan(BRONZE, &["source_offset"], Some(filter)).await.unwrap();
        let found: Vec<RecordBatch> = stream.try_collect().await.unwrap();
        let rows: usize = found.iter().map(RecordBatch::num_rows).sum();
        assert_eq!(rows, 1, "row {offset} was pruned away");
    }
}

#[tokio::test]
async fn files_hold_only_what_every_reader_knows() {
    let place = Place::new();
    let lake = place.lake().await;
    let mut writer = TableWriter::new(&lake, BRONZE, WriterOptions::default()).await.unwrap();
    writer.write(&rows(0, 0..10_000, 0)).await.unwrap();
    let files = writer.close().await.unwrap();
    let path = files[0].file_path().trim_start_matches("file://").to_string();
    let reader = SerializedFileReader::new(std::fs::File::open(path).unwrap()).unwrap();
    let mut dictionaries = Vec::new();
    for column in reader.metadata().row_group(0).columns() {
        let name = column.column_path().string();
        // Iceberg's vectorized reader in Spark knew no other for text before 2026 (docs/adr/0010-parquet-encodings.md).
        let deltas = matches!(name.as_str(), "event_timestamp" | "source_offset");
        for encoding in column.encodings() {
            let known = matches!(encoding, Encoding::PLAIN | Encoding::RLE | Encoding::RLE_DICTIONARY)
                || (deltas && encoding == Encoding::DELTA_BINARY_PACKED);
            assert!(known, "{name} is encoded as {encoding}");
        }
        if column.dictionary_page_offset().is_some() {
            dictionaries.push(name);
        }
    }
    assert_eq!(dictionaries, ["video_id", "event_type"]);
}

#[tokio::test]
async fn files_roll_over_at_their_size() {
    let place = Place::new();
    let lake = place.lake().await;
    let options = WriterOptions { target_file_bytes: 20_000, row_group_rows: 500, ..Default::default() };
    let mut writer = TableWriter::new(&lake, BRONZE, options).await.unwrap();
    for step in 0..30 {
        writer.write(&rows(0, step * 100..step * 100 + 100, 0)).await.unwrap();
    }
    let files = writer.close().await.unwrap();
    assert!(files.len() > 1);
    assert!(files.iter().all(|file| file.file_size_in_bytes() < 60_000), "a file grew far beyond its target");
    lake.append(BRONZE, &LedgeredAppend { files, ..request(vec![advance(0, 0, 3_000)]) }).await.unwrap();
    assert_eq!(offsets(&lake).await, expected(0, 0..3_000));
}

#[tokio::test]
async fn many_open_hours_stay_within_the_memory_bound() {
    const BOUND: usize = 400_000;
    let place = Place::new();
    let lake = place.lake().await;
    let mut writer = TableWriter::new(&lake, BRONZE, WriterOptions::default())
        .await
        .unwrap()
        .with_max_buffered_bytes(BOUND);
    let mut most = 0;
    for step in 0..40 {
        writer.write(&rows(0, step * 200..step * 200 + 200, (step % 20) * HOUR_US * 3)).await.unwrap();
        most = most.max(writer.buffered_bytes());
    }
    assert!(writer.open_partitions() >= 20);
    assert!(most <= BOUND, "{most} bytes in memory");
    let files = writer.close().await.unwrap();
    lake.append(BRONZE, &LedgeredAppend { files, ..request(vec![advance(0, 0, 8_000)]) }).await.unwrap();
    assert_eq!(offsets(&lake).await, expected(0, 0..8_000));
}

#[tokio::test]
async fn an_aborted_flush_leaves_nothing() {
    let place = Place::new();
    let lake = place.lake().await;
    let options = WriterOptions { target_file_bytes: 5_000, row_group_rows: 100, ..Default::default() };
    let mut writer = TableWriter::new(&lake, BRONZE, options).await.unwrap().with_max_buffered_bytes(1);
    let written = |suffix: &str| match place.table_directory(BRONZE).join("data").exists() {
        true => place.files(BRONZE, suffix).len(),
        false => 0,
    };
    for step in 0.. {
        writer.write(&rows(0, step * 100..step * 100 + 100, 0)).await.unwrap();
        if written(".tmp") > 0 && written(".parquet") > 0 {
            break;
        }
        assert!(step < 100, "never a finished and an open file at once");
    }
    writer.abort().await;
    assert!(place.files(BRONZE, ".tmp").is_empty() && place.files(BRONZE, ".parquet").is_empty());
}

/// As a run does that ends between two flushes.
#[tokio::test]
async fn a_dropped_flush_leaves_no_whole_file() {
    let place = Place::new();
    let lake = place.lake().await;
    let options = WriterOptions { target_file_bytes: 5_000, row_group_rows: 100, ..Default::default() };
    let mut writer = TableWriter::new(&lake, BRONZE, options).await.unwrap();
    for start in (0..2_000).step_by(100) {
        writer.write(&rows(0, start..start + 100, 0)).await.unwrap();
    }
    assert!(!place.files(BRONZE, ".parquet").is_empty());
    drop(writer);
    for _ in 0..1_000 {
        if place.files(BRONZE, ".parquet").is_empty() && place.files(BRONZE, ".tmp").is_empty() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("{:?} are left", place.files(BRONZE, ".parquet"));
}

#[tokio::test]
async fn a_batch_of_other_columns_is_refused() {
    let place = Place::new();
    let lake = place.lake().await;
    let mut writer = TableWriter::new(&lake, BRONZE, WriterOptions::default()).await.unwrap();
    let wrong = rows(0, 0..3, 0).project(&[1, 0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]).unwrap();
    let refused = writer.write(&wrong).await.unwrap_err().to_string();
    assert!(refused.contains("bronze.raw_events") && refused.contains("expected event_id"), "{refused}");
    assert!(writer.write(&rows(0, 0..3, 0)).await.is_err(), "a broken writer went on");
}
