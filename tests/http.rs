//! What the engine says of itself over HTTP: metrics that agree with the tables, and health that tells the truth.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use common::engine::{BINARY, Engine, free_address, http_get, metric_sum};
use common::scene::Scene;
use common::{PATIENCE, environment, poll, repository};
use serde_json::Value;

const BRONZE: &str = "bronze.raw_events";
const QUARANTINE: &str = "bronze.invalid_events_content";

/// What has to be on `/metrics`, with its type.
const WANTED: [(&str, &str); 21] = [
    ("pulselake_source_records_total", "counter"),
    ("pulselake_source_bytes_total", "counter"),
    ("pulselake_table_rows_total", "counter"),
    ("pulselake_rejected_records_total", "counter"),
    ("pulselake_mailbox_depth_batches", "gauge"),
    ("pulselake_backpressure_wait_seconds_total", "counter"),
    ("pulselake_shard_restarts_total", "counter"),
    ("pulselake_consumer_lag_records", "gauge"),
    ("pulselake_watermark_lag_seconds", "gauge"),
    ("pulselake_open_windows", "gauge"),
    ("pulselake_late_records_total", "counter"),
    ("pulselake_dropped_records_total", "counter"),
    ("pulselake_duplicate_records_total", "counter"),
    ("pulselake_commit_duration_seconds", "histogram"),
    ("pulselake_commit_conflicts_total", "counter"),
    ("pulselake_written_files_total", "counter"),
    ("pulselake_written_bytes_total", "counter"),
    ("pulselake_last_commit_age_seconds", "gauge"),
    ("pulselake_end_to_end_latency_seconds", "histogram"),
    ("pulselake_assigned_partitions", "gauge"),
    ("pulselake_build_info", "gauge"),
];

fn get(address: &str, path: &str) -> (u16, String) {
    poll(PATIENCE, || http_get(address, path)).unwrap_or_else(|| panic!("nobody answers at {address}"))
}

/// Asks until the answer has this code; gives the answer.
fn wait_for_code(address: &str, path: &str, code: u16) -> Value {
    let answer = poll(PATIENCE, || http_get(address, path).filter(|(found, _)| *found == code));
    let (_, body) =
        answer.unwrap_or_else(|| panic!("{path} does not answer {code}, but {:?}", http_get(address, path)));
    serde_json::from_str(&body).unwrap()
}

fn reason(health: &Value) -> &str {
    health["reason"].as_str().unwrap_or_else(|| panic!("no reason in {health}"))
}

fn start(scene: &Scene, address: &str, settings: &[&str]) -> Engine {
    let bind = format!("http.bind={address}");
    scene.start(&[settings, &[&bind]].concat())
}

/// Prometheus' text format, read strictly: each sample belongs to the type before it, has well-formed labels and a
/// number. Gives the types, and the samples by series.
fn parse(exposition: &str) -> (BTreeMap<String, String>, BTreeMap<String, f64>) {
    let (mut types, mut samples) = (BTreeMap::new(), BTreeMap::new());
    let mut family = String::new();
    for line in exposition.lines().filter(|line| !line.is_empty()) {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram", "summary"].contains(&kind), "{line}");
            assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} comes twice");
            family = name.to_owned();
            continue;
        }
        if line.starts_with("# HELP ") {
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let of_histogram = ["_bucket", "_sum", "_count"].map(|ending| format!("{family}{ending}"));
        assert!(
            name == family || of_histogram.iter().any(|wanted| wanted == name),
            "{line} stands under {family}"
        );
        let inner = labels.strip_suffix('}').unwrap_or_else(|| panic!("{line}"));
        for label in inner.split("\",").filter(|label| !label.is_empty()) {
            let (key, text) = label.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
            assert!(!key.is_empty() && !text.trim_end_matches('"').contains('"'), "{line}");
        }
        let number = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
        assert!(samples.insert(series.to_owned(), number).is_none(), "{series} comes twice");
    }
    (types, samples)
}

/// Each histogram's buckets only rise, and the last is its count.
fn check_histograms(types: &BTreeMap<String, String>, exposition: &str) {
    for (name, _) in types.iter().filter(|(_, kind)| *kind == "histogram") {
        let mut last: BTreeMap<String, f64> = BTreeMap::new();
        for line in exposition.lines().filter(|line| line.starts_with(&format!("{name}_bucket{{"))) {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (others, _) = series.rsplit_once("le=\"").unwrap_or_else(|| panic!("no bound: {line}"));
            let value: f64 = value.parse().unwrap();
            let before = last.insert(others.to_owned(), value).unwrap_or(0.0);
            assert!(value >= before, "{line} is less than the bucket before it");
        }
        assert_eq!(last.values().sum::<f64>(), metric_sum(exposition, &format!("{name}_count")), "{name}");
    }
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn metrics_parse_and_agree_with_the_tables() {
    let scene = Scene::new("metrics", 3);
    let records = scene.fill(100.0, 9, 200);
    let address = free_address();
    let mut engine = start(&scene, &address, &["engine.lag_interval_ms=100"]);
    let rows = |exposition: &str, table: &str| {
        let series = format!("pulselake_table_rows_total{{table=\"{table}\"}}");
        parse(exposition).1.get(&series).copied().unwrap_or(0.0)
    };
    let text = poll(PATIENCE, || {
        let (code, text) = http_get(&address, "/metrics")?;
        assert_eq!(code, 200);
        let committed = rows(&text, BRONZE) + rows(&text, QUARANTINE);
        (committed == records as f64 && rows(&text, "gold.rt_video_stats_1min") > 0.0).then_some(text)
    });
    let text = text.unwrap_or_else(|| panic!("not everything is committed:\n{}", engine.log().tail()));
    let (types, samples) = parse(&text);
    for (name, kind) in WANTED {
        assert_eq!(types.get(name).map(String::as_str), Some(kind), "{name}");
    }
    check_histograms(&types, &text);
    assert_eq!(metric_sum(&text, "pulselake_source_records_total"), records as f64);
    assert_eq!(metric_sum(&text, "pulselake_rejected_records_total"), rows(&text, QUARANTINE));
    assert_eq!(metric_sum(&text, "pulselake_assigned_partitions"), 3.0);
    assert_eq!(metric_sum(&text, "pulselake_consumer_lag_records"), 0.0);
    assert_eq!(metric_sum(&text, "pulselake_shard_restarts_total"), 0.0);
    assert!(
        metric_sum(&text, "pulselake_duplicate_records_total") > 0.0
            && metric_sum(&text, "pulselake_late_records_total") > 0.0
    );
    assert!(
        metric_sum(&text, "pulselake_written_bytes_total")
            > metric_sum(&text, "pulselake_written_files_total")
    );
    let partitions =
        samples.keys().filter(|series| series.starts_with("pulselake_source_records_total{partition="));
    assert_eq!(partitions.count(), 3);
    let actors: BTreeSet<&str> =
        ["PartitionConsumer", "VelocityAggregator", "IcebergWriter", "Committer", "GoldWriter"].into();
    for actor in actors {
        let prefix = format!("pulselake_mailbox_depth_batches{{actor=\"{actor}\"");
        assert!(samples.keys().any(|series| series.starts_with(&prefix)), "no mailbox of {actor}");
    }
    check_with_promtool(&text);
    engine.terminate();
    let tables: Value =
        serde_json::from_slice(&scene.command(&["tables", "--format", "json"]).stdout).unwrap();
    for table in tables["tables"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|table| table["table"] != "gold.rt_video_stats_1min")
    {
        let name = table["table"].as_str().unwrap();
        assert_eq!(table["rows"].as_f64().unwrap(), rows(&text, name), "{name}");
    }
}

/// Prometheus' own check, where it is installed.
fn check_with_promtool(exposition: &str) {
    let started = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = started else { return println!("SKIPPED: promtool is not installed") };
    std::io::Write::write_all(&mut promtool.stdin.take().unwrap(), exposition.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    // 3 is for advice on names.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn a_process_that_waits_for_partitions_is_alive_and_not_ready() {
    let scene = Scene::new("standby", 1);
    scene.fill(50.0, 1, 30);
    let (first_address, second_address) = (free_address(), free_address());
    let mut first = start(&scene, &first_address, &[]);
    let health = wait_for_code(&first_address, "/readyz", 200);
    assert_eq!(
        (&health["phase"], &health["partitions"], &health["ok"]),
        (&"running".into(), &1.into(), &true.into())
    );
    let _second = start(&scene, &second_address, &["kafka.librdkafka.session.timeout.ms=6000"]);
    // One of the two has the partition, the other waits for it.
    let waiting = wait_for_code(&second_address, "/readyz", 503);
    assert_eq!(waiting["phase"], "starting", "{waiting}");
    assert_eq!(get(&second_address, "/healthz").0, 200);
    first.terminate();
    let has_it = || {
        let (code, answer) = get(&second_address, "/readyz");
        (code == 200 && answer.contains("\"partitions\":1")).then_some(())
    };
    assert!(poll(PATIENCE, has_it).is_some(), "{:?}", get(&second_address, "/readyz"));
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn a_shard_that_waits_for_its_restart_is_not_ready() {
    let scene = Scene::new("restarting", 1);
    scene.fill(50.0, 1, 30);
    let address = free_address();
    let bind = format!("http.bind={address}");
    let settings = ["supervision.backoff_initial_ms=3000", "supervision.backoff_max_ms=3000", bind.as_str()];
    let engine = scene.start_with(&scene.run_arguments(&settings), "consumer::polled=1*panic");
    let health = wait_for_code(&address, "/readyz", 503);
    // The first answer may have come before the shard was started at all.
    let restarting = poll(PATIENCE, || {
        let (code, body) = http_get(&address, "/readyz")?;
        (code == 503 && body.contains("restarting")).then(|| serde_json::from_str::<Value>(&body).unwrap())
    });
    let restarting = restarting.unwrap_or_else(|| panic!("never restarting; at first {health}"));
    assert!(reason(&restarting).contains("PartitionConsumer of partition 0"), "{restarting}");
    assert_eq!(get(&address, "/healthz").0, 200, "the process lives");
    let ready = wait_for_code(&address, "/readyz", 200);
    assert_eq!(ready["restarts"], 1, "{ready}");
    let (_, metrics) = get(&address, "/metrics");
    assert_eq!(metric_sum(&metrics, "pulselake_shard_restarts_total"), 1.0);
    drop(engine);
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn records_that_wait_behind_a_locked_catalog_make_it_not_ready() {
    let scene = Scene::new("stale", 2);
    let mut stream = scene.stream(50.0, 2);
    stream.advance(30_000);
    stream.flush();
    let address = free_address();
    let mut engine = start(&scene, &address, &["engine.lag_interval_ms=100"]);
    engine.wait_until("it commits", |log| log.commits(BRONZE) > 0);
    wait_for_code(&address, "/readyz", 200);
    let mut holder = lock_catalog(&scene);
    stream.advance(30_000);
    stream.flush();
    let stale = wait_for_code(&address, "/readyz", 503);
    assert!(reason(&stale).contains("records wait, and bronze has had no commit for"), "{stale}");
    assert_eq!(get(&address, "/healthz").0, 200, "the process lives");
    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
    wait_for_code(&address, "/readyz", 200);
    engine.terminate();
    scene.audit();
}

/// Another program that holds the catalog until its standard input is closed.
fn lock_catalog(scene: &Scene) -> Child {
    let mut tamper = Command::new(environment("PULSELAKE_TEST_PYTHON"));
    tamper.arg(repository("tests/tools/tamper.py")).arg("lock").arg(scene.data_dir());
    let mut holder = tamper.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(holder.stdout.take().unwrap()), &mut said)
        .unwrap();
    assert_eq!(said.trim(), "locked");
    holder
}

fn demo(scene: &Scene, settings: &[&str]) -> Engine {
    let mut words = ["demo", "--no-summary"].map(str::to_owned).to_vec();
    words.extend(scene.common_arguments(settings));
    scene.start_with(&words, "")
}

#[test]
fn an_address_in_use_is_named() {
    let scene = Scene::without_topic("in-use");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut engine = demo(&scene, &[&format!("http.bind={address}")]);
    let status = engine.wait();
    let said = engine.log().text;
    assert_eq!(status.code(), Some(1), "{said}");
    for words in ["cannot listen on http.bind", &address, "choose another address", "in use"] {
        assert!(said.contains(words), "{words:?} is not in:\n{said}");
    }
}

#[test]
fn only_this_machine_is_let_in_unless_a_token_is_set() {
    let print = |words: &[&str]| {
        let output = Command::new(BINARY)
            .args(["config", "print"])
            .args(words)
            .env_remove("PULSELAKE_CONFIG")
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (code, defaults) = print(&[]);
    assert!(code == Some(0) && defaults.contains("bind = \"127.0.0.1:9464\""), "{defaults}");
    let (code, open) = print(&["--set", "http.bind=0.0.0.0:9464"]);
    assert!(code == Some(2) && open.contains("set http.token_file"), "{open}");

    let scene = Scene::without_topic("token");
    let address = free_address();
    let _engine = demo(&scene, &[&format!("http.bind={address}"), "http.token=open-sesame"]);
    wait_for_code(&address, "/healthz", 200);
    let ask = |headers: &[&str]| {
        let mut stream = std::net::TcpStream::connect(&address).unwrap();
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let request =
            format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\n{headers}Connection: close\r\n\r\n");
        std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
        let mut answer = String::new();
        std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
        answer
    };
    for wrong in [&[][..], &["Authorization: Bearer open-sesam"], &["Authorization: Basic open-sesame"]] {
        let answer = ask(wrong);
        assert!(answer.starts_with("HTTP/1.1 401 ") && !answer.contains("pulselake_"), "{wrong:?}: {answer}");
    }
    let answer = ask(&["Authorization: Bearer open-sesame"]);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("pulselake_build_info"), "{answer}");
}
