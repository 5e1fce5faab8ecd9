//! The engine on a source of changes, and its dimensions as other programs read them.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::engine::Engine;
use crate::common::scene::Scene;
use crate::common::{PATIENCE, environment, is_soak, poll, repository};
use crate::database::Database;
use crate::services::{Service, told};
use crate::source::Source;

/// Partitions of the topic of events, in which there is nothing.
const EVENT_PARTITIONS: i32 = 1;

/// A scene whose engines follow a source.
pub struct Dimensions {
    /// Data directory, topic of events, logs.
    pub scene: Scene,
    topics: String,
    postgres: String,
    trino: Option<Trino>,
}

/// Trino on the catalog in the data directory.
struct Trino {
    trino: Service,
    // Drops behind Trino, which asks it.
    _catalog: Service,
}

impl Dimensions {
    /// No engine runs yet.
    pub fn of(source: &Source, name: &str) -> Self {
        let scene = Scene::new(name, EVENT_PARTITIONS);
        Self { scene, topics: source.topics(), postgres: source.database.url().to_owned(), trino: None }
    }

    /// Starts `pulselake run` on the topics of changes.
    pub fn start_engine(&self, settings: &[&str]) -> Engine {
        let mut arguments = self.scene.run_arguments(settings);
        arguments.extend(["--cdc-topics".to_owned(), self.topics.clone()]);
        self.scene.start_with(&arguments, "")
    }

    /// Asks Trino too from now on, in the long form. The catalog has to be there: an engine has run.
    pub fn bring_trino(&mut self) {
        if !is_soak() {
            return;
        }
        let file = self.scene.data_dir().join("catalog.db");
        let uri = format!("uri=jdbc:sqlite:{}?busy_timeout=30000", file.display());
        let catalog = Service::start("rest", "rest-catalog-up.sh", &[&uri, "catalog=pulselake"]);
        let trino = Service::start("trino", "trino-up.sh", &[&catalog.url]);
        self.trino = Some(Trino { trino, _catalog: catalog });
    }

    /// Waits until both dimensions have PostgreSQL's rows, in all its columns; gives how long that took.
    #[track_caller]
    pub fn wait_until_equal(&self, engine: &mut Engine, when: &str) -> Duration {
        let begun = Instant::now();
        let mut last = String::new();
        let equal = poll(PATIENCE, || {
            engine.assert_alive();
            match self.compare() {
                Ok(report) if report["differences"].as_array().is_some_and(Vec::is_empty) => {
                    Some(report["rows"].clone())
                }
                Ok(report) => {
                    last = format!("{:#}", report["differences"]);
                    None
                }
                Err(message) => {
                    last = message;
                    None
                }
            }
        });
        let rows = equal.unwrap_or_else(|| {
            let log = engine.log();
            panic!(
                "{when}: the dimensions are not PostgreSQL's rows:\n{last}\nthe end of the log:\n{}",
                log.tail()
            )
        });
        assert!(rows["dim_videos"].as_u64() > Some(0) && rows["dim_users"].as_u64() > Some(0), "{rows}");
        println!("{when}: equal after {:.1} s, rows {rows}", begun.elapsed().as_secs_f64());
        begun.elapsed()
    }

    fn compare(&self) -> Result<Value, String> {
        let mut arguments = vec![self.postgres.as_str()];
        if let Some(Trino { trino, .. }) = &self.trino {
            arguments.push(&trino.url);
        }
        self.follow("compare", &arguments)
    }

    /// A number that DuckDB computes from the engine's tables, which are views there by their names; nothing where a
    /// table or column is not there yet.
    pub fn number(&self, sql: &str) -> Option<i64> {
        self.follow("query", &[sql]).ok()?[0][0].as_i64()
    }

    /// Waits for such a number.
    #[track_caller]
    pub fn wait_for_number(&self, engine: &mut Engine, sql: &str, wanted: i64) {
        let mut last = None;
        let reached = poll(PATIENCE, || {
            engine.assert_alive();
            last = self.number(sql);
            (last == Some(wanted)).then_some(())
        });
        assert!(reached.is_some(), "{sql}: {last:?} instead of {wanted}:\n{}", engine.log().tail());
    }

    /// Waits until the history has a row of a snapshot, taken at or after this moment, of every row that is in the source.
    #[track_caller]
    pub fn wait_for_snapshot_of_videos(&self, engine: &mut Engine, database: &mut Database, since_ms: i64) {
        let rows = database.texts("SELECT count(*)::text FROM content.videos");
        let sql = format!(
            "SELECT count(DISTINCT video_id) FROM dim_videos_history WHERE op = 'r' AND source_ts_ms >= {since_ms}"
        );
        self.wait_for_number(engine, &sql, rows[0].parse().unwrap());
    }

    /// P95 of the time from a change to the row, per dimension: taken in, readable. Asserts that it is below a minute.
    #[track_caller]
    pub fn assert_fresh(&self, since_ms: i64) {
        let report = self.follow("freshness", &[&since_ms.to_string()]).unwrap();
        println!("freshness: {report}");
        for dimension in ["dim_videos", "dim_users"] {
            for measure in ["taken_in_p95_ms", "readable_p95_ms"] {
                let p95_ms = report[dimension][measure].as_i64();
                assert!(p95_ms.is_some_and(|p95_ms| p95_ms < 60_000), "{dimension} {measure}: {report}");
            }
        }
    }

    fn follow(&self, command: &str, arguments: &[&str]) -> Result<Value, String> {
        let mut python = Command::new(environment("PULSELAKE_TEST_PYTHON"));
        python.arg(repository("tests/cdc/follow.py")).arg(command).arg(self.scene.data_dir()).args(arguments);
        let output = python.output().unwrap();
        if !output.status.success() {
            return Err(told(&output));
        }
        serde_json::from_slice(&output.stdout).map_err(|error| format!("{error}: {}", told(&output)))
    }
}
