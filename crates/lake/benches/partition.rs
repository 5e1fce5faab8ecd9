//! What it costs to split batches by partition: `cargo bench -p pulselake-lake --bench partition`.
//!
//! Rows in order pass untouched, rows around a full hour are gathered, gold rows spread over 16 buckets.
#![allow(missing_docs, clippy::unwrap_used)]

mod rows;

use arrow::array::RecordBatch;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pulselake_lake::writer::Partitioner;
use pulselake_model::tables::LakeTable;

const BATCHES: usize = 24;

fn partition(criterion: &mut Criterion) {
    let in_order = rows::bronze(BATCHES);
    let jittered = |row: i64| rows::FIRST_US + rows::HOUR_US - 1_000 + (row * 7_919) % 2_000;
    let around_an_hour: Vec<RecordBatch> = in_order
        .iter()
        .map(|batch| rows::with_event_times(batch, (0..rows::BATCH_ROWS as i64).map(jittered)))
        .collect();
    let cases = [
        ("bronze_in_order", LakeTable::RawEvents, in_order, 1),
        ("bronze_around_an_hour", LakeTable::RawEvents, around_an_hour, 2),
        ("gold", LakeTable::VideoStats1Min, rows::gold(BATCHES), 16),
    ];
    let mut group = criterion.benchmark_group("partition");
    group.throughput(Throughput::Elements((BATCHES * rows::BATCH_ROWS) as u64));
    for (name, table, batches, partitions) in cases {
        let partitioner = Partitioner::new(table).unwrap();
        assert_eq!(partitioner.split(&batches[0]).unwrap().len(), partitions, "{name}");
        group.bench_function(name, |bencher| {
            bencher
                .iter(|| batches.iter().map(|batch| partitioner.split(batch).unwrap().len()).sum::<usize>());
        });
    }
    group.finish();
}

criterion_group!(benches, partition);
criterion_main!(benches);
