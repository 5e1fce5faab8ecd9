//! `pulselake-query sql` as a program: formats, statements of standard input, exit codes.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::io::Write;
use std::process::{Command, Output, Stdio};

use support::lake;
use support::tables::Lake;

fn sql(lake: &Lake, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_pulselake-query"))
        .args(["sql", "--data-dir"])
        .arg(lake.directory.path())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_query_is_answered_in_the_format_asked_for() {
    let lake = lake().await;
    let output = sql(&lake, &["--format", "json", "SELECT count(*) AS n FROM t.days"], "");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["rows"], serde_json::json!([[7_200]]));
    let output = sql(&lake, &["SELECT part, count(*) AS n FROM t.days GROUP BY 1 ORDER BY 1 LIMIT 1"], "");
    assert!(text(&output.stdout).contains("| part | n    |"), "{}", text(&output.stdout));
    let output = sql(&lake, &["--format", "csv", "SELECT video_id FROM t.days"], "");
    assert_eq!(text(&output.stdout).lines().count(), 7_201, "all rows without being asked");
    let output = sql(&lake, &["SELECT video_id FROM t.days"], "");
    assert!(text(&output.stdout).contains("1000 rows and more, cut off (--max-rows)"));
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_come_from_standard_input_too() {
    let lake = lake().await;
    let input = "SELECT 1 AS one; -- the first\nSELECT ';' AS two;";
    let output = sql(&lake, &["--format", "csv"], input);
    assert_eq!(text(&output.stdout), "one\n1\ntwo\n;\n", "{}", text(&output.stderr));
    let output = sql(&lake, &["--format", "csv"], " ; ");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("there is no query"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deepest_statement_that_is_allowed_is_planned_and_evaluated() {
    let lake = lake().await;
    let deep = format!("SELECT sum({}part) AS n FROM t.days", "part + ".repeat(490));
    let output = sql(&lake, &["--format", "csv", &deep], "");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "n\n7070400\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_points_at_its_place_and_fails() {
    let lake = lake().await;
    let output = sql(&lake, &["SELECT video_id, nope FROM t.days"], "");
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("  line 1: SELECT video_id, nope FROM t.days\n"), "{said}");
    assert!(said.lines().last().unwrap().ends_with('^'), "{said}");
    let nowhere = Command::new(env!("CARGO_BIN_EXE_pulselake-query"))
        .args(["sql", "--data-dir", "/nonexistent/lake", "SELECT 1"])
        .output()
        .unwrap();
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(text(&nowhere.stderr).contains("/nonexistent/lake"), "{}", text(&nowhere.stderr));
    let wrong = sql(&lake, &["--set", "engine.shards=9999", "SELECT 1"], "");
    assert_eq!(wrong.status.code(), Some(2), "{}", text(&wrong.stderr));
}
