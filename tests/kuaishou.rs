//! Real events through a real broker: the tables must hold exactly the totals that another program counted.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod common;

use std::process::Command;

use common::kafka::brokers;
use common::scene::Scene;
use common::verify::verify;
use common::{environment, repository};

#[test]
#[ignore = "needs a broker: run through make test"]
fn the_totals_come_out_exactly_and_a_second_run_changes_nothing() {
    let scene = Scene::new("kuaishou", 12);
    produce(&scene);
    run_as_documented(&scene);
    verify_totals(&scene);
    let snapshots = tables(&scene);
    run_as_documented(&scene);
    assert!(
        tables(&scene) == snapshots,
        "a run with nothing to do has changed a table:\n{snapshots}\n{}",
        tables(&scene)
    );
    scene.verify_all();
}

fn produce(scene: &Scene) {
    let tools = std::path::PathBuf::from(environment("PULSELAKE_TEST_TOOLS"));
    let mut produce = Command::new(environment("PULSELAKE_TEST_PYTHON"));
    produce.arg(tools.join("produce.py")).args(["--brokers", &brokers(), "--topic", &scene.topic]);
    produce.arg("--file").arg(repository("tests/fixtures/kuaishou/content_events.ndjson.gz"));
    let output = produce.output().unwrap();
    assert!(output.status.success(), "produce.py: {}", String::from_utf8_lossy(&output.stderr));
}

/// The command that other programs use, with every setting as it comes.
fn run_as_documented(scene: &Scene) {
    let (brokers, data_dir) = (brokers(), scene.data_dir().display().to_string());
    let words =
        ["run", "--brokers", &brokers, "--topic", &scene.topic, "--data-dir", &data_dir, "--until-caught-up"];
    let quiet = ["--group", &scene.topic, "--metrics-bind", "", "--set", "log.format=json"];
    let arguments: Vec<String> = words.iter().chain(&quiet).map(|&word| word.to_owned()).collect();
    let mut engine = scene.start_with(&arguments, "");
    engine.wait_for_success();
    assert!(!engine.log().has("generation_killed"), "a shard failed:\n{}", engine.log().tail());
}

/// Snapshots, files and ledgers of all tables as text.
fn tables(scene: &Scene) -> String {
    let output = scene.command(&["tables"]);
    assert!(output.status.success(), "pulselake tables: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn verify_totals(scene: &Scene) {
    let data_dir = scene.data_dir().display().to_string();
    let totals = repository("tests/fixtures/kuaishou/totals.json").display().to_string();
    verify("verify_totals.py", &["--data-dir", &data_dir, "--totals", &totals]);
}
