//! Reading in order, from exact offsets, and again after a reader was replaced.

use std::time::Duration;

use pulselake_source::{GroupMode, KafkaSource, ReaderState, Source, SourceError};

use crate::support::*;

#[test]
#[ignore = "needs PULSELAKE_TEST_KAFKA: run through make test"]
fn every_partition_is_read_whole_and_in_order_to_its_end() {
    for mode in [GroupMode::Group, GroupMode::Assign] {
        let topic = create_topic("in-order", 3);
        fill(&topic, 0..3, 0..5_000);
        let source = KafkaSource::connect(settings(&topic, mode)).unwrap();
        assert!(!source.identity().cluster_id.is_empty());
        assert_eq!(next_assigned(&source), vec![0, 1, 2]);
        for partition in 0..3 {
            assert_eq!(source.bounds(partition).unwrap().high, 5_000);
            let mut reader = source.open(partition, 0, None).unwrap();
            let seen = read_until(&mut *reader, |_, _, state| state == ReaderState::AtEnd).unwrap();
            assert_filled(&seen, partition, 0..5_000);
        }
    }
}

#[test]
#[ignore = "needs PULSELAKE_TEST_KAFKA: run through make test"]
fn opening_again_gives_exactly_the_offset_asked_for() {
    let topic = create_topic("reopen", 2);
    fill(&topic, 0..2, 0..20_000);
    let source = assign(&topic);
    next_assigned(&source);
    // The other partition is read all the while, to keep fetches under way.
    let mut other = source.open(1, 0, None).unwrap();
    let mut old = source.open(0, 100, None).unwrap();
    for start in [19_999, 0, 7, 12_345, 1, 20_000, 3, 15_000, 0, 1] {
        // Some of the earlier reader's records have been taken, and more lie fetched in the queue.
        let _ = old.poll(50, 1 << 20).unwrap();
        let mut reader = source.open(0, start, None).unwrap();
        assert!(matches!(old.poll(10, 1 << 20), Err(SourceError::NotAssigned { .. })));
        let _ = other.poll(100, 1 << 20).unwrap();
        let wanted = 3.min(20_000 - start) as usize;
        let seen = read_until(&mut *reader, |seen, _, state| {
            seen.len() >= wanted.max(1) || state == ReaderState::AtEnd
        })
        .unwrap();
        assert_filled(&seen[..wanted], 0, start..start + wanted as i64);
        old = reader;
    }
    let seen = read_until(&mut *source.open(0, 0, None).unwrap(), |_, _, state| state == ReaderState::AtEnd);
    assert_filled(&seen.unwrap(), 0, 0..20_000);
}

#[test]
#[ignore = "needs PULSELAKE_TEST_KAFKA: run through make test"]
fn a_poll_goes_on_behind_an_end_that_has_moved() {
    let topic = create_topic("moving-end", 1);
    let source = assign(&topic);
    next_assigned(&source);
    let mut reader = source.open(0, 0, None).unwrap();
    read_until(&mut *reader, |_, _, state| state == ReaderState::AtEnd).unwrap();
    let sink = sink(&topic);
    // As in a live topic: each record comes alone, with a report of the end behind it, and a reader that was busy
    // finds many such pairs. Whether they have been fetched can't be seen: it is tried until they have.
    for attempt in 0..20 {
        let (from, to) = (attempt * 20, (attempt + 1) * 20);
        for number in from..to {
            sink.send(Some(0), b"key", &value(0, number), 1_000 + number).unwrap();
            sink.flush(PATIENCE).unwrap();
            std::thread::sleep(Duration::from_millis(20));
        }
        let taken = reader.poll(500, 100_000).unwrap().batch;
        if taken.records.len() >= 15 {
            return;
        }
        if taken.next_offset < to {
            read_until(&mut *reader, |_, position, _| position == to).unwrap();
        }
    }
    panic!("no poll has taken more than a few of the records that were there");
}

#[test]
#[ignore = "needs PULSELAKE_TEST_KAFKA: run through make test"]
fn a_bounded_reader_ends_before_its_bound() {
    let topic = create_topic("bounded", 1);
    fill(&topic, 0..1, 0..1_000);
    let source = assign(&topic);
    next_assigned(&source);
    for (from, stop) in [(0, 1_000), (0, 400), (399, 400), (400, 400), (500, 400)] {
        let mut reader = source.open(0, from, Some(stop)).unwrap();
        let mut end = 0;
        let seen = read_until(&mut *reader, |_, position, state| {
            end = position;
            state == ReaderState::Finished
        });
        assert_filled(&seen.unwrap(), 0, from..stop.max(from));
        assert_eq!(end, stop.max(from));
        assert_eq!(reader.poll(10, 10).unwrap().state, ReaderState::Finished);
    }
}

#[test]
#[ignore = "needs PULSELAKE_TEST_KAFKA: run through make test"]
fn limits_and_empty_values_are_kept() {
    let topic = create_topic("limits", 1);
    let sink = sink(&topic);
    for value in [&b""[..], &[b'y'; 3_000], b"z"] {
        sink.send(Some(0), b"k", value, 5).unwrap();
    }
    sink.flush(PATIENCE).unwrap();
    let source = assign(&topic);
    next_assigned(&source);
    let mut reader = source.open(0, 0, Some(3)).unwrap();
    let mut sizes = Vec::new();
    loop {
        let polled = reader.poll(2, 100).unwrap();
        if !polled.batch.records.is_empty() {
            sizes.push(polled.batch.records.iter().map(|record| record.len).collect::<Vec<_>>());
        }
        if polled.state == ReaderState::Finished {
            break;
        }
    }
    assert_eq!(sizes.concat(), vec![0, 3_000, 1]);
    assert!(sizes.iter().all(|batch| batch.len() <= 2), "{sizes:?}");
}

#[test]
#[ignore = "needs PULSELAKE_TEST_KAFKA: run through make test"]
fn new_partitions_are_found_without_a_group() {
    let topic = create_topic("grows", 1);
    let mut with = settings(&topic, GroupMode::Assign);
    with.metadata_refresh = std::time::Duration::from_millis(200);
    let source = KafkaSource::connect(with).unwrap();
    assert_eq!(next_assigned(&source), vec![0]);
    add_partitions(&topic, 3);
    assert_eq!(next_assigned(&source), vec![1, 2]);
    fill(&topic, 2..3, 0..10);
    let mut reader = source.open(2, 0, Some(10)).unwrap();
    let seen = read_until(&mut *reader, |_, _, state| state == ReaderState::Finished).unwrap();
    assert_filled(&seen, 2, 0..10);
}

#[test]
#[ignore = "needs PULSELAKE_TEST_KAFKA: run through make test"]
fn every_compression_that_producers_use_can_be_read() {
    let topic = create_topic("codecs", 1);
    let codecs = ["none", "gzip", "snappy", "lz4", "zstd"];
    let mut number = 0;
    for codec in codecs {
        let mut settings = pulselake_source::KafkaSinkSettings {
            brokers: brokers(),
            topic: topic.clone(),
            ..Default::default()
        };
        settings.properties.insert("compression.type".to_owned(), codec.to_owned());
        let sink = pulselake_source::KafkaSink::connect(&settings).unwrap();
        for _ in 0..200 {
            sink.send(Some(0), b"key", &value(0, number), 1_000 + number).unwrap();
            number += 1;
        }
        assert_eq!(sink.flush(PATIENCE).unwrap(), 200, "{codec}");
    }
    let source = assign(&topic);
    next_assigned(&source);
    let seen = read_until(&mut *source.open(0, 0, Some(number)).unwrap(), |_, _, state| {
        state == ReaderState::Finished
    });
    assert_filled(&seen.unwrap(), 0, 0..number);
}
