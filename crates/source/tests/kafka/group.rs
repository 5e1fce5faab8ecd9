//! Consumer groups: cooperative hand-over, acknowledged revocation, static members, progress.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use pulselake_source::{AssignmentEvent, GroupMode, KafkaSource, ReaderState, Source, SourceError};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::support::*;

/// Follows a source's events until it owns `count` partitions; revocations are acknowledged at once.
fn follow(source: &KafkaSource, owned: &mut BTreeSet<i32>, count: usize) {
    let deadline = Instant::now() + PATIENCE;
    while owned.len() != count {
        assert!(Instant::now() < deadline, "owns {owned:?}, expected {count}");
        match source.next_event(Duration::from_millis(100)) {
            None => {}
            Some(AssignmentEvent::Assigned(partitions)) => owned.extend(partitions),
            Some(AssignmentEvent::Revoked { partitions, done }) => {
                owned.retain(|partition| !partitions.contains(partition));
                done.finish();
            }
            Some(other) => panic!("{other:?}"),
        }
    }
}

#[test]
#[ignore = "needs PULSELAKE_TEST_KAFKA: run through make test"]
fn partitions_move_to_a_second_member_and_back() {
    let topic = create_topic("rebalance", 4);
    fill(&topic, 0..4, 0..2_000);
    let with = settings(&topic, GroupMode::Group);
    let first = KafkaSource::connect(with.clone()).unwrap();
    assert_eq!(next_assigned(&first), vec![0, 1, 2, 3]);
    let mut readers: Vec<_> = (0..4).map(|p| (p, first.open(p, 0, Some(2_000)).unwrap())).collect();
    let mut taken: Vec<Vec<Seen>> = readers
        .iter_mut()
        .map(|(_, reader)| read_until(&mut **reader, |seen, _, _| !seen.is_empty()).unwrap())
        .collect();

    let second = KafkaSource::connect(with).unwrap();
    let Some(AssignmentEvent::Revoked { partitions: moved, done }) = first.next_event(PATIENCE) else {
        panic!("nothing was revoked when a second member joined");
    };
    assert_eq!(moved.len(), 2, "cooperative: only what moves is revoked");
    // Nothing moves before the acknowledgement. Until then the client holds their fetching, and the readers live.
    assert!(second.next_event(Duration::from_millis(500)).is_none());
    for partition in &moved {
        let (_, reader) = &mut readers[*partition as usize];
        assert!(reader.poll(10, 1 << 20).unwrap().batch.records.is_empty());
    }
    done.finish();
    let mut got = next_assigned(&second);
    got.sort_unstable();
    assert_eq!(got, moved);

    for (partition, reader) in &mut readers {
        let seen = &mut taken[*partition as usize];
        if moved.contains(partition) {
            assert!(matches!(reader.poll(1, 1), Err(SourceError::NotAssigned { .. })));
            let next = seen.last().unwrap().offset + 1;
            let mut taker = second.open(*partition, next, Some(2_000)).unwrap();
            seen.extend(read_until(&mut *taker, |_, _, state| state == ReaderState::Finished).unwrap());
        } else {
            seen.extend(read_until(&mut **reader, |_, _, state| state == ReaderState::Finished).unwrap());
        }
        assert_filled(seen, *partition, 0..2_000);
    }

    second.close();
    let mut owned: BTreeSet<i32> = (0..4).filter(|partition| !moved.contains(partition)).collect();
    follow(&first, &mut owned, 4);
    let again = moved[0];
    let mut reader = first.open(again, 1_990, Some(2_000)).unwrap();
    let tail = read_until(&mut *reader, |_, _, state| state == ReaderState::Finished).unwrap();
    assert_filled(&tail, again, 1_990..2_000);
}

#[test]
#[ignore = "needs PULSELAKE_TEST_KAFKA: run through make test"]
fn a_revocation_that_nobody_acknowledges_ends_at_its_deadline() {
    let topic = create_topic("deadline", 2);
    let mut with = settings(&topic, GroupMode::Group);
    with.revoke_timeout = Duration::from_millis(700);
    let first = KafkaSource::connect(with.clone()).unwrap();
    assert_eq!(next_assigned(&first), vec![0, 1]);
    let second = KafkaSource::connect(with).unwrap();
    let Some(AssignmentEvent::Revoked { done: _kept, partitions }) = first.next_event(PATIENCE) else {
        panic!("nothing was revoked when a second member joined");
    };
    assert_eq!(next_assigned(&second), partitions);
}

#[test]
#[ignore = "needs PULSELAKE_TEST_KAFKA: run through make test"]
fn what_is_taken_away_without_a_chance_to_commit_is_lost() {
    let topic = create_topic("lost", 2);
    let mut with = settings(&topic, GroupMode::Group);
    // The owner forgets a revocation for longer than Kafka allows between two polls.
    for key in ["session.timeout.ms", "max.poll.interval.ms"] {
        with.properties.insert(key.to_owned(), "6000".to_owned());
    }
    let first = KafkaSource::connect(with.clone()).unwrap();
    assert_eq!(next_assigned(&first), vec![0, 1]);
    let second = KafkaSource::connect(with).unwrap();
    let Some(AssignmentEvent::Revoked { done: _kept, partitions }) = first.next_event(PATIENCE) else {
        panic!("nothing was revoked when a second member joined");
    };
    let lost = match first.next_event(PATIENCE) {
        Some(AssignmentEvent::Lost(lost)) => lost,
        other => panic!("expected a loss, got {other:?}"),
    };
    let mut all: Vec<i32> = lost.iter().chain(&partitions).copied().collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all, [0, 1]);
    for partition in lost {
        assert!(matches!(first.open(partition, 0, None), Err(SourceError::NotAssigned { .. })));
    }
    // It joins again by itself, and in the end both have a part.
    let (mut mine, mut theirs) = (BTreeSet::new(), BTreeSet::new());
    let deadline = Instant::now() + PATIENCE;
    while mine.len() != 1 || theirs.len() != 1 {
        assert!(Instant::now() < deadline, "{mine:?} and {theirs:?}");
        for (source, owned) in [(&first, &mut mine), (&second, &mut theirs)] {
            match source.next_event(Duration::from_millis(100)) {
                None => {}
                Some(AssignmentEvent::Assigned(partitions)) => owned.extend(partitions),
                Some(AssignmentEvent::Revoked { partitions, done }) => {
                    owned.retain(|partition| !partitions.contains(partition));
                    done.finish();
                }
                Some(AssignmentEvent::Lost(partitions)) => {
                    owned.retain(|partition| !partitions.contains(partition));
                }
                Some(AssignmentEvent::Failed(error)) => panic!("{error}"),
            }
        }
    }
    assert!(mine.is_disjoint(&theirs));
}

#[test]
#[ignore = "needs PULSELAKE_TEST_KAFKA: run through make test"]
fn a_static_member_takes_its_partitions_back_and_the_others_never_notice() {
    let topic = create_topic("static", 4);
    let with = settings(&topic, GroupMode::Group);
    let member = |id: &str| {
        let mut mine = with.clone();
        mine.group_instance_id = Some(id.to_owned());
        KafkaSource::connect(mine).unwrap()
    };
    let (one, two) = (member("one"), member("two"));
    let (mut owned_by_one, mut owned_by_two) = (BTreeSet::new(), BTreeSet::new());
    let deadline = Instant::now() + PATIENCE;
    while owned_by_one.len() != 2 || owned_by_two.len() != 2 {
        assert!(Instant::now() < deadline);
        for (source, owned) in [(&one, &mut owned_by_one), (&two, &mut owned_by_two)] {
            match source.next_event(Duration::from_millis(50)) {
                None => {}
                Some(AssignmentEvent::Assigned(partitions)) => owned.extend(partitions),
                Some(AssignmentEvent::Revoked { partitions, done }) => {
                    owned.retain(|partition| !partitions.contains(partition));
                    done.finish();
                }
                Some(other) => panic!("{other:?}"),
            }
        }
    }
    one.close();
    let again = member("one");
    assert_eq!(next_assigned(&again).into_iter().collect::<BTreeSet<_>>(), owned_by_one);
    if let Some(event) = two.next_event(Duration::from_secs(4)) {
        panic!("the other member was disturbed: {event:?}");
    }
}

#[test]
#[ignore = "needs PULSELAKE_TEST_KAFKA: run through make test"]
fn progress_shows_as_the_groups_offsets() {
    for mode in [GroupMode::Group, GroupMode::Assign] {
        let topic = create_topic("progress", 2);
        fill(&topic, 0..2, 0..50);
        let with = settings(&topic, mode);
        let source = KafkaSource::connect(with.clone()).unwrap();
        next_assigned(&source);
        // Partition 7 is not ours: it must not spoil the others.
        source.note_progress(&[(0, 17), (1, 50), (7, 3)]);
        let observer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", brokers())
            .set("group.id", &with.group_id)
            .create()
            .unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut list = rdkafka::TopicPartitionList::new();
            list.add_partition_range(&topic, 0, 1);
            let found = observer.committed_offsets(list, Duration::from_secs(10)).unwrap();
            let offsets: Vec<Option<i64>> = found.elements().iter().map(|e| e.offset().to_raw()).collect();
            if offsets == [Some(17), Some(50)] {
                break;
            }
            assert!(Instant::now() < deadline, "{mode:?}: committed {offsets:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[test]
#[ignore = "needs PULSELAKE_TEST_KAFKA: run through make test"]
fn closing_frees_readers_and_ends_quickly() {
    let topic = create_topic("close", 2);
    fill(&topic, 0..2, 0..100);
    let source = KafkaSource::connect(settings(&topic, GroupMode::Group)).unwrap();
    next_assigned(&source);
    let mut reader = source.open(0, 0, None).unwrap();
    read_until(&mut *reader, |seen, _, _| !seen.is_empty()).unwrap();
    let started = Instant::now();
    source.close();
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert!(matches!(reader.poll(1, 1), Err(SourceError::NotAssigned { .. })));
    assert!(matches!(source.open(0, 0, None), Err(SourceError::Closed)));
    source.close();
}
