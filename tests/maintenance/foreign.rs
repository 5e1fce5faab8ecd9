//! Other programs that write to the tables: what they did wrong is left to people, what they may do disturbs nothing.

use serde_json::Value;

use crate::common::log::Log;
use crate::common::scene::Scene;
use crate::lake::lake;
use crate::support::{
    AT_ONCE, BRONZE, GOLD, QUARANTINE, command, inspect, listing_of, maintain, of_table,
    scene_with_small_files, tamper, told,
};

const FOREIGN_ROWS: &str = "50";

#[test]
#[ignore = "needs a broker: run through make test"]
fn a_table_that_was_tampered_with_is_left_alone() {
    let (scene, _) = scene_with_small_files("rolled-back", 3, 51);
    tamper(&scene, &["roll-back", BRONZE, "1"]);
    let before = listing_of(&scene, BRONZE);
    let refused = command(&scene, &["maintain", "--format", "json"], &AT_ONCE);
    let said = told(&refused);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    let words = [&format!("error: {BRONZE}: ") as &str, "was rolled back", "pulselake ledger rewind"];
    for word in words {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
    assert!(listing_of(&scene, BRONZE) == before, "the table was not left alone");
    let report: Value = serde_json::from_slice(&refused.stdout).unwrap();
    assert_eq!(report["failed"][0]["table"], BRONZE);
    for table in [GOLD, QUARANTINE] {
        assert_eq!(of_table(&report, table)["is_changed"], true, "{report}");
    }

    let rewound = scene.command(&["ledger", "rewind", BRONZE]);
    assert!(rewound.status.success(), "{}", told(&rewound));
    scene.run_to_end();
    scene.verify_all();
    assert_eq!(of_table(&maintain(&scene, &AT_ONCE), BRONZE)["is_changed"], true);
    scene.verify_all();

    // A property that was removed is no reason to guess either.
    tamper(&scene, &["remove-property", BRONZE, "pulselake.ledger"]);
    let before = listing_of(&scene, BRONZE);
    let refused = command(&scene, &["maintain", "--table", BRONZE], &AT_ONCE);
    assert_eq!(refused.status.code(), Some(1), "{}", told(&refused));
    assert!(told(&refused).contains("lost its property pulselake.ledger"), "{}", told(&refused));
    assert!(listing_of(&scene, BRONZE) == before, "the table was not left alone");
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn rows_of_another_program_disturb_neither_stream_nor_compaction() {
    let scene = Scene::new("foreign-rows", 2);
    let stream = scene.stream(20.0, 53).in_background(3_000);
    for _ in 0..2 {
        let mut engine = scene.start(&[
            "kafka.group_mode=assign",
            "maintenance.check_interval_ms=200",
            "maintenance.interval_ms=1000",
            "maintenance.partition_close_delay_ms=0",
            // Each commit of gold makes a file in each of its 16 buckets.
            "gold.collect_wait_ms=3000",
            "gold.correction_interval_ms=3000",
            "maintenance.cpu_share_percent=100",
        ]);
        engine.wait_until("bronze commits", |log| log.commits(BRONZE) >= 3);
        let appended = lake(&scene, "append", &[FOREIGN_ROWS]);
        tamper(&scene, &["append-nothing", GOLD]);
        let (compacted, commits) = (compactions(&engine.log()), engine.log().commits(BRONZE));
        engine.wait_until("bronze is compacted, and goes on", |log| {
            compactions(log) > compacted && log.commits(BRONZE) >= commits + 2
        });
        assert_eq!(lake(&scene, "foreign", &[]), appended, "compaction has changed rows of another program");
        assert!(!engine.log().has("generation_killed"), "{}", engine.log().tail());
        engine.terminate();
        // The next engine need not wait for a lease to run out.
        assert!(inspect(&scene, BRONZE, &[])["lease"].is_null(), "{}", engine.log().tail());
        // PyIceberg does not try again when others commit.
        lake(&scene, "delete", &[]);
        assert_eq!(lake(&scene, "foreign", &[]), 0);
        scene.audit();
    }
    scene.verify_to_the_end_of(stream);
}

/// Rounds that have rewritten files of bronze.
fn compactions(log: &Log) -> usize {
    let done = log.events("maintenance_done");
    let has_rewritten = |event: &&Value| {
        event["table"] == BRONZE && !event["done"].as_str().unwrap_or_default().starts_with("0 files into 0")
    };
    done.iter().filter(has_rewritten).count()
}
