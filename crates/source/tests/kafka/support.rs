//! What the tests share: topics, records, and reading until a condition holds.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pulselake_source::{
    AssignmentEvent, GroupMode, KafkaSettings, KafkaSink, KafkaSinkSettings, KafkaSource, PartitionReader,
    ReaderState, Source, SourceError,
};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;

/// Longest wait for anything in these tests.
pub const PATIENCE: Duration = Duration::from_secs(45);

pub fn brokers() -> String {
    std::env::var("PULSELAKE_TEST_KAFKA")
        .expect("set PULSELAKE_TEST_KAFKA to a broker's host:port, or run `make test`")
}

/// A name that no other test or run has used.
pub fn unique(name: &str) -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    format!("{name}-{}-{now}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed))
}

fn admin() -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", brokers()).create().unwrap()
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

pub fn create_topic(name: &str, partitions: i32) -> String {
    let topic = unique(name);
    let wanted = NewTopic::new(&topic, partitions, TopicReplication::Fixed(1));
    for outcome in block_on(admin().create_topics([&wanted], &AdminOptions::new())).unwrap() {
        outcome.unwrap();
    }
    topic
}

pub fn add_partitions(topic: &str, total: usize) {
    let wanted = NewPartitions::new(topic, total);
    for outcome in block_on(admin().create_partitions([&wanted], &AdminOptions::new())).unwrap() {
        outcome.unwrap();
    }
}

/// Deletes the records before an offset, as retention would.
pub fn delete_before(topic: &str, partition: i32, offset: i64) {
    let mut list = rdkafka::TopicPartitionList::new();
    list.add_partition_offset(topic, partition, rdkafka::Offset::Offset(offset)).unwrap();
    block_on(admin().delete_records(&list, &AdminOptions::new())).unwrap();
}

pub fn sink(topic: &str) -> KafkaSink {
    let settings = KafkaSinkSettings { brokers: brokers(), topic: topic.to_owned(), ..Default::default() };
    KafkaSink::connect(&settings).unwrap()
}

/// The value of record `number` of a partition.
pub fn value(partition: i32, number: i64) -> Vec<u8> {
    format!("p{partition}-n{number}-{}", "x".repeat((number % 97) as usize)).into_bytes()
}

/// Fills partitions with records whose number is their offset.
pub fn fill(topic: &str, partitions: std::ops::Range<i32>, numbers: std::ops::Range<i64>) {
    let sink = sink(topic);
    for number in numbers.clone() {
        for partition in partitions.clone() {
            sink.send(Some(partition), b"key", &value(partition, number), 1_000 + number).unwrap();
        }
    }
    let expected = numbers.count() * partitions.count();
    assert_eq!(sink.flush(PATIENCE).unwrap(), expected as u64);
}

pub fn settings(topic: &str, mode: GroupMode) -> KafkaSettings {
    KafkaSettings {
        brokers: brokers(),
        topic: topic.to_owned(),
        group_id: unique("group"),
        group_mode: mode,
        ..Default::default()
    }
}

pub fn assign(topic: &str) -> KafkaSource {
    KafkaSource::connect(settings(topic, GroupMode::Assign)).unwrap()
}

/// The partitions of the next assignment.
pub fn next_assigned(source: &KafkaSource) -> Vec<i32> {
    match source.next_event(PATIENCE) {
        Some(AssignmentEvent::Assigned(partitions)) => partitions,
        other => panic!("expected an assignment, got {other:?}"),
    }
}

/// A record as the tests compare it.
#[derive(Debug, PartialEq, Eq, Clone)]
pub struct Seen {
    pub offset: i64,
    pub timestamp_ms: Option<i64>,
    pub value: Vec<u8>,
}

/// Polls until `is_enough` of (records so far, position, state); fails after a while.
pub fn read_until(
    reader: &mut dyn PartitionReader,
    mut is_enough: impl FnMut(&[Seen], i64, ReaderState) -> bool,
) -> Result<Vec<Seen>, SourceError> {
    let deadline = Instant::now() + PATIENCE;
    let mut seen = Vec::new();
    loop {
        let polled = reader.poll(500, 100_000)?;
        for record in &polled.batch.records {
            seen.push(Seen {
                offset: record.offset,
                timestamp_ms: record.timestamp_ms,
                value: polled.batch.value(record).to_vec(),
            });
        }
        if is_enough(&seen, polled.batch.next_offset, polled.state) {
            return Ok(seen);
        }
        assert!(Instant::now() < deadline, "read {} records, {:?} in the end", seen.len(), polled.state);
        if polled.batch.is_empty() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Asserts that the records are exactly these offsets of a partition made by [`fill`].
pub fn assert_filled(seen: &[Seen], partition: i32, offsets: std::ops::Range<i64>) {
    let expected: Vec<Seen> = offsets
        .map(|number| Seen {
            offset: number,
            timestamp_ms: Some(1_000 + number),
            value: value(partition, number),
        })
        .collect();
    assert_eq!(seen.len(), expected.len(), "first {:?}, last {:?}", seen.first(), seen.last());
    assert!(seen == expected, "records differ from what was produced");
}
