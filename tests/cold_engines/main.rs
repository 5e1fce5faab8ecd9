//! The cold path's SQL on three engines: DataFusion, Spark and Trino make the same rows of the same days.
//!
//! Days of generated events and changes lie in a REST catalog, with late, double and misdated events and a drifting schema, and some
//! events with odd payloads. `pulselake batch run` makes silver and gold; `sql/spark/job.py` and `sql/trino/job.py` make them again in
//! namespaces of their own, and DuckDB compares.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

#[path = "../common/mod.rs"]
mod common;
mod lake;
#[path = "../cdc/services.rs"]
#[allow(dead_code)]
mod services;

use common::is_soak;
use lake::ColdLake;
use services::Service;

/// One standard error of `approx_count_distinct` in Spark and of `approx_distinct` in Trino, as their manuals tell it.
const SPARK: &str = "spark_=0.05";
const TRINO: &str = "trino_=0.023";

/// What compare.py compares.
const TABLES: [&str; 7] = [
    "silver.fact_user_engagement",
    "gold.batch_video_daily",
    "gold.batch_quality_daily",
    "gold.session_health_daily",
    "gold.creator_retention_weekly",
    "gold.rt_batch_reconciliation",
    "dims.rt_rule_quantile_baselines",
];
/// Those that it has without new payload fields.
const FIXED_COLUMNS_OF_SILVER: u64 = 27;

#[test]
#[ignore = "needs services: run through make test"]
fn three_engines_make_the_same_rows() {
    if !is_soak() {
        return;
    }
    let lake = ColdLake::fill("cold-engines");
    let trino = Service::start("trino", "trino-up.sh", &[&lake.catalog.url]);
    lake.insert_odd_bodies(&trino.url);
    lake.run_batch();
    lake.run_on_spark("spark_");
    // Once more, a day in the middle: nothing is doubled, and the days around it stay.
    lake.run_a_day_again_on_spark("spark_");
    lake.run_on_trino(&trino.url, "trino_");
    lake.run_a_day_again_on_trino(&trino.url, "trino_");
    let report = lake.compare(&[SPARK, TRINO]).unwrap_or_else(|told| panic!("the engines:\n{told}"));
    println!("{:#}", report["facts"]);
    let fact =
        |name: &str| report["facts"][name].as_u64().unwrap_or_else(|| panic!("no {name} in {report:#}"));
    for table in TABLES {
        assert!(fact(&format!("rows of {table}")) > 0, "{table} is empty: {report:#}");
    }
    let silver = "columns of silver.fact_user_engagement";
    assert!(fact(silver) > FIXED_COLUMNS_OF_SILVER, "no new payload field: {report:#}");

    // The comparison sees one event too many.
    lake.ask_trino(&trino.url, "UPDATE trino_gold.batch_quality_daily SET skips = skips + 1 WHERE date = DATE '2024-02-08' AND duration_bin = '15-30s'");
    let told = lake.compare(&[SPARK, TRINO]).expect_err("an altered table is not seen");
    assert!(told.contains("trino_gold_batch_quality_daily alone"), "{told}");
}
