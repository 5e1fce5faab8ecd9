//! CPU seconds per million bronze rows: partitioning, encoding, writing. Run with `--release`.
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, StringBuilder, TimestampMicrosecondArray,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use pulselake_lake::{Lake, LakeSettings, OpenMode, TableWriter, WriterOptions};
use pulselake_model::schema;
use pulselake_model::tables::HotTable;
use rand::prelude::*;

const BATCH_ROWS: usize = 8_192;

/// CPU time of this process so far, seconds.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}

/// Events as real clients send them: random ids, skewed videos, nearly sorted times, a body of 150 bytes.
fn batch(random: &mut StdRng, number: usize) -> RecordBatch {
    let kinds = ["impression", "play_start", "play_finish", "like", "share", "skip"];
    let (mut ids, mut videos, mut users) = (StringBuilder::new(), StringBuilder::new(), StringBuilder::new());
    let (mut types, mut bodies) = (StringBuilder::new(), StringBuilder::new());
    let (mut times, mut offsets) = (Vec::new(), Vec::new());
    for row in 0..BATCH_ROWS {
        let index = (number * BATCH_ROWS + row) as i64;
        ids.append_value(uuid::Uuid::from_u128(random.random()).to_string());
        videos.append_value(format!("v_{}", (random.random::<f64>().powi(4) * 20_000.0) as u32));
        users.append_value(format!("u_{}", random.random_range(0..200_000)));
        types.append_value(kinds[(random.random::<f64>().powi(2) * 6.0) as usize]);
        let watched = random.random_range(0..60_000);
        bodies.append_value(format!(
            r#"{{"watch_time_ms":{watched},"video_duration_ms":60000,"device_os":"{}","app_version":"14.{}.0","network_type":"{}","referral_source":"foryou_page"}}"#,
            ["iOS", "Android"][random.random_range(0..2)],
            random.random_range(0..5),
            ["5G", "4G", "WiFi"][random.random_range(0..3)],
        ));
        times.push(1_770_458_400_000_000 + index * 100 + random.random_range(0..2_000_000) / 1_000 * 1_000);
        offsets.push(index);
    }
    let text = |value: &str| Arc::new(StringArray::from(vec![value; BATCH_ROWS])) as ArrayRef;
    let utc = |values: Vec<i64>| {
        Arc::new(TimestampMicrosecondArray::from(values).with_timezone("+00:00")) as ArrayRef
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(ids.finish()),
        utc(times),
        Arc::new(videos.finish()),
        Arc::new(users.finish()),
        Arc::new(types.finish()),
        text("1.0"),
        Arc::new(bodies.finish()),
        Arc::new(StringArray::new_null(BATCH_ROWS)),
        text("content_events"),
        Arc::new(Int32Array::from(vec![3; BATCH_ROWS])),
        Arc::new(Int64Array::from(offsets)),
        utc(vec![1_770_458_400_000_000 + number as i64 * 100_000; BATCH_ROWS]),
    ];
    RecordBatch::try_new(schema::bronze_events(), columns).unwrap()
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let directory = tempfile::tempdir().unwrap();
    let settings = LakeSettings {
        catalog_uri: format!("sqlite://{}/catalog.db", directory.path().display()),
        warehouse: format!("file://{}/warehouse", directory.path().display()),
        fsync: true,
    };
    let lake = Lake::open(&settings, OpenMode::CreateIfMissing).await.unwrap();
    lake.ensure_tables().await.unwrap();
    let mut random = StdRng::seed_from_u64(7);
    let batches: Vec<RecordBatch> = (0..64).map(|number| batch(&mut random, number)).collect();
    for repetition in 0..3 {
        let (cpu, wall) = (cpu_seconds(), std::time::Instant::now());
        let (mut rows, mut bytes, mut buffered) = (0, 0, 0);
        let mut files = Vec::new();
        for _flush in 0..4 {
            let mut writer =
                TableWriter::new(&lake, HotTable::RawEvents, WriterOptions::default()).await.unwrap();
            for batch in &batches {
                writer.write(batch).await.unwrap();
                buffered = buffered.max(writer.buffered_bytes());
            }
            rows += writer.rows();
            files = writer.close().await.unwrap();
            bytes += files.iter().map(|file| file.file_size_in_bytes()).sum::<u64>();
        }
        let million = rows as f64 / 1e6;
        println!(
            "run {repetition}: {:.3} CPU s and {:.3} s per million rows, {:.1} bytes a row, {} KiB buffered at most",
            (cpu_seconds() - cpu) / million,
            wall.elapsed().as_secs_f64() / million,
            bytes as f64 / rows as f64,
            buffered / 1024
        );
        if repetition == 2 {
            print_columns(files[0].file_path());
        }
    }
}

/// Where the bytes go.
fn print_columns(location: &str) {
    let file = std::fs::File::open(location.trim_start_matches("file://")).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let metadata = reader.metadata();
    for column in 0..metadata.file_metadata().schema_descr().num_columns() {
        let mut compressed = 0;
        for group in metadata.row_groups() {
            compressed += group.column(column).compressed_size();
        }
        let chunk = metadata.row_group(0).column(column);
        println!(
            "  {:20} {:6.2} bytes a row  {:?}",
            chunk.column_path().string(),
            compressed as f64 / metadata.file_metadata().num_rows() as f64,
            chunk.encodings().collect::<Vec<_>>()
        );
    }
}
