//! Several processes of one group on the same tables: they join, leave, die and wake up again, and nothing is lost or
//! doubled.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod common;

use std::time::{Duration, Instant};

use common::engine::{Engine, free_address, http_get};
use common::group::{QUICK_GROUP, wait_for_share};
use common::kafka::{grow_topic, topic_ends};
use common::scene::Scene;
use common::verify::fact;
use common::{PATIENCE, poll};

const PARTITIONS: i32 = 6;
const BRONZE: &str = "bronze.raw_events";

fn everything(share: usize) -> bool {
    share == PARTITIONS as usize
}

fn a_part(share: usize) -> bool {
    0 < share && share < PARTITIONS as usize
}

/// A member joins and leaves again; the other members' settings are `settings` too. What is handed over was committed
/// before: nobody reads a record that another one has read.
fn hand_over(name: &str, settings: &[&str]) {
    let scene = Scene::new(name, PARTITIONS);
    let stream = scene.stream(12.0, 15).in_background(3_000);
    let mut first = scene.start(settings);
    wait_for_share(&mut first, "the first", everything);
    let mut second = scene.start(settings);
    wait_for_share(&mut second, "the second", a_part);
    wait_for_share(&mut first, "the first, beside the second,", a_part);
    second.terminate();
    wait_for_share(&mut first, "the first, after the second has left,", everything);
    first.terminate();
    let (last, sent) = scene.verify_to_the_end_of(stream);
    let logs = [first.log(), second.log(), last];
    for log in &logs {
        let undrained = log.events("drain_finished").into_iter().find(|event| event["complete"] == false);
        assert_eq!(undrained, None, "{}", log.tail());
        assert!(!log.has("fenced") && !log.has("generation_killed"), "{}", log.tail());
    }
    assert_eq!(logs.iter().map(common::log::Log::records_read).sum::<u64>(), sent);
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn partitions_are_handed_over_with_everything_committed() {
    hand_over("hand-over", &QUICK_GROUP);
}

/// KIP-848: the broker assigns, and sets session and heartbeat.
#[test]
#[ignore = "needs a broker: run through make test"]
fn partitions_are_handed_over_under_the_new_group_protocol() {
    hand_over("kip-848", &["kafka.librdkafka.group.protocol=consumer"]);
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn a_static_member_restarts_without_a_rebalance() {
    // The broker would give its partitions away after this long.
    const SESSION: Duration = Duration::from_secs(45);
    let scene = Scene::new("static", PARTITIONS);
    let stream = scene.stream(12.0, 16).in_background(3_000);
    let mut first = scene.start(&["kafka.group_instance_id=first"]);
    wait_for_share(&mut first, "the first", everything);
    let mut second = scene.start(&["kafka.group_instance_id=second"]);
    wait_for_share(&mut second, "the second", a_part);
    wait_for_share(&mut first, "the first, beside the second,", a_part);
    let (share, others) = (first.log().assigned(), second.log());
    let generations = others.count("generation_started");
    for dies in [true, false] {
        if dies {
            first.kill();
        } else {
            first.terminate();
        }
        let restarted = Instant::now();
        first = scene.start(&["kafka.group_instance_id=first"]);
        wait_for_share(&mut first, "the one that came back", |count| count == share.len());
        assert!(restarted.elapsed() < SESSION, "it took {:?}", restarted.elapsed());
        assert_eq!(first.log().assigned(), share);
    }
    let log = second.log();
    assert_eq!(log.count("generation_started"), generations, "a rebalance:\n{}", log.tail());
    assert_eq!(log.assigned(), others.assigned());
    first.terminate();
    second.terminate();
    scene.verify_to_the_end_of(stream);
}

fn commits_all_of_the_topic(engine: &mut Engine, scene: &Scene) {
    engine.wait_until("it commits", |log| log.commits(BRONZE) >= 1);
    let ends = topic_ends(&scene.topic, scene.partitions);
    let mut committed = Vec::new();
    let complete = poll(PATIENCE, || {
        engine.assert_alive();
        committed = scene.committed(BRONZE);
        (committed == ends).then_some(())
    });
    assert!(complete.is_some(), "{committed:?} of {ends:?} is committed:\n{}", engine.log().tail());
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn partitions_added_under_a_running_engine_are_read_from_their_start() {
    for mode in ["kafka.group_mode=group", "kafka.group_mode=assign"] {
        let mut scene = Scene::new("grown", 2);
        let mut before = scene.stream(30.0, 17);
        before.advance(90_000);
        let mut engine = scene.start(&[mode, "kafka.metadata_refresh_ms=1000"]);
        let first = before.flush();
        commits_all_of_the_topic(&mut engine, &scene);
        grow_topic(&scene.topic, 4);
        scene.partitions = 4;
        // Before anybody can have taken them.
        let second = scene.fill(30.0, 18, 90);
        engine.wait_until("it has them all", |log| log.assigned().len() == 4);
        commits_all_of_the_topic(&mut engine, &scene);
        engine.terminate();
        scene.run_to_end();
        assert_eq!(fact(&scene.verify_all(), "topic records"), first + second);
    }
}

/// With more members than partitions somebody has nothing: it says so, and takes over when it can.
#[test]
#[ignore = "needs a broker: run through make test"]
fn a_bounded_member_without_a_partition_says_so_and_waits() {
    let scene = Scene::new("nothing", 1);
    let sent = scene.fill(30.0, 19, 60);
    let mut first = scene.start(&QUICK_GROUP);
    first.wait_until("it has the partition", |log| log.assigned().len() == 1);
    let mut settings = QUICK_GROUP.to_vec();
    let address = free_address();
    let bind = format!("http.bind={address}");
    settings.extend(["source.until_caught_up=true", &bind]);
    let mut second = scene.start(&settings);
    second.wait_until("it says that it waits", |log| log.has("waiting_for_partitions"));
    let (_, shown) = poll(PATIENCE, || http_get(&address, "/metrics")).unwrap();
    assert!(shown.contains("pulselake_assigned_partitions 0\n"), "{shown}");
    // A spare is ready after a minute: a rollout must not wait for another member to end.
    let is_ready = || http_get(&address, "/readyz").filter(|(code, _)| *code == 200);
    assert!(poll(PATIENCE, is_ready).is_some(), "{:?}", http_get(&address, "/readyz"));
    assert!(!first.log().has("waiting_for_partitions"), "{}", first.log().tail());
    first.terminate();
    second.wait_for_success();
    assert_eq!(fact(&scene.verify_all(), "topic records"), sent);
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn members_join_leave_and_die() {
    let scene = Scene::new("rebalance", PARTITIONS);
    let stream = scene.stream(30.0, 5).in_background(3_000);
    let mut first = scene.start(&QUICK_GROUP);
    wait_for_share(&mut first, "the first", everything);
    let mut second = scene.start(&QUICK_GROUP);
    wait_for_share(&mut second, "the second", a_part);
    wait_for_share(&mut first, "the first, beside the second,", a_part);
    second.terminate();
    wait_for_share(&mut first, "the first, after the second has left,", everything);

    let mut third = scene.start(&QUICK_GROUP);
    wait_for_share(&mut third, "the third", a_part);
    third.kill();
    wait_for_share(&mut first, "the first, after the third has died,", everything);

    first.terminate();
    let log = first.log();
    assert!(!log.has("heartbeat_missed"), "{}", log.tail());
    scene.verify_to_the_end_of(stream);
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn a_process_that_slept_through_its_replacement_is_fenced_and_starts_again() {
    let scene = Scene::new("zombie", PARTITIONS);
    let stream = scene.stream(30.0, 6).in_background(3_000);
    let mut sleeper = scene.start(&["kafka.group_mode=assign"]);
    sleeper.wait_until("it commits", |log| log.commits(BRONZE) >= 2);
    sleeper.signal("STOP");
    scene.run_to_end();
    sleeper.signal("CONT");
    sleeper.wait_until("its old work is refused", |log| log.has("fenced"));
    let commits = sleeper.log().commits(BRONZE);
    sleeper.wait_until("it goes on from the ledger", |log| log.commits(BRONZE) >= commits + 2);
    sleeper.terminate();
    scene.verify_to_the_end_of(stream);
}
