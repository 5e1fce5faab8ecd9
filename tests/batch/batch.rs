//! `pulselake batch` on a scene, and what readers see of its tables.

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::engine::BINARY;
use crate::common::scene::Scene;
use crate::common::verify::verify;
use crate::common::{environment, poll, repository};

/// What a command ended with.
pub struct Ended {
    pub code: i32,
    /// Standard output, where it is JSON.
    pub report: Value,
    /// Standard error.
    pub told: String,
}

impl Ended {
    fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            report: serde_json::from_slice(&output.stdout).unwrap_or_default(),
            told: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The same, which must have ended so.
    #[track_caller]
    pub fn with_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{:#}", self.told, self.report);
        self
    }

    /// The steps of a run or a plan, as `date job what`; `what` is how it ended or what is to be done.
    pub fn steps(&self) -> Vec<String> {
        let steps =
            self.report["steps"].as_array().unwrap_or_else(|| panic!("no steps in {:#}", self.report));
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        steps
            .iter()
            .map(|step| {
                let ran = &step["ran"]["status"];
                let what = word(if ran.is_null() { &step["verdict"] } else { ran });
                format!("{} {} {what}", word(&step["date"]), word(&step["job"]))
            })
            .collect()
    }

    /// The steps that were made, or are due.
    pub fn made(&self) -> Vec<String> {
        let is_made =
            |step: &String| !["up_to_date", "no_events", "waits"].iter().any(|what| step.ends_with(what));
        self.steps().into_iter().filter(is_made).collect()
    }

    /// Status of each reconciled day.
    pub fn verdicts(&self) -> Vec<String> {
        let days = self.report["reconciliations"].as_array().unwrap();
        days.iter()
            .map(|day| format!("{} {}", day["date"].as_str().unwrap(), day["status"].as_str().unwrap()))
            .collect()
    }

    /// A metric of the first reconciled day.
    pub fn metric(&self, name: &str) -> &Value {
        let metrics = self.report["reconciliations"][0]["metrics"].as_array().unwrap();
        metrics.iter().find(|metric| metric["metric_name"] == name).unwrap()
    }

    /// The largest difference of any metric and minute of the reconciled days.
    pub fn largest_difference(&self) -> f64 {
        let days = self.report["reconciliations"].as_array().unwrap();
        let metrics = days.iter().flat_map(|day| day["metrics"].as_array().unwrap());
        metrics.map(|metric| metric["max_difference"].as_f64().unwrap()).fold(0.0, f64::max)
    }
}

/// Runs `pulselake batch` with these words.
pub fn batch(scene: &Scene, words: &[&str]) -> Ended {
    Ended::of(&scene.command(&[&["batch"], words, &["--format", "json"]].concat()))
}

/// How a run is ended before its time.
pub enum Kill {
    /// By the failpoint before the commit of a day, at its so many-th time.
    AtCommit(u32),
    /// By kill -9, after this time, where it still runs.
    After(Duration),
}

/// Runs `pulselake batch run` until it is killed. Gives whether it was: it may have come to its end before.
pub fn run_killed(scene: &Scene, words: &[&str], kill: &Kill) -> bool {
    let mut command = Command::new(BINARY);
    command.args(["batch", "run"]).args(words).arg("--data-dir").arg(scene.data_dir());
    command.env_remove("PULSELAKE_CONFIG").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Kill::AtCommit(time) = kill {
        let earlier = time - 1;
        command.env("FAILPOINTS", format!("batch::before_replace_commit={earlier}*off->return(abort)"));
    }
    let mut child = command.spawn().unwrap();
    let patience = match kill {
        Kill::AtCommit(_) => crate::common::PATIENCE,
        Kill::After(time) => *time,
    };
    let started = Instant::now();
    match poll(patience, || child.try_wait().unwrap()) {
        Some(status) => !status.success(),
        None => {
            child.kill().unwrap();
            child.wait().unwrap();
            println!("killed after {} ms", started.elapsed().as_millis());
            true
        }
    }
}

/// What DuckDB reads of each table of the cold path: table and day -> rows and a checksum of what never changes.
pub fn states(scene: &Scene) -> Value {
    let script = repository("tests/batch/states.py");
    let output = Command::new(environment("PULSELAKE_TEST_PYTHON"))
        .arg(script)
        .arg(scene.data_dir())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The current snapshot of each table.
pub fn snapshots(scene: &Scene) -> Vec<(String, Value)> {
    let output = scene.command(&["tables", "--format", "json"]);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let tables = document["tables"].as_array().unwrap().iter();
    tables.map(|table| (table["table"].as_str().unwrap().to_owned(), table["snapshot_id"].clone())).collect()
}

/// Every table of these days is what a plain count over bronze gives; tables in `skipped` are not looked at. Gives the facts.
pub fn verify_days(scene: &Scene, first: &str, last: &str, skipped: &[&str]) -> Value {
    let data_dir = scene.data_dir().display().to_string();
    let mut arguments = vec!["--data-dir", &data_dir, "--from", first, "--to", last];
    arguments.extend(skipped.iter().flat_map(|table| ["--skip", table]));
    verify("cold_path.py", &arguments)
}
