//! Settings that decide what is valid, changed between two runs.

use pulselake_source::{KafkaSink, KafkaSinkSettings};

use crate::common::PATIENCE;
use crate::common::engine::SIGABRT;
use crate::common::kafka::brokers;
use crate::common::scene::Scene;
use crate::support::{BRONZE, FAILED, GOLD, QUARANTINE, assert_refused, ledger_entry};

const START_MS: i64 = 1_770_458_400_000;

/// Writes `count` events of four sizes, from 200 to 3,000 bytes, one each 10 ms.
fn write_sizes(scene: &Scene, count: i64) {
    let settings = KafkaSinkSettings { brokers: brokers(), topic: scene.topic.clone(), ..Default::default() };
    let sink = KafkaSink::connect(&settings).unwrap();
    for number in 0..count {
        let padding = "x".repeat([0, 900, 1_500, 2_800][(number % 4) as usize]);
        let at_ms = START_MS + number * 10;
        let event = format!(
            r#"{{"event_id":"e{number}","event_timestamp":{at_ms},"video_id":"v{}","user_id":"u","event_type":"like","payload":{{"watch_time_ms":{number},"padding":"{padding}"}}}}"#,
            number % 7
        );
        sink.send(Some(0), b"", event.as_bytes(), at_ms).unwrap();
    }
    sink.flush(PATIENCE).unwrap();
}

fn next(scene: &Scene, table: &str) -> i64 {
    ledger_entry(scene, table, 0)["next"].as_i64().unwrap_or(0)
}

/// What is in quarantine stays there, what a stricter decoder rejects joins it, and no record is in both or in none.
#[test]
#[ignore = "needs a broker: run through make test"]
fn a_changed_decoder_leaves_what_is_in_quarantine_ahead_of_bronze() {
    for second_limit in ["1024", "1048576"] {
        let scene = Scene::new("decoder", 1);
        write_sizes(&scene, 3_000);
        let settings =
            ["decode.max_record_bytes=2048", "engine.batch_records=100", "bronze.commit_interval_ms=100"];
        // Slowly, so that there are several commits.
        let failpoint =
            "consumer::polled=sleep(20);writer::between_quarantine_and_bronze=1*off->return(abort)";
        scene.start_bounded(&settings, failpoint).wait_for_death_by(SIGABRT, failpoint);
        let (quarantine, bronze) = (next(&scene, QUARANTINE), next(&scene, BRONZE));
        assert!(quarantine > bronze, "quarantine stands at {quarantine}, bronze at {bronze}");
        assert!(next(&scene, GOLD) <= bronze, "gold is ahead of bronze");
        let changed = format!("decode.max_record_bytes={second_limit}");
        scene.start_bounded(&[&changed], "").wait_for_success();
        scene.verify_all();
    }
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn a_decoder_that_changes_while_gold_is_ahead_is_refused() {
    let scene = Scene::new("undecided", 1);
    write_sizes(&scene, 20_000);
    let mut engine = scene.start(&["bronze.commit_interval_ms=3600000", "kafka.group_instance_id=only"]);
    engine.wait_until("gold commits", |log| log.commits(GOLD) >= 1);
    engine.kill();
    let words = [
        "partition 0: the decoder's settings changed while gold (offset ",
        "was ahead of bronze (offset 0)",
        "run once with the former settings and --until-caught-up",
    ];
    let changed = ["decode.max_record_bytes=2048"];
    assert_refused(scene.start_bounded(&changed, ""), FAILED, &words);
    // What the message says.
    scene.run_to_end();
    scene.start_bounded(&changed, "").wait_for_success();
    scene.verify_all();
}
