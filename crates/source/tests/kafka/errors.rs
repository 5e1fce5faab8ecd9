//! What goes wrong, and whether the message says what to do.

use std::time::{Duration, Instant};

use pulselake_source::{ErrorAction, GroupMode, KafkaSource, ReaderState, Source, SourceError};

use crate::support::*;

fn failure(with: pulselake_source::KafkaSettings) -> SourceError {
    match KafkaSource::connect(with) {
        Ok(_) => panic!("connected"),
        Err(error) => error,
    }
}

#[test]
#[ignore = "needs PULSELAKE_TEST_KAFKA: run through make test"]
fn an_unknown_topic_is_named_with_the_way_to_create_it() {
    let topic = unique("no-such-topic");
    let error = failure(settings(&topic, GroupMode::Group));
    assert!(matches!(error, SourceError::UnknownTopic { .. }), "{error:?}");
    assert_eq!(error.action(), ErrorAction::Stop);
    let text = error.to_string();
    assert!(text.contains(&topic) && text.contains("--create") && text.contains(&brokers()), "{text}");
}

#[test]
#[ignore = "needs PULSELAKE_TEST_KAFKA: run through make test"]
fn an_unreachable_broker_is_named_after_the_timeout() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let with = pulselake_source::KafkaSettings {
        brokers: unused.clone(),
        connect_timeout: Duration::from_millis(1_500),
        ..settings("content_events", GroupMode::Group)
    };
    let started = Instant::now();
    let error = failure(with);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert!(matches!(error, SourceError::BrokerUnreachable { .. }), "{error:?}");
    assert_eq!(error.action(), ErrorAction::Retry);
    let text = error.to_string();
    assert!(text.contains(&unused) && text.contains("refused"), "{text}");
}

#[test]
#[ignore = "needs PULSELAKE_TEST_KAFKA: run through make test"]
fn an_offset_that_retention_has_passed_is_an_error_and_the_rest_can_be_read() {
    let topic = create_topic("retention", 1);
    fill(&topic, 0..1, 0..1_000);
    delete_before(&topic, 0, 600);
    for mode in [GroupMode::Assign, GroupMode::Group] {
        let source = KafkaSource::connect(settings(&topic, mode)).unwrap();
        next_assigned(&source);
        // Both ends: before what is there, and beyond it (a topic created again).
        for missing in [100, 5_000] {
            let mut reader = source.open(0, missing, None).unwrap();
            let error = read_until(&mut *reader, |_, _, _| false).unwrap_err();
            assert!(
                matches!(error, SourceError::OffsetOutOfRange { offset, .. } if offset == missing),
                "{error:?}"
            );
            assert_eq!(error.action(), ErrorAction::Stop);
        }
        let bounds = source.bounds(0).unwrap();
        assert_eq!((bounds.low, bounds.high), (600, 1_000));
        let mut reader = source.open(0, bounds.low, Some(bounds.high)).unwrap();
        let seen = read_until(&mut *reader, |_, _, state| state == ReaderState::Finished).unwrap();
        assert_filled(&seen, 0, 600..1_000);
    }
}

#[test]
#[ignore = "needs PULSELAKE_TEST_KAFKA: run through make test"]
fn partitions_that_are_not_there_are_refused() {
    let topic = create_topic("partitions", 1);
    let source = assign(&topic);
    next_assigned(&source);
    assert!(matches!(source.bounds(5), Err(SourceError::UnknownPartition { partition: 5, .. })));
    assert!(matches!(source.open(5, 0, None), Err(SourceError::NotAssigned { partition: 5, .. })));
    assert!(matches!(source.open(0, -1, None), Err(SourceError::OffsetOutOfRange { .. })));
}

#[test]
#[ignore = "needs PULSELAKE_TEST_KAFKA: run through make test"]
fn a_login_to_a_broker_without_one_is_refused_clearly() {
    let mut with = settings("content_events", GroupMode::Group);
    with.connect_timeout = Duration::from_secs(3);
    for (key, value) in [
        ("security.protocol", "SASL_PLAINTEXT"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", "someone"),
        ("sasl.password", "hunter2"),
    ] {
        with.properties.insert(key.to_owned(), value.to_owned());
    }
    let text = failure(with).to_string();
    assert!(text.contains(&brokers()) && !text.contains("hunter2"), "{text}");
}
