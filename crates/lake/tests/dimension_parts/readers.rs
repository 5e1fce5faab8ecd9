//! Other programs on a dimension.

use std::path::PathBuf;
use std::process::Command;

use arrow::datatypes::DataType;
use pulselake_lake::Lake;

use crate::common::Place;
use crate::dimension_parts::*;
use crate::lake_of;

/// DuckDB applies equality deletes; PyIceberg refuses them, and reads what has none.
#[tokio::test]
#[ignore = "needs the test tools: run through make test"]
async fn other_programs_read_the_same() {
    let place = Place::new();
    let lake = lake_of(&place).await;
    let first = [("v_1", Some("music"), Some("a,b"), Some(1)), ("v_2", None, Some(""), None)];
    upsert(&lake, 0, &batch(base(&first, 1)), &[]).await.unwrap();
    lake.evolve(VIDEOS, &[add("likes", DataType::Int32), add("hd", DataType::Boolean)]).await.unwrap();
    let second = |key: &'static str, likes| {
        let mut columns = base(&[(key, Some("film"), None, Some(2))], 2);
        columns.extend([("likes", likes), ("hd", truths([Some(true)]))]);
        batch(columns)
    };
    upsert(&lake, 1, &second("v_3", ints([Some(7)])), &[]).await.unwrap();
    lake.evolve(VIDEOS, &[promote("likes", DataType::Int64)]).await.unwrap();
    let columns = ["video_id", "category", "hashtags", "duration_ms", "likes", "hd"];
    let own = rows(&lake, VIDEOS, &columns).await;
    assert_eq!(own.len(), 3);
    assert_eq!(others(&lake, &columns).await, (own.clone(), Some(own)));

    upsert(&lake, 2, &second("v_1", longs([Some(1 << 40)])), &["v_1", "v_2"]).await.unwrap();
    let own = rows(&lake, VIDEOS, &columns).await;
    assert_eq!(own, ["v_1|film|NULL|2|1099511627776|true", "v_3|film|NULL|2|7|true"]);
    assert_eq!(others(&lake, &columns).await, (own, None));
}

/// Rows by DuckDB, and by PyIceberg where it does not refuse.
async fn others(lake: &Lake, columns: &[&str]) -> (Vec<String>, Option<Vec<String>>) {
    let table = lake.load(VIDEOS).await.unwrap();
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let python =
        std::env::var("PULSELAKE_TEST_PYTHON").expect("PULSELAKE_TEST_PYTHON: run through make test");
    let output = Command::new(python)
        .arg(directory.join("tests/dimension_parts/readers.py"))
        .arg(table.metadata_location().unwrap())
        .args(columns)
        .env("PYTHONPATH", directory.join("../../tests/verify"))
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let sorted = |found: &serde_json::Value| {
        let mut texts: Vec<String> =
            found.as_array()?.iter().map(|row| row.as_str().unwrap().to_string()).collect();
        texts.sort();
        Some(texts)
    };
    (sorted(&said["duckdb"]).unwrap(), sorted(&said["pyiceberg"]))
}
