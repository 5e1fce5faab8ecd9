//! What a running demo answers: of the shape that `/openapi.json` says, and the same wherever it is asked.

use std::process::Command;

use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{ACT, Demo};
use crate::common::{environment, repository};

fn first_pending(list: &Value) -> Option<String> {
    Some(list["actions"].as_array()?.first()?["action_id"].as_str()?.to_owned())
}

#[test]
fn the_supernova_rises_to_rank_1_and_its_boost_is_taken_up_once() {
    let demo = Demo::start("api-boost", &[]);
    let list = demo.wait_for("/api/v1/trending?limit=50", |_, body| {
        body["coverage"]["complete"] == true && body["videos"][0]["quadrant"] == "supernova"
    });
    let first = list["videos"][0]["video_id"].as_str().unwrap();
    let boosts = format!("/api/v1/decisions?state=PENDING&type=BOOST&video_id={first}");
    let pending = demo.wait_for(&boosts, |_, body| first_pending(body).is_some());
    let id = first_pending(&pending).unwrap();
    assert_eq!(pending["actions"][0]["video_id"], first);

    let ack = format!("/api/v1/decisions/{id}/ack");
    assert_eq!(demo.post(&ack, "", None).0, 401);
    let (status, acked) = demo.post(&ack, ACT, Some(json!({"expected_state": "PENDING"})));
    assert_eq!((status, &acked["state"]), (200, &json!("ACKED")), "{acked}");
    let (status, again) = demo.post(&ack, ACT, None);
    assert_eq!((status, &again["error"]["code"]), (409, &json!("wrong_state")), "{again}");
    let (status, done) = demo.post(&format!("/api/v1/decisions/{id}/done"), ACT, None);
    assert_eq!((status, &done["state"]), (200, &json!("DONE")), "{done}");

    // The video says so too, and has the figures of the list's order.
    let video = demo.get(&format!("/api/v1/videos/{first}"));
    assert_eq!((&video["source"], &video["action"]["state"]), (&json!("board"), &json!("DONE")));
    let sum = |field: &str| -> i64 {
        let minutes = video["minutes"].as_array().unwrap();
        minutes.iter().map(|minute| minute[field].as_i64().unwrap()).sum()
    };
    assert!(sum("impressions") >= video["impressions_30m"].as_i64().unwrap(), "{video}");
}

#[test]
#[ignore = "needs the Python of the tests: run through make test"]
fn every_answer_has_the_shape_that_is_described() {
    let demo =
        Demo::start("api-shapes", &["maintenance.check_interval_ms=1000", "generator.invalid_ratio=0.05"]);
    demo.wait_for("/api/v1/quarantine?limit=5", |_, body| {
        body["records"].as_array().is_some_and(|records| records.len() == 5)
    });
    demo.wait_for("/api/v1/engine", |_, body| {
        body["tables"].as_array().is_some_and(|tables| tables.iter().any(|table| table["files"].is_number()))
    });
    let output = Command::new(environment("PULSELAKE_TEST_PYTHON"))
        .arg(repository("tests/api/check_answers.py"))
        .args([&demo.address, ACT])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn live_updates_are_the_answers() {
    let demo = Demo::start("api-events", &[]);
    demo.wait_for("/api/v1/trending", |_, body| {
        body["videos"].as_array().is_some_and(|list| !list.is_empty())
    });
    let text = demo.read_for("/api/v1/events", std::time::Duration::from_secs(5));
    let mut kinds = std::collections::BTreeMap::new();
    for block in text.split("\n\n") {
        let Some((name, data)) = block.split_once("\ndata: ") else { continue };
        // The last block may be cut off.
        let Ok(data) = serde_json::from_str::<Value>(data) else { continue };
        kinds.insert(name.strip_prefix("event: ").unwrap().to_owned(), data);
    }
    let names: Vec<&str> = kinds.keys().map(String::as_str).filter(|name| *name != "decision").collect();
    assert_eq!(names, ["health", "pulse", "trending"], "{text}");
    assert_eq!(kinds["trending"]["videos"].as_array().unwrap().len(), 50);
    assert!(kinds["health"]["partitions"].is_array() && kinds["pulse"]["doomscroll"]["minutes"].is_array());
}

#[test]
fn two_processes_show_one_list() {
    let first = Demo::start("api-peer", &[]);
    // Another engine with other events; no video of its is the first one's, but they are named alike: sums are not compared.
    let peers = format!("http.peers=[\"http://{}\"]", first.address);
    let second = Demo::start("api-with-peer", &[&peers, "generator.partitions=2"]);
    let of_first = first.get("/api/v1/board?local=true");
    let partitions = of_first["coverage"]["partitions"].as_array().unwrap().len();
    let both = second.wait_for("/api/v1/board", |_, body| body["peers"][0]["error"].is_null());
    let all = both["coverage"]["partitions"].as_array().unwrap().len();
    assert_eq!(all, partitions + 2, "{both}");
    let gone = first.address.clone();
    drop(first);
    let alone = second.wait_for("/api/v1/trending", |_, body| {
        body["coverage"]["missing_peers"].as_array().is_some_and(|missing| missing.len() == 1)
    });
    assert_eq!(alone["coverage"]["missing_peers"][0], format!("http://{gone}"));
    assert_eq!(alone["coverage"]["complete"], false);
    assert_eq!(second.ask(Method::GET, "/api/v1/trending?local=true", "", None).0, 200);
}
