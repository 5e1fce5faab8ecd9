//! The load tests at their smallest, with the real engine: they run, their reports hold what was sent, and a limit that is
//! missed shows in the exit code.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

const BENCH: &str = env!("CARGO_BIN_EXE_pulselake-bench");

/// The engine that `cargo test --workspace` has put beside this crate's program.
fn engine() -> PathBuf {
    let path = Path::new(BENCH).with_file_name("pulselake");
    assert!(path.exists(), "{} is missing: cargo build -p pulselake --features failpoints", path.display());
    path
}

fn bench(arguments: &[&str]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(BENCH);
    command.args(arguments).arg("--engine").arg(engine()).arg("--work-dir").arg(directory.path());
    let output = command.output().unwrap();
    let left: Vec<_> = std::fs::read_dir(directory.path()).unwrap().collect();
    assert!(left.is_empty(), "left behind: {left:?}");
    output
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}:\n{}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
#[ignore = "needs PULSELAKE_TEST_KAFKA: run through make test"]
fn a_drain_is_measured_and_compared_with_limits() {
    let output = bench(&[
        "drain",
        "--events",
        "3000,9000",
        "--max-cpu-s-per-million",
        "1e9",
        "--min-events-per-s",
        "1e9",
    ]);
    let report = report(&output);
    assert_eq!(output.status.code(), Some(3), "{report:#}");
    let runs = report["runs"].as_array().unwrap();
    assert_eq!(runs.iter().map(|run| run["events"].as_u64().unwrap()).collect::<Vec<_>>(), [3_000, 9_000]);
    for run in runs {
        assert!(run["cpu_s"].as_f64().unwrap() > 0.0 && run["peak_resident_mib"].as_f64().unwrap() > 1.0);
        assert!(run["bronze_commits"].as_u64().unwrap() > 0 && run["gold_rows"].as_u64().unwrap() > 0);
    }
    let met = |index: usize| report["thresholds"]["checked"][index]["met"].as_bool().unwrap();
    assert_eq!((met(0), met(1)), (true, false), "{report:#}");
}

#[test]
#[ignore = "needs PULSELAKE_TEST_KAFKA: run through make test"]
fn every_event_of_a_live_run_has_a_latency() {
    let output =
        bench(&["live", "--rate", "300", "--duration-s", "4", "--set", "bronze.commit_interval_ms=500"]);
    let report = report(&output);
    assert_eq!(output.status.code(), Some(0), "{report:#}");
    assert!(report["events"].as_u64().unwrap() >= 1_000, "{report:#}");
    assert_eq!(report["bronze_latency"]["count"], report["events"]);
    assert_eq!(report["rows"]["bronze"], report["events"]);
}

#[test]
#[ignore = "needs PULSELAKE_TEST_KAFKA: run through make test"]
fn a_dimension_is_read_before_and_after_its_compaction() {
    let settings = ["--set", "cdc.commit_interval_ms=500"];
    let output = bench(
        &[&["changes", "--keys", "3000", "--rate", "200", "--duration-s", "4"], &settings[..]].concat(),
    );
    let report = report(&output);
    assert_eq!(output.status.code(), Some(0), "{report:#}");
    assert_eq!(report["initial"]["changes"], 3_000);
    assert!(report["changes"].as_u64().unwrap() >= 700, "{report:#}");
    assert!(report["freshness"]["count"].as_u64().unwrap() >= 700, "{report:#}");
    let (before, after) = (&report["before_compaction"], &report["after_compaction"]);
    assert!(before["delete_files"].as_u64().unwrap() > 0 && after["delete_files"] == 0, "{report:#}");
    assert_eq!(before["pulselake"]["rows"], after["pulselake"]["rows"]);
    assert_eq!(after["duckdb"]["rows"], after["pulselake"]["rows"]);
}
