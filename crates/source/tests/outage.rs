//! The Kafka source while its broker is away, against librdkafka's mock cluster (which can be switched off).

#![allow(clippy::unwrap_used, missing_docs)]

use std::time::{Duration, Instant};

use pulselake_source::{
    AssignmentEvent, GroupMode, KafkaSettings, KafkaSink, KafkaSinkSettings, KafkaSource, PartitionReader,
    ReaderState, Source,
};
use rdkafka::mocking::MockCluster;

const PATIENCE: Duration = Duration::from_secs(60);

/// Polls until the state is as wanted and `count` records have come; gives the position.
fn poll_until(reader: &mut dyn PartitionReader, count: usize, wanted: ReaderState) -> i64 {
    let deadline = Instant::now() + PATIENCE;
    let mut seen = 0;
    loop {
        let polled = reader.poll(1_000, 1 << 20).unwrap();
        seen += polled.batch.records.len();
        if seen >= count && polled.state == wanted {
            assert_eq!(seen, count);
            return polled.batch.next_offset;
        }
        assert!(Instant::now() < deadline, "{seen} records, {:?}, wanted {count}, {wanted:?}", polled.state);
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn an_end_seen_before_an_outage_counts_again_only_when_it_is_confirmed() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("content_events", 1, 1).unwrap();
    let brokers = cluster.bootstrap_servers();
    let produce = |count: i64| {
        let settings = KafkaSinkSettings {
            brokers: brokers.clone(),
            topic: "content_events".to_owned(),
            ..Default::default()
        };
        let sink = KafkaSink::connect(&settings).unwrap();
        for number in 0..count {
            sink.send(Some(0), b"k", b"{}", number).unwrap();
        }
        assert_eq!(sink.flush(PATIENCE).unwrap(), count as u64);
    };
    produce(100);
    let source = KafkaSource::connect(KafkaSettings {
        brokers: brokers.clone(),
        topic: "content_events".to_owned(),
        group_mode: GroupMode::Assign,
        request_timeout: Duration::from_secs(1),
        ..Default::default()
    })
    .unwrap();
    assert!(matches!(source.next_event(PATIENCE), Some(AssignmentEvent::Assigned(all)) if all == [0]));
    let mut reader = source.open(0, 0, None).unwrap();
    assert_eq!(poll_until(&mut *reader, 100, ReaderState::AtEnd), 100);

    // An idle partition whose broker is gone must not look caught up: its windows would close too early.
    cluster.broker_down(1).unwrap();
    poll_until(&mut *reader, 0, ReaderState::More);
    cluster.broker_up(1).unwrap();
    // Nothing new was written, so librdkafka has nothing to report: the source asks.
    assert_eq!(poll_until(&mut *reader, 0, ReaderState::AtEnd), 100);
    produce(10);
    assert_eq!(poll_until(&mut *reader, 10, ReaderState::AtEnd), 110);
    assert!(source.next_event(Duration::ZERO).is_none(), "an outage is nothing that the owner has to act on");
}
