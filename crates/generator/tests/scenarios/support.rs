//! Logs with scenarios, read whole.

use std::sync::Arc;

use pulselake_generator::{GeneratorConfig, LogRecord, PartitionLog, RecordKind, World};
use pulselake_model::{EventType, RawBatch};

/// A record with its bytes and its partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub partition: i32,
    pub record: LogRecord,
    pub value: Vec<u8>,
}

impl Seen {
    /// The value as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.value).unwrap()
    }

    /// Record time in seconds since the log's start.
    pub fn record_s(&self, config: &GeneratorConfig) -> f64 {
        (self.record.record_time_ms - config.start_ms) as f64 / 1_000.0
    }

    /// Milliseconds from what the client's clock said to the record time.
    pub fn lag_ms(&self) -> i64 {
        self.record.record_time_ms - self.record.event_time_ms
    }

    /// Whether it is an event of this type, delivered for the first time.
    pub fn is(&self, event_type: EventType) -> bool {
        self.record.kind == RecordKind::Event && self.record.event_type == event_type
    }
}

/// A small log with scenarios.
pub fn config(scenarios: &[&str]) -> GeneratorConfig {
    GeneratorConfig {
        rate_per_s: 200.0,
        partitions: 3,
        videos: 400,
        users: 5_000,
        scenarios: scenarios.iter().map(|text| text.parse().unwrap()).collect(),
        ..GeneratorConfig::default()
    }
}

/// All records of the first blocks, partition by partition in the order of their offsets.
pub fn read(config: &GeneratorConfig, blocks: i64) -> Vec<Seen> {
    let world = World::new(Arc::new(config.clone())).unwrap();
    let mut logs: Vec<(PartitionLog, Vec<Seen>)> = (0..config.partitions)
        .map(|partition| (PartitionLog::in_world(world.clone(), partition).unwrap(), Vec::new()))
        .collect();
    for block in 0..blocks {
        for (log, seen) in &mut logs {
            let mut batch = RawBatch::at(log.partition(), log.position());
            log.read_into(&mut batch, world.block_start_ms(block + 1) - 1, usize::MAX, usize::MAX).unwrap();
            let partition = log.partition();
            let planned = log.records_of_block(block).unwrap();
            for (record, raw) in planned.zip(&batch.records) {
                assert_eq!((record.offset, Some(record.record_time_ms)), (raw.offset, raw.timestamp_ms));
                seen.push(Seen { partition, record, value: batch.value(raw).to_vec() });
            }
        }
    }
    logs.into_iter().flat_map(|(_, seen)| seen).collect()
}

/// The share of `all` that fulfils `condition`.
pub fn share<'a>(all: impl IntoIterator<Item = &'a Seen>, condition: impl Fn(&Seen) -> bool) -> f64 {
    let (mut hits, mut count) = (0.0, 0.0);
    for seen in all {
        count += 1.0;
        hits += if condition(seen) { 1.0 } else { 0.0 };
    }
    hits / f64::max(count, 1.0)
}

#[track_caller]
pub fn assert_near(actual: f64, expected: f64, tolerance: f64) {
    assert!((actual - expected).abs() <= tolerance, "{actual}, expected {expected} ± {tolerance}");
}
