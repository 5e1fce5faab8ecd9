//! Topics that were recreated, and records that retention has taken.

use crate::common::engine::Engine;
use crate::common::kafka::{create_topic, delete_records_before, delete_topic, topic_records};
use crate::common::scene::Scene;
use crate::common::verify::fact;
use crate::support::{BRONZE, FAILED, GOLD, assert_refused, ledger_entry, table, verify_records};

fn number(entry: &serde_json::Value, name: &str) -> i64 {
    entry[name].as_i64().unwrap_or_else(|| panic!("no {name} in {entry}"))
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn a_recreated_topic_is_refused() {
    let mut scene = Scene::new("recreated", 1);
    scene.fill(50.0, 1, 120);
    scene.run_to_end();
    let before = table(&scene, BRONZE);
    delete_topic(&scene.topic);
    create_topic(&scene.topic, 1);
    scene.fill(50.0, 2, 60);
    let words = [
        "the tables have consumed up to offset",
        "the topic was recreated",
        "new topic name, or a new data directory",
    ];
    assert_refused(scene.start_bounded(&[], ""), FAILED, &words);
    scene.fill(50.0, 3, 120);
    let words = [
        "is not the one that was consumed",
        "the topic was recreated",
        "new topic name, or a new data directory",
    ];
    assert_refused(scene.start_bounded(&[], ""), FAILED, &words);
    assert_eq!(table(&scene, BRONZE), before, "a refused topic has changed the table");
    // What the message says: a new data directory.
    std::fs::rename(scene.data_dir(), scene.directory().join("old")).unwrap();
    scene.run_to_end();
    scene.partitions = 1;
    scene.verify_all();
}

/// The process sleeps through it: no fetch finds the topic missing. What it reads next lies at the same offsets.
#[test]
#[ignore = "needs a broker: run through make test"]
fn a_topic_recreated_under_a_running_engine_stops_it() {
    // Smaller than the old one, where going on behind lost records is allowed; and grown past its offsets.
    for (seconds, on_data_loss) in [(30, "continue"), (200, "stop")] {
        let scene = Scene::new("recreated-running", 1);
        let first = scene.fill(50.0, 1, 120);
        let mut engine = scene.start(&[&format!("kafka.on_data_loss={on_data_loss}")]);
        engine.wait_until("it has committed all of it", |log| committed(log) >= first);
        engine.signal("STOP");
        let before = table(&scene, BRONZE);
        delete_topic(&scene.topic);
        create_topic(&scene.topic, 1);
        let second = scene.fill(50.0, 2, seconds);
        assert_eq!(second > first, on_data_loss == "stop", "{second} records after {first}");
        engine.signal("CONT");
        let words = [
            "was deleted and created again while it was read",
            "the topic was recreated",
            "new topic name, or a new data directory",
        ];
        assert_refused(engine, FAILED, &words);
        assert_eq!(table(&scene, BRONZE), before, "records of another topic are in the table");
        // At the next start as well.
        assert_refused(scene.start_bounded(&[], ""), FAILED, &["the topic was recreated"]);
    }
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn a_topic_deleted_under_a_running_engine_stops_it() {
    let scene = Scene::new("deleted", 1);
    let first = scene.fill(50.0, 1, 60);
    // A topic made a moment ago may otherwise be missing for half a minute before anybody minds.
    let mut engine = scene.start(&["kafka.librdkafka.topic.metadata.propagation.max.ms=0"]);
    engine.wait_until("it has committed all of it", |log| committed(log) >= first);
    delete_topic(&scene.topic);
    // Whichever notices first: the reader of its partition, or the member of the group.
    assert_refused(engine, FAILED, &["a new topic needs another data directory"]);
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn records_that_retention_took_unread_stop_the_engine_or_are_counted() {
    let scene = Scene::new("retention", 1);
    let mut stream = scene.stream(50.0, 4);
    stream.advance(100_000);
    stream.flush();
    scene.run_to_end();
    let next = number(&ledger_entry(&scene, BRONZE, 0), "next");
    stream.advance(100_000);
    let sent = stream.flush();
    delete_records_before(&scene.topic, 0, next + 700);
    let gap = format!("offsets {next}..{}", next + 700);
    let words = ["partition 0: retention removed ", &gap, "kafka.on_data_loss = \"continue\""];
    assert_refused(scene.start_bounded(&[], ""), FAILED, &words);
    let mut engine = scene.start_bounded(&["kafka.on_data_loss=continue"], "");
    engine.wait_for_success();
    assert_eq!(engine.log().count("data_loss_gap"), 1, "{}", engine.log().tail());
    verify_records(&scene, sent - 700);
    for name in [BRONZE, GOLD] {
        let counts = &ledger_entry(&scene, name, 0)["counts"];
        let found = (number(counts, "lost"), number(counts, "gaps"), number(counts, "records"));
        assert_eq!(found, (700, 0, sent as i64 - 700), "{name}: {counts}");
    }
    // A second gap adds to the first.
    let next = sent as i64;
    stream.advance(100_000);
    let sent = stream.flush();
    delete_records_before(&scene.topic, 0, next + 11);
    scene.start_bounded(&["kafka.on_data_loss=continue"], "").wait_for_success();
    for name in [BRONZE, GOLD] {
        let counts = &ledger_entry(&scene, name, 0)["counts"];
        assert_eq!((number(counts, "lost"), number(counts, "gaps")), (711, 0), "{name}: {counts}");
    }
    verify_records(&scene, sent - 711);
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn retention_that_overtakes_a_running_engine_is_counted_where_that_is_allowed() {
    for (on_data_loss, goes_on) in [("stop", false), ("continue", true)] {
        let scene = Scene::new("overtaken", 1);
        let mut stream = scene.stream(50.0, 4);
        stream.advance(60_000);
        let first = stream.flush();
        let setting = format!("kafka.on_data_loss={on_data_loss}");
        let mut engine = scene.start(&[&setting]);
        engine.wait_until("it has committed all of it", |log| committed(log) >= first);
        engine.signal("STOP");
        for _ in 0..20 {
            stream.advance(20_000);
            stream.flush();
        }
        let end = i64::try_from(topic_records(&scene.topic, 1)).unwrap();
        delete_records_before(&scene.topic, 0, end - 50);
        engine.signal("CONT");
        if !goes_on {
            assert_refused(engine, FAILED, &["retention has passed it", "on_data_loss"]);
            continue;
        }
        engine.wait_until("it goes on behind the gap", |log| log.has("data_loss_gap"));
        engine.terminate();
        scene.start_bounded(&[&setting], "").wait_for_success();
        let counts = &ledger_entry(&scene, BRONZE, 0)["counts"];
        let lost = number(counts, "lost");
        assert!(lost > 0, "{counts}");
        verify_records(&scene, (end - lost) as u64);
    }
}

fn committed(log: &crate::common::log::Log) -> u64 {
    let commits = log.events("commit_done");
    let bronze = commits.iter().filter(|event| event["table"] != GOLD);
    bronze.map(|event| fact(event, "rows")).sum()
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn open_windows_whose_records_retention_took_are_refilled_from_bronze() {
    let scene = Scene::new("refill", 1);
    let mut stream = scene.stream(50.0, 6);
    stream.advance(150_000);
    let first = stream.flush();
    let mut engine: Engine = scene.start(&[]);
    engine.wait_until("it has committed all of it", |log| committed(log) >= first);
    engine.terminate();
    let gold = ledger_entry(&scene, GOLD, 0);
    let (next, replay_from) = (number(&gold, "next"), number(&gold, "replay_from"));
    assert!(replay_from < next, "no window was open: {gold}");
    stream.advance(150_000);
    let sent = stream.flush();
    delete_records_before(&scene.topic, 0, next);
    scene.run_to_end();
    verify_records(&scene, sent);
}
