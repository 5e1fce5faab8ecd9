//! What real time has wrong: found, told, blocks baselines, and is restated.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{Date32Type, Float64Type};
use futures::{TryStreamExt, stream};
use pulselake_lake::{Lake, LakeError, LakeSettings, OpenMode};
use pulselake_model::gold_counts::{COUNT_COLUMNS, WATCH_TIME_COLUMN};
use pulselake_model::tables::LakeTable;
use serde_json::Value;

use crate::batch::{Ended, batch, snapshots, verify_days};
use crate::common::scene::Scene;
use crate::common::{PATIENCE, environment, repository, scaled};

const DATE: &str = "2026-02-07";
/// Midnight before it.
const START_MS: &str = "generator.start_ms=1770422400000";

/// A lake with half a day of events.
struct Day {
    scene: Scene,
}

impl Day {
    fn fill(name: &str) -> Self {
        let day = Self { scene: Scene::without_topic(name) };
        let mut arguments = vec!["run".to_owned(), "--until-caught-up".to_owned()];
        arguments.extend(day.arguments(&["decisions.enabled=false", "generator.length_s=43200"]));
        let mut engine = day.scene.start_with(&arguments, "");
        let status = engine.wait_within(scaled(PATIENCE, 10 * PATIENCE));
        assert!(status.success(), "{status}:\n{}", engine.log().tail());
        day
    }

    fn arguments(&self, more: &[&str]) -> Vec<String> {
        let settings = [
            "source.kind=generator",
            START_MS,
            scaled("generator.rate_per_s=1", "generator.rate_per_s=20"),
            "generator.videos=20",
            "generator.users=150",
            "generator.partitions=3",
            "generator.late_ratio=0.02",
            "cdc.videos_topic=cdc.content.videos",
            "cdc.users_topic=cdc.users.profiles",
            "bronze.commit_interval_ms=10000",
        ];
        self.scene.common_arguments(&[&settings, more].concat())
    }

    fn batch(&self, words: &[&str]) -> Ended {
        batch(&self.scene, &[words, &["--date", DATE]].concat())
    }

    fn metrics_file(&self) -> PathBuf {
        self.scene.directory().join("pulselake.prom")
    }

    fn run(&self) -> Ended {
        self.batch(&["run", "--metrics-file", self.metrics_file().to_str().unwrap()])
    }

    /// A sample of the metrics that the last run wrote.
    fn sample(&self, series: &str) -> f64 {
        let text = std::fs::read_to_string(self.metrics_file()).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series} in\n{text}")).parse().unwrap()
    }

    /// Lets another program drop so many in a hundred of gold's files.
    fn drop_files(&self, percent: u32) {
        let mut python = Command::new(environment("PULSELAKE_TEST_PYTHON"));
        python.arg(repository("tests/tools/tamper.py")).arg("drop-files").arg(self.scene.data_dir());
        let output = python.args(["gold.rt_video_stats_1min", &percent.to_string()]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Adds so many impressions to a video in each minute of the day, as a wrong revision would.
    fn add_impressions(&self, count: i64) {
        let day: chrono::NaiveDate = DATE.parse().unwrap();
        let start_us = day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_micros();
        let minutes = 1_440;
        let mut columns: Vec<(&str, ArrayRef)> = vec![
            ("video_id", Arc::new(StringArray::from(vec!["v_1"; minutes]))),
            (
                "window_start",
                Arc::new(
                    TimestampMicrosecondArray::from_iter_values(
                        (0..minutes as i64).map(|minute| start_us + 60_000_000 * minute),
                    )
                    .with_timezone("+00:00"),
                ),
            ),
        ];
        for name in COUNT_COLUMNS.into_iter().chain([WATCH_TIME_COLUMN]) {
            let value = if name == COUNT_COLUMNS[0] { count } else { 0 };
            columns.push((name, Arc::new(Int64Array::from(vec![value; minutes]))));
        }
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        in_lake(&self.scene.data_dir(), async |lake| {
            let base = lake.begin_restatement::<LakeError>(day).await.unwrap();
            lake.append_restatement(&base, stream::iter([Ok::<_, LakeError>(batch)])).await.unwrap();
        });
    }

    /// Metric and cohort of each row that is published from the next day on, and its value.
    fn published(&self) -> BTreeMap<(String, Option<String>), f64> {
        let batches: Vec<RecordBatch> = in_lake(&self.scene.data_dir(), async |lake| {
            lake.read(LakeTable::RuleBaselines, &[]).await.unwrap().try_collect().await.unwrap()
        });
        let mut found = BTreeMap::new();
        for batch in batches {
            let column = |name: &str| batch.column_by_name(name).unwrap().clone();
            let (metrics, categories, regions) =
                (column("metric_name"), column("cohort_category"), column("cohort_region"));
            let (values, days) = (column("threshold_value"), column("effective_from"));
            for row in 0..batch.num_rows() {
                assert_eq!(
                    days.as_primitive::<Date32Type>().value_as_date(row).unwrap().to_string(),
                    "2026-02-08"
                );
                let cohort = categories.is_valid(row).then(|| {
                    format!(
                        "{} {}",
                        categories.as_string::<i32>().value(row),
                        regions.as_string::<i32>().value(row)
                    )
                });
                let key = (metrics.as_string::<i32>().value(row).to_owned(), cohort);
                let value = values.as_primitive::<Float64Type>().value(row);
                assert!(found.insert(key, value).is_none(), "a row is there twice");
            }
        }
        found
    }
}

/// Does `work` on the lake in a directory.
fn in_lake<T>(directory: &Path, work: impl AsyncFnOnce(Lake) -> T) -> T {
    let settings = LakeSettings::new(
        format!("sqlite://{}/catalog.db", directory.display()),
        format!("file://{}/warehouse", directory.display()),
    );
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let lake = Lake::open(&settings, OpenMode::MustExist).await.unwrap();
        work(lake).await
    })
}

#[test]
#[ignore = "needs the test tools: run through make test"]
fn what_real_time_has_wrong_blocks_baselines_until_it_is_restated() {
    let day = Day::fill("batch-wrong");
    let scene = &day.scene;

    // Half of gold is gone: CRIT, and nothing is published.
    day.drop_files(50);
    let wrong = day.run().with_code(3);
    assert_eq!(wrong.verdicts(), [format!("{DATE} CRIT")]);
    assert!(wrong.told.contains("batch restate corrects real time"), "{}", wrong.told);
    assert_eq!(day.sample("pulselake_reconciliation_status{metric=\"watch_time_sum_ms\"}"), 2.0);
    assert_eq!(day.published(), BTreeMap::new());
    // A run that reconciles nothing takes no verdict away.
    let file = day.metrics_file();
    let job = ["run", "--job", "fact_user_engagement", "--date", "2026-02-09"];
    let idle = [&job[..], &["--metrics-file", file.to_str().unwrap()]].concat();
    assert_eq!(batch(scene, &idle).with_code(0).verdicts(), [] as [String; 0]);
    assert_eq!(day.sample("pulselake_reconciliation_status{metric=\"watch_time_sum_ms\"}"), 2.0);
    // It stays so until somebody does something about it.
    assert_eq!(day.run().with_code(3).made(), [] as [&str; 0]);
    day.batch(&["reconcile"]).with_code(3);

    // What would be added is what is added, and then there is nothing more.
    let before = snapshots(scene);
    let planned = day.batch(&["restate", "--dry-run"]).with_code(0).report;
    assert!(planned["rows"].as_u64() > Some(100) && planned["snapshot_id"].is_null(), "{planned:#}");
    assert_eq!(snapshots(scene), before);
    let restated = day.batch(&["restate"]).with_code(0).report;
    assert_eq!((&restated["rows"], &restated["added"]), (&planned["rows"], &planned["added"]));
    assert_eq!(day.batch(&["restate"]).with_code(0).report["rows"], 0);

    // Now they agree in every minute, and the baseline is published.
    let right = day.run().with_code(0);
    assert_eq!(right.verdicts(), [format!("{DATE} PASS")]);
    assert_eq!(right.largest_difference(), 0.0);
    assert_eq!(day.sample("pulselake_reconciliation_status{metric=\"watch_time_sum_ms\"}"), 0.0);
    let published = day.published();
    assert!(published.len() > 2, "{published:?}");
    verify_days(scene, DATE, DATE, &[]);

    // A little wrong: told, but no reason to stop. What was published stays.
    day.add_impressions(10);
    let little = day.run().with_code(0);
    assert_eq!(little.verdicts(), [format!("{DATE} WARN")]);
    assert_eq!(little.metric("impressions")["status"], "WARN");
    assert!(little.told.contains("warning: real time and batch"), "{}", little.told);
    assert_eq!(day.sample("pulselake_reconciliation_status{metric=\"impressions\"}"), 1.0);
    let taken_back = day.batch(&["restate"]).with_code(0).report;
    assert_eq!(taken_back["added"]["impressions"], -14_400);
    assert_eq!(day.run().with_code(0).verdicts(), [format!("{DATE} PASS")]);
    assert_eq!(day.published(), published);
    verify_days(scene, DATE, DATE, &[]);

    // Who was erased is counted no more, once the day is made of what is left.
    erase_from_every_number(&day);

    // The engine decides by what was published.
    assert_eq!(day.published(), published);
    assert_in_force(&day, &published);
}

/// Erases the busiest user, and takes their events out of the daily tables and gold too.
fn erase_from_every_number(day: &Day) {
    let scene = &day.scene;
    let busiest = "SELECT user_id, COUNT(*) AS events FROM silver.fact_user_engagement \
                   GROUP BY user_id ORDER BY events DESC, user_id LIMIT 1";
    let found = scene.command(&["sql", "--format", "json", busiest]);
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    let user = found["rows"][0][0].as_str().unwrap();
    let erased = scene.command(&["erase", "--user", user]);
    assert!(erased.status.success(), "{}", String::from_utf8_lossy(&erased.stderr));

    let refused = day.batch(&["restate"]).with_code(1);
    assert!(refused.told.contains("batch run --date 2026-02-07 --force makes it"), "{}", refused.told);
    let kept = ["payload_fields", "fact_user_engagement"].map(|job| format!("{DATE} {job} kept"));
    assert_eq!(day.run().with_code(0).made(), kept);
    // How far real time is off depends on what part of the events was theirs.
    batch(scene, &["run", "--force", "--date", DATE]);
    let taken_out = day.batch(&["restate"]).with_code(0).report;
    assert!(taken_out["added"]["impressions"].as_i64() < Some(0), "{taken_out:#}");
    let without = day.run().with_code(0);
    assert_eq!((without.verdicts(), without.largest_difference()), (vec![format!("{DATE} PASS")], 0.0));
    // What was published stays.
    verify_days(scene, DATE, DATE, &["dims.rt_rule_quantile_baselines"]);
}

/// A running engine says that it compares with the published rows.
fn assert_in_force(day: &Day, published: &BTreeMap<(String, Option<String>), f64>) {
    let mut arguments = vec!["run".to_owned()];
    arguments.extend(day.arguments(&[]));
    let mut engine = day.scene.start_with(&arguments, "");
    let origin = "dims.rt_rule_quantile_baselines of 2026-02-08";
    let of_table = |event: &Value| event["origin"] == origin;
    engine.wait_until("the published baseline is in force", |log| {
        log.events("baseline_in_force").iter().any(of_table)
    });
    let event = engine.log().events("baseline_in_force").into_iter().find(of_table).unwrap();
    for (metric, name) in [("velocity_30m", "velocity_p90"), ("impressions_30m", "impressions_p40")] {
        assert_eq!(event[name].as_f64(), Some(published[&(metric.to_owned(), None)]), "{event:#}");
    }
    let cohorts =
        published.keys().filter(|(metric, cohort)| metric == "velocity_30m" && cohort.is_some()).count();
    assert_eq!(event["cohorts"], cohorts, "{event:#}");
}
