//! `pulselake generate` as a process: the same run gives the same bytes, and the truth that it tells is what a recount of
//! its events gives, in a file and through Kafka and the engine.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

#[path = "../common/mod.rs"]
mod common;
mod kafka;
mod recount;
mod truth;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use common::engine::BINARY;
use serde_json::Value;
use tempfile::TempDir;

use truth::Rows;

/// 2026-02-07T10:00:00Z, microseconds since the epoch.
const START_US: i64 = 1_770_458_400_000_000;
const START: &str = "2026-02-07T10:00:00Z";
const MINUTE_US: i64 = 60_000_000;

/// Everything that can go wrong, at once.
const CHAOS: [&str; 8] = [
    "viral_high_quality:start_s=20",
    "broken_client",
    "invalid_payload_burst:start_s=10,length_s=30,strength=0.5",
    "schema_drift",
    "late_events",
    "clock_skew",
    "duplicates",
    "hot_partition:start_s=40,length_s=20,strength=0.3",
];

/// Runs the binary.
fn pulselake(arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).env_remove("PULSELAKE_CONFIG").output().unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// `pulselake generate` of a log that starts at [`START`], into files of `directory`.
fn generate(directory: &Path, arguments: &[&str], scenarios: &[&str]) {
    let (out, truth) = (directory.join("events.ndjson"), directory.join("truth"));
    let mut all = vec!["generate", "--start", START, "--out", out.to_str().unwrap()];
    all.extend(["--truth", truth.to_str().unwrap()]);
    all.extend(arguments);
    all.extend(scenarios.iter().flat_map(|scenario| ["--scenario", scenario]));
    let output = pulselake(&all);
    assert!(output.status.success(), "{}", told(&output));
}

/// Each file of a run with its bytes.
fn bytes_of(directory: &Path) -> Vec<(&'static str, Vec<u8>)> {
    let mut files = vec![("events.ndjson", fs::read(directory.join("events.ndjson")).unwrap())];
    files.extend(truth::FILES.map(|name| (name, fs::read(directory.join("truth").join(name)).unwrap())));
    files
}

#[test]
fn the_same_run_gives_the_same_bytes_and_another_seed_others() {
    let run = |seed: &str| {
        let directory = tempfile::tempdir().unwrap();
        generate(directory.path(), &["--seed", seed, "--events", "30001", "--late-ratio", "0.02"], &CHAOS);
        bytes_of(directory.path())
    };
    let (first, second, other) = (run("7"), run("7"), run("8"));
    for (index, (name, bytes)) in first.iter().enumerate() {
        assert!(second[index].1 == *bytes, "{name} differs between two runs of the same seed");
        // Codes without the number of their records may well agree; the others can't.
        assert!(other[index].1 != *bytes, "{name} is the same for another seed");
    }
}

#[test]
fn the_truth_is_what_a_recount_of_the_events_gives() {
    let directory = tempfile::tempdir().unwrap();
    // Ends in the middle of a second.
    generate(directory.path(), &["--seed", "7", "--events", "60007", "--invalid-ratio", "0.02"], &CHAOS);
    let lines = fs::read(directory.path().join("events.ndjson")).unwrap();
    let truth = directory.path().join("truth");
    let manifest = Rows::read(&truth.join("run_manifest.parquet"));
    let last_us = manifest.times_us("last_record_at")[0].unwrap();
    let found = recount::recount(&lines, START_US, last_us);

    assert_eq!(found.records, 60_007);
    assert!(found.retries > 1_000 && found.beyond_lateness > 50, "the chaos did not come about: {found:?}");
    assert_eq!(found.rejected, truth::quarantine(&truth));
    assert!(found.rejected.len() >= 7, "{:?}", found.rejected);
    let counts = truth::counts(&truth);
    let differing: Vec<_> =
        counts.iter().filter(|(key, counted)| found.counts.get(key) != Some(counted)).take(3).collect();
    assert_eq!(differing, [], "of {} rows", counts.len());
    assert_eq!(found.counts.len(), counts.len());

    for (name, expected) in [
        ("seed", 7),
        ("records", found.records),
        ("events", found.events),
        ("retries", found.retries),
        ("malformed", found.rejected.values().sum()),
        ("beyond_lateness", found.beyond_lateness),
        ("video_minutes", counts.len() as i64),
    ] {
        assert_eq!(manifest.only(name), expected, "{name}");
    }
    assert_eq!(manifest.times_us("log_started_at"), [Some(START_US)]);
    assert_eq!(manifest.lists("scenarios")[0].len(), CHAOS.len());
    assert!(manifest.texts("identity")[0].contains("seed=7"));
}

/// A log of 40 minutes with a video for each scenario that is about one.
fn generate_scenarios(directory: &Path) {
    let scenarios = [
        "normal_baseline",
        "viral_high_quality:start_s=60",
        "viral_low_quality",
        "cold_start_under_exposed:start_s=120",
        "viral_low_quality:start_s=2100",
    ];
    let arguments = ["--seed", "7", "--rate", "100", "--videos", "2000", "--set", "generator.length_s=2400"];
    generate(directory, &arguments, &scenarios);
}

#[test]
fn the_rules_come_to_what_the_domain_says_of_each_scenario() {
    let directory = tempfile::tempdir().unwrap();
    generate_scenarios(directory.path());
    let truth = directory.path().join("truth");
    let rows = Rows::read(&truth.join("expected_actions.parquet"));
    let intended = rows.texts("intended_decision");
    assert_eq!(intended, ["NO_ACTION", "BOOST", "REVIEW", "RESCUE", "REVIEW"]);
    assert_eq!(rows.texts("decision_type"), intended);
    let minutes = |column: &str| -> Vec<Option<i64>> {
        rows.times_us(column).into_iter().map(|time| time.map(|us| (us - START_US) / MINUTE_US)).collect()
    };
    // The first minute with 30 covered ones, and the minute in which a scenario begins later.
    assert_eq!(minutes("window_start"), [None, Some(29), Some(29), Some(29), Some(35)]);
    assert_eq!(minutes("window_end"), [None, Some(30), Some(30), Some(30), Some(36)]);
    assert_eq!(minutes("expected_from"), [30, 30, 30, 30, 36].map(Some));
    assert_eq!(minutes("expires_at"), [None, Some(45), Some(60), Some(60), Some(66)]);
    assert_eq!(
        rows.lists("reason_codes")[3],
        ["GATE_PASS", "NEW_UPLOAD_LT_60M", "UNDER_EXPOSED_P40"].map(str::to_owned)
    );
    let ids: BTreeSet<String> = rows.texts("action_id").into_iter().filter(|id| !id.is_empty()).collect();
    assert_eq!(ids.len(), 4);

    // The metrics are the formulas over the counts of the file beside.
    let counts = truth::counts(&truth);
    let (videos, impressions) = (rows.texts("video_id"), rows.whole("impressions_30m"));
    for (row, window_us) in rows.times_us("window_start").into_iter().enumerate() {
        let Some(window_us) = window_us else { continue };
        let mut sums = truth::Counts::default();
        for ((_, minute_us), counted) in counts.iter().filter(|((video, _), _)| *video == videos[row]) {
            if (window_us - 29 * MINUTE_US..=window_us).contains(minute_us) {
                sums.iter_mut().zip(counted).for_each(|(sum, count)| *sum += count);
            }
        }
        let [shown, started, finished, likes, shares, skips, _] = sums.map(|sum| sum as f64);
        assert_eq!(impressions[row], Some(sums[0]), "{}", videos[row]);
        for (column, expected) in [
            ("velocity_30m", (likes + 5.0 * shares) / shown.max(100.0)),
            ("completion_rate_30m", finished / started.max(1.0)),
            ("skip_rate_30m", skips / started.max(1.0)),
        ] {
            assert_eq!(rows.numbers(column)[row], Some(expected), "{column} of {}", videos[row]);
        }
    }
}

fn json(arguments: &[&str]) -> Value {
    let output = pulselake(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", told(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Rows of a table, as `pulselake tables` has it.
fn table_rows(data_dir: &str, table: &str) -> Option<u64> {
    let document = json(&["tables", "--data-dir", data_dir, "--format", "json"]);
    let found = document["tables"].as_array().unwrap().iter().find(|found| found["table"] == table)?;
    found["rows"].as_u64()
}

#[test]
fn a_run_is_in_the_qa_tables_once() {
    let directory: TempDir = tempfile::tempdir().unwrap();
    let data_dir = directory.path().join("lake");
    let data_dir = data_dir.to_str().unwrap();
    let append = |seed: &str| {
        let out = directory.path().join("events.ndjson.zst");
        let arguments = [
            "generate",
            "--start",
            START,
            "--events",
            "3000",
            "--seed",
            seed,
            "--qa",
            "--data-dir",
            data_dir,
        ];
        let more =
            ["--out", out.to_str().unwrap(), "--scenario", "normal_baseline", "--scenario", "hot_partition"];
        let output = pulselake(&[&arguments[..], &more[..]].concat());
        assert!(output.status.success(), "{}", told(&output));
        told(&output)
    };
    assert!(append("7").contains("appended to qa.expected_actions and qa.run_manifest"));
    assert!(append("7").contains("nothing was appended"));
    append("8");
    assert_eq!(table_rows(data_dir, "qa.run_manifest"), Some(2));
    assert_eq!(table_rows(data_dir, "qa.expected_actions"), Some(4));

    let report = json(&["maintain", "--data-dir", data_dir, "--format", "json"]);
    assert_eq!(report["failed"], serde_json::json!([]));
    assert_eq!(report["tables"].as_array().unwrap().len(), 2);
    let refused = pulselake(&["ledger", "rewind", "qa.run_manifest", "--data-dir", data_dir]);
    assert!(told(&refused).contains("possible values: bronze.invalid_events_content"), "{}", told(&refused));
    let erased = pulselake(&["erase", "--video", "v_1000000000", "--data-dir", data_dir]);
    assert!(erased.status.success(), "{}", told(&erased));
    assert_eq!(table_rows(data_dir, "qa.expected_actions"), Some(2));
}

#[test]
fn a_log_without_an_end_has_no_truth() {
    let directory = tempfile::tempdir().unwrap();
    let (out, truth) = (directory.path().join("out.ndjson"), directory.path().join("truth"));
    let arguments = ["generate", "--out", out.to_str().unwrap(), "--truth", truth.to_str().unwrap()];
    let output = pulselake(&arguments);
    assert!(!output.status.success());
    assert!(told(&output).contains("give --events N"), "{}", told(&output));
    assert!(!out.exists() && !truth.exists(), "nothing is begun");
}
