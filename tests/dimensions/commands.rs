//! The commands on a data directory with dimensions: `init`, a bounded run, `tables`, `ledger`, `maintain`.

use std::collections::BTreeSet;
use std::process::{Command, Output};

use pulselake_model::Entity;
use pulselake_model::tables::LakeTable;
use serde_json::Value;

use crate::common::verify::fact;
use crate::common::{environment, repository, seed};
use crate::feed::{Feed, Size};
use crate::place::{Place, dimension};

const DIMENSION: &str = "dims.dim_videos";
const HISTORY: &str = "dims.dim_videos_history";

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A command that has to succeed, with the topics as settings; gives its JSON.
#[track_caller]
fn json(place: &Place, words: &[&str]) -> Value {
    let output = command(place, &[words, &["--format", "json"]].concat());
    assert!(output.status.success(), "{words:?}: {}", told(&output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", told(&output)))
}

fn command(place: &Place, words: &[&str]) -> Output {
    let settings = place.settings(&[]);
    let settings = settings.iter().flat_map(|setting| ["--set", setting]);
    place.scene.command(&words.iter().copied().chain(settings).collect::<Vec<_>>())
}

fn tamper(place: &Place, words: &[&str]) {
    let (action, rest) = words.split_first().unwrap();
    let output = Command::new(environment("PULSELAKE_TEST_PYTHON"))
        .arg(repository("tests/tools/tamper.py"))
        .arg(action)
        .arg(place.scene.data_dir())
        .args(rest)
        .output()
        .unwrap();
    assert!(output.status.success(), "{words:?}: {}", told(&output));
}

fn names(document: &Value, list: &str) -> BTreeSet<String> {
    let found = document[list].as_array().unwrap().iter();
    found.map(|item| item["table"].as_str().unwrap().to_owned()).collect()
}

fn every_table() -> BTreeSet<String> {
    let of_streams = LakeTable::ALL.into_iter().filter(|table| table.has_ledger());
    of_streams.map(|table| table.full_name().to_owned()).collect()
}

/// More changes, and a run with the flags that people use.
fn go_on(place: &Place, feed: &mut Feed, stream_s: i64) {
    feed.advance(stream_s);
    feed.flush();
    let mut arguments = place.scene.run_arguments(&["kafka.group_mode=assign"]);
    arguments.extend(["--cdc-topics".to_owned(), place.topics_flag(), "--until-caught-up".to_owned()]);
    place.scene.start_with(&arguments, "").wait_for_success();
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn commands() {
    let place = Place::new("dims-commands");
    let mut feed = place.feed(Size::SMALL, seed());
    let output = command(&place, &["init"]);
    assert!(output.status.success(), "{}", told(&output));
    // Those of the decisions have no ledger: no stream feeds them.
    let of_decisions = LakeTable::OF_DECISIONS.map(|table| table.full_name().to_owned());
    let all: BTreeSet<String> = every_table().into_iter().chain(of_decisions).collect();
    assert_eq!(names(&json(&place, &["tables"]), "tables"), all);

    for _ in 0..3 {
        go_on(&place, &mut feed, 40);
    }
    let facts = place.verify(&feed);
    assert!(fact(&facts, "videos delete files") > 0 && fact(&facts, "users delete files") > 0, "{facts}");
    let shown = json(&place, &["ledger", "show"]);
    assert_eq!(names(&shown, "ledgers"), every_table());
    let tables = json(&place, &["tables"]);
    for entity in Entity::ALL {
        let of_table =
            tables["tables"].as_array().unwrap().iter().find(|found| found["table"] == dimension(entity));
        let topic = &of_table.unwrap()["ledger"]["topics"][place.topic(entity)];
        let records =
            topic.as_object().unwrap().values().map(|entry| entry["counts"]["records"].as_u64().unwrap());
        assert_eq!(records.sum::<u64>(), fact(&facts, &format!("{} records", entity.as_str())));
    }

    // Rolled back alone: refused, then derived from the history again, without a record of the topic.
    for steps in ["1", "all"] {
        tamper(&place, &["roll-back", DIMENSION, steps]);
        assert_refused(&place, &[&format!("table {DIMENSION} was rolled back"), "pulselake ledger rewind"]);
        rewind(&place, DIMENSION);
        let log = place.run_to_end();
        assert_eq!((log.commits(HISTORY), log.commits(DIMENSION)), (0, 1), "{}", log.tail());
        place.verify(&feed);
    }
    // The history alone: what the dimension has can't be taken back, so it has to go too.
    tamper(&place, &["roll-back", HISTORY, "1"]);
    rewind(&place, HISTORY);
    assert_refused(&place, &[DIMENSION, HISTORY, "roll"]);
    tamper(&place, &["roll-back", DIMENSION, "all"]);
    rewind(&place, DIMENSION);
    go_on(&place, &mut feed, 5);

    let before = place.verify(&feed);
    json(&place, &["maintain", "--set", "maintenance.urgent_files=2"]);
    let after = place.verify(&feed);
    for entity in Entity::ALL {
        let counted = |facts: &Value, what: &str| fact(facts, &format!("{} {what}", entity.as_str()));
        assert!(counted(&before, "delete files") > 0, "{before}");
        assert_eq!(counted(&after, "delete files"), 0, "{after}");
        assert!(counted(&after, "data files") < counted(&before, "data files"), "{before} {after}");
        assert_eq!(counted(&after, "rows"), counted(&before, "rows"));
    }
    // What was compacted is gone on from.
    go_on(&place, &mut feed, 40);
    place.verify(&feed);
}

fn rewind(place: &Place, table: &str) {
    let output = command(place, &["ledger", "rewind", table]);
    assert!(output.status.success(), "{}", told(&output));
}

#[track_caller]
fn assert_refused(place: &Place, words: &[&str]) {
    let mut engine = place.start_bounded(&[]);
    let status = engine.wait();
    let log = engine.log();
    assert_eq!(status.code(), Some(1), "{}", log.tail());
    assert!(words.iter().all(|word| log.text.contains(word)), "it does not say {words:?}:\n{}", log.tail());
}
