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

/// What both readers read.
pub struct Sums {
    /// Sums by table.
    pub sums: Value,
    snapshots: Value,
}

impl Sums {
    /// A table's snapshots, oldest first: id and operation.
    pub fn snapshots(&self, table: &str) -> Vec<[String; 2]> {
        serde_json::from_value(self.snapshots[table].clone()).unwrap()
    }
}

/// Sums over all tables now, or over `at` (table=snapshot), which have to be the same for both readers.
#[track_caller]
pub fn read(scene: &Scene, at: &[&str]) -> Sums {
    let mut found = lake(scene, "sums", at);
    assert_eq!(found["pyiceberg"], found["duckdb"], "PyIceberg and DuckDB read different sums");
    Sums { sums: found["pyiceberg"].take(), snapshots: found["snapshots"].take() }
}

/// Sums over all tables now.
#[track_caller]
pub fn sums(scene: &Scene) -> Value {
    read(scene, &[]).sums
}
