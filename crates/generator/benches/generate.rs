//! What generating costs: events to memory, all twelve partitions read by one thread. `cargo bench -p
//! pulselake-generator`.
//!
//! Criterion's `thrpt` line gives records per second of wall time: on an otherwise idle core, a million divided by it is
//! CPU seconds per million records. `cargo run --release -p pulselake-generator --example generate_rate` measures CPU
//! seconds whatever else the machine does.
#![allow(missing_docs)]

use std::sync::Arc;

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use pulselake_generator::{GeneratorConfig, PartitionLog, World, count_events};
use pulselake_model::RawBatch;

/// Stream time of one iteration, once funnels have filled up.
const FROM_BLOCK: i64 = 70;
const BLOCKS: i64 = 10;

/// A reader's state that iterations can share: they read one piece of the log after another.
struct Readers {
    world: Arc<World>,
    logs: Vec<PartitionLog>,
    batch: RawBatch,
    block: i64,
}

impl Readers {
    fn new(config: GeneratorConfig) -> Self {
        let world = World::new(Arc::new(config)).expect("the configuration is possible");
        let open =
            |partition| PartitionLog::in_world(world.clone(), partition).expect("the partition exists");
        let logs = (0..world.config().partitions).map(open).collect();
        let mut readers = Self { world, logs, batch: RawBatch::default(), block: 0 };
        readers.read(FROM_BLOCK);
        readers
    }

    fn read(&mut self, blocks: i64) -> usize {
        let mut records = 0;
        for _ in 0..blocks {
            self.block += 1;
            let up_to_ms = self.world.block_start_ms(self.block) - 1;
            for log in &mut self.logs {
                self.batch.bytes.clear();
                self.batch.records.clear();
                self.batch.partition = log.partition();
                self.batch.first_offset = log.position();
                self.batch.next_offset = log.position();
                log.read_into(&mut self.batch, up_to_ms, usize::MAX, usize::MAX)
                    .expect("the log has this block");
                records += self.batch.records.len();
            }
        }
        records
    }
}

fn configurations() -> [(&'static str, GeneratorConfig); 3] {
    let usual = GeneratorConfig { rate_per_s: 20_000.0, ..GeneratorConfig::default() };
    let scenarios =
        ["duplicates", "late_events", "schema_drift", "clock_skew", "broken_client", "viral_high_quality"];
    let mixed = GeneratorConfig {
        rate_per_s: 20_000.0,
        invalid_ratio: 0.01,
        scenarios: scenarios.iter().map(|text| text.parse().expect("a scenario's name")).collect(),
        ..GeneratorConfig::default()
    };
    [("1k_per_s", GeneratorConfig::default()), ("20k_per_s", usual), ("20k_per_s_mixed", mixed)]
}

fn to_memory(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("generate");
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    for (name, config) in configurations() {
        let expected = count_events(Arc::new(config.clone()), FROM_BLOCK, FROM_BLOCK + BLOCKS);
        group.throughput(Throughput::Elements(expected.map_or(0, |counts| counts.records)));
        let mut readers = Readers::new(config);
        group.bench_function(name, |bencher| bencher.iter(|| readers.read(BLOCKS)));
    }
    group.finish();
}

criterion_group!(benches, to_memory);
criterion_main!(benches);
