//! Members of a group that sleep through the end of their session: whatever they still hold is refused, nothing is
//! doubled, no restart is spent on it, and they go on as members.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod common;

use common::engine::Engine;
use common::group::{QUICK_GROUP, wait_for_share, wait_until_all_tables_pass_the_present_ends};
use common::scene::Scene;
use common::stream::BackgroundStream;
use common::verify::fact;
use common::{PATIENCE, poll};

const PARTITIONS: i32 = 4;
/// The first crash that is booked as one would end the process.
const NO_RESTARTS: &str = "supervision.restart_budget=0";

const CLASSIC: [&str; 3] = [QUICK_GROUP[0], QUICK_GROUP[1], NO_RESTARTS];
/// KIP-848: session and heartbeat are the broker's.
const NEW_PROTOCOL: [&str; 2] = ["kafka.librdkafka.group.protocol=consumer", NO_RESTARTS];

fn everything(share: usize) -> bool {
    share == PARTITIONS as usize
}

fn a_part(share: usize) -> bool {
    0 < share && share < PARTITIONS as usize
}

/// Both go on with a share each, end as they should, and the tables are right.
fn go_on_and_verify(scene: &Scene, mut sleeper: Engine, mut other: Engine, stream: BackgroundStream) {
    wait_for_share(&mut sleeper, "the one that woke up", a_part);
    wait_for_share(&mut other, "the other", a_part);
    let sent = stream.stop().flush();
    sleeper.terminate();
    other.terminate();
    for log in [sleeper.log(), other.log()] {
        assert!(!log.has("heartbeat_missed"), "{}", log.tail());
    }
    scene.run_to_end();
    assert_eq!(fact(&scene.verify_all(), "topic records"), sent);
}

fn pause_past_the_session(name: &str, settings: &[&str]) {
    let scene = Scene::new(name, PARTITIONS);
    let stream = scene.stream(12.0, 21).in_background(3_000);
    let mut sleeper = scene.start(settings);
    wait_for_share(&mut sleeper, "the first", everything);
    let mut other = scene.start(settings);
    wait_for_share(&mut other, "the second", a_part);
    wait_for_share(&mut sleeper, "the first, beside the second,", a_part);
    let share = sleeper.log().assigned();
    sleeper.signal("STOP");
    wait_for_share(&mut other, "the second, while the first sleeps,", everything);
    wait_until_all_tables_pass_the_present_ends(&scene);
    sleeper.signal("CONT");
    let lost = |log: &common::log::Log| log.has("fenced") || log.assigned().is_disjoint(&share);
    sleeper.wait_until("it notices what it has lost", lost);
    go_on_and_verify(&scene, sleeper, other, stream);
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn a_member_paused_past_its_session_goes_on_as_a_member() {
    pause_past_the_session("paused", &CLASSIC);
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn so_does_one_of_the_new_group_protocol() {
    pause_past_the_session("paused-848", &NEW_PROTOCOL);
}

/// The files are written, the new metadata too; what is missing is the swap in the catalog.
#[test]
#[ignore = "needs a broker: run through make test"]
fn a_commit_in_flight_of_a_member_paused_past_its_session_is_refused() {
    const COMMITS_BEFORE: usize = 7;
    let scene = Scene::new("in-flight", PARTITIONS);
    let stream = scene.stream(12.0, 22).in_background(3_000);
    // One commit of each table: while one is held up, another table's must not go on.
    let tables = ["bronze.raw_events", "bronze.invalid_events_content", "gold.rt_video_stats_1min"];
    let held = tables.len();
    let in_flight = format!("lake::before_catalog_swap={COMMITS_BEFORE}*off->{held}*sleep(10000)->off");
    let mut sleeper = scene.start_with(&scene.run_arguments(&CLASSIC), &in_flight);
    // A fresh table has one metadata file, and each commit makes one more.
    let before_the_swap = || {
        sleeper.assert_alive();
        let is_written = scene.metadata_files() > tables.len() + COMMITS_BEFORE;
        (is_written && sleeper.log().count("commit_done") == COMMITS_BEFORE).then_some(())
    };
    poll(PATIENCE, before_the_swap).expect("no commit has come as far as the swap");
    sleeper.signal("STOP");
    assert_eq!(sleeper.log().count("commit_done"), COMMITS_BEFORE, "{}", sleeper.log().tail());
    let mut other = scene.start(&CLASSIC);
    wait_for_share(&mut other, "the second, while the first sleeps,", everything);
    wait_until_all_tables_pass_the_present_ends(&scene);
    sleeper.signal("CONT");
    // Fenced by the other's commits; or, where the end of its session is noticed first, lost to them and not tried again.
    sleeper.wait_until("its commit is refused", |log| {
        log.has("fenced") || log.text.contains("another commit was faster")
    });
    assert_eq!(sleeper.log().count("commit_done"), COMMITS_BEFORE, "{}", sleeper.log().tail());
    go_on_and_verify(&scene, sleeper, other, stream);
}
