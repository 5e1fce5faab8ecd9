//! `pulselake decide`: what other rules would have decided over a lake that the engine has filled, and what is refused.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use pulselake_decision::{MINUTE_US, Rules, action_id};
use serde_json::Value;
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_pulselake");
/// 2023-11-15T00:00:00Z: long past, so that the generator's log is there at once.
const START_US: i64 = 1_700_006_400_000_000;
const REFERENCE: &str = include_str!("../config/rules.toml");
const SCENARIOS: &str =
    r#"["viral_high_quality","viral_low_quality","cold_start_under_exposed:start_s=120","normal_baseline"]"#;

/// A lake with the events and changes of 40 minutes.
struct History {
    directory: TempDir,
    data_dir: String,
}

impl History {
    fn generate() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let data_dir = directory.path().join("lake").to_str().unwrap().to_owned();
        let scenarios = format!("generator.scenarios={SCENARIOS}");
        let start = format!("generator.start_ms={}", START_US / 1_000);
        let mut arguments = vec!["run", "--until-caught-up", "--data-dir", &data_dir, "--metrics-bind", ""];
        for setting in [
            start.as_str(),
            scenarios.as_str(),
            "source.kind=generator",
            "cdc.videos_topic=cdc.content.videos",
            "generator.seed=7",
            "generator.length_s=2400",
            "generator.rate_per_s=100",
            "generator.videos=2000",
        ] {
            arguments.extend(["--set", setting]);
        }
        let output = pulselake(&arguments);
        assert!(output.status.success(), "{}", told(&output));
        Self { directory, data_dir }
    }

    /// Writes rules beside the lake.
    fn rules(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn decide(&self, from: &str, to: &str, rules: &Path, more: &[&str]) -> Output {
        let rules = rules.to_str().unwrap();
        let arguments = ["decide", "--data-dir", &self.data_dir, "--replay", from, to, "--rules", rules];
        pulselake(&[&arguments, more].concat())
    }

    fn decide_json(&self, rules: &Path) -> Value {
        let (from, to) = ("2023-11-15T00:00:00Z", "2023-11-15T00:40:00Z");
        let output = self.decide(from, to, rules, &["--format", "json"]);
        assert!(output.status.success(), "{}", told(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

fn pulselake(arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).env_remove("PULSELAKE_CONFIG").output().unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The reference file with other lines.
fn other_rules(changes: &[(&str, &str)]) -> String {
    let mut text = REFERENCE.to_owned();
    for (line, instead) in changes {
        assert!(text.contains(line), "{line}");
        text = text.replace(line, instead);
    }
    text
}

const TRIAL: (&str, &str) = ("version = \"rules-2\"", "version = \"trial\"");

fn difference<'a>(report: &'a Value, video_id: &str) -> &'a Value {
    let differences = report["differences"].as_array().unwrap();
    let of_video: Vec<&Value> = differences.iter().filter(|found| found["video_id"] == video_id).collect();
    assert_eq!(of_video.len(), 1, "{video_id}: {of_video:?}");
    of_video[0]
}

fn id_at(video_id: &str, minute: i64, version: &str) -> Value {
    action_id(video_id, START_US + minute * MINUTE_US, version).to_string().into()
}

#[test]
fn other_rules_are_tried_on_history() {
    let history = History::generate();

    // The same numbers under another version: nothing else comes.
    let renamed = history.rules("renamed.toml", &other_rules(&[TRIAL]));
    let report = history.decide_json(&renamed);
    assert_eq!(
        (&report["in_force"]["rule_version"], &report["proposed"]["rule_version"]),
        (&Rules::DEFAULT_VERSION.into(), &"trial".into())
    );
    assert_eq!(report["differences"], serde_json::json!([]));
    for side in ["in_force", "proposed"] {
        for decision in ["boost", "review", "rescue"] {
            assert!(report[side][decision].as_u64().unwrap() >= 1, "{side} {decision}: {report}");
        }
    }
    // Gold begins with the log: the 30th minute is the first with 30 of them.
    assert_eq!(
        (&report["first_minute"], &report["last_minute"]),
        (&"2023-11-15T00:29:00Z".into(), &"2023-11-15T00:39:00Z".into())
    );
    // Some are deleted by the log's changes meanwhile; without those changes all would be unknown.
    assert!(report["unknown_videos"].as_u64().unwrap() < 20, "{report}");

    // A gate that nothing passes: what was boosted is reviewed, and nothing is rescued.
    let strict = other_rules(&[TRIAL, ("min_completion_rate = 0.55", "min_completion_rate = 1.0")]);
    let strict = history.rules("strict.toml", &strict);
    let report = history.decide_json(&strict);
    assert_eq!((&report["proposed"]["boost"], &report["proposed"]["rescue"]), (&0.into(), &0.into()));
    let (viral, clickbait, cold_start) = ("v_1000000000", "v_1000000001", "v_1000000002");
    let of_viral = difference(&report, viral);
    assert_eq!(
        (&of_viral["change"], &of_viral["in_force"]["decision_type"]),
        (&"changed".into(), &"BOOST".into())
    );
    assert_eq!(of_viral["in_force"]["action_id"], id_at(viral, 29, Rules::DEFAULT_VERSION));
    assert_eq!(of_viral["proposed"]["decision_type"], "REVIEW");
    assert_eq!(of_viral["proposed"]["action_id"], id_at(viral, 29, "trial"));
    let of_cold_start = difference(&report, cold_start);
    assert_eq!((&of_cold_start["change"], &of_cold_start["proposed"]), (&"gone".into(), &Value::Null));
    assert_eq!(of_cold_start["in_force"]["action_id"], id_at(cold_start, 29, Rules::DEFAULT_VERSION));
    let differing = report["differences"].as_array().unwrap();
    assert!(differing.iter().all(|found| found["video_id"] != clickbait), "reviewed by both");

    // The same for people, from the other side.
    let (from, to) = ("2023-11-15T00:30:00Z", "2023-11-15T00:40:00Z");
    let against = strict.to_str().unwrap();
    let output = history.decide(from, to, Path::new("config/rules.toml"), &["--against", against]);
    assert!(output.status.success(), "{}", told(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("added     -  ") && text.contains("RESCUE 2023-11-15T00:30:00Z"), "{text}");

    // Before gold has 30 minutes nothing is decided.
    let (from, to) = ("2023-11-15T00:00:00Z", "2023-11-15T00:29:00Z");
    let output = history.decide(from, to, &strict, &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("no minute: gold does not have the 30 minutes"), "{text}");

    refuses_what_it_can_not_use(&history);
}

/// Each with the file, the key and what is allowed; no table is looked at before.
fn refuses_what_it_can_not_use(history: &History) {
    let (from, to) = ("2023-11-15T00:00:00Z", "2023-11-15T00:40:00Z");
    let refusal = |rules: &Path, more: &[&str]| {
        let output = history.decide(from, to, rules, more);
        assert!(!output.status.success());
        told(&output)
    };
    let unnamed = other_rules(&[("cooldown_s = 3600", "cooldown_s = 1800")]);
    let error = refusal(&history.rules("unnamed.toml", &unnamed), &[]);
    assert!(error.contains("unnamed.toml can't follow those in force"), "{error}");
    assert!(
        error.contains("cooldown_s 3600 → 1800") && error.contains("a version that was not used"),
        "{error}"
    );

    let wrong = other_rules(&[TRIAL, ("max_skip_rate = 0.35", "max_skip_rate = 35")]);
    let error = refusal(&history.rules("wrong.toml", &wrong), &[]);
    assert!(error.contains("wrong.toml are not valid"), "{error}");
    assert!(error.contains("max_skip_rate: found 35; allowed: a number from 0 to 1"), "{error}");

    let error = refusal(&history.directory.path().join("nowhere.toml"), &[]);
    assert!(error.contains("can't read the rules") && error.contains("nowhere.toml"), "{error}");

    let renamed = history.rules("good.toml", &other_rules(&[TRIAL]));
    let error = refusal(&renamed, &["--baseline", "config/rules.toml"]);
    assert!(error.contains("global: missing; allowed: a table, [global]"), "{error}");

    let output = history.decide(to, from, &renamed, &[]);
    assert!(told(&output).contains("no whole minute lies between"), "{}", told(&output));
}
