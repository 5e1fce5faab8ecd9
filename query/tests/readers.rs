//! The same statements by DuckDB on the same tables: by its own reader of Iceberg, where that one reads them rightly.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::path::Path;
use std::process::Command;

use support::{engine, ident, lake, rows};

const STATEMENTS: [&str; 12] = [
    "SELECT count(*), count(likes), sum(likes), min(\"at\"), max(\"at\") FROM days",
    "SELECT part, count(*), sum(likes) FROM days GROUP BY part",
    "SELECT video_id, max(likes) FROM days WHERE day = DATE '2026-02-09' GROUP BY video_id",
    "SELECT video_id, \"at\", likes FROM days WHERE \"at\" >= TIMESTAMPTZ '2026-02-10 20:00:00+00' AND part IN (1, 3) AND note IS NULL",
    "SELECT count(*) FROM days WHERE video_id > 'v3' AND video_id <= 'v9' AND likes BETWEEN -100 AND 1000",
    "SELECT a.video_id, count(*) FROM days AS a JOIN days AS b ON a.video_id = b.video_id AND a.\"at\" = b.\"at\" GROUP BY 1",
    "SELECT id, name, n, extra FROM evolved",
    "SELECT count(*), count(name), count(n), sum(n), count(extra), min(id), max(id) FROM evolved",
    "SELECT name, count(*) FROM evolved GROUP BY name",
    "SELECT id FROM evolved WHERE n > 100 AND n < 300",
    "SELECT id, extra FROM evolved WHERE extra >= 'x14' AND name = 'v7'",
    "SELECT id FROM evolved WHERE name IS NULL",
];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cache's Python: run through make test"]
async fn results_are_those_of_duckdb() {
    let lake = lake().await;
    let engine = engine(&lake).await;
    let python =
        std::env::var("PULSELAKE_TEST_PYTHON").expect("PULSELAKE_TEST_PYTHON: run through make test");
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(python);
    command.arg(here.join("tests/duckdb_rows.py")).env("PYTHONPATH", here.join("../tests/verify"));
    for name in ["days", "evolved"] {
        let table = lake.table(&ident(name)).await;
        command.arg(format!("{name}={}", table.metadata_location().unwrap()));
    }
    let output = command.arg("--").args(STATEMENTS).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Vec<Vec<String>> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said.len(), STATEMENTS.len());
    for (sql, mut theirs) in STATEMENTS.into_iter().zip(said) {
        let ours = sql.replace(" days", " t.days").replace(" evolved", " t.evolved");
        theirs.sort();
        assert_eq!(rows(&engine, &ours).await, theirs, "{sql}");
        assert!(!theirs.is_empty(), "{sql} compares nothing");
    }
}
