//! Other programs that write to the tables: what they did wrong is left to people, what they may do disturbs nothing.

use crate::common::scene::Scene;
use crate::lake::lake;
use crate::support::{
    AT_ONCE, BRONZE, GOLD, QUARANTINE, command, maintain, of_table, scene_with_small_files, tamper, told,
};

const FOREIGN_ROWS: &str = "50";

#[test]
#[ignore = "needs a broker: run through make test"]
fn a_table_that_was_tampered_with_is_left_alone() {
    let (scene, _) = scene_with_small_files("rolled-back", 2, 51);
    tamper(&scene, &["roll-back", BRONZE, "1"]);
    let before = lake(&scene, "locations", &[]);
    let refused = command(&scene, &["maintain"], &AT_ONCE);
    let said = told(&refused);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    let words = [&format!("error: {BRONZE}: ") as &str, "was rolled back", "pulselake ledger rewind"];
    for word in words {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
    let after = lake(&scene, "locations", &[]);
    assert_eq!(after[BRONZE], before[BRONZE], "the table was not left alone");
    assert!(
        after[GOLD] != before[GOLD] && after[QUARANTINE] != before[QUARANTINE],
        "the others were: {said}"
    );

    let rewound = scene.command(&["ledger", "rewind", BRONZE]);
    assert!(rewound.status.success(), "{}", told(&rewound));
    scene.run_to_end();
    scene.verify_all();
    assert_eq!(of_table(&maintain(&scene, &AT_ONCE), BRONZE)["is_changed"], true);
    scene.verify_all();

    // A property that was removed is no reason to guess either.
    tamper(&scene, &["remove-property", BRONZE, "pulselake.ledger"]);
    let before = lake(&scene, "locations", &[]);
    let refused = command(&scene, &["maintain", "--table", BRONZE], &AT_ONCE);
    assert_eq!(refused.status.code(), Some(1), "{}", told(&refused));
    assert!(told(&refused).contains("lost its property pulselake.ledger"), "{}", told(&refused));
    assert_eq!(lake(&scene, "locations", &[]), before);
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn rows_of_another_program_disturb_neither_stream_nor_compaction() {
    let scene = Scene::new("foreign-rows", 2);
    let stream = scene.stream(20.0, 53).in_background(3_000);
    let mut engine = scene.start(&[
        "kafka.group_mode=assign",
        "maintenance.check_interval_ms=200",
        "maintenance.interval_ms=1000",
        "maintenance.partition_close_delay_ms=0",
    ]);
    for round in 1..=2 {
        engine.wait_until("bronze commits", |log| log.commits(BRONZE) >= 3 * round);
        let appended = lake(&scene, "append", &[FOREIGN_ROWS]);
        tamper(&scene, &["append-nothing", GOLD]);
        let (compacted, commits) = (compactions(&engine.log()), engine.log().commits(BRONZE));
        engine.wait_until("bronze is compacted, and goes on", |log| {
            compactions(log) >= compacted + 2 && log.commits(BRONZE) >= commits + 2
        });
        assert_eq!(lake(&scene, "foreign", &[]), appended, "compaction has changed rows of another program");
        lake(&scene, "delete", &[]);
        assert_eq!(lake(&scene, "foreign", &[]), 0);
    }
    scene.audit();
    assert!(!engine.log().has("generation_killed"), "{}", engine.log().tail());
    engine.terminate();
    scene.verify_to_the_end_of(stream);
}

fn compactions(log: &crate::common::log::Log) -> usize {
    let done = log.events("maintenance_done");
    done.iter().filter(|event| event["table"] == BRONZE).count()
}
