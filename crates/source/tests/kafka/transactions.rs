//! Transactions: aborted records are not seen, and their markers do not keep a bounded run from its end.

use std::time::Duration;

use pulselake_source::{GroupMode, KafkaSource, ReaderState, Source};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::support::*;

fn producer() -> BaseProducer {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers())
        .set("transactional.id", unique("txn"))
        .create()
        .unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    producer
}

fn send(producer: &BaseProducer, topic: &str, text: &str) {
    producer.send(BaseRecord::<str, str>::to(topic).partition(0).key("k").payload(text)).unwrap();
    producer.flush(PATIENCE).unwrap();
}

#[test]
#[ignore = "needs PULSELAKE_TEST_KAFKA: run through make test"]
fn a_bounded_run_over_transactions_finishes_at_the_last_stable_offset() {
    let topic = create_topic("transactions", 1);
    let writer = producer();
    for round in 0..6 {
        writer.begin_transaction().unwrap();
        send(&writer, &topic, &format!("r{round}-a"));
        send(&writer, &topic, &format!("r{round}-b"));
        if round % 2 == 0 {
            writer.commit_transaction(PATIENCE).unwrap();
        } else {
            writer.abort_transaction(PATIENCE).unwrap();
        }
    }
    // An open transaction: its records lie before the high watermark and behind the last stable offset.
    let open = producer();
    open.begin_transaction().unwrap();
    send(&open, &topic, "open");

    let source = KafkaSource::connect(settings(&topic, GroupMode::Assign)).unwrap();
    next_assigned(&source);
    let stop = source.bounds(0).unwrap().high;
    assert_eq!(stop, 18, "six transactions of two records and a marker each");
    let mut reader = source.open(0, 0, Some(stop)).unwrap();
    let mut end = 0;
    let seen = read_until(&mut *reader, |_, position, state| {
        end = position;
        state == ReaderState::Finished
    })
    .unwrap();
    let texts: Vec<String> = seen.iter().map(|r| String::from_utf8(r.value.clone()).unwrap()).collect();
    assert_eq!(texts, ["r0-a", "r0-b", "r2-a", "r2-b", "r4-a", "r4-b"]);
    assert_eq!(seen.iter().map(|record| record.offset).collect::<Vec<_>>(), [0, 1, 6, 7, 12, 13]);
    assert_eq!(end, 18);

    // Opened in the middle of markers alone, with nothing to come.
    for from in [14, 15, 17] {
        let mut tail = source.open(0, from, Some(stop)).unwrap();
        assert!(read_until(&mut *tail, |_, _, state| state == ReaderState::Finished).unwrap().is_empty());
    }
    // Without a bound: at the end, and on again when the open transaction commits.
    let mut live = source.open(0, 14, None).unwrap();
    let before = read_until(&mut *live, |_, position, state| state == ReaderState::AtEnd && position == 18);
    assert!(before.unwrap().is_empty());
    open.commit_transaction(PATIENCE).unwrap();
    let after =
        read_until(&mut *live, |_, position, state| state == ReaderState::AtEnd && position == 20).unwrap();
    assert_eq!(after.len(), 1);
    assert_eq!(after[0].value, b"open");
    drop(writer);
}

#[test]
#[ignore = "needs PULSELAKE_TEST_KAFKA: run through make test"]
fn pausing_between_markers_repeats_and_skips_nothing() {
    let topic = create_topic("paused-transactions", 1);
    let writer = producer();
    for round in 0..40 {
        writer.begin_transaction().unwrap();
        send(&writer, &topic, &format!("{round}"));
        if round % 4 == 3 {
            writer.abort_transaction(PATIENCE).unwrap();
        } else {
            writer.commit_transaction(PATIENCE).unwrap();
        }
    }
    let source = assign(&topic);
    next_assigned(&source);
    let stop = source.bounds(0).unwrap().high;
    let mut reader = source.open(0, 0, Some(stop)).unwrap();
    let mut texts = Vec::new();
    loop {
        let polled = reader.poll(2, 1 << 20).unwrap();
        texts.extend(polled.batch.records.iter().map(|r| polled.batch.value(r).to_vec()));
        if polled.state == ReaderState::Finished {
            break;
        }
        if !polled.batch.records.is_empty() {
            reader.set_paused(true).unwrap();
            assert!(reader.poll(10, 10).unwrap().batch.records.is_empty());
            reader.set_paused(false).unwrap();
        } else {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    let expected: Vec<Vec<u8>> = (0..40).filter(|n| n % 4 != 3).map(|n| n.to_string().into_bytes()).collect();
    assert_eq!(texts, expected);
}
