//! Tables that somebody rolled back behind the engine's back: refused, then rewound, then whole again.

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
