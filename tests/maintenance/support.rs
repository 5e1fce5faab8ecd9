//! Rounds of maintenance on a scene, and what is on its disk.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::common::engine::Engine;
use crate::common::scene::Scene;
use crate::common::stream::Stream;
use crate::common::{environment, repository};
use crate::lake::lake;

/// The three tables.
pub const BRONZE: &str = "bronze.raw_events";
pub const QUARANTINE: &str = "bronze.invalid_events_content";
pub const GOLD: &str = "gold.rt_video_stats_1min";
pub const TABLES: [&str; 3] = [BRONZE, QUARANTINE, GOLD];

/// Everything that can expire does at once; only [`grow_old`] makes orphans old enough.
pub const AT_ONCE: [&str; 4] = [
    "maintenance.snapshot_max_age_ms=0",
    "maintenance.snapshots_to_keep=1",
    ORPHANS_OF_AN_HOUR,
    EVERY_PARTITION,
];
/// The same, but every snapshot is young. Maintenance makes snapshots itself: only so there is nothing left to do.
pub const RETAINED: [&str; 2] = [ORPHANS_OF_AN_HOUR, EVERY_PARTITION];
const ORPHANS_OF_AN_HOUR: &str = "maintenance.orphan_min_age_ms=3600000";
/// Quarantine's day is today: it is still open.
const EVERY_PARTITION: &str = "maintenance.urgent_files=2";
/// A partition with fewer small files is left as it is.
pub const FILES_IN_SHAPE: u64 = 5;
/// How much older [`grow_old`] makes files than that.
const OLD: Duration = Duration::from_secs(2 * 3_600);

/// What a command said on both channels.
pub fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs a command with settings.
pub fn command(scene: &Scene, words: &[&str], settings: &[&str]) -> Output {
    let settings = settings.iter().flat_map(|setting| ["--set", setting]);
    scene.command(&words.iter().copied().chain(settings).collect::<Vec<_>>())
}

/// Runs a command that has to succeed; gives its JSON.
#[track_caller]
pub fn json(scene: &Scene, words: &[&str], settings: &[&str]) -> Value {
    let output = command(scene, &[words, &["--format", "json"]].concat(), settings);
    assert!(output.status.success(), "{words:?}: {}", told(&output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error} in {}", told(&output)))
}

/// `pulselake maintain`, which has to succeed; gives its report.
#[track_caller]
pub fn maintain(scene: &Scene, settings: &[&str]) -> Value {
    json(scene, &["maintain"], settings)
}

/// A table's part of a report.
#[track_caller]
pub fn of_table<'a>(report: &'a Value, table: &str) -> &'a Value {
    let mut tables = report["tables"].as_array().unwrap().iter();
    tables.find(|found| found["table"] == table).unwrap_or_else(|| panic!("no {table} in {report}"))
}

/// A whole number in a report, by its JSON pointer.
#[track_caller]
pub fn number(report: &Value, pointer: &str) -> u64 {
    let found = report.pointer(pointer).and_then(Value::as_u64);
    found.unwrap_or_else(|| panic!("no number {pointer} in {report}"))
}

/// A table's health; with `--orphans` among `words`, the orphans too.
#[track_caller]
pub fn inspect(scene: &Scene, table: &str, words: &[&str]) -> Value {
    json(scene, &[&["tables", "inspect", table], words].concat(), &AT_ONCE)
}

/// Starts `pulselake maintain` that fails on its way.
pub fn start_maintain(scene: &Scene, words: &[&str], settings: &[&str], failpoints: &str) -> Engine {
    let mut arguments = vec!["maintain".to_owned()];
    arguments.extend(words.iter().map(|word| (*word).to_owned()));
    arguments.extend(scene.common_arguments(settings));
    scene.start_with(&arguments, failpoints)
}

/// Files below a directory.
pub fn files_below(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let found = |path: PathBuf| if path.is_dir() { files_below(&path) } else { vec![path] };
    entries.flat_map(|entry| found(entry.path())).collect()
}

/// The warehouse's files with their size and the moment of their last change. One that an engine removes meanwhile (it
/// drops old metadata) is not among them.
pub fn listing(scene: &Scene) -> BTreeMap<PathBuf, (u64, SystemTime)> {
    let files = files_below(&scene.data_dir().join("warehouse"));
    let with_facts = files.into_iter().filter_map(|path| match fs::metadata(&path) {
        Ok(facts) => Some((path, (facts.len(), facts.modified().unwrap()))),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => panic!("{}: {error}", path.display()),
    });
    with_facts.collect()
}

/// The files of one table, the same way.
pub fn listing_of(scene: &Scene, table: &str) -> BTreeMap<PathBuf, (u64, SystemTime)> {
    let directory = format!("/{}/", table.replace('.', "/"));
    let mut files = listing(scene);
    files.retain(|path, _| path.to_string_lossy().contains(&directory));
    assert!(!files.is_empty(), "no files of {table}");
    files
}

/// Makes a file older than the safety age of [`AT_ONCE`].
pub fn make_old(path: &Path) {
    let file = File::options().append(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - OLD).unwrap();
}

/// Makes every file of the warehouse older than the safety age of [`AT_ONCE`].
pub fn grow_old(scene: &Scene) {
    for path in files_below(&scene.data_dir().join("warehouse")) {
        make_old(&path);
    }
}

/// A table's directory.
pub fn table_dir(scene: &Scene, table: &str) -> PathBuf {
    let location = inspect(scene, table, &[])["location"].as_str().unwrap().to_owned();
    PathBuf::from(location.strip_prefix("file://").unwrap())
}

/// Runs `tamper.py` on the data directory.
#[track_caller]
pub fn tamper(scene: &Scene, words: &[&str]) {
    let mut python = Command::new(environment("PULSELAKE_TEST_PYTHON"));
    python.arg(repository("tests/tools/tamper.py")).arg(words[0]).arg(scene.data_dir()).args(&words[1..]);
    let output = python.output().unwrap();
    assert!(output.status.success(), "tamper.py {words:?}: {}", told(&output));
}

/// Lets the leases of maintainers that died run out.
#[track_caller]
pub fn let_leases_run_out(scene: &Scene) {
    lake(scene, "let-leases-run-out", &[]);
}

/// Maintains all tables of an engine that does not run; then the warehouse holds only what the tables need, and nothing
/// is left to do. Gives what the round reported.
#[track_caller]
pub fn maintain_to_the_end(scene: &Scene) -> Value {
    let_leases_run_out(scene);
    grow_old(scene);
    let report = maintain(scene, &AT_ONCE);
    grow_old(scene);
    let rest = maintain(scene, &RETAINED);
    for table in TABLES {
        assert_eq!(of_table(&rest, table)["is_changed"], false, "{table} is not at rest: {rest}");
        let health = inspect(scene, table, &["--orphans"]);
        let left = ["/orphans/files", "/orphans/too_young"].map(|pointer| number(&health, pointer));
        assert_eq!(left, [0, 0], "files of {table} that nothing leads to: {health}");
        // Of one who died nothing but the property may be left.
        assert!(health["lease"].is_null() || health["lease"]["expires_at_ms"] == 1, "{health}");
    }
    report
}

/// The sum of a number over all tables of a report.
#[track_caller]
pub fn total(report: &Value, pointer: &str) -> u64 {
    report["tables"].as_array().unwrap().iter().map(|table| number(table, pointer)).sum()
}

/// A scene whose tables have `runs` runs behind them, each with files of its own. Everything is in the tables.
pub fn scene_with_small_files(name: &str, runs: usize, seed: u64) -> (Scene, Stream) {
    let scene = Scene::new(name, 2);
    let mut stream = scene.stream(40.0, seed);
    for _ in 0..runs {
        stream.advance(60_000);
        stream.flush();
        scene.run_to_end();
    }
    (scene, stream)
}
