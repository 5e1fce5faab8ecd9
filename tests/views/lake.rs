//! A lake in a REST catalog, filled from the generator, and the programs that read its views.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use pulselake_lake::{Lake, LakeSettings, OpenMode};
use pulselake_model::decisions;
use pulselake_model::tables::LakeTable;
use serde_json::Value;

use crate::common::engine::BINARY;
use crate::common::scene::{Elsewhere, Scene};
use crate::common::{PATIENCE, environment, repository, scaled};
use crate::services::{Service, told};

/// 2024-02-07T22:00:00Z: all of the log lies in the past.
const START_MS: &str = "generator.start_ms=1707343200000";
/// 2024-02-08 in days since 1970: what is published counts from midnight on.
const PUBLISHED_ON: i32 = 19_761;
/// More rows than any view has.
const MAX_ROWS: &str = "2000000";

/// What goes wrong in the log, beside the videos that decisions are expected of.
const SCENARIOS: &str = r#"generator.scenarios=["viral_high_quality:start_s=4000", "viral_low_quality", "cold_start_under_exposed:start_s=1800", "cold_start_under_exposed:start_s=9000,length_s=0", "normal_baseline", "broken_client", "late_events", "schema_drift", "clock_skew:strength=0.2", "duplicates:strength=0.1"]"#;

/// Categories and regions that get thresholds of their own: about an eighth of all pairs.
const CATEGORIES: [&str; 4] = ["comedy", "music", "dance", "food"];
const REGIONS: [&str; 3] = ["US", "BR", "IN"];

/// One row of the baselines.
struct Published {
    rule_version: &'static str,
    metric: &'static str,
    percentile: i32,
    cohort: Option<(&'static str, &'static str)>,
    value: f64,
}

/// See the module.
pub struct ServedLake {
    pub scene: Scene,
    pub catalog: Service,
}

impl ServedLake {
    /// With events, changes and baselines.
    pub fn fill(name: &str) -> Self {
        let lake = Self::empty(name);
        lake.run(&["--cdc-topics", "videos=cdc.content.videos,users=cdc.users.profiles"]);
        lake.publish_baselines();
        lake
    }

    /// With events alone.
    pub fn fill_without_changes(name: &str) -> Self {
        let lake = Self::empty(name);
        lake.run(&["--set", "generator.length_s=600"]);
        lake
    }

    fn empty(name: &str) -> Self {
        let catalog = Service::start("rest", "rest-catalog-up.sh", &[]);
        let mut scene = Scene::without_topic(name);
        let warehouse = format!("file://{}/warehouse", scene.directory().display());
        let arguments = ["--catalog", &catalog.url, "--warehouse", &warehouse].map(str::to_owned);
        scene.elsewhere = Elsewhere { arguments: arguments.into(), environment: Vec::new() };
        Self { scene, catalog }
    }

    /// Runs the engine to the end of the log.
    fn run(&self, more: &[&str]) {
        let length = format!("generator.length_s={}", scaled(3 * 3_600, 24 * 3_600));
        let settings = [
            "source.kind=generator",
            START_MS,
            &length,
            "generator.rate_per_s=20",
            "generator.videos=100",
            "generator.users=2000",
            "generator.partitions=4",
            SCENARIOS,
        ];
        let mut arguments = vec!["run".to_owned(), "--until-caught-up".to_owned()];
        arguments.extend(self.scene.common_arguments(&settings));
        arguments.extend(more.iter().map(|word| (*word).to_owned()));
        let mut engine = self.scene.start_with(&arguments, "");
        let status = engine.wait_within(scaled(PATIENCE, 10 * PATIENCE));
        assert!(status.success(), "{status}:\n{}", engine.log().tail());
    }

    /// Thresholds for everybody and for some cohorts, and others under rules that are not in force.
    fn publish_baselines(&self) {
        let batch = batch_of(&published());
        let warehouse = &self.scene.elsewhere.arguments[3];
        let settings = LakeSettings::new(self.catalog.url.clone(), warehouse.clone());
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let lake = Lake::open(&settings, OpenMode::MustExist).await.unwrap();
            lake.ensure_tables(&[LakeTable::RuleBaselines]).await.unwrap();
            lake.append_rows(LakeTable::RuleBaselines, &batch).await.unwrap();
        });
    }

    /// The rows of every view by `pulselake-query`, one file for each.
    pub fn ask_for_all_views(&self) {
        std::fs::create_dir_all(self.results()).unwrap();
        for file in std::fs::read_dir(repository("sql/serving")).unwrap() {
            let view = file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned();
            let sql = format!("SELECT * FROM serving.{view}");
            let limits = ["--max-rows", MAX_ROWS, "--timeout-s", "300", "--memory-mib", "2048"];
            let mut words = vec!["sql", "--format", "json"];
            words.extend(self.scene.elsewhere.arguments.iter().map(String::as_str));
            words.extend(limits);
            words.push(&sql);
            let output = query(&words);
            assert!(output.status.success(), "{view}: {}", told(&output));
            std::fs::write(self.results().join(format!("{view}.json")), output.stdout).unwrap();
        }
    }

    fn results(&self) -> PathBuf {
        self.scene.directory().join("results")
    }

    /// `pulselake-query views apply`.
    pub fn try_to_apply(&self, trino_url: &str) -> Output {
        query(&["views", "apply", "--trino", trino_url, "--user", "tests"])
    }

    /// The same, which has to succeed; gives what it said.
    pub fn apply(&self, trino_url: &str) -> String {
        let output = self.try_to_apply(trino_url);
        assert!(output.status.success(), "{}", told(&output));
        told(&output)
    }

    /// Compares everybody's rows with the count in Python; gives its report.
    pub fn compare(&self, trino_url: Option<&str>) -> Value {
        let mut python = Command::new(environment("PULSELAKE_TEST_PYTHON"));
        python.arg(repository("tests/views/compare.py")).arg(&self.catalog.url).arg(self.results());
        let output = python.args(trino_url).output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        assert!(output.status.success() && report["ok"] == true, "the views:\n{}", told(&output));
        report
    }
}

fn published() -> Vec<Published> {
    let pairs =
        CATEGORIES.iter().flat_map(|category| REGIONS.iter().map(move |region| Some((*category, *region))));
    let mut rows = Vec::new();
    for (number, cohort) in (0_i32..).zip([None].into_iter().chain(pairs)) {
        for (rule_version, factor) in [("rules-2", 1.0), ("rules-0", 0.001)] {
            let mut publish = |metric, percentile, value: f64| {
                rows.push(Published { rule_version, metric, percentile, cohort, value: factor * value });
            };
            publish("velocity_30m", 90, 0.15 + 0.01 * f64::from(number));
            publish("impressions_30m", 40, 150.0 + 10.0 * f64::from(number));
            // A percentile that no rule looks at.
            publish("velocity_30m", 50, 0.01);
        }
    }
    rows
}

fn batch_of(rows: &[Published]) -> RecordBatch {
    let texts = |of: fn(&Published) -> Option<&'static str>| -> ArrayRef {
        Arc::new(rows.iter().map(of).collect::<StringArray>())
    };
    let count = rows.len();
    let columns: Vec<ArrayRef> = vec![
        texts(|row| Some(row.rule_version)),
        Arc::new(Date32Array::from(vec![PUBLISHED_ON; count])),
        Arc::new(Date32Array::new_null(count)),
        texts(|row| Some(row.metric)),
        Arc::new(rows.iter().map(|row| row.percentile).collect::<Int32Array>()),
        texts(|row| row.cohort.map(|(category, _)| category)),
        texts(|row| row.cohort.map(|(_, region)| region)),
        Arc::new(rows.iter().map(|row| row.value).collect::<Float64Array>()),
        Arc::new(Int64Array::from(vec![1_000; count])),
        Arc::new(BooleanArray::from(vec![false; count])),
        Arc::new(TimestampMicrosecondArray::from(vec![0; count]).with_timezone("+00:00")),
    ];
    RecordBatch::try_new(decisions::rule_baselines(), columns).unwrap()
}

/// Runs `pulselake-query`, which the workspace's tests are built with.
fn query(words: &[&str]) -> Output {
    let program = PathBuf::from(BINARY).with_file_name("pulselake-query");
    let hint = "is not built: run through make test, or cargo build -p pulselake-query";
    assert!(program.is_file(), "{} {hint}", program.display());
    Command::new(program).args(words).env_remove("PULSELAKE_CONFIG").output().unwrap()
}
