//! A lake of some days in a REST catalog, and the programs that make its cold path.

use std::process::{Command, Output};

use serde_json::Value;

use crate::common::engine::BINARY;
use crate::common::scene::{Elsewhere, Scene};
use crate::common::{PATIENCE, environment, repository};
use crate::services::{Service, told};

/// 2024-02-07T00:00:00Z, a Wednesday: all of the log lies in the past.
const START_MS: &str = "generator.start_ms=1707264000000";
/// The days of the log; the last one is not over.
const DAYS: [&str; 3] = ["2024-02-07", "2024-02-08", "2024-02-09"];
/// Two days and eighteen hours.
const LENGTH_S: &str = "generator.length_s=237600";

/// What goes wrong in the log.
const SCENARIOS: &str = r#"generator.scenarios=["viral_high_quality:start_s=40000,length_s=20000", "viral_low_quality:start_s=90000,length_s=20000", "broken_client", "late_events", "schema_drift:start_s=30000", "clock_skew:strength=0.2", "duplicates:strength=0.1"]"#;

/// See the module.
pub struct ColdLake {
    scene: Scene,
    pub catalog: Service,
}

impl ColdLake {
    /// Three days of events and changes, by the engine.
    pub fn fill(name: &str) -> Self {
        let catalog = Service::start("rest", "rest-catalog-up.sh", &[]);
        let mut scene = Scene::without_topic(name);
        let warehouse = format!("file://{}/warehouse", scene.directory().display());
        let arguments = ["--catalog", &catalog.url, "--warehouse", &warehouse].map(str::to_owned);
        scene.elsewhere = Elsewhere { arguments: arguments.into(), environment: Vec::new() };
        let lake = Self { scene, catalog };
        let settings = [
            "source.kind=generator",
            START_MS,
            LENGTH_S,
            "generator.rate_per_s=2",
            "generator.videos=60",
            "generator.users=1500",
            "generator.partitions=4",
            SCENARIOS,
        ];
        let mut arguments = vec!["run".to_owned(), "--until-caught-up".to_owned()];
        arguments.extend(lake.scene.common_arguments(&settings));
        arguments.extend(
            ["--cdc-topics", "videos=cdc.content.videos,users=cdc.users.profiles"].map(str::to_owned),
        );
        let mut engine = lake.scene.start_with(&arguments, "");
        let status = engine.wait_within(10 * PATIENCE);
        assert!(status.success(), "{status}:\n{}", engine.log().tail());
        lake
    }

    /// Events of the second day whose payloads no producer should send, and decent ones of the first day.
    pub fn insert_odd_bodies(&self, trino_url: &str) {
        let mut python = Command::new(environment("PULSELAKE_TEST_PYTHON"));
        python.arg(repository("tests/cold_engines/insert_bodies.py")).args([trino_url, DAYS[1]]);
        succeed(python, "Trino");
    }

    /// `pulselake batch run` over all days; a verdict of CRIT is none about the engines.
    pub fn run_batch(&self) {
        let mut command = Command::new(BINARY);
        command.args(["batch", "run", "--from", DAYS[0], "--to", DAYS[2]]);
        command.args(&self.scene.elsewhere.arguments).env_remove("PULSELAKE_CONFIG");
        let output = command.output().unwrap();
        assert!(matches!(output.status.code(), Some(0 | 3)), "{}", told(&output));
    }

    /// All days on Spark, into namespaces with this prefix.
    pub fn run_on_spark(&self, prefix: &str) {
        self.submit(&["--from", DAYS[0], "--to", DAYS[2]], prefix);
    }

    /// The second day once more.
    pub fn run_a_day_again_on_spark(&self, prefix: &str) {
        self.submit(&["--date", DAYS[1]], prefix);
    }

    fn submit(&self, days: &[&str], prefix: &str) {
        let mut command = Command::new(repository("tests/tools/spark-submit.sh"));
        command.args([&self.catalog.url, "--", "--py-files"]).arg(repository("sql/rendered.py"));
        command.arg(repository("sql/spark/job.py")).args(days).args(self.rendering(prefix));
        succeed(command, "Spark");
    }

    /// All days on Trino, into namespaces with this prefix.
    pub fn run_on_trino(&self, url: &str, prefix: &str) {
        self.make_on_trino(url, &["--from", DAYS[0], "--to", DAYS[2]], prefix);
    }

    /// The second day once more.
    pub fn run_a_day_again_on_trino(&self, url: &str, prefix: &str) {
        self.make_on_trino(url, &["--date", DAYS[1]], prefix);
    }

    fn make_on_trino(&self, url: &str, days: &[&str], prefix: &str) {
        let mut command = Command::new(environment("PULSELAKE_TEST_PYTHON"));
        command.env("PYTHONPATH", repository("sql")).arg(repository("sql/trino/job.py"));
        command.args(["--server", url]).args(days).args(self.rendering(prefix));
        succeed(command, "Trino");
    }

    /// Arguments that both jobs have in common.
    fn rendering(&self, prefix: &str) -> Vec<String> {
        let mut arguments =
            vec![format!("--pulselake={BINARY}"), format!("--target-namespace-prefix={prefix}")];
        arguments.extend(self.scene.elsewhere.arguments.iter().map(|word| format!("--render-option={word}")));
        arguments
    }

    /// One statement.
    pub fn ask_trino(&self, url: &str, sql: &str) {
        let mut command = Command::new(environment("PULSELAKE_TEST_PYTHON"));
        command.arg(repository("tests/tools/trino_sql.py")).args([url, sql]);
        succeed(command, "Trino");
    }

    /// Compares the tables of all engines; gives the report of compare.py, or what it told where it failed.
    pub fn compare(&self, engines: &[&str]) -> Result<Value, String> {
        let mut python = Command::new(environment("PULSELAKE_TEST_PYTHON"));
        python.arg(repository("tests/cold_engines/compare.py")).arg(&self.catalog.url).args(engines);
        let output = python.output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        if output.status.success() && report["ok"] == true { Ok(report) } else { Err(told(&output)) }
    }
}

fn succeed(mut command: Command, what: &str) {
    let output: Output = command.env_remove("PULSELAKE_CONFIG").output().unwrap();
    assert!(output.status.success(), "{what}: {}", told(&output));
    println!("{}", String::from_utf8_lossy(&output.stdout));
}
