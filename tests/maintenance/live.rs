//! Compaction and janitor inside a running engine, at many commits a second.

use std::fs;
use std::path::PathBuf;

use crate::common::engine::{Engine, free_address, http_get, metric_sum};
use crate::common::scene::Scene;
use crate::common::{PATIENCE, poll};
use crate::lake::lake;
use crate::support::{BRONZE, FILES_IN_SHAPE, GOLD, TABLES, inspect, make_old, number, table_dir};

/// The maintenance of an hour in a second.
const HASTE: [&str; 11] = [
    "maintenance.check_interval_ms=200",
    "maintenance.interval_ms=2000",
    "maintenance.urgent_files=2",
    "maintenance.partition_close_delay_ms=0",
    "maintenance.snapshot_max_age_ms=1000",
    "maintenance.snapshots_to_keep=20",
    "maintenance.orphan_min_age_ms=3600000",
    "maintenance.cpu_share_percent=100",
    "bronze.commit_interval_ms=1000",
    // Each commit of gold makes a file in each of its 16 buckets, and a slow machine needs long for hundreds of them.
    "gold.collect_wait_ms=10000",
    "gold.correction_interval_ms=10000",
];
/// Commits of bronze for which the engine is watched, without maintenance and with it.
const COMMITS: usize = 12;

fn metrics(address: &str) -> String {
    let answer = poll(PATIENCE, || http_get(address, "/metrics").filter(|(code, _)| *code == 200));
    answer.unwrap_or_else(|| panic!("no metrics at {address}")).1
}

/// One table's value of a metric.
fn of_table(exposition: &str, name: &str, table: &str) -> f64 {
    let label = format!("table=\"{table}\"");
    let lines: Vec<&str> = exposition.lines().filter(|line| line.contains(&label)).collect();
    assert!(lines.iter().any(|line| line.starts_with(&format!("{name}{{"))), "no {name} of {table}");
    metric_sum(&lines.join("\n"), name)
}

/// How long the engine's commits took.
#[derive(Debug)]
struct Commits {
    count: f64,
    over_a_second: f64,
    conflicts: f64,
}

impl Commits {
    fn of(exposition: &str) -> Self {
        let within = exposition
            .lines()
            .filter(|line| {
                line.starts_with("pulselake_commit_duration_seconds_bucket{") && line.contains("le=\"1\"")
            })
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        let count = metric_sum(exposition, "pulselake_commit_duration_seconds_count");
        Self {
            count,
            over_a_second: count - within.sum::<f64>(),
            conflicts: metric_sum(exposition, "pulselake_commit_conflicts_total"),
        }
    }

    fn slow_part(&self) -> f64 {
        self.over_a_second / self.count
    }
}

fn start(scene: &Scene, address: &str, settings: &[&str], failpoints: &str) -> Engine {
    let bind = format!("http.bind={address}");
    let arguments = scene.run_arguments(&[&["kafka.group_mode=assign", &bind as &str], settings].concat());
    scene.start_with(&arguments, failpoints)
}

/// Old files that nothing leads to, one beside the data and one beside the metadata of each table.
fn plant_orphans(scene: &Scene) -> Vec<PathBuf> {
    let in_table = |table: &str| {
        ["data/old.parquet", "metadata/old.avro"].map(|name| table_dir(scene, table).join(name))
    };
    let orphans: Vec<PathBuf> = TABLES.into_iter().flat_map(in_table).collect();
    for path in &orphans {
        fs::write(path, "of a commit that came to nothing").unwrap();
        make_old(path);
    }
    orphans
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn tables_stay_in_shape_under_a_stream_that_does_not_wait_for_it() {
    let scene = Scene::new("live", 2);
    let stream = scene.stream(20.0, 71).in_background(3_000);
    let address = free_address();
    let mut engine = start(&scene, &address, &["maintenance.enabled=false"], "");
    engine.wait_until("bronze commits", |log| log.commits(BRONZE) >= COMMITS);
    let without = Commits::of(&metrics(&address));
    engine.terminate();
    let files_before = number(&inspect(&scene, BRONZE, &[]), "/data_files/count");
    assert!(files_before >= COMMITS as u64, "{files_before} files");

    let orphans = plant_orphans(&scene);
    let address = free_address();
    let mut engine = start(&scene, &address, &HASTE, "");
    engine.wait_until("bronze commits", |log| log.commits(BRONZE) >= COMMITS);
    let compacted = ("pulselake_compaction_runs_total", 1.0);
    let with = Commits::of(&wait_for_metrics(&mut engine, &address, &[BRONZE], &[compacted]));
    scene.audit();
    println!("commits without maintenance {without:?}, with it {with:?}");
    // A busy machine makes both slow.
    assert!(
        with.slow_part() <= without.slow_part() + 0.1,
        "without maintenance {without:?}, with it {with:?}"
    );
    // Each commit may meet one of maintenance; more would be a storm.
    assert!(with.conflicts <= with.count, "{with:?}");

    let stream = stream.stop();
    let swept = [("pulselake_expired_snapshots_total", 1.0), ("pulselake_removed_orphans_total", 2.0)];
    let shown = wait_for_metrics(&mut engine, &address, &TABLES, &[&[compacted], &swept[..]].concat());
    assert!(orphans.iter().all(|path| !path.exists()));
    for table in TABLES {
        for name in
            ["rewritten_bytes_total", "compaction_busy_seconds_total", "live_files", "live_file_bytes"]
        {
            assert!(
                of_table(&shown, &format!("pulselake_{name}"), table) > 0.0,
                "{name} of {table}:\n{shown}"
            );
        }
        for name in
            ["average_file_bytes", "table_snapshots", "fullest_partition_files", "removed_files_total"]
        {
            assert!(
                of_table(&shown, &format!("pulselake_{name}"), table) > 0.0,
                "{name} of {table}:\n{shown}"
            );
        }
        assert_eq!(of_table(&shown, "pulselake_live_delete_files", table), 0.0);
        assert_eq!(
            of_table(&shown, "pulselake_maintenance_failures_total", table),
            0.0,
            "{}",
            engine.log().tail()
        );
        let _ = of_table(&shown, "pulselake_maintenance_conflicts_total", table);
    }

    // Without new files, each partition comes into shape while the engine runs.
    for table in TABLES {
        let mut health = serde_json::Value::Null;
        let is_small = poll(PATIENCE, || {
            health = inspect(&scene, table, &[]);
            (number(&health, "/busiest_partitions/0/files") < FILES_IN_SHAPE).then_some(())
        });
        assert!(is_small.is_some(), "{table} is not compacted: {health}\n{}", engine.log().tail());
        assert!(number(&health, "/snapshots/count") < 100, "{health}");
    }
    assert!(!engine.log().has("generation_killed"), "{}", engine.log().tail());
    engine.terminate();

    let replaced = lake(&scene, "replacements", &[]);
    assert_eq!(replaced["differing"], serde_json::json!([]));
    assert!(number(&replaced, &format!("/compared/{BRONZE}")) > 0, "{replaced}");
    scene.verify_to_the_end_of(stream.in_background(0));
}

/// Waits until metrics of all these tables are at least so high; gives all metrics then.
fn wait_for_metrics(engine: &mut Engine, address: &str, tables: &[&str], least: &[(&str, f64)]) -> String {
    let mut shown = String::new();
    let is_there = poll(PATIENCE, || {
        engine.assert_alive();
        shown = metrics(address);
        let is_enough =
            |table: &&str| least.iter().all(|(name, value)| of_table(&shown, name, table) >= *value);
        tables.iter().all(is_enough).then_some(())
    });
    assert!(is_there.is_some(), "not {least:?} of {tables:?}:\n{shown}\n{}", engine.log().tail());
    shown
}

/// Compaction that never comes to its end holds neither a commit nor the end of the process up.
#[test]
#[ignore = "needs a broker: run through make test"]
fn commits_go_on_while_compaction_stands_still() {
    let scene = Scene::new("still", 2);
    let stream = scene.stream(20.0, 72).in_background(3_000);
    let address = free_address();
    let mut engine = start(&scene, &address, &HASTE, "maintain::before_commit=return(late:3600000)");
    for table in [BRONZE, GOLD] {
        let mut health = serde_json::Value::Null;
        let is_held = poll(PATIENCE, || {
            engine.assert_alive();
            health = inspect_if_there(&scene, table)?;
            health["lease"].is_object().then_some(())
        });
        assert!(is_held.is_some(), "nobody maintains {table}: {health}\n{}", engine.log().tail());
        let commits = engine.log().commits(table);
        let least = commits + if table == BRONZE { 6 } else { 1 };
        engine.wait_until("it commits on", |log| log.commits(table) >= least);
        assert_eq!(inspect(&scene, table, &[])["lease"]["holder"], health["lease"]["holder"]);
    }
    assert!(!engine.log().has("maintenance_done"), "{}", engine.log().tail());
    engine.terminate();
    scene.audit();
    crate::support::maintain_to_the_end(&scene);
    scene.verify_to_the_end_of(stream);
}

/// Where compaction fails again and again, the metric that an alert goes by shows how many files there are.
#[test]
#[ignore = "needs a broker: run through make test"]
fn a_compaction_that_fails_is_seen_in_the_files_of_the_fullest_partition() {
    let scene = Scene::new("failing", 2);
    let stream = scene.stream(20.0, 73).in_background(2_000);
    let address = free_address();
    let mut engine = start(&scene, &address, &HASTE, "maintain::before_output_close=return(error)");
    let failing = [("pulselake_maintenance_failures_total", 2.0), ("pulselake_fullest_partition_files", 4.0)];
    wait_for_metrics(&mut engine, &address, &[BRONZE], &failing);
    assert!(!engine.log().has("maintenance_done"), "{}", engine.log().tail());
    engine.terminate();
    scene.verify_to_the_end_of(stream);
}

/// A table's health; `None` while the engine has not made it.
fn inspect_if_there(scene: &Scene, table: &str) -> Option<serde_json::Value> {
    let output = scene.command(&["tables", "inspect", table, "--format", "json"]);
    serde_json::from_slice(&output.stdout).ok()
}
