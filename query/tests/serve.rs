//! `pulselake-query serve` as a process: answers, formats, refusals, clients that go away, and its end.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::{Value, json};
use support::lake;
use support::server::Server;

/// Runs until somebody stops it.
const ENDLESS: &str = "SELECT count(*) FROM generate_series(1, 1000000000000000)";

#[tokio::test(flavor = "multi_thread")]
async fn a_result_has_columns_rows_and_what_came_of_it() {
    let lake = lake().await;
    let server = Server::start(lake.directory.path(), &[]);
    let sql = "SELECT at, day, part, likes, video_id, note IS NULL AS no_note FROM t.days WHERE at = TIMESTAMP '2026-02-08 00:24:00'";
    let (status, answer) = server.ask(&json!({ "sql": sql })).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(
        answer["columns"],
        json!([
            { "name": "at", "type": "timestamp(6) with time zone" },
            { "name": "day", "type": "date" },
            { "name": "part", "type": "integer" },
            { "name": "likes", "type": "bigint" },
            { "name": "video_id", "type": "varchar" },
            { "name": "no_note", "type": "boolean" },
        ])
    );
    assert_eq!(answer["rows"], json!([["2026-02-08T00:24:00Z", "2026-02-08", 0, -280, "v21", true]]));
    assert_eq!((&answer["row_count"], &answer["truncated"]), (&json!(1), &json!(false)));
    assert!(answer["elapsed_ms"].is_u64());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_format_has_the_same_rows() {
    let lake = lake().await;
    let server = Server::start(lake.directory.path(), &[]);
    let sql = "SELECT * FROM (VALUES (1, 'a,\"b\"', make_array(1, NULL)), (2, NULL, NULL)) AS t(n, s, l) ORDER BY n";
    let text = async |format: &str| {
        let response = server.post(&json!({ "sql": sql, "format": format })).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
        assert_eq!(response.headers()["x-truncated"], "false");
        (kind, response.bytes().await.unwrap())
    };
    let (kind, csv) = text("csv").await;
    assert_eq!(kind, "text/csv; charset=utf-8");
    assert_eq!(std::str::from_utf8(&csv).unwrap(), "n,s,l\n1,\"a,\"\"b\"\"\",\"[1,null]\"\n2,,\n");
    let (_, lines) = text("ndjson").await;
    let lines: Vec<Value> = lines
        .split(|byte| *byte == b'\n')
        .filter(|l| !l.is_empty())
        .map(|l| serde_json::from_slice(l).unwrap())
        .collect();
    assert_eq!(
        lines,
        [json!({"n": 1, "s": "a,\"b\"", "l": [1, null]}), json!({"n": 2, "s": null, "l": null})]
    );
    let (kind, stream) = text("arrow").await;
    assert_eq!(kind, "application/vnd.apache.arrow.stream");
    let reader = arrow::ipc::reader::StreamReader::try_new(std::io::Cursor::new(stream), None).unwrap();
    let batches: Vec<_> = reader.map(Result::unwrap).collect();
    assert_eq!(support::tables::texts(&batches), ["1|a,\"b\"|[1, NULL]", "2|NULL|NULL"]);
    let (_, table) = text("table").await;
    assert!(std::str::from_utf8(&table).unwrap().contains("2 rows in"));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_requests_are_refused_by_code_and_the_server_goes_on() {
    let lake = lake().await;
    let server = Server::start(lake.directory.path(), &["--max-result-mib", "1", "--timeout-s", "20"]);
    let sql = |text: &str| json!({ "sql": text });
    for (body, status, code) in [
        (sql("SELEC 1"), 400, "bad_sql"),
        (sql("DROP TABLE t.days"), 403, "read_only"),
        (sql("SELECT 1 / (part - part) FROM t.days"), 422, "execution"),
        (sql("SELECT repeat('x', 3000000)"), 413, "too_large"),
        (json!({ "sql": ENDLESS, "timeout_s": 0.2 }), 504, "timeout"),
        (json!({ "sql": "SELECT 1", "timeout_s": -1 }), 400, "bad_request"),
        (json!({ "sql": "SELECT 1", "format": "xml" }), 422, "bad_request"),
        (json!({ "query": "SELECT 1" }), 422, "bad_request"),
        (sql(&format!("SELECT '{}'", "x".repeat(300_000))), 413, "too_large"),
    ] {
        let found = server.refusal(&body).await;
        assert_eq!(
            found,
            (status, code.to_owned()),
            "{}",
            &body.to_string()[..60.min(body.to_string().len())]
        );
    }
    let (_, answer) = server.ask(&sql("SELECT video_id,\n  nope FROM t.days")).await;
    assert_eq!(answer["error"]["position"], json!({ "line": 2, "column": 3 }));
    let (_, answer) = server.ask(&json!({ "sql": "SELECT * FROM t.days", "max_rows": 3 })).await;
    assert_eq!((&answer["row_count"], &answer["truncated"]), (&json!(3), &json!(true)));
    assert_eq!(server.rows("SELECT count(*) FROM t.days").await, json!([[7_200]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_limits_can_not_be_widened() {
    let lake = lake().await;
    let server = Server::start(lake.directory.path(), &["--max-rows", "4", "--timeout-s", "0.3"]);
    let (_, answer) = server.ask(&json!({ "sql": "SELECT * FROM t.days", "max_rows": 1_000 })).await;
    assert_eq!(answer["row_count"], json!(4));
    let started = Instant::now();
    assert_eq!(
        server.refusal(&json!({ "sql": ENDLESS, "timeout_s": 600 })).await,
        (504, "timeout".to_owned())
    );
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_ends_when_its_client_goes_away() {
    let lake = lake().await;
    let bounds = ["--max-concurrent", "1", "--max-waiting", "0", "--timeout-s", "600"];
    let server = Server::start(lake.directory.path(), &bounds);
    let abandoned = server.post(&json!({ "sql": ENDLESS })).timeout(Duration::from_millis(500)).send().await;
    assert!(abandoned.unwrap_err().is_timeout());
    // The only place is free again, long before the query's own time is over.
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let (status, answer) = server.ask(&json!({ "sql": "SELECT 1" })).await;
        if status == StatusCode::OK {
            break;
        }
        assert_eq!(answer["error"]["code"], "busy", "{answer}");
        assert!(Instant::now() < deadline, "the place was not given back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_query_too_many_is_refused_and_busy_threads_still_answer() {
    let lake = lake().await;
    let bounds = ["--max-concurrent", "2", "--max-waiting", "0", "--timeout-s", "3", "--threads", "2"];
    let server = Server::start(lake.directory.path(), &bounds);
    // The short statement below takes a place too, now and then.
    let endless = async || loop {
        let response = server.post(&json!({ "sql": ENDLESS })).send().await.unwrap();
        if response.status() != StatusCode::SERVICE_UNAVAILABLE {
            return response.status().as_u16();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let busy = async {
        let deadline = Instant::now() + Duration::from_secs(3);
        loop {
            let started = Instant::now();
            let (status, answer) = server.ask(&json!({ "sql": "SELECT 1" })).await;
            if status == StatusCode::SERVICE_UNAVAILABLE {
                assert_eq!(answer["error"]["code"], "busy");
                let health = reqwest::get(format!("{}/healthz", server.http)).await.unwrap();
                assert_eq!(health.status(), StatusCode::OK);
                return started.elapsed();
            }
            assert!(Instant::now() < deadline, "two endless queries did not take both places");
        }
    };
    let (one, other, waited) = tokio::join!(endless(), endless(), busy);
    assert_eq!((one, other), (504, 504));
    assert!(waited < Duration::from_secs(1), "{waited:?}");
    assert_eq!(server.rows("SELECT 1").await, json!([[1]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_asked_for_where_one_is_set_and_needed_beyond_this_machine() {
    let lake = lake().await;
    let server = Server::start_with(lake.directory.path(), &[], Some("secret"));
    let body = json!({ "sql": "SELECT 1" });
    assert_eq!(server.post(&body).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(server.post(&body).bearer_auth("secret").send().await.unwrap().status(), StatusCode::OK);
    let refused = std::process::Command::new(env!("CARGO_BIN_EXE_pulselake-query"))
        .args(["serve", "--bind", "0.0.0.0:0", "--data-dir"])
        .arg(lake.directory.path())
        .output()
        .unwrap();
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("PULSELAKE_QUERY_TOKEN"));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_with_its_standard_input_whatever_runs() {
    let lake = lake().await;
    let mut server = Server::start(lake.directory.path(), &["--timeout-s", "600"]);
    let running = tokio::spawn(server.post(&json!({ "sql": ENDLESS })).send());
    server.rows("SELECT 1").await;
    let started = Instant::now();
    let status = tokio::task::block_in_place(|| server.close_input());
    assert!(status.success(), "{status}");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert!(running.await.unwrap().is_err());
}
