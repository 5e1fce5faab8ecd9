//! What one test has to itself: a topic, a group, a data directory, and the engines that run on them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

use super::engine::Engine;
use super::kafka::{brokers, create_topic, topic_ends, unique};
use super::log::Log;
use super::stream::Stream;

/// Settings that make every step of the engine come soon and often.
const HASTE: [&str; 9] = [
    "log.format=json",
    "engine.shards=2",
    "engine.batch_records=256",
    "bronze.commit_interval_ms=500",
    "gold.collect_wait_ms=100",
    "gold.correction_interval_ms=1000",
    "supervision.backoff_initial_ms=50",
    "engine.drain_timeout_ms=60000",
    "http.bind=",
];

/// Catalog and warehouse that are not the data directory's.
#[derive(Clone, Default)]
pub struct Elsewhere {
    /// What every command gets beside its own arguments: `--catalog`, `--warehouse`, `--set …`.
    pub arguments: Vec<String>,
    /// Variables of every command.
    pub environment: Vec<(String, String)>,
}

/// See the module. A test that fails leaves its directory behind.
pub struct Scene {
    directory: Option<TempDir>,
    /// Nothing where the tables are in the data directory.
    pub elsewhere: Elsewhere,
    /// The topic, and the group's name.
    pub topic: String,
    /// Partitions of the topic.
    pub partitions: i32,
    engines: AtomicUsize,
}

impl Scene {
    /// A scene with an empty topic.
    pub fn new(name: &str, partitions: i32) -> Self {
        let topic = unique(name);
        create_topic(&topic, partitions);
        let mut scene = Self::without_topic(name);
        (scene.topic, scene.partitions) = (topic, partitions);
        scene
    }

    /// A scene for a source that is not Kafka.
    pub fn without_topic(name: &str) -> Self {
        let directory = tempfile::Builder::new().prefix(&format!("pulselake-{name}-")).tempdir().unwrap();
        Self {
            directory: Some(directory),
            elsewhere: Elsewhere::default(),
            topic: String::new(),
            partitions: 0,
            engines: AtomicUsize::new(0),
        }
    }

    /// A directory for whatever the test needs.
    pub fn directory(&self) -> &Path {
        self.directory.as_ref().unwrap().path()
    }

    /// Directory of catalog and warehouse.
    pub fn data_dir(&self) -> PathBuf {
        self.directory().join("lake")
    }

    /// Metadata files of all tables: each commit writes one, also one that does not land.
    pub fn metadata_files(&self) -> usize {
        let directories = |path: &Path| -> Vec<PathBuf> {
            std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
        };
        let namespaces = directories(&self.data_dir().join("warehouse"));
        let tables = namespaces.iter().flat_map(|namespace| directories(namespace));
        let files = tables.flat_map(|table| directories(&table.join("metadata")));
        files
            .filter(|file| {
                let name = file.file_name().unwrap().to_string_lossy();
                name.ends_with(".metadata.json") && !name.starts_with('.')
            })
            .count()
    }

    /// A stream into the topic.
    pub fn stream(&self, rate_per_s: f64, seed: u64) -> Stream {
        Stream::new(&self.topic, rate_per_s, seed)
    }

    /// Fills the topic with `seconds` of stream time; gives the number of records.
    pub fn fill(&self, rate_per_s: f64, seed: u64, seconds: i64) -> u64 {
        let mut stream = self.stream(rate_per_s, seed);
        stream.advance(seconds * 1_000);
        stream.flush()
    }

    /// Arguments of `pulselake run` on this scene, in haste; `settings` are `section.name=value`.
    pub fn run_arguments(&self, settings: &[&str]) -> Vec<String> {
        let mut arguments = vec!["run".to_owned(), "--brokers".to_owned(), brokers()];
        arguments.extend(["--topic", &self.topic, "--group", &self.topic].map(str::to_owned));
        arguments.extend(self.common_arguments(settings));
        arguments
    }

    /// Arguments that commands with an engine have in common.
    pub fn common_arguments(&self, settings: &[&str]) -> Vec<String> {
        let mut arguments = vec!["--data-dir".to_owned(), self.data_dir().display().to_string()];
        arguments.extend(self.elsewhere.arguments.iter().cloned());
        for setting in HASTE.iter().chain(settings) {
            arguments.extend(["--set".to_owned(), (*setting).to_owned()]);
        }
        arguments
    }

    /// Starts an engine with these arguments; `failpoints` as the variable FAILPOINTS takes them, or empty.
    pub fn start_with(&self, arguments: &[String], failpoints: &str) -> Engine {
        let number = self.engines.fetch_add(1, Ordering::Relaxed) + 1;
        let log = self.directory().join(format!("engine-{number}.log"));
        let own = self.elsewhere.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let environment: Vec<(&str, &str)> = own.chain([("FAILPOINTS", failpoints)]).collect();
        Engine::start(arguments, &environment, &log)
    }

    /// Starts `pulselake run`.
    pub fn start(&self, settings: &[&str]) -> Engine {
        self.start_with(&self.run_arguments(settings), "")
    }

    /// Starts a bounded run outside the group, so that no dead member holds it up.
    pub fn start_bounded(&self, settings: &[&str], failpoints: &str) -> Engine {
        let mut arguments = self.run_arguments(&["kafka.group_mode=assign", "source.until_caught_up=true"]);
        for setting in settings {
            arguments.extend(["--set".to_owned(), (*setting).to_owned()]);
        }
        self.start_with(&arguments, failpoints)
    }

    /// Runs to the end of the topic; the exit code has to be 0. Gives its log.
    pub fn run_to_end(&self) -> Log {
        self.run_to_end_with(&[], "")
    }

    /// The same with settings and failures on its way. Exit code 0 promises that everything is committed: checked.
    pub fn run_to_end_with(&self, settings: &[&str], failpoints: &str) -> Log {
        let ends = topic_ends(&self.topic, self.partitions);
        let mut engine = self.start_bounded(settings, failpoints);
        engine.wait_for_success();
        let log = engine.log();
        for table in ["bronze.raw_events", "gold.rt_video_stats_1min"] {
            let committed = self.committed(table);
            let is_complete = ends.iter().zip(&committed).all(|(end, next)| next >= end);
            assert!(
                is_complete,
                "{table} stands at {committed:?}, not at {ends:?}, exit code 0:\n{}",
                log.tail()
            );
        }
        log
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(directory) = self.directory.take()
        {
            println!("tables and logs of the failed test: {}", directory.keep().display());
        }
    }
}
