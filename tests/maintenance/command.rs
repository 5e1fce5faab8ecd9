//! `pulselake maintain` as a command: what it says, what it leaves alone, and where it ends.

use std::path::PathBuf;

use crate::common::scene::Scene;
use crate::common::{PATIENCE, poll};
use crate::support::{
    AT_ONCE, BRONZE, FILES_IN_SHAPE, GOLD, QUARANTINE, RETAINED, TABLES, command, grow_old, inspect, json,
    let_leases_run_out, listing, listing_of, maintain, make_old, number, of_table, scene_with_small_files,
    start_maintain, table_dir, told,
};

/// What the report has of a table before and after.
const SHAPE: [&str; 7] = [
    "/data_files/count",
    "/data_files/bytes",
    "/data_files/average_bytes",
    "/delete_files/count",
    "/manifests/count",
    "/manifests/plan_ms",
    "/snapshots/count",
];

#[test]
#[ignore = "needs a broker: run through make test"]
fn a_dry_run_changes_nothing_and_a_second_run_finds_nothing() {
    let (scene, _) = scene_with_small_files("fixed-point", 3, 21);
    grow_old(&scene);
    let orphan = table_dir(&scene, BRONZE).join("data/left-behind.parquet");
    std::fs::write(&orphan, "not needed").unwrap();
    make_old(&orphan);

    let files = listing(&scene);
    let plan = json(&scene, &["maintain", "--dry-run"], &AT_ONCE);
    let text = command(&scene, &["maintain", "--dry-run"], &AT_ONCE);
    assert!(text.status.success() && told(&text).contains("would rewrite"), "{}", told(&text));
    assert!(told(&text).contains("would expire") && told(&text).contains("would delete"), "{}", told(&text));
    assert!(listing(&scene) == files, "a dry run has changed a file");
    assert_eq!(plan["dry_run"], true);
    for table in TABLES {
        let planned = of_table(&plan, table);
        assert_eq!(planned["is_changed"], false, "{planned}");
        assert_eq!(planned["before"], planned["after"]);
        assert!(!planned["compaction"]["planned"].as_array().unwrap().is_empty(), "{planned}");
        assert!(number(planned, "/sweep/expire/snapshots") > 0, "{planned}");
    }
    assert_eq!(number(of_table(&plan, BRONZE), "/sweep/orphans/orphans"), 1);

    // Only the tables that are named.
    let bronze = listing_of(&scene, BRONZE);
    let only = json(&scene, &["maintain", "--table", QUARANTINE, "--table", GOLD], &AT_ONCE);
    assert_eq!(only["tables"].as_array().unwrap().len(), 2, "{only}");
    assert!(listing_of(&scene, BRONZE) == bronze, "a table that was not named was changed");
    for table in [QUARANTINE, GOLD] {
        assert_eq!(of_table(&only, table)["is_changed"], true, "{only}");
    }

    let report = maintain(&scene, &AT_ONCE);
    assert_eq!(report["failed"].as_array().unwrap().len(), 0);
    let bronze = of_table(&report, BRONZE);
    assert_eq!(bronze["is_changed"], true);
    for field in SHAPE {
        let _ = (number(&bronze["before"], field), number(&bronze["after"], field));
    }
    assert!(number(bronze, "/after/data_files/count") < number(bronze, "/before/data_files/count"));
    assert_eq!(number(bronze, "/after/data_files/records"), number(bronze, "/before/data_files/records"));
    assert_eq!(number(bronze, "/sweep/orphans/deleted/files"), 1, "{bronze}");
    assert!(!orphan.exists());
    for table in TABLES {
        let health = inspect(&scene, table, &[]);
        assert!(number(&health, "/busiest_partitions/0/files") < FILES_IN_SHAPE, "{health}");
    }
    assert_fixed_point(&scene);
    scene.verify_all();
}

/// A run that has nothing to do leaves every file and every table as they are.
fn assert_fixed_point(scene: &Scene) {
    let files = listing(scene);
    let report = maintain(scene, &RETAINED);
    for table in TABLES {
        assert_eq!(of_table(&report, table)["is_changed"], false, "{report}");
    }
    let text = told(&command(scene, &["maintain"], &RETAINED));
    assert_eq!(text.matches("nothing to do").count(), TABLES.len(), "{text}");
    assert!(listing(scene) == files, "a run without anything to do has changed a file");
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn the_command_works_beside_a_running_engine() {
    let scene = Scene::new("beside", 2);
    let stream = scene.stream(20.0, 22).in_background(3_000);
    // Each commit of gold makes a file in each of its 16 buckets.
    let gentle = ["gold.collect_wait_ms=3000", "gold.correction_interval_ms=3000"];
    let mut engine = scene.start(&[&["maintenance.enabled=false"], &gentle[..]].concat());
    for round in 1..=2 {
        engine.wait_until("it commits", |log| log.commits(BRONZE) >= 5 * round && log.commits(GOLD) >= round);
        let files = listing(&scene);
        let plan = json(&scene, &["maintain", "--dry-run"], &AT_ONCE);
        // The engine itself removes old metadata.
        let is_data = |path: &&PathBuf| path.extension().is_some_and(|extension| extension == "parquet");
        assert!(files.keys().filter(is_data).all(|path| path.exists()), "a dry run has removed a file");
        assert!(!of_table(&plan, BRONZE)["compaction"]["planned"].as_array().unwrap().is_empty(), "{plan}");
        let report = maintain(&scene, &AT_ONCE);
        assert_eq!(of_table(&report, BRONZE)["is_changed"], true, "{report}");
        let commits = engine.log().commits(BRONZE);
        engine.wait_until("it goes on", |log| log.commits(BRONZE) > commits);
        scene.audit();
    }
    assert!(!engine.log().has("generation_killed"), "{}", engine.log().tail());
    engine.terminate();
    scene.verify_to_the_end_of(stream);
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn what_is_no_table_is_said_so_and_stops_none_of_the_others() {
    let (scene, _) = scene_with_small_files("unknown", 2, 23);
    let unknown = command(&scene, &["maintain", "--table", "bronze.nothing", "--table", GOLD], &AT_ONCE);
    let said = told(&unknown);
    assert_eq!(unknown.status.code(), Some(1), "{said}");
    assert!(said.contains("bronze.nothing") && !said.contains("panicked"), "{said}");
    assert!(said.contains("after"), "the other table was not maintained: {said}");
    let unnamed = command(&scene, &["maintain", "--table", "raw_events"], &AT_ONCE);
    assert!(!unnamed.status.success());
    assert!(told(&unnamed).contains("write namespace.name, such as bronze.raw_events"), "{}", told(&unnamed));
    let none = command(&scene, &["tables", "inspect", "bronze.nothing"], &[]);
    assert!(!none.status.success() && told(&none).contains("bronze.nothing"), "{}", told(&none));
    one_that_is_asked_to_stop_gives_its_lease_back(&scene);
    a_lease_keeps_others_out_until_it_runs_out(&scene);
}

/// SIGTERM, as of a scheduler that has waited too long: the next one need not wait for the lease to run out.
fn one_that_is_asked_to_stop_gives_its_lease_back(scene: &Scene) {
    let seen = |table| inspect(scene, table, &[]);
    let snapshots = number(&seen(QUARANTINE), "/snapshots/count");
    let stays = "maintain::after_expire=return(late:3600000)";
    let mut first = start_maintain(scene, &["--table", QUARANTINE, "--table", BRONZE], &AT_ONCE, stays);
    let inside = poll(PATIENCE, || {
        first.assert_alive();
        let health = seen(QUARANTINE);
        (health["lease"].is_object() && number(&health, "/snapshots/count") < snapshots).then_some(())
    });
    assert!(inside.is_some(), "it did not get to the files of expired snapshots");
    let before = seen(BRONZE)["snapshot_id"].clone();
    first.signal("TERM");
    let ended = first.wait_within(PATIENCE);
    assert_eq!(ended.code(), Some(1), "{}", first.log().tail());
    assert!(seen(QUARANTINE)["lease"].is_null());
    assert_eq!(seen(BRONZE)["snapshot_id"], before, "a table was begun after the signal");
}

/// One maintainer per table: the lease of one that died keeps others out until it has run out.
fn a_lease_keeps_others_out_until_it_runs_out(scene: &Scene) {
    let stays = "maintain::before_commit=return(late:3600000)";
    let mut first = start_maintain(scene, &["--table", BRONZE], &AT_ONCE, stays);
    let lease = poll(PATIENCE, || {
        first.assert_alive();
        let lease = inspect(scene, BRONZE, &[])["lease"].clone();
        lease.is_object().then_some(lease)
    });
    let holder = lease.unwrap()["holder"].as_str().unwrap().to_owned();
    assert!(
        holder.contains(&format!(":{}/", first.pid())),
        "{holder} does not name the process {}",
        first.pid()
    );
    for state in ["alive", "dead"] {
        let refused = command(scene, &["maintain"], &AT_ONCE);
        let said = told(&refused);
        assert_eq!(refused.status.code(), Some(1), "{state}: {said}");
        assert!(said.contains(&holder) && said.contains("maintains the table until"), "{state}: {said}");
        first.kill();
    }
    let_leases_run_out(scene);
    let report = maintain(scene, &AT_ONCE);
    assert_eq!(of_table(&report, BRONZE)["is_changed"], true);
    scene.verify_all();
}
