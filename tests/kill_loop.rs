//! kill -9 at any moment: random ones under load, and each named point of the code once. Nothing is lost, nothing doubled.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod common;

use std::time::{Duration, Instant};

use common::engine::SIGABRT;
use common::scene::Scene;
use common::verify::fact;
use common::{scaled, seed};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Where the process can be made to end, with how often the point is passed before.
const POINTS: [(&str, u32); 14] = [
    ("lake::before_parquet_close", 3),
    ("lake::after_parquet_close", 3),
    ("lake::before_metadata_write", 2),
    ("lake::after_metadata_write", 2),
    ("lake::before_catalog_swap", 2),
    ("lake::after_catalog_swap", 2),
    ("consumer::polled", 5),
    ("aggregator::batch", 3),
    ("aggregator::flush", 5),
    ("writer::batch", 3),
    ("writer::between_quarantine_and_bronze", 1),
    ("gold::before_write", 1),
    ("committer::before", 2),
    ("committer::after", 2),
];
const BRONZE: &str = "bronze.raw_events";
const QUARANTINE: &str = "bronze.invalid_events_content";

#[test]
#[ignore = "needs a broker: run through make test"]
fn killed_at_random_moments_under_load() {
    let kills = scaled(20, 500);
    let mut random = StdRng::seed_from_u64(seed());
    let scene = Scene::new("kill-loop", 4);
    let stream = scene.stream(60.0, 1).in_background(3_000);
    let mut commits = 0;
    for kill in 0..kills {
        // The dead member must not hold its successor up: a static one takes its place at once.
        let mut engine = scene.start(&["kafka.group_instance_id=only"]);
        // Every fourth one dies at some moment of its start, the others while they work.
        if kill % 4 != 0 {
            engine.wait_until("a shard runs", |log| log.has("generation_started"));
        }
        let moment = Instant::now() + Duration::from_millis(random.random_range(200..2_000));
        std::thread::sleep(moment - Instant::now());
        engine.assert_alive();
        engine.kill();
        commits += engine.log().commits(BRONZE);
    }
    let sent = stream.stop().flush();
    assert!(commits >= kills / 2, "only {commits} commits of bronze in {kills} lives: the kills hit no work");
    scene.run_to_end();
    let facts = scene.verify_all();
    assert_eq!(fact(&facts, "topic records"), sent);
    assert!(
        fact(&facts, "quarantine rows") > 0 && fact(&facts, "records that repeat an event_id") > 0,
        "{facts}"
    );
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn killed_at_each_named_point() {
    let scene = Scene::new("kill-points", 4);
    let mut stream = scene.stream(20.0, 2);
    for (point, passes) in POINTS {
        stream.advance(150_000);
        stream.flush();
        let mut engine = scene.start_bounded(&[], &format!("{point}={passes}*off->return(abort)"));
        engine.wait_for_death_by(SIGABRT, &format!("it must die at {point}"));
        let log = engine.log();
        assert!(!log.has("generation_killed"), "a shard failed before {point}:\n{}", log.tail());
        if point == "writer::between_quarantine_and_bronze" {
            let tables: Vec<_> =
                log.events("commit_done").iter().map(|event| event["table"].clone()).collect();
            assert_eq!(
                tables.last().unwrap(),
                QUARANTINE,
                "quarantine must be ahead of bronze here:\n{}",
                log.tail()
            );
        }
        scene.run_to_end();
        scene.audit();
        if scaled(false, true) {
            scene.verify_against_topic(&[]);
        }
    }
    let facts = scene.verify_all();
    assert_eq!(fact(&facts, "topic records"), stream.flush());
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn a_panic_in_any_actor_restarts_its_generation_in_the_same_process() {
    let scene = Scene::new("panics", 4);
    let mut stream = scene.stream(20.0, 3);
    for (point, passes) in POINTS.into_iter().filter(|(point, _)| !point.starts_with("lake::")) {
        stream.advance(150_000);
        stream.flush();
        let log = scene.run_to_end_with(&[], &format!("{point}={passes}*off->1*panic(on purpose)->off"));
        assert!(log.text.contains("on purpose"), "nothing panicked at {point}:\n{}", log.tail());
        assert!(log.has("generation_killed"), "a panic at {point} ended no generation:\n{}", log.tail());
        scene.audit();
    }
    // The commit path's own failures beside them: an error, and answers that are lost.
    for failure in [
        "lake::after_parquet_close=3*off->1*return->off",
        "lake::before_metadata_write=2*off->1*return->off",
        "lake::before_catalog_swap=2*off->1*return(unknown)->off",
        "lake::after_catalog_swap=2*off->1*return(unknown)->off",
    ] {
        stream.advance(150_000);
        stream.flush();
        let log = scene.run_to_end_with(&[], failure);
        assert!(log.text.contains("injected failure"), "nothing was noticed of {failure}:\n{}", log.tail());
        scene.audit();
    }
    let facts = scene.verify_all();
    assert_eq!(fact(&facts, "topic records"), stream.flush());
}

/// Nothing is committed before the run's end here: whoever fails then takes everything along.
#[test]
#[ignore = "needs a broker: run through make test"]
fn a_panic_in_the_last_commit_of_a_bounded_run_is_made_up_for() {
    let scene = Scene::new("last-commit", 4);
    let mut stream = scene.stream(20.0, 8);
    for point in [
        "aggregator::flush",
        "gold::before_write",
        "writer::between_quarantine_and_bronze",
        "committer::before",
    ] {
        stream.advance(60_000);
        stream.flush();
        let late = ["bronze.commit_interval_ms=600000", "gold.collect_wait_ms=60000"];
        let log = scene.run_to_end_with(&late, &format!("{point}=1*panic(on purpose)->off"));
        assert!(log.text.contains("on purpose"), "nothing panicked at {point}:\n{}", log.tail());
        assert!(log.has("generation_killed"), "a panic at {point} ended no generation:\n{}", log.tail());
        scene.audit();
    }
    assert_eq!(fact(&scene.verify_all(), "topic records"), stream.flush());
}

/// Whatever fails in whichever order, with other work under way beside it.
#[test]
#[ignore = "needs a broker: run through make test"]
fn errors_at_random_on_the_commit_path() {
    // The slow start of each gold commit lets the next one wait behind it when it fails.
    const CHAOS: &str = "gold::before_write=sleep(50);lake::after_parquet_close=3%60*return->off;lake::before_metadata_write=10%20*return->off;\
                         lake::before_catalog_swap=10%20*return(unknown)->off;\
                         lake::after_catalog_swap=10%20*return(unknown)->off";
    let scene = Scene::new("chaos", 4);
    let mut stream = scene.stream(20.0, 10);
    for _ in 0..scaled(4, 60) {
        stream.advance(300_000);
        stream.flush();
        let often = ["engine.batch_records=64", "gold.collect_wait_ms=0", "supervision.backoff_max_ms=100"];
        let log = scene.run_to_end_with(&often, CHAOS);
        assert!(log.text.contains("injected failure"), "nothing failed:\n{}", log.tail());
        scene.audit();
    }
    assert_eq!(fact(&scene.verify_all(), "topic records"), stream.flush());
}

/// A thread that hangs for longer than anybody waits is left behind, and holds nothing else up.
#[test]
#[ignore = "needs a broker: run through make test"]
fn a_hung_actor_is_found_by_its_silence() {
    let scene = Scene::new("hangs", 4);
    let mut stream = scene.stream(20.0, 9);
    let impatient = ["supervision.heartbeat_interval_ms=500", "supervision.heartbeat_timeout_ms=3000"];
    for point in
        ["consumer::polled", "aggregator::batch", "aggregator::flush", "writer::batch", "committer::before"]
    {
        stream.advance(120_000);
        stream.flush();
        let log = scene.run_to_end_with(&impatient, &format!("{point}=2*off->1*sleep(600000)->off"));
        let noticed = log.has("heartbeat_missed") || log.text.contains("gave no answer for");
        assert!(noticed, "nobody noticed the hang at {point}:\n{}", log.tail());
        scene.audit();
    }
    assert_eq!(fact(&scene.verify_all(), "topic records"), stream.flush());
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn a_panic_that_comes_again_and_again_ends_the_service_loudly() {
    let scene = Scene::new("budget", 2);
    scene.fill(20.0, 4, 60);
    let mut engine =
        scene.start_bounded(&["supervision.restart_budget=3"], "aggregator::batch=panic(on purpose)");
    let status = engine.wait();
    let log = engine.log();
    assert_eq!(status.code(), Some(1), "{}", log.tail());
    assert!(log.has("restart_budget_spent"), "{}", log.tail());
    assert_eq!(log.count("generation_killed"), 3, "the budget is three restarts:\n{}", log.tail());
    let last = log.text.lines().rev().take(3).collect::<Vec<_>>().join("\n");
    assert!(last.contains("supervision.restart_budget"), "the message does not name the setting:\n{last}");
    // What is wrong has gone: the next start makes up for everything.
    scene.run_to_end();
    scene.verify_all();
}
