//! Hostile records among good ones: every good one in bronze, every bad one in quarantine with its code, no restart.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod common;

use std::process::Command;

use common::engine::BINARY;
use common::kafka::brokers;
use common::scene::Scene;
use common::verify::fact;
use common::{environment, repository};
use serde_json::Value;

const GOOD: u64 = 6_000;
/// Among the hostile records that are valid, those from 1970 and 2016: in bronze, too late for gold.
const TOO_LATE: &str = "2";

#[test]
#[ignore = "needs a broker: run through make test"]
fn bad_records_go_to_quarantine_and_disturb_nobody() {
    let scene = Scene::new("hostile", 4);
    produce(&scene);
    let mut engine = scene.start_bounded(&["gold.correction_interval_ms=1000"], "");
    engine.wait_for_success();
    let log = engine.log();
    assert!(
        !log.has("generation_killed") && !log.text.contains("panicked"),
        "a shard failed:\n{}",
        log.tail()
    );
    assert_eq!(log.count("generation_started"), 2, "each shard starts once:\n{}", log.tail());

    // Each record carries its verdict as a header; the recount compares it with where the record went.
    let facts = scene.verify_against_topic(&["--dropped", TOO_LATE]);
    let corpus = corpus();
    let valid = corpus.iter().filter(|record| record["expect"] == "valid").count() as u64;
    let bad = corpus.len() as u64 - valid;
    assert!(bad >= 60, "the corpus has only {bad} bad records");
    assert_eq!(fact(&facts, "topic records"), GOOD + corpus.len() as u64);
    assert_eq!(fact(&facts, "bronze rows"), GOOD + valid);
    assert_eq!(fact(&facts, "quarantine rows"), bad);
    scene.audit();
}

fn corpus() -> Vec<Value> {
    let text = std::fs::read_to_string(repository("tests/fixtures/hostile_records.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Fills the topic with generated events around the corpus' time, and the corpus spread among them.
fn produce(scene: &Scene) {
    let good = scene.directory().join("good.ndjson");
    let mut generate = Command::new(BINARY);
    generate.args([
        "generate",
        "--count",
        &GOOD.to_string(),
        "--rate",
        "200",
        "--start",
        "2026-02-07T09:59:45Z",
    ]);
    generate.args(["--invalid-ratio", "0", "--late-ratio", "0", "--output"]).arg(&good);
    run(generate);
    let tools = std::path::PathBuf::from(environment("PULSELAKE_TEST_TOOLS"));
    let mut produce = Command::new(environment("PULSELAKE_TEST_PYTHON"));
    produce.arg(tools.join("produce.py")).args(["--brokers", &brokers(), "--topic", &scene.topic]);
    produce.arg("--file").arg(&good).arg("--hostile").arg(repository("tests/fixtures/hostile_records.json"));
    run(produce);
}

fn run(mut command: Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
