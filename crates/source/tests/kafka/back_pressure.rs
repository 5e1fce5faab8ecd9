//! Back-pressure: nobody polls the partitions for longer than `max.poll.interval.ms`.

use std::time::{Duration, Instant};

use pulselake_source::{GroupMode, KafkaSource, ReaderState, Source};

use crate::support::*;

#[test]
#[ignore = "needs PULSELAKE_TEST_KAFKA: run through make test"]
fn a_paused_consumer_stays_in_its_group_and_goes_on_where_it_was() {
    let topic = create_topic("paused", 2);
    fill(&topic, 0..2, 0..10_000);
    let mut with = settings(&topic, GroupMode::Group);
    with.properties.insert("session.timeout.ms".to_owned(), "6000".to_owned());
    with.properties.insert("max.poll.interval.ms".to_owned(), "6000".to_owned());
    let source = KafkaSource::connect(with).unwrap();
    assert_eq!(next_assigned(&source), vec![0, 1]);
    // One is paused, the other simply not polled.
    let mut paused = source.open(0, 0, Some(10_000)).unwrap();
    let mut idle = source.open(1, 0, Some(10_000)).unwrap();
    let mut first = [
        read_until(&mut *paused, |seen, _, _| !seen.is_empty()).unwrap(),
        read_until(&mut *idle, |seen, _, _| !seen.is_empty()).unwrap(),
    ];
    paused.set_paused(true).unwrap();
    let until = Instant::now() + Duration::from_secs(8);
    while Instant::now() < until {
        assert!(paused.poll(10, 10).unwrap().batch.records.is_empty());
        if let Some(event) = source.next_event(Duration::from_millis(200)) {
            panic!("the assignment changed: {event:?}");
        }
    }
    paused.set_paused(false).unwrap();
    for (partition, reader) in [(0, &mut paused), (1, &mut idle)] {
        let rest = read_until(&mut **reader, |_, _, state| state == ReaderState::Finished).unwrap();
        let seen = &mut first[partition as usize];
        seen.extend(rest);
        assert_filled(seen, partition, 0..10_000);
    }
}

#[test]
#[ignore = "needs PULSELAKE_TEST_KAFKA: run through make test"]
fn a_paused_partition_is_never_at_its_end() {
    let topic = create_topic("paused-end", 1);
    fill(&topic, 0..1, 0..10);
    let source = assign(&topic);
    next_assigned(&source);
    let mut reader = source.open(0, 0, None).unwrap();
    let first = read_until(&mut *reader, |_, _, state| state == ReaderState::AtEnd).unwrap();
    assert_filled(&first, 0, 0..10);
    for _ in 0..3 {
        reader.set_paused(true).unwrap();
        let until = Instant::now() + Duration::from_millis(300);
        while Instant::now() < until {
            assert_eq!(reader.poll(10, 1 << 20).unwrap().state, ReaderState::More);
        }
        reader.set_paused(false).unwrap();
        let nothing =
            read_until(&mut *reader, |_, position, state| state == ReaderState::AtEnd && position == 10);
        assert!(nothing.unwrap().is_empty());
    }
}

#[test]
#[ignore = "needs PULSELAKE_TEST_KAFKA: run through make test"]
fn a_reader_that_waits_bounds_what_is_fetched() {
    let topic = create_topic("bounded-memory", 1);
    let sink = sink(&topic);
    let value = vec![b'v'; 10_000];
    for number in 0..8_000 {
        sink.send(Some(0), b"k", &value, number).unwrap();
    }
    sink.flush(PATIENCE).unwrap();
    let mut with = settings(&topic, GroupMode::Assign);
    with.prefetch_max_bytes = 4 << 20;
    let source = KafkaSource::connect(with).unwrap();
    next_assigned(&source);
    let mut reader = source.open(0, 0, None).unwrap();
    let mut seen = read_until(&mut *reader, |seen, _, _| !seen.is_empty()).unwrap().len();
    let before = resident_bytes();
    std::thread::sleep(Duration::from_secs(2));
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 40 << 20, "80 MB are waiting in the topic, {grown} bytes more are resident");
    seen += read_until(&mut *reader, |_, _, state| state == ReaderState::AtEnd).unwrap().len();
    assert_eq!(seen, 8_000);
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}
