//! The pages in a real Chromium: their rules by themselves, the states that canned answers provoke, and a running demo
//! whose spike rises to rank 1 and whose BOOST is taken up. The checks are Python's (`tests/pages`); here they get their engine.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod common;

use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::engine::{Engine, free_address, http_get};
use common::scene::Scene;
use common::{environment, poll, repository};
use serde_json::Value;

/// The demo's events begin so long ago, that the board covers its 30 minutes as soon as they are read.
const HISTORY: Duration = Duration::from_secs(35 * 60);
/// Reading the history in a debug build, and the first decisions.
const CATCHING_UP: Duration = Duration::from_secs(300);
/// Opens changes on the engine of this test.
const TOKEN: &str = "the-token-of-the-pages-test";

/// Runs a program in `tests/pages`; it has to succeed.
fn run(program: &str, arguments: &[&str], variables: &[(&str, &str)]) {
    let output = Command::new(program)
        .args(arguments)
        .envs(variables.iter().copied())
        .current_dir(repository("tests/pages"))
        .output()
        .unwrap_or_else(|error| panic!("{program} can't be started: {error}"));
    let told =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{told}");
    assert!(output.status.success(), "{program} {arguments:?} ended with {}", output.status);
}

/// Runs test modules of `tests/pages`.
fn run_python(modules: &[&str], variables: &[(&str, &str)]) {
    let arguments: Vec<&str> = ["-m", "unittest", "-v"].iter().chain(modules).copied().collect();
    run(&environment("PULSELAKE_TEST_PYTHON"), &arguments, variables);
}

fn get(address: &str, path: &str) -> Option<Value> {
    let (code, body) = http_get(address, path)?;
    (code == 200).then(|| serde_json::from_str(&body).unwrap())
}

/// A demo with a supernova, whose board is covered and whose decisions have begun.
fn demo_with_decisions(scene: &Scene, address: &str) -> Engine {
    let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() - HISTORY;
    let settings = [
        format!("http.action_token={TOKEN}"),
        format!("generator.start_ms={}", start.as_millis()),
        "generator.invalid_ratio=0.01".to_owned(),
        "log.format=json".to_owned(),
        "engine.shards=2".to_owned(),
    ];
    let data_dir = scene.data_dir().display().to_string();
    let fixed =
        ["demo", "--no-summary", "--scenario", "supernova", "--scenario", "clickbait", "--rate", "300"];
    let place = ["--listen", address, "--data-dir", &data_dir];
    let set = settings.iter().flat_map(|setting| ["--set", setting]);
    let arguments: Vec<String> = fixed.into_iter().chain(place).chain(set).map(str::to_owned).collect();
    let mut engine = scene.start_with(&arguments, "");
    let boosted = poll(CATCHING_UP, || {
        engine.assert_alive();
        let decisions = get(address, "/api/v1/decisions?type=BOOST&state=PENDING")?;
        decisions["actions"].as_array()?.first().cloned()
    });
    assert!(boosted.is_some(), "no BOOST in {CATCHING_UP:?}; the end of the log:\n{}", engine.log().tail());
    engine
}

#[test]
#[ignore = "needs the test tools: run through make test"]
fn rules_of_the_pages() {
    // Playwright's package brings a Node, so that none has to be installed.
    let ask = "from playwright._impl._driver import compute_driver_executable as ask; print(ask()[0])";
    let output = Command::new(environment("PULSELAKE_TEST_PYTHON")).args(["-c", ask]).output().unwrap();
    let node = String::from_utf8(output.stdout).unwrap();
    let files: Vec<String> = std::fs::read_dir(repository("tests/pages"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".test.mjs"))
        .collect();
    assert!(files.len() >= 3, "{files:?}");
    let arguments: Vec<&str> = std::iter::once("--test").chain(files.iter().map(String::as_str)).collect();
    run(node.trim(), &arguments, &[]);
}

#[test]
#[ignore = "needs the test tools: run through make test"]
fn states_that_a_healthy_engine_does_not_show() {
    run_python(&["test_states"], &[]);
}

#[test]
#[ignore = "needs the test tools: run through make test"]
fn pages_of_a_running_demo() {
    let scene = Scene::without_topic("pages");
    let address = free_address();
    let mut engine = demo_with_decisions(&scene, &address);
    let url = format!("http://{address}");
    let variables = [("PULSELAKE_TEST_PAGES_URL", url.as_str()), ("PULSELAKE_TEST_PAGES_TOKEN", TOKEN)];
    run_python(&["test_pulse", "test_engine_room", "test_looks"], &variables);
    engine.assert_alive();
}
