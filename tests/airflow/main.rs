//! The DAGs of `airflow/dags` in a real Airflow (`airflow dags test`), with the real programs on a small lake; and the units of
//! `config/systemd`, as systemd reads them.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

#[path = "../common/mod.rs"]
mod common;
mod lake;

use std::process::Command;

use common::{is_soak, repository};
use lake::{DAY, OrchestratedLake};

#[test]
#[ignore = "needs the Python of the tests: run through make test"]
fn the_dags_do_their_work_and_fail_with_our_words() {
    // Airflow is 200 MB to fetch, and each of its runs starts a scheduler of its own.
    if !is_soak() {
        eprintln!("the DAGs run in the long form: PULSELAKE_SOAK=1");
        return;
    }
    let lake = OrchestratedLake::fill("airflow");

    let maintenance = lake.test_dag("pulselake_maintenance", &[]);
    maintenance.assert_success();
    maintenance.assert_logged("rewrite the manifests");
    assert!(maintenance.has_run("maintain"), "{}", maintenance.tail());

    let daily = lake.test_dag("pulselake_daily", &[]);
    daily.assert_success();
    for task in ["silver", "gold", "reconciliation_gate", "baselines"] {
        assert!(daily.has_run(task), "{task}:\n{}", daily.tail());
    }
    for table in ["silver.fact_user_engagement", "gold.batch_video_daily", "gold.rt_batch_reconciliation"] {
        assert!(lake.rows_of(table) > 0, "{table} is empty after pulselake_daily");
    }
    assert_eq!(lake.verdict(), "PASS");

    // Real time goes wrong: the gate fails, its log says what to do, and no baseline is published.
    lake.empty_gold();
    let published = lake.rows_of("dims.rt_rule_quantile_baselines");
    let stopped = lake.test_dag("pulselake_daily", &[]);
    stopped.assert_failure();
    stopped.assert_logged("pulselake batch restate");
    assert!(stopped.has_run("reconciliation_gate") && !stopped.has_run("baselines"), "{}", stopped.tail());
    assert_eq!(lake.verdict(), "CRIT");
    assert_eq!(lake.rows_of("dims.rt_rule_quantile_baselines"), published);
    // What the words say helps.
    lake.batch(&["restate"]);
    lake.batch(&["run", "--job", "rt_batch_reconciliation"]);
    assert_eq!(lake.verdict(), "PASS");

    // A task that can't do its work: the DAG fails, and the program's own message is in the log.
    let away = lake.test_dag("pulselake_maintenance", &[("PULSELAKE_LAKE__DATA_DIR", "/nowhere/at/all")]);
    away.assert_failure();
    away.assert_logged("/nowhere/at/all");
}

#[test]
#[ignore = "needs the Python of the tests: run through make test"]
fn the_daily_tables_are_due_at_nine() {
    if !is_soak() {
        return;
    }
    let lake = OrchestratedLake::empty("airflow-deadline");
    let facts = lake.deadline();
    assert_eq!(facts["day"], DAY);
    assert_eq!(facts["begins"], "2024-02-08T03:00:00+00:00");
    assert_eq!(facts["due"], "2024-02-08T09:00:00+00:00");
    assert_eq!(facts["max_active_runs"], 1);
    assert_eq!(
        facts["told"],
        serde_json::json!([
            "Pulselake: the tables of 2024-02-07 are not ready, they were due at 2024-02-08 09:00:00+00:00 (run scheduled__1)"
        ])
    );
    assert_eq!(facts["told_of_a_caught_up_day"], serde_json::json!([]));
}

/// Where there is no systemd, there is nothing to ask.
#[test]
fn systemd_takes_the_units() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        println!("no systemd-analyze here: the units are not looked at");
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no"]);
    for entry in std::fs::read_dir(repository("config/systemd")).unwrap() {
        let unit = entry.unwrap().path();
        let copy = place.path().join(unit.file_name().unwrap());
        // The program's place is checked too: here it is elsewhere.
        let text = std::fs::read_to_string(&unit)
            .unwrap()
            .replace("/usr/local/bin/pulselake", common::engine::BINARY);
        std::fs::write(&copy, text).unwrap();
        verify.arg(copy);
    }
    let output = verify.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.trim().is_empty(), "{told}");
}
