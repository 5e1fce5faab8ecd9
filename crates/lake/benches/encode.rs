//! What it costs to write the files of one flush: `cargo bench -p pulselake-lake --bench encode`.
//!
//! Partitioning, Parquet with Zstandard, and the files in a temporary directory, without fsync. Criterion's `thrpt` line
//! gives rows per second of one core: a million divided by it is CPU seconds per million rows, on an idle machine. On a
//! busy one, and for the bytes that each column takes, run the example `write_rate`.
#![allow(missing_docs, clippy::unwrap_used)]

mod rows;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pulselake_lake::{TableWriter, WriterOptions};
use pulselake_model::tables::LakeTable;

fn encode(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (_directory, lake) = runtime.block_on(rows::lake());
    let cases = [
        ("bronze", LakeTable::RawEvents, rows::bronze(64)),
        ("gold", LakeTable::VideoStats1Min, rows::gold(64)),
    ];
    let mut group = criterion.benchmark_group("encode");
    group.sample_size(10);
    for (name, table, batches) in cases {
        group.throughput(Throughput::Elements((batches.len() * rows::BATCH_ROWS) as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                runtime.block_on(async {
                    let mut writer = TableWriter::new(&lake, table, WriterOptions::default()).await.unwrap();
                    for batch in &batches {
                        writer.write(batch).await.unwrap();
                    }
                    let files = writer.close().await.unwrap();
                    for file in &files {
                        lake.delete_file(table, file.file_path()).await.unwrap();
                    }
                    files.len()
                })
            });
        });
    }
    group.finish();
}

criterion_group!(benches, encode);
criterion_main!(benches);
