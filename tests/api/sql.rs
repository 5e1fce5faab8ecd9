//! SQL through the API: the query process beside the engine.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::Demo;
use crate::common::engine::BINARY;
use crate::common::{PATIENCE, poll};

/// Whether the program is built: `cargo test` of the workspace does so.
fn has_query_program() -> bool {
    let is_there = Path::new(BINARY).with_file_name("pulselake-query").exists();
    if !is_there {
        println!("SKIPPED: pulselake-query is not built");
    }
    is_there
}

fn sql(demo: &Demo, text: &str) -> (u16, Value) {
    demo.post("/api/v1/sql", "", Some(json!({"sql": text})))
}

#[test]
fn queries_are_answered_and_errors_passed_on() {
    if !has_query_program() {
        return;
    }
    let demo = Demo::start("api-sql", &["query.timeout_ms=5000", "query.max_rows=100"]);
    demo.wait_for("/api/v1/health", |_, body| {
        let tables = body["tables"].as_array().into_iter().flatten();
        tables
            .clone()
            .any(|table| table["table"] == "gold.rt_video_stats_1min" && table["commits"].as_u64() > Some(0))
    });
    let (status, answer) =
        sql(&demo, "SELECT count(*) AS n, max(window_start) AS newest FROM gold.rt_video_stats_1min");
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["columns"][0]["name"], "n");
    assert!(answer["rows"][0][0].as_i64().unwrap() > 0, "{answer}");
    let (status, many) = sql(&demo, "SELECT event_id FROM bronze.raw_events");
    assert_eq!(
        (status, many["rows"].as_array().unwrap().len(), &many["truncated"]),
        (200, 100, &json!(true))
    );
    let csv = demo.post("/api/v1/sql", "", Some(json!({"sql": "SELECT 1 AS one", "format": "csv"})));
    assert_eq!(csv, (200, Value::String("one\n1\n".to_owned())));
    for (text, expected) in [
        ("SELEKT 1", "bad_sql"),
        ("SELECT nothing FROM bronze.raw_events", "bad_sql"),
        ("DELETE FROM bronze.raw_events", "read_only"),
        (
            "SELECT max(a.event_id || b.event_id || c.event_id) FROM bronze.raw_events a, bronze.raw_events b, bronze.raw_events c",
            "timeout",
        ),
    ] {
        let (status, answer) = sql(&demo, text);
        assert!((400..600).contains(&status), "{text}: {status}");
        assert_eq!(answer["error"]["code"], expected, "{text}: {answer}");
        assert!(answer["error"]["message"].as_str().is_some_and(|message| !message.is_empty()));
    }
    assert!(demo.get("/api/v1/health")["ok"].as_bool().unwrap(), "the engine did not notice");
}

/// What people see at once and what they can ask the tables afterwards are the same numbers: once the stream stands still,
/// gold has every minute that the board has.
#[test]
fn the_pulse_is_what_the_views_say() {
    if !has_query_program() {
        return;
    }
    let rest = ["generator.length_s=2100", "engine.idle_timeout_ms=1000"];
    let demo = Demo::start("api-views", &rest);
    let views = |sql: &str| -> Value {
        let (status, answer) = self::sql(&demo, sql);
        assert_eq!(status, 200, "{answer}");
        answer["rows"].clone()
    };
    let mut last = None;
    let same = poll(PATIENCE, || {
        let pulse = demo.get("/api/v1/pulse");
        let (cold, fresh) = (&pulse["cold_start"], &pulse["fresh_supply"]);
        let minutes = pulse["doomscroll"]["minutes"].as_array()?;
        let shown = json!([
            [[cold["videos"], cold["rising"], cold["share"], cold["state"]]],
            [[fresh["active"], fresh["fresh"], fresh["ratio"]]],
            minutes.iter().rev().map(|minute| [&minute["skips"], &minute["impressions"]]).collect::<Vec<_>>(),
        ]);
        let asked = json!([
            views("SELECT videos, rising, rising_share, state FROM serving.cold_start_health"),
            views("SELECT active, fresh, fresh_ratio FROM serving.fresh_supply"),
            views(&format!(
                "SELECT skips, impressions FROM serving.global_doomscroll_rate ORDER BY metric_minute DESC LIMIT {}",
                minutes.len()
            )),
        ]);
        let is_same = shown == asked && cold["rising"].as_u64() > Some(0) && minutes.len() >= 30;
        last = Some(format!("the pulse: {shown}\nthe views: {asked}"));
        is_same.then_some(())
    });
    assert!(same.is_some(), "{}", last.unwrap_or_default());
}

#[test]
fn a_query_process_that_dies_is_started_again_and_ends_with_the_engine() {
    if !has_query_program() {
        return;
    }
    let mut demo = Demo::start("api-sql-kill", &[]);
    assert_eq!(sql(&demo, "SELECT 1").0, 200);
    let first = child_of(demo.engine.pid()).expect("a query process");
    kill(first);
    let again = poll(PATIENCE, || {
        let (status, answer) = sql(&demo, "SELECT 1");
        assert!(matches!(status, 200 | 502 | 503), "{status}: {answer}");
        (status == 200).then_some(())
    });
    assert!(again.is_some(), "{}", demo.engine.log().tail());
    let second = child_of(demo.engine.pid()).expect("another query process");
    assert_ne!(first, second);
    // Even an engine that has no time to say good-bye takes it along.
    demo.engine.kill();
    let gone = poll(Duration::from_secs(30), || (!is_running(second)).then_some(()));
    assert!(gone.is_some(), "process {second} outlives the engine");
}

#[test]
fn without_the_program_the_answer_says_how_to_get_it() {
    let demo = Demo::start("api-no-sql", &["query.program=/nowhere/pulselake-query"]);
    let (status, answer) = sql(&demo, "SELECT 1");
    assert_eq!((status, &answer["error"]["code"]), (503, &json!("query_process_missing")), "{answer}");
    assert!(
        answer["error"]["message"].as_str().unwrap().contains("cargo build --release -p pulselake-query")
    );
}

/// The query process among a process's children.
fn child_of(pid: u32) -> Option<u32> {
    let numbers = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_child = |candidate: &u32| {
        let status = std::fs::read_to_string(format!("/proc/{candidate}/status")).unwrap_or_default();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).map(str::trim);
        let name = std::fs::read_to_string(format!("/proc/{candidate}/cmdline")).unwrap_or_default();
        parent == Some(pid.to_string().as_str()) && name.contains("pulselake-query")
    };
    pids.into_iter().find(|candidate| is_child(candidate))
}

fn kill(pid: u32) {
    let status = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
    assert!(status.success());
}

fn is_running(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
    status.is_ok_and(|text| !text.lines().any(|line| line.starts_with("State:") && line.contains('Z')))
}
