//! CPU seconds per million bronze rows (partitioning, encoding, writing) and where the bytes go. Run with `--release`.
//! CPU time of the process, so that it also tells something on a busy machine; the bench `encode` takes wall-clock time.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../benches/rows/mod.rs"]
mod rows;

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use pulselake_lake::{TableWriter, WriterOptions};
use pulselake_model::tables::LakeTable;

/// CPU time of this process so far, seconds.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let (_directory, lake) = rows::lake().await;
    let batches = rows::bronze(128);
    for repetition in 0..3 {
        let (cpu, wall) = (cpu_seconds(), std::time::Instant::now());
        let (mut rows, mut bytes, mut buffered) = (0, 0, 0);
        let mut files = Vec::new();
        for _flush in 0..4 {
            let mut writer =
                TableWriter::new(&lake, LakeTable::RawEvents, WriterOptions::default()).await.unwrap();
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
