//! Tables that somebody rolled back behind the engine's back: refused, then rewound, then whole again.

use crate::common::engine::Engine;
use crate::common::scene::Scene;
use crate::support::{BRONZE, FAILED, GOLD, QUARANTINE, assert_refused, assert_says, tamper};

fn roll_back(scene: &Scene, table: &str, steps: &str) {
    tamper(scene, &["roll-back", table, steps]);
    let words =
        [&format!("table {table} was rolled back"), "pulselake ledger rewind", "the records come again"];
    let engine = scene.start_bounded(&[], "");
    assert_refused(engine, FAILED, &words.map(|word| word as &str));
    let shown = scene.command(&["ledger", "show"]);
    assert_eq!(shown.status.code(), Some(FAILED));
    assert_says(&String::from_utf8_lossy(&shown.stdout), &["NOT TRUSTED", "was rolled back"]);
}

fn rewind(scene: &Scene, table: &str) {
    let output = scene.command(&["ledger", "rewind", table]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn a_rolled_back_table_is_refused_until_it_is_rewound() {
    let scene = Scene::new("rollback", 2);
    let mut stream = scene.stream(50.0, 11);
    for _ in 0..2 {
        stream.advance(90_000);
        stream.flush();
        scene.run_to_end();
    }
    for table in [BRONZE, GOLD] {
        roll_back(&scene, table, "1");
        rewind(&scene, table);
    }
    scene.run_to_end();
    scene.verify_all();
    // Bronze has passed records that only the quarantine holds.
    roll_back(&scene, QUARANTINE, "1");
    rewind(&scene, QUARANTINE);
    let words = ["bronze.raw_events has counted", "it was rolled back alone", "roll bronze.raw_events back"];
    assert_refused(scene.start_bounded(&[], ""), FAILED, &words);
    roll_back(&scene, BRONZE, "all");
    rewind(&scene, BRONZE);
    scene.run_to_end();
    scene.audit();
    for table in [QUARANTINE, BRONZE, GOLD] {
        tamper(&scene, &["roll-back", table, "all"]);
    }
    for table in [GOLD, BRONZE, QUARANTINE] {
        assert_refused(scene.start_bounded(&[], ""), FAILED, &["was rolled back", "pulselake ledger rewind"]);
        rewind(&scene, table);
    }
    scene.run_to_end();
    scene.verify_all();
}

/// Outside the group, so that one engine after the other takes up at once.
fn start_alone(scene: &Scene) -> Engine {
    scene.start(&["kafka.group_mode=assign"])
}

/// Each commit decides on the table as it is then: the engine stops at the first one after the change.
#[test]
#[ignore = "needs a broker: run through make test"]
fn a_table_rolled_back_under_a_running_engine_stops_it() {
    let scene = Scene::new("rollback-running", 2);
    let stream = scene.stream(12.0, 12).in_background(3_000);
    for table in [GOLD, BRONZE, QUARANTINE] {
        let mut engine = start_alone(&scene);
        engine.wait_until("the table has snapshots", |log| log.commits(table) >= 2);
        tamper(&scene, &["roll-back", table, "1"]);
        let words = [&format!("table {table} was rolled back") as &str, "pulselake ledger rewind"];
        let said = assert_refused(engine, FAILED, &words);
        assert!(!said.contains("restart_budget_spent"), "{said}");
        rewind(&scene, table);
    }
    // Bronze was ahead of the quarantine that was rolled back alone.
    assert_refused(start_alone(&scene), FAILED, &["it was rolled back alone", "roll bronze.raw_events back"]);
    roll_back(&scene, BRONZE, "all");
    rewind(&scene, BRONZE);
    scene.verify_to_the_end_of(stream);
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn a_ledger_property_that_was_removed_stops_the_engine() {
    let scene = Scene::new("property", 2);
    let stream = scene.stream(12.0, 13).in_background(3_000);
    let mut engine = start_alone(&scene);
    engine.wait_until("gold has a snapshot", |log| log.commits(GOLD) >= 1);
    tamper(&scene, &["remove-property", GOLD, "pulselake.ledger"]);
    let words = ["lost its property pulselake.ledger", "restore it with `pulselake ledger rewind`"];
    assert_refused(engine, FAILED, &words);
    assert_refused(start_alone(&scene), FAILED, &words);
    rewind(&scene, GOLD);
    scene.verify_to_the_end_of(stream);
}

/// What other programs put on top is no reason to stop, with or without the engine's own snapshots below it.
#[test]
#[ignore = "needs a broker: run through make test"]
fn snapshots_of_other_programs_are_gone_on_from() {
    let scene = Scene::new("foreign", 2);
    let stream = scene.stream(12.0, 14).in_background(3_000);
    let mut engine = start_alone(&scene);
    for table in [QUARANTINE, BRONZE, GOLD] {
        engine.wait_until("the table has a snapshot", |log| log.commits(table) >= 1);
        tamper(&scene, &["append-nothing", table]);
        tamper(&scene, &["set-property", table, "comment", "somebody was here"]);
        let commits = engine.log().commits(table);
        engine.wait_until("it goes on", |log| log.commits(table) >= commits + 2);
    }
    assert!(!engine.log().has("ledger_without_snapshot"), "{}", engine.log().tail());
    // Nothing may come between the foreign snapshot and the expiry.
    engine.signal("STOP");
    for table in [QUARANTINE, BRONZE, GOLD] {
        tamper(&scene, &["append-nothing", table]);
        tamper(&scene, &["expire-others", table]);
    }
    engine.signal("CONT");
    for table in [QUARANTINE, BRONZE, GOLD] {
        engine.wait_until("it trusts the property and says so", |log| {
            log.events("ledger_without_snapshot").iter().any(|event| event["table"] == table)
        });
        let commits = engine.log().commits(table);
        engine.wait_until("it goes on", |log| log.commits(table) >= commits + 2);
    }
    assert!(!engine.log().has("generation_killed"), "{}", engine.log().tail());
    engine.terminate();
    // The same while it does not run.
    tamper(&scene, &["append-nothing", BRONZE]);
    tamper(&scene, &["expire-others", BRONZE]);
    let (log, _) = scene.verify_to_the_end_of(stream);
    assert!(log.has("ledger_without_snapshot"), "{}", log.tail());
}
