//! The serving views on a lake in a REST catalog: DataFusion, and in the long form Trino, give the rows that a count in
//! plain Python over the raw tables gives.
//!
//! The lake holds hours (in the long form a day) of generated events and changes across midnight, with late, double and
//! misdated events, a drifting schema and a broken client, and baselines from the second day on.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

#[path = "../common/mod.rs"]
mod common;
mod lake;
#[path = "../cdc/services.rs"]
#[allow(dead_code)]
mod services;

use common::is_soak;
use lake::ServedLake;
use serde_json::Value;
use services::Service;

/// A whole number among the facts of a comparison.
fn fact(report: &Value, pointer: &str) -> u64 {
    let found = report.pointer(&format!("/facts/{pointer}")).and_then(Value::as_u64);
    found.unwrap_or_else(|| panic!("no {pointer} in {report:#}"))
}

#[test]
#[ignore = "needs services: run through make test"]
fn every_engine_gives_the_rows_of_a_plain_count() {
    let lake = ServedLake::fill("views");
    lake.ask_for_all_views();

    // Twice: the second time everything is there.
    let trino = is_soak().then(|| Service::start("trino", "trino-up.sh", &[&lake.catalog.url]));
    for _ in 0..2 {
        let Some(trino) = &trino else { break };
        let told = lake.apply(&trino.url);
        assert!(!told.contains("failed") && !told.contains("skipped"), "{told}");
    }
    let report = lake.compare(trino.as_ref().map(|trino| trino.url.as_str()));
    println!("{:#}", report["facts"]);

    // What was compared was worth it.
    assert!(fact(&report, "revisions of gold") > 1, "no window was corrected");
    for pointer in [
        "decision_type/BOOST",
        "decision_type/REVIEW",
        "decision_type/RESCUE",
        "decision_type/NO_ACTION",
        "threshold_origin/seed",
        "threshold_origin/global",
        "threshold_origin/cohort",
        "rows of trending_videos",
        "rows of v_dim_users_history",
    ] {
        assert!(fact(&report, pointer) > 0, "{report:#}");
    }
    // A schema of views among the engine's own is nothing to it.
    let tables = lake.scene.command(&["tables", "--format", "json"]);
    assert!(tables.status.success(), "{}", services::told(&tables));
}

/// Where a table is missing, Trino's words say which, and the other views are made.
#[test]
#[ignore = "needs services: run through make test"]
fn a_view_without_its_tables_is_told_and_the_others_are_made() {
    if !is_soak() {
        return;
    }
    let lake = ServedLake::fill_without_changes("views-no-dims");
    let trino = Service::start("trino", "trino-up.sh", &[&lake.catalog.url]);
    let output = lake.try_to_apply(&trino.url);
    let told = services::told(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    for expected in [
        "made     v_rt_video_metrics_30m_1m",
        "made     interaction_rate_by_app_version",
        "failed   v_dim_videos: TABLE_NOT_FOUND: ",
        "skipped  viral_velocity_30m: it reads v_dim_videos",
        "skipped  trending_videos: it reads viral_velocity_30m",
    ] {
        assert!(told.contains(expected), "{expected:?} is not in:\n{told}");
    }
}
