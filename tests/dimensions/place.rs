//! What one test has to itself: two topics of changes, a topic of events without any, and a data directory.

use std::process::Command;

use pulselake_generator::CdcTruth;
use pulselake_model::{Entity, ErrorCode};
use serde_json::Value;

use crate::common::engine::Engine;
use crate::common::kafka::{brokers, create_topic, unique};
use crate::common::log::Log;
use crate::common::scene::Scene;
use crate::common::verify::fact;
use crate::common::{environment, repository};
use crate::feed::{Feed, Size};

/// Partitions of each topic of changes.
pub const PARTITIONS: i32 = 3;
/// Between two commits of an entity.
const COMMIT_INTERVAL: &str = "cdc.commit_interval_ms=300";

/// See the module.
pub struct Place {
    /// Data directory, topic of events, logs.
    pub scene: Scene,
    videos_topic: String,
    users_topic: String,
}

impl Place {
    /// Empty topics, and no table yet.
    pub fn new(name: &str) -> Self {
        let base = unique(name);
        let (videos_topic, users_topic) =
            (format!("{base}.content.videos"), format!("{base}.users.profiles"));
        for topic in [&videos_topic, &users_topic] {
            create_topic(topic, PARTITIONS);
        }
        Self { scene: Scene::new(name, 1), videos_topic, users_topic }
    }

    /// The topic of an entity's changes.
    pub fn topic(&self, entity: Entity) -> &str {
        match entity {
            Entity::Videos => &self.videos_topic,
            Entity::Users => &self.users_topic,
        }
    }

    /// Changes into the topics, from their start.
    pub fn feed(&self, size: Size, seed: u64) -> Feed {
        Feed::new(|entity| self.topic(entity).to_owned(), size, seed)
    }

    /// The topics as `--cdc-topics` takes them: their names say what they are of.
    pub fn topics_flag(&self) -> String {
        format!("{},{}", self.videos_topic, self.users_topic)
    }

    /// The topics as settings, and commits in haste; `settings` behind them.
    pub fn settings(&self, settings: &[&str]) -> Vec<String> {
        let topics = [
            format!("cdc.videos_topic={}", self.videos_topic),
            format!("cdc.users_topic={}", self.users_topic),
            COMMIT_INTERVAL.to_owned(),
        ];
        topics.into_iter().chain(settings.iter().map(|setting| (*setting).to_owned())).collect()
    }

    /// Starts `pulselake run`.
    pub fn start(&self, settings: &[&str], failpoints: &str) -> Engine {
        let settings = self.settings(settings);
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        self.scene.start_with(&self.scene.run_arguments(&settings), failpoints)
    }

    /// Starts a bounded run outside of the group.
    pub fn start_bounded(&self, settings: &[&str]) -> Engine {
        let settings = self.settings(settings);
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        self.scene.start_bounded(&settings, "")
    }

    /// Runs to the ends of the topics; the exit code has to be 0.
    pub fn run_to_end(&self) -> Log {
        let mut engine = self.start_bounded(&[]);
        engine.wait_for_success();
        engine.log()
    }

    /// The topics against the tables, by another program. Gives its facts.
    #[track_caller]
    pub fn recount(&self) -> Value {
        let output = Command::new(environment("PULSELAKE_TEST_PYTHON"))
            .arg(repository("tests/dimensions/recount.py"))
            .args(["--brokers", &brokers(), "--videos", &self.videos_topic, "--users", &self.users_topic])
            .arg("--data-dir")
            .arg(self.scene.data_dir())
            .arg("--json")
            .output()
            .unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let differences = report["differences"].as_array().into_iter().flatten();
        let lines: Vec<&str> = differences.filter_map(Value::as_str).collect();
        assert!(
            output.status.success() && report["ok"] == true,
            "the recount does not agree:\n{}\n{}",
            lines.join("\n"),
            String::from_utf8_lossy(&output.stderr)
        );
        report["facts"].clone()
    }

    /// `pulselake audit` on all tables.
    #[track_caller]
    pub fn audit(&self) {
        let settings = self.settings(&[]);
        let settings = settings.iter().flat_map(|setting| ["--set", setting]);
        let output = self.scene.command(&std::iter::once("audit").chain(settings).collect::<Vec<_>>());
        let told = [output.stdout, output.stderr].concat();
        assert!(
            output.status.success(),
            "pulselake audit found something:\n{}",
            String::from_utf8_lossy(&told)
        );
    }

    /// The audit, the recount, and what it counted against what the generator says that its changes come to.
    #[track_caller]
    pub fn verify(&self, feed: &Feed) -> Value {
        let facts = self.recount();
        self.audit();
        for entity in Entity::ALL {
            compare(&facts, entity, &feed.truth(entity), feed.made_by_hand(entity));
        }
        facts
    }
}

/// A changes' recount against the generator's own plan: neither program knows of the other.
#[track_caller]
fn compare(facts: &Value, entity: Entity, truth: &CdcTruth, made_by_hand: u64) {
    let counted = |what: &str| fact(facts, &format!("{} {what}", entity.as_str()));
    let expected = [
        ("records", truth.records + made_by_hand),
        ("versions", truth.versions + made_by_hand),
        ("repeats", truth.repeats),
        ("tombstones", truth.tombstones),
        ("late", truth.late),
        ("rows", truth.rows().count() as u64 + made_by_hand),
    ];
    for (what, expected) in expected {
        assert_eq!(counted(what), expected, "{} {what} against the generator's truth", entity.as_str());
    }
    for code in ErrorCode::ALL {
        let rejected = facts[format!("{} {}", entity.as_str(), code.as_str())].as_u64().unwrap_or(0);
        assert_eq!(rejected, truth.rejected_by_code[code as usize], "{} {}", entity.as_str(), code.as_str());
    }
    // A run in which nothing of a kind came shows nothing of it.
    assert!(
        truth.late > 0
            && truth.repeats > 0
            && truth.tombstones > 0
            && truth.rejected_by_code.iter().sum::<u64>() > 0,
        "{facts}"
    );
}

/// Rows that DuckDB gives of the engine's tables.
#[track_caller]
pub fn query(place: &Place, sql: &str) -> Value {
    let output = Command::new(environment("PULSELAKE_TEST_PYTHON"))
        .arg(repository("tests/cdc/follow.py"))
        .arg("query")
        .arg(place.scene.data_dir())
        .arg(sql)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {told}"))
}

/// Full name of an entity's dimension.
pub fn dimension(entity: Entity) -> &'static str {
    pulselake_model::tables::LakeTable::Dimension(entity).full_name()
}

/// Waits until both dimensions have committed this many times more than now.
pub fn wait_for_commits(engine: &mut Engine, more: usize) {
    for entity in Entity::ALL {
        let before = engine.log().commits(dimension(entity));
        engine.wait_until(&format!("{} commits", dimension(entity)), |log| {
            log.commits(dimension(entity)) >= before + more
        });
    }
}
