//! Several processes of one group on the same tables: they join, leave, die and wake up again, and nothing is lost or
//! doubled.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod common;

use common::engine::Engine;
use common::scene::Scene;
use common::verify::fact;

const PARTITIONS: i32 = 6;
const BRONZE: &str = "bronze.raw_events";
/// The group notices quickly who comes, goes and dies. The broker allows no session shorter than this.
const QUICK_GROUP: [&str; 2] =
    ["kafka.librdkafka.session.timeout.ms=6000", "kafka.librdkafka.heartbeat.interval.ms=500"];

/// Waits until the engine has so many partitions, and then for a commit.
fn wait_for_share(engine: &mut Engine, who: &str, is_share: impl Fn(usize) -> bool) {
    engine.wait_until(&format!("{who} has its share of partitions"), |log| is_share(log.assigned().len()));
    let commits = engine.log().commits(BRONZE);
    engine.wait_until(&format!("{who} goes on to commit"), |log| log.commits(BRONZE) > commits);
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn members_join_leave_and_die() {
    let scene = Scene::new("rebalance", PARTITIONS);
    let stream = scene.stream(30.0, 5).in_background(3_000);
    let everything = |share: usize| share == PARTITIONS as usize;
    let a_part = |share: usize| 0 < share && share < PARTITIONS as usize;

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
    let sent = stream.stop().flush();
    scene.run_to_end();
    assert_eq!(fact(&scene.verify_all(), "topic records"), sent);
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
    let sent = stream.stop().flush();
    scene.run_to_end();
    assert_eq!(fact(&scene.verify_all(), "topic records"), sent);
}
