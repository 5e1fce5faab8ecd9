//! Flight SQL by a client that is not ours: ADBC's driver, from Python.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use support::lake;
use support::server::Server;

fn by_adbc(server: &Server, token: &str) -> Value {
    let python =
        std::env::var("PULSELAKE_TEST_PYTHON").expect("PULSELAKE_TEST_PYTHON: run through make test");
    let output = Command::new(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/adbc_client.py"))
        .arg(format!("grpc://{}", server.flight.as_deref().unwrap()))
        .arg(token)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cache's Python: run through make test"]
async fn an_adbc_client_lists_reads_and_is_refused_what_it_may_not() {
    let lake = lake().await;
    let bounds = ["--flight-bind", "127.0.0.1:0", "--timeout-s", "2", "--max-rows", "5"];
    let server = Server::start_with(lake.directory.path(), &bounds, Some("secret"));
    let said = tokio::task::block_in_place(|| by_adbc(&server, "secret"));
    assert_eq!(said["count"], json!([[7_200]]));
    // Rows are streamed: the limit of a JSON answer is not theirs.
    assert_eq!(said["rows"], json!(7_200));
    assert_eq!(said["sum"], json!([["2026-02-08T00:00:00+00:00", "v1"]]));
    assert_eq!(said["prepared_twice"], json!([1, 1]));
    let tables = said["tables"].as_array().unwrap();
    assert!(tables.contains(&json!(["lake", "t", "days", "TABLE"])), "{tables:?}");
    assert!(tables.iter().any(|table| table[1] == "serving" && table[3] == "VIEW"), "{tables:?}");
    assert_eq!(said["columns"], json!(["id", "name", "n", "extra"]));
    assert_eq!(said["vendor"], json!("Pulselake"));
    for (what, code) in
        [("bad", "bad_sql: "), ("write", "read_only: "), ("update", "read_only: "), ("endless", "timeout: ")]
    {
        assert!(said["refused"][what].as_str().unwrap().contains(code), "{what}: {}", said["refused"]);
    }
    let stranger = tokio::task::block_in_place(|| by_adbc(&server, "wrong"));
    assert!(
        stranger["refused"]["all"].as_str().unwrap().to_lowercase().contains("unauthenticated"),
        "{stranger}"
    );
}
