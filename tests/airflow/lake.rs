//! A lake with one day of events, Airflow on it, and what the tables say afterwards.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

use crate::common::engine::BINARY;
use crate::common::scene::Scene;
use crate::common::{environment, repository};

/// The day that the events lie in.
pub const DAY: &str = "2024-02-07";
/// 2024-02-07T10:00:00Z.
const START_MS: &str = "generator.start_ms=1707300000000";

/// See the module.
pub struct OrchestratedLake {
    scene: Scene,
}

impl OrchestratedLake {
    /// An hour of a day, with enough events in each minute to weigh something in the reconciliation.
    pub fn fill(name: &str) -> Self {
        let lake = Self::empty(name);
        let settings = [
            "source.kind=generator",
            START_MS,
            "generator.length_s=3600",
            "generator.rate_per_s=10",
            "generator.videos=30",
            "generator.users=500",
            "generator.partitions=2",
        ];
        let mut arguments = vec!["run".to_owned(), "--until-caught-up".to_owned()];
        arguments.extend(lake.scene.common_arguments(&settings));
        arguments.extend(
            ["--cdc-topics", "videos=cdc.content.videos,users=cdc.users.profiles"].map(str::to_owned),
        );
        lake.scene.start_with(&arguments, "").wait_for_success();
        lake
    }

    /// No tables.
    pub fn empty(name: &str) -> Self {
        Self { scene: Scene::without_topic(name) }
    }

    /// `airflow dags test DAG DAY`, with further variables in the environment of its tasks.
    pub fn test_dag(&self, dag: &str, variables: &[(&str, &str)]) -> DagTest {
        let mut airflow = self.airflow(&["dags", "test", dag, DAY]);
        airflow.envs(variables.iter().copied());
        let output = airflow.output().unwrap();
        DagTest { text: text_of(&output), code: output.status.code() }
    }

    fn airflow(&self, words: &[&str]) -> Command {
        let mut airflow = Command::new(repository("tests/tools/airflow.sh"));
        airflow.arg(self.scene.directory().join("airflow")).args(words);
        airflow
            .env("PULSELAKE_LAKE__DATA_DIR", self.scene.data_dir())
            .env("AIRFLOW_VAR_PULSELAKE_PROGRAM", BINARY);
        // `airflow dags test` of Airflow 3.3.2 fails for every DAG with a deadline (apache/airflow#73428).
        airflow.env("PULSELAKE_DEADLINE", "").env_remove("PULSELAKE_CONFIG");
        airflow
    }

    /// What tests/airflow/deadline.py finds out about the deadline of `pulselake_daily`.
    pub fn deadline(&self) -> Value {
        let script = repository("tests/airflow/deadline.py");
        let mut python = self.airflow(&[]);
        python.env_remove("PULSELAKE_DEADLINE").arg("python").arg(script).arg(DAY);
        let output = python.output().unwrap();
        assert!(output.status.success(), "{}", text_of(&output));
        // Airflow logs to standard output too.
        let last_line = String::from_utf8_lossy(&output.stdout).lines().last().map(str::to_owned);
        serde_json::from_str(&last_line.unwrap()).unwrap()
    }

    /// Takes all rows from real-time gold.
    pub fn empty_gold(&self) {
        let mut python = Command::new(environment("PULSELAKE_TEST_PYTHON"));
        python.arg(repository("tests/tools/tamper.py")).arg("delete-rows");
        let output = python.arg(self.scene.data_dir()).arg("gold.rt_video_stats_1min").output().unwrap();
        assert!(output.status.success(), "{}", text_of(&output));
    }

    /// `pulselake batch` about the day, which has to succeed.
    pub fn batch(&self, words: &[&str]) {
        let mut batch = Command::new(BINARY);
        batch.arg("batch").args(words).args(["--date", DAY, "--data-dir"]).arg(self.scene.data_dir());
        let output = batch.env_remove("PULSELAKE_CONFIG").output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", text_of(&output));
    }

    /// The number of rows of a table.
    pub fn rows_of(&self, table: &str) -> u64 {
        self.ask(&format!("SELECT count(*) FROM {table}"))[0][0].as_u64().unwrap()
    }

    /// The worst of the day's verdicts.
    pub fn verdict(&self) -> String {
        let rows = self.ask(&format!(
            "SELECT status FROM gold.rt_batch_reconciliation WHERE date = DATE '{DAY}' ORDER BY CASE status WHEN 'CRIT' THEN 0 WHEN 'WARN' THEN 1 ELSE 2 END LIMIT 1"
        ));
        rows[0][0].as_str().unwrap().to_owned()
    }

    fn ask(&self, sql: &str) -> Value {
        let program = PathBuf::from(BINARY).with_file_name("pulselake-query");
        let mut query = Command::new(program);
        query.args(["sql", "--format", "json", "--data-dir"]).arg(self.scene.data_dir()).arg(sql);
        let output = query.env_remove("PULSELAKE_CONFIG").output().unwrap();
        assert!(output.status.success(), "{sql}: {}", text_of(&output));
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        document["rows"].clone()
    }
}

/// How a run of a DAG ended.
pub struct DagTest {
    pub text: String,
    code: Option<i32>,
}

impl DagTest {
    pub fn assert_success(&self) {
        assert_eq!(self.code, Some(0), "{}", self.tail());
    }

    pub fn assert_failure(&self) {
        assert_eq!(self.code, Some(1), "{}", self.tail());
        self.assert_logged("DagRun failed");
    }

    /// Whether a task was begun.
    pub fn has_run(&self, task: &str) -> bool {
        self.text.contains(&format!("[DAG TEST] starting task_id={task} "))
    }

    pub fn assert_logged(&self, words: &str) {
        assert!(self.text.contains(words), "{words:?} is not in the log:\n{}", self.tail());
    }

    /// The end of what Airflow said.
    pub fn tail(&self) -> String {
        let lines: Vec<&str> = self.text.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }
}

fn text_of(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
