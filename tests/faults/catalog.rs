//! Catalogs and warehouses that are damaged, locked, of another version, lost, or somebody else's.

use std::fs;
use std::time::Duration;

use crate::common::engine::SIGABRT;
use crate::common::scaled;
use crate::common::scene::Scene;
use crate::support::{
    BRONZE, CatalogLock, FAILED, GOLD, assert_refused, assert_says, events_file, start_files, table, tamper,
    verify_records,
};

/// How long another program keeps the catalog locked in the long form.
const LOCKED_FOR: Duration = Duration::from_secs(60);

#[test]
#[ignore = "needs the test tools: run through make test"]
fn a_damaged_catalog_is_refused_and_a_restored_one_goes_on() {
    let scene = Scene::without_topic("damaged");
    let file = events_file(scene.directory(), "a.ndjson", 4_000, 1);
    // A part is committed, then the process dies.
    let mut half = start_files(&scene, &[&file], &[], "committer::after=2*off->return(abort)");
    half.wait_for_death_by(SIGABRT, "committer::after");
    let catalog = scene.data_dir().join("catalog.db");
    let place = catalog.display().to_string();
    let good = fs::read(&catalog).unwrap();
    let garbage: Vec<u8> = (0..good.len()).map(|at| (at * 31 % 251) as u8).collect();
    for damaged in [garbage, good[..5_000].to_vec(), good[..4_096].to_vec()] {
        fs::write(&catalog, damaged).unwrap();
        let words = ["catalog ", &place, "is damaged", "restore it from a backup", "metadata.json"];
        assert_refused(start_files(&scene, &[&file], &[], ""), FAILED, &words);
        let tables = scene.command(&["tables"]);
        assert_eq!(tables.status.code(), Some(FAILED));
        assert_says(&String::from_utf8_lossy(&tables.stderr), &words);
    }
    fs::remove_file(&catalog).unwrap();
    fs::create_dir(&catalog).unwrap();
    let words = ["catalog ", &place, "unable to open database file", "must be a file"];
    assert_refused(start_files(&scene, &[&file], &[], ""), FAILED, &words);
    fs::remove_dir(&catalog).unwrap();
    fs::write(&catalog, good).unwrap();
    start_files(&scene, &[&file], &[], "").wait_for_success();
    verify_records(&scene, 4_000);
}

/// SQLite takes an empty file for an empty database, and the engine would begin anew beside tables full of data.
#[test]
#[ignore = "needs the test tools: run through make test"]
fn a_lost_catalog_is_not_replaced_by_an_empty_one() {
    let scene = Scene::without_topic("lost");
    let file = events_file(scene.directory(), "a.ndjson", 2_000, 1);
    start_files(&scene, &[&file], &[], "").wait_for_success();
    let catalog = scene.data_dir().join("catalog.db");
    let good = fs::read(&catalog).unwrap();
    for emptied in [false, true] {
        fs::remove_file(&catalog).unwrap();
        if emptied {
            fs::write(&catalog, "").unwrap();
        }
        let words = [
            "does not have table bronze.",
            "its files lie in",
            "the catalog was lost",
            "restore it from a backup",
        ];
        assert_refused(start_files(&scene, &[&file], &[], ""), FAILED, &words);
    }
    fs::write(&catalog, good).unwrap();
    start_files(&scene, &[&file], &[], "").wait_for_success();
    verify_records(&scene, 2_000);
}

#[test]
#[ignore = "needs the test tools: run through make test"]
fn a_catalog_that_is_locked_at_the_start_is_named_and_waited_for() {
    let scene = Scene::without_topic("locked-start");
    let file = events_file(scene.directory(), "a.ndjson", 1_000, 1);
    assert!(scene.command(&["init"]).status.success());
    let lock = CatalogLock::take(&scene);
    let place = scene.data_dir().join("catalog.db").display().to_string();
    let words = ["catalog ", &place, "database is locked", "another program holds a lock on it"];
    let impatient = start_files(&scene, &[&file], &["lake.connect_timeout_ms=100"], "");
    assert_refused(impatient, FAILED, &words);
    let mut patient = start_files(&scene, &[&file], &["lake.connect_timeout_ms=600000"], "");
    patient.wait_until("it says what it waits for", |log| {
        log.has("catalog_waited_for") && words.iter().all(|word| log.text.contains(word))
    });
    std::thread::sleep(scaled(Duration::ZERO, LOCKED_FOR));
    patient.assert_alive();
    lock.release();
    patient.wait_for_success();
    verify_records(&scene, 1_000);
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn a_catalog_that_is_locked_for_a_while_is_waited_for() {
    let scene = Scene::new("locked", 2);
    let mut stream = scene.stream(100.0, 5);
    stream.advance(90_000);
    let mut engine = scene.start(&[]);
    engine.wait_until("it commits", |log| log.commits(BRONZE) >= 1 && log.commits(GOLD) >= 1);
    let lock = CatalogLock::take(&scene);
    stream.advance(120_000);
    stream.flush();
    let before = engine.log().commits(BRONZE);
    // Longer than SQLite waits by itself, and than the engine tries at once.
    std::thread::sleep(scaled(Duration::from_secs(15), LOCKED_FOR));
    engine.assert_alive();
    assert_says(&engine.log().text, &["commit_retry", "database is locked", "end that one, or try again"]);
    assert!(!engine.log().has("generation_killed"), "{}", engine.log().tail());
    assert_eq!(engine.log().commits(BRONZE), before);
    lock.release();
    engine.wait_until("it commits again", |log| log.commits(BRONZE) > before);
    engine.terminate();
    scene.run_to_end();
    scene.verify_all();
}

#[test]
#[ignore = "needs the test tools: run through make test"]
fn a_warehouse_of_another_version_is_refused_untouched() {
    let scene = Scene::without_topic("version");
    let file = events_file(scene.directory(), "a.ndjson", 1_000, 1);
    start_files(&scene, &[&file], &[], "").wait_for_success();
    tamper(&scene, &["set-property", GOLD, "pulselake.format", "2"]);
    let words = [
        "table gold.rt_video_stats_1min has pulselake.format 2, this build writes format 1",
        "run the pulselake that made this warehouse",
    ];
    assert_refused(start_files(&scene, &[&file], &[], ""), FAILED, &words);
    let init = scene.command(&["init"]);
    assert_eq!(init.status.code(), Some(FAILED));
    assert_says(&String::from_utf8_lossy(&init.stderr), &words);
    tamper(&scene, &["set-property", GOLD, "pulselake.format", "1"]);
    start_files(&scene, &[&file], &[], "").wait_for_success();
    verify_records(&scene, 1_000);
}

#[test]
#[ignore = "needs the test tools: run through make test"]
fn a_metadata_file_that_is_missing_or_damaged_is_named() {
    let scene = Scene::without_topic("metadata");
    let file = events_file(scene.directory(), "a.ndjson", 1_000, 1);
    start_files(&scene, &[&file], &[], "").wait_for_success();
    let location = table(&scene, BRONZE)["metadata_location"].as_str().unwrap().to_owned();
    let path = location.strip_prefix("file://").unwrap();
    let good = fs::read(path).unwrap();
    fs::remove_file(path).unwrap();
    let words =
        ["cannot read the metadata of bronze.raw_events", path, "it was deleted or moved: restore it"];
    assert_refused(start_files(&scene, &[&file], &[], ""), FAILED, &words);
    fs::write(path, &good[..good.len() / 2]).unwrap();
    let words = ["cannot read the metadata of bronze.raw_events"];
    assert_refused(start_files(&scene, &[&file], &[], ""), FAILED, &words);
    fs::write(path, good).unwrap();
    start_files(&scene, &[&file], &[], "").wait_for_success();
    verify_records(&scene, 1_000);
}

#[test]
#[ignore = "needs the test tools: run through make test"]
fn a_catalog_of_another_program_is_shared_and_left_alone() {
    let scene = Scene::without_topic("foreign");
    tamper(&scene, &["foreign-catalog"]);
    let missing = scene.command(&["tables"]);
    assert_eq!(missing.status.code(), Some(FAILED));
    assert_says(
        &String::from_utf8_lossy(&missing.stderr),
        &["does not exist in the catalog", "pulselake init"],
    );
    let file = events_file(scene.directory(), "a.ndjson", 1_000, 1);
    // The other program's table lies where ours would: its files are not ours to mix with.
    let mut engine = start_files(&scene, &[&file], &[], "");
    engine.wait_for_success();
    verify_records(&scene, 1_000);
}

#[test]
#[ignore = "needs the test tools: run through make test"]
fn a_database_without_a_catalog_has_no_tables() {
    let scene = Scene::without_topic("no-catalog");
    tamper(&scene, &["no-catalog"]);
    let tables = scene.command(&["tables"]);
    assert_eq!(tables.status.code(), Some(FAILED));
    assert_says(&String::from_utf8_lossy(&tables.stderr), &["there is no catalog at ", "pulselake init"]);
}
