//! `lake.py`: what programs that are not the engine read in a lake and write into it.

use std::process::Command;

use serde_json::Value;

use crate::common::scene::Scene;
use crate::common::{environment, repository};
use crate::support::told;

/// Runs an action of `lake.py`; gives what it prints.
#[track_caller]
pub fn lake(scene: &Scene, action: &str, words: &[&str]) -> Value {
    let mut python = Command::new(environment("PULSELAKE_TEST_PYTHON"));
    python.arg(repository("tests/maintenance/lake.py")).arg(action).arg(scene.data_dir()).args(words);
    let output = python.output().unwrap();
    assert!(output.status.success(), "lake.py {action} {words:?}: {}", told(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Sums over all tables, the same for both readers.
#[track_caller]
pub fn sums(scene: &Scene) -> Value {
    agreed(lake(scene, "sums", &[]))
}

/// Sums over a table at one of its snapshots, the same for both readers.
#[track_caller]
pub fn sums_at(scene: &Scene, table: &str, snapshot: &str) -> Value {
    agreed(lake(scene, "sums", &[table, snapshot]))
}

#[track_caller]
fn agreed(by_reader: Value) -> Value {
    assert_eq!(by_reader["pyiceberg"], by_reader["duckdb"], "PyIceberg and DuckDB read different sums");
    by_reader["pyiceberg"].clone()
}

/// A table's snapshots, oldest first: id, parent, operation.
#[track_caller]
pub fn snapshots(scene: &Scene, table: &str) -> Vec<[String; 3]> {
    serde_json::from_value(lake(scene, "snapshots", &[table])).unwrap()
}
