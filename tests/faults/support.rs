//! Runs on files, refusals, and the hands that damage things.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::SystemTime;

use serde_json::Value;

use crate::common::engine::{BINARY, Engine};
use crate::common::scene::Scene;
use crate::common::verify::{fact, verify};
use crate::common::{environment, repository};

/// Exit code of a wrong command line or wrong settings.
pub const WRONG_USAGE: i32 = 2;
/// Exit code of everything else that went wrong.
pub const FAILED: i32 = 1;

/// The three tables.
pub const BRONZE: &str = "bronze.raw_events";
pub const QUARANTINE: &str = "bronze.invalid_events_content";
pub const GOLD: &str = "gold.rt_video_stats_1min";

/// A file of generated events, some of them late or not valid. The same seed gives the same events.
pub fn events_file(directory: &Path, name: &str, records: u32, seed: u32) -> PathBuf {
    let path = directory.join(name);
    let (count, seed) = (records.to_string(), seed.to_string());
    let mut generate = Command::new(BINARY);
    generate.args(["generate", "--count", &count, "--seed", &seed, "--rate", "50", "--videos", "200"]);
    generate.args(["--start", "2026-02-07T10:00:00Z", "--invalid-ratio", "0.01", "--partitions", "1"]);
    // A file has no broker's time, so an event of the future is valid there and ends the horizon of what came before.
    generate.args(["--duplicate-ratio", "0"]);
    let output = generate.arg("--output").arg(&path).env_remove("PULSELAKE_CONFIG").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    path
}

/// Starts `pulselake run --files`.
pub fn start_files(scene: &Scene, files: &[&Path], settings: &[&str], failpoints: &str) -> Engine {
    let mut arguments = vec!["run".to_owned(), "--files".to_owned()];
    arguments.extend(files.iter().map(|file| file.display().to_string()));
    arguments.extend(scene.common_arguments(settings));
    scene.start_with(&arguments, failpoints)
}

/// Waits for the engine to refuse: this exit code, and all of these words. Gives what it said.
#[track_caller]
pub fn assert_refused(mut engine: Engine, code: i32, words: &[&str]) -> String {
    let status = engine.wait();
    let said = engine.log().text;
    assert_says(&said, words);
    assert_eq!(status.code(), Some(code), "{said}");
    said
}

/// All of these words are in the text.
#[track_caller]
pub fn assert_says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} is not in:\n{text}");
    }
}

/// Each of `records` source positions is once in bronze or in quarantine, gold is what a naive recount of bronze
/// gives, and the audit agrees. Gives the recount's facts.
pub fn verify_records(scene: &Scene, records: u64) -> Value {
    scene.audit();
    let facts = verify("recount.py", &["--data-dir", &scene.data_dir().display().to_string()]);
    assert_eq!(fact(&facts, "records"), records, "records in bronze and quarantine, in {facts}");
    facts
}

/// What `pulselake tables` says of a table.
pub fn table(scene: &Scene, name: &str) -> Value {
    let output = scene.command(&["tables", "--format", "json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut tables = document["tables"].as_array().unwrap().iter();
    tables.find(|table| table["table"] == name).unwrap_or_else(|| panic!("no {name} in {document}")).clone()
}

/// A partition's entry in a table's ledger; null where there is none.
pub fn ledger_entry(scene: &Scene, name: &str, partition: i32) -> Value {
    table(scene, name)["ledger"]["topics"][&scene.topic][partition.to_string()].clone()
}

/// Files below a directory whose name ends so.
pub fn files_below(directory: &Path, ending: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let found = |path: PathBuf| match path.is_dir() {
        true => files_below(&path, ending),
        false if path.to_string_lossy().ends_with(ending) => vec![path],
        false => Vec::new(),
    };
    entries.flatten().flat_map(|entry| found(entry.path())).collect()
}

/// When a log event was logged.
pub fn event_time(event: &Value) -> SystemTime {
    let at = event["timestamp"].as_str().unwrap();
    SystemTime::from(chrono::DateTime::parse_from_rfc3339(at).unwrap())
}

fn tamper_command(scene: &Scene, words: &[&str]) -> Command {
    let mut command = Command::new(environment("PULSELAKE_TEST_PYTHON"));
    command.arg(repository("tests/tools/tamper.py")).arg(words[0]).arg(scene.data_dir()).args(&words[1..]);
    command
}

/// Runs `tamper.py` on the data directory.
pub fn tamper(scene: &Scene, words: &[&str]) {
    let output = tamper_command(scene, words).output().unwrap();
    assert!(output.status.success(), "tamper.py {words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Another program that holds the catalog's database locked.
pub struct CatalogLock {
    holder: Child,
}

impl CatalogLock {
    /// Takes the lock, and returns when it is held.
    pub fn take(scene: &Scene) -> Self {
        let mut command = tamper_command(scene, &["lock"]);
        let mut holder = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "locked");
        Self { holder }
    }

    /// Lets go of it.
    pub fn release(mut self) {
        drop(self.holder.stdin.take());
        assert!(self.holder.wait().unwrap().success());
    }
}

impl Drop for CatalogLock {
    fn drop(&mut self) {
        // Without effect where it was released.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
