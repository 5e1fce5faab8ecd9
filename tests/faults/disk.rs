//! Data directories that can't be made or written, and disks that are full in the middle of a run.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use crate::common::PATIENCE;
use crate::common::engine::{BINARY, Engine, SIGABRT};
use crate::common::poll;
use crate::common::scene::Scene;
use crate::support::{
    BRONZE, FAILED, GOLD, QUARANTINE, assert_refused, assert_says, event_time, events_file, files_below,
    start_files, table, verify_records,
};

/// A file system in memory, mounted where the scene's data directory is; unmounted when dropped.
struct Disk {
    mount_point: PathBuf,
}

impl Disk {
    /// `None`, with the reason printed, where mounting is not permitted: those tests then say nothing.
    fn mount(mount_point: &Path, options: &str) -> Option<Self> {
        fs::create_dir_all(mount_point).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "pulselake-test"]).arg(mount_point);
        match mount.output() {
            Ok(output) if output.status.success() => Some(Self { mount_point: mount_point.to_owned() }),
            Ok(output) => skipped(&String::from_utf8_lossy(&output.stderr)),
            Err(error) => skipped(&error.to_string()),
        }
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        assert!(
            Command::new("mount").args(["-o", &options]).arg(&self.mount_point).status().unwrap().success()
        );
    }

    /// Leaves no room for anything.
    fn fill(&self) {
        let mut filler = fs::File::options().create(true).append(true).open(self.filler()).unwrap();
        while filler.write_all(&[0; 4_096]).is_ok() {}
    }

    fn make_room(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.mount_point.join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: an engine of a failed test may still have files open.
        let _ = Command::new("umount").arg("-l").arg(&self.mount_point).status();
    }
}

fn skipped(reason: &str) -> Option<Disk> {
    println!("SKIPPED: no file system can be mounted here: {}", reason.trim());
    None
}

const FULL: &[&str] = &["No space left on device", "free space there, nothing was committed"];

fn wait_until_full(engine: &mut Engine) {
    engine
        .wait_until("it says that the disk is full", |log| FULL.iter().all(|words| log.text.contains(words)));
}

#[test]
fn a_data_directory_below_a_file_is_refused() {
    let scene = Scene::without_topic("below-a-file");
    fs::write(scene.data_dir(), "a file").unwrap();
    let file = events_file(scene.directory(), "a.ndjson", 100, 1);
    let place = scene.data_dir().display().to_string();
    let words =
        ["cannot create the directory", &place, "a part of this path is a file", "set another warehouse"];
    assert_refused(start_files(&scene, &[&file], &[], ""), FAILED, &words);
    let init = scene.command(&["init"]);
    assert_eq!(init.status.code(), Some(FAILED));
    assert_says(&String::from_utf8_lossy(&init.stderr), &words);
}

#[test]
#[ignore = "needs the test tools: run through make test"]
fn a_read_only_disk_is_refused_and_nothing_is_lost() {
    let scene = Scene::without_topic("read-only");
    let file = events_file(scene.directory(), "a.ndjson", 3_000, 1);
    let Some(disk) = Disk::mount(&scene.data_dir(), "size=16m,ro") else { return };
    let words = ["cannot create the directory", "Read-only file system", "mount it read-write"];
    assert_refused(start_files(&scene, &[&file], &[], ""), FAILED, &words);
    disk.remount("size=16m,rw");
    let mut half = start_files(&scene, &[&file], &[], "writer::batch=4*off->return(abort)");
    half.wait_for_death_by(SIGABRT, "writer::batch");
    disk.remount("ro");
    let catalog = scene.data_dir().join("catalog.db").display().to_string();
    let words = ["catalog ", &catalog, "readonly database", "mount it read-write"];
    assert_refused(start_files(&scene, &[&file], &[], ""), FAILED, &words);
    disk.remount("rw");
    start_files(&scene, &[&file], &[], "").wait_for_success();
    verify_records(&scene, 3_000);
}

#[test]
#[ignore = "needs the test tools: run through make test"]
fn a_disk_that_is_full_for_data_files_is_waited_for() {
    let scene = Scene::without_topic("full-data");
    let files = [1, 2].map(|seed| events_file(scene.directory(), &format!("{seed}.ndjson"), 6_000, seed));
    let Some(disk) = Disk::mount(&scene.data_dir(), "size=128k") else { return };
    let settings = ["supervision.restart_budget=1", "supervision.backoff_max_ms=500"];
    let mut engine = start_files(&scene, &[&files[0], &files[1]], &settings, "");
    wait_until_full(&mut engine);
    engine.wait_until("it has tried again many times", |log| log.count("generation_killed") >= 16);
    // What broke off is not left lying about: it would fill the disk further with each try.
    assert_nothing_is_left_of_ended_runs(&scene, &engine);
    disk.remount("size=64m");
    engine.wait_for_success();
    verify_records(&scene, 12_000);
}

#[test]
#[ignore = "needs the test tools: run through make test"]
fn a_disk_that_is_full_for_metadata_is_waited_for() {
    let scene = Scene::without_topic("full-metadata");
    let file = events_file(scene.directory(), "a.ndjson", 6_000, 1);
    let Some(disk) = Disk::mount(&scene.data_dir(), "size=16m") else { return };
    let settings = ["supervision.backoff_max_ms=500"];
    let mut engine = start_files(&scene, &[&file], &settings, "lake::before_metadata_write=3*sleep(2000)");
    fill_before_the_first_commit(&scene, &disk);
    engine.wait_until("a commit fails at the metadata, and is tried again", |log| {
        // What was given up leaves room behind it.
        disk.fill();
        log.events("commit_retry").iter().any(|retry| is_full_for_metadata(&retry["reason"]))
    });
    disk.make_room();
    engine.wait_for_success();
    verify_records(&scene, 6_000);
}

#[test]
#[ignore = "needs the test tools: run through make test"]
fn sigterm_ends_an_engine_whose_disk_is_full_and_the_next_one_loses_nothing() {
    let scene = Scene::without_topic("full-sigterm");
    let file = events_file(scene.directory(), "a.ndjson", 6_000, 1);
    let Some(disk) = Disk::mount(&scene.data_dir(), "size=16m") else { return };
    let settings = ["engine.drain_timeout_ms=1000"];
    let engine = {
        let mut engine =
            start_files(&scene, &[&file], &settings, "lake::before_metadata_write=3*sleep(2000)");
        fill_before_the_first_commit(&scene, &disk);
        wait_until_full(&mut engine);
        engine.signal("TERM");
        engine
    };
    let words = [
        "stopped before everything read was committed",
        "nothing is lost",
        "the next start reads the rest again",
    ];
    assert_refused(engine, FAILED, &words);
    disk.make_room();
    start_files(&scene, &[&file], &[], "").wait_for_success();
    verify_records(&scene, 6_000);
}

fn is_full_for_metadata(reason: &serde_json::Value) -> bool {
    let reason = reason.as_str().unwrap();
    reason.contains("cannot write the metadata of") && FULL.iter().all(|words| reason.contains(words))
}

/// A limit on file sizes stands for the full disk where nothing can be mounted. The signal that comes with it is
/// ignored, as daemons do: the write fails.
#[test]
#[ignore = "needs the test tools: run through make test"]
fn a_file_that_may_not_grow_is_waited_for() {
    if Command::new("prlimit").arg("--version").output().is_err() {
        return println!("SKIPPED: there is no prlimit (util-linux) here");
    }
    let scene = Scene::without_topic("limit");
    let file = events_file(scene.directory(), "a.ndjson", 6_000, 1);
    assert!(scene.command(&["init"]).status.success());
    let mut limited = Command::new("prlimit");
    limited.args(["--fsize=65536:unlimited", "sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\"", BINARY]);
    let mut arguments = vec!["run".to_owned(), "--files".to_owned(), file.display().to_string()];
    // On a slow machine, commits at short intervals would have files that fit.
    let settings = [
        "supervision.backoff_max_ms=500",
        "supervision.restart_budget=1",
        "bronze.commit_interval_ms=600000",
    ];
    arguments.extend(scene.common_arguments(&settings));
    let mut engine = Engine::start_by(limited, &arguments, &[], &scene.directory().join("engine.log"));
    engine.wait_until("it has tried several times", |log| log.count("generation_killed") >= 3);
    assert_says(&engine.log().text, &["File too large", "raise the limit on file sizes"]);
    let pid = engine.pid().to_string();
    assert!(Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited:"]).status().unwrap().success());
    engine.wait_for_success();
    verify_records(&scene, 6_000);
}

/// Each data file belongs to a run that goes on, or is committed. A run's own files may wait for as long as it goes on:
/// a commit that finds no room for its manifests is tried again with them.
fn assert_nothing_is_left_of_ended_runs(scene: &Scene, engine: &Engine) {
    let left = || {
        let began = oldest_run_that_goes_on(engine);
        let mut old = files_below(&scene.data_dir().join("warehouse"), ".parquet");
        old.retain(|file| fs::metadata(file).and_then(|found| found.modified()).is_ok_and(|at| at < began));
        let committed = || {
            [BRONZE, QUARANTINE, GOLD].map(|name| table(scene, name)["files"].as_u64().unwrap()).iter().sum()
        };
        if old.is_empty() || old.len() as u64 <= committed() { Ok(()) } else { Err(old) }
    };
    if poll(PATIENCE, || left().ok()).is_none() {
        panic!("left behind by runs that have ended: {:?}\n{}", left(), engine.log().tail());
    }
}

/// When the oldest of the shards' present runs began.
fn oldest_run_that_goes_on(engine: &Engine) -> SystemTime {
    let starts = engine.log().events("generation_started");
    let newest_of = |shard: &str| {
        let of_shard = starts.iter().filter(|start| start["shard"] == shard);
        of_shard.map(event_time).max().unwrap()
    };
    newest_of("0").min(newest_of("1"))
}

/// Waits until a commit sleeps before its metadata is written, then leaves no room for that.
fn fill_before_the_first_commit(scene: &Scene, disk: &Disk) {
    let warehouse = scene.data_dir().join("warehouse");
    // The manifest list is the last thing that is written before.
    let written = || (files_below(&warehouse, ".avro").len() >= 2).then_some(());
    poll(PATIENCE, written).expect("a commit has written its manifests");
    disk.fill();
}
