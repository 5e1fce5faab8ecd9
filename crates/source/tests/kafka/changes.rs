//! The generator's changes in a topic: keys decide the partitions that they have in the computed log, and tombstones are
//! null values with a key.

use std::collections::HashMap;

use pulselake_generator::cdc::CdcRecordKind;
use pulselake_generator::{CdcConfig, CdcPartitionLog, CdcWorld, GeneratorConfig, ReadOutcome};
use pulselake_model::{Entity, RawBatch};
use pulselake_source::{ReaderState, Source};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message, TopicPartitionList};

use crate::support::{PATIENCE, assign, brokers, create_topic, next_assigned, read_until, sink, unique};

/// A record's timestamp and value.
type Logged = (Option<i64>, Vec<u8>);

#[test]
#[ignore = "needs PULSELAKE_TEST_KAFKA: run through make test"]
fn changes_that_are_produced_by_key_are_the_computed_log() {
    let events = GeneratorConfig { users: 60, ..GeneratorConfig::default() };
    let config =
        CdcConfig { rate_per_s: 50.0, delete_ratio: 0.2, ..CdcConfig::beside(&events, Entity::Users) };
    let world = CdcWorld::new(config).unwrap();
    let topic = create_topic("changes", 3);
    let sink = sink(&topic);
    let mut logged: HashMap<i32, Vec<Logged>> = HashMap::new();
    let mut tombstone_keys = Vec::new();
    for partition in 0..3 {
        let mut log = CdcPartitionLog::in_world(world.clone(), partition).unwrap();
        let mut batch = RawBatch::at(partition, 0);
        let mut described = Vec::new();
        let up_to_ms = events.start_ms + 30_000;
        while log
            .read_with(&mut batch, up_to_ms, usize::MAX, usize::MAX, |record| described.push(record))
            .unwrap()
            == ReadOutcome::More
        {}
        for (raw, record) in batch.records.iter().zip(described) {
            let key = world.key_text(record.key);
            if record.kind == CdcRecordKind::Tombstone {
                sink.send_tombstone(None, key.as_bytes(), record.record_time_ms).unwrap();
                tombstone_keys.push((partition, key));
            } else {
                sink.send(None, key.as_bytes(), batch.value(raw), record.record_time_ms).unwrap();
            }
            logged.entry(partition).or_default().push((raw.timestamp_ms, batch.value(raw).to_vec()));
        }
    }
    let count: usize = logged.values().map(Vec::len).sum();
    assert_eq!(sink.flush(PATIENCE).unwrap(), count as u64);
    assert!(tombstone_keys.len() > 20);

    let source = assign(&topic);
    next_assigned(&source);
    for (partition, expected) in &logged {
        let end = expected.len() as i64;
        let mut reader = source.open(*partition, 0, Some(end)).unwrap();
        let seen = read_until(&mut *reader, |_, _, state| state == ReaderState::Finished).unwrap();
        let seen: Vec<Logged> = seen.into_iter().map(|record| (record.timestamp_ms, record.value)).collect();
        assert!(seen == *expected, "partition {partition} differs from the computed log");
    }

    let mut plain = ClientConfig::new();
    plain.set("bootstrap.servers", brokers()).set("group.id", unique("plain"));
    let consumer: BaseConsumer = plain.create().unwrap();
    let mut all = TopicPartitionList::new();
    for partition in 0..3 {
        all.add_partition_offset(&topic, partition, rdkafka::Offset::Beginning).unwrap();
    }
    consumer.assign(&all).unwrap();
    let mut null_keys = Vec::new();
    for _ in 0..count {
        let message = consumer.poll(PATIENCE).expect("a record within the time").unwrap();
        assert!(message.payload().is_none_or(|value| !value.is_empty()));
        if message.payload().is_none() {
            null_keys
                .push((message.partition(), String::from_utf8(message.key().unwrap().to_vec()).unwrap()));
        }
    }
    null_keys.sort();
    tombstone_keys.sort();
    assert_eq!(null_keys, tombstone_keys);
}
