//! Every kind of fault, done to the real engine with real Kafka, S3 and PostgreSQL: each shows in the engine's metrics or
//! log, and the engine recovers.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

use super::context::{CatalogAccess, FaultContext, KafkaAccess, Maintenance};
use super::plan::FaultPlan;
use super::proxy::Proxy;
use super::run::{FaultReport, FaultRun};
use super::sightings::{BRONZE, commit_times, lines_of};
use crate::arguments::RunArguments;
use crate::engine::EngineBinary;
use crate::load::run::fleet::{EngineNumber, Fleet, FleetPlan};
use crate::load::services::{Guardian, S3_ACCESS_KEY, S3_REGION, S3_SECRET_KEY, Services, Tools};
use crate::topic::{LOAD_PREFIX, Topics, unique_with};

/// Faults of one machine with two busy cores take their time.
const PATIENCE: Duration = Duration::from_secs(90);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The engine that `cargo test --workspace` has put beside these tests.
fn engine() -> EngineBinary {
    let tests = std::env::current_exe().unwrap();
    EngineBinary::at(&tests.ancestors().nth(2).unwrap().join("pulselake")).unwrap()
}

fn services(guardian: &Arc<Guardian>) -> Services {
    Services::new(Tools::find(None).unwrap(), guardian.clone())
}

/// Engines on tables of their own.
struct Stage {
    guardian: Arc<Guardian>,
    fleet: Arc<Fleet>,
    data_dir: PathBuf,
}

impl Stage {
    /// One engine that commits every half second at most, with further settings, and these flags for its source.
    fn new(guardian: &Arc<Guardian>, source: RunArguments, settings: &[String]) -> Self {
        let data_dir = guardian.directory().join("lake");
        let arguments = source.with(["--data-dir", &data_dir.display().to_string()]).with_metrics();
        let arguments = arguments.set("bronze.commit_interval_ms", 500);
        let arguments = arguments.with(settings.iter().flat_map(|setting| ["--set", setting.as_str()]));
        let directory = guardian.directory().to_owned();
        let guardian = guardian.clone();
        let plan = FleetPlan { binary: engine(), arguments, directory, guardian: guardian.clone() };
        let stage = Self { guardian, fleet: Arc::new(Fleet::new(plan)), data_dir };
        stage.fleet.start().unwrap();
        stage.wait_for_commits_after(0, 3);
        stage
    }

    /// Carries a plan out. Returns when it is over and the engine has committed again.
    fn suffer(&self, plan: &str, context: FaultContext) -> FaultReport {
        #[derive(serde::Deserialize)]
        struct File {
            faults: FaultPlan,
        }
        let plan = toml::from_str::<File>(plan).unwrap().faults;
        let run = FaultRun::start(&plan, 1, now_ms(), context).unwrap();
        self.wait_until("the faults are over", || run.is_over().then_some(()));
        assert_eq!(run.failure(), None);
        self.wait_for_commits_after(now_ms(), 2);
        let report = run.finish().unwrap();
        assert_eq!(report.findings, Vec::<String>::new());
        for outcome in &report.outcomes {
            println!("{outcome:?}");
            assert!(!outcome.evidence.is_empty(), "it left no trace: {outcome:?}");
        }
        report
    }

    fn wait_for_commits_after(&self, moment_ms: i64, count: usize) {
        self.wait_until("bronze is committed to", || {
            let mut commits = Vec::new();
            for process in 0..self.fleet.started() {
                let lines = lines_of(&self.fleet.log(EngineNumber(process)).unwrap(), process);
                commits.extend(commit_times(&lines, BRONZE));
            }
            (commits.iter().filter(|at_ms| **at_ms > moment_ms).count() >= count).then_some(())
        });
    }

    fn wait_until(&self, what: &str, condition: impl Fn() -> Option<()>) {
        let deadline = Instant::now() + PATIENCE;
        while condition().is_none() {
            self.fleet.ensure_alive().unwrap();
            assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    fn maintenance(&self, settings: &[String]) -> Maintenance {
        let scratch = self.guardian.directory().join("maintain");
        std::fs::create_dir_all(&scratch).unwrap();
        let arguments = settings.iter().flat_map(|setting| ["--set".to_owned(), setting.clone()]).collect();
        Maintenance { binary: engine(), arguments, data_dir: self.data_dir.clone(), scratch }
    }
}

/// The settings of the engine's own generator.
fn generated() -> Vec<String> {
    let start = format!("generator.start_ms={}", now_ms());
    let settings = ["source.kind=generator", "generator.rate_per_s=200", "generator.partitions=2"];
    settings.into_iter().map(str::to_owned).chain([start]).collect()
}

fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

fn kinds(report: &FaultReport) -> Vec<&str> {
    report.outcomes.iter().map(|outcome| outcome.kind.as_str()).collect()
}

#[test]
#[ignore = "needs the engine's program: run through make test"]
fn an_engine_dies_stands_still_and_finds_its_catalog_locked() {
    let guardian = Guardian::below(&std::env::temp_dir()).unwrap();
    let stage = Stage::new(&guardian, RunArguments::default(), &generated());
    let mut context = FaultContext::of_engines(stage.fleet.clone(), &stage.data_dir.join("catalog.db"));
    // Few files are enough to compact.
    context.maintenance = Some(stage.maintenance(&["maintenance.urgent_files=2".to_owned()]));
    let plan = "[[faults]]\nkind = \"engine_kill\"\nat_s = 1\n\
                [[faults]]\nkind = \"engine_pause\"\nat_s = 6\nduration_s = 3\n\
                [[faults]]\nkind = \"catalog_outage\"\nat_s = 12\nduration_s = 4\n\
                [[faults]]\nkind = \"compaction\"\nat_s = 18\n";
    let report = stage.suffer(plan, context);
    assert_eq!(kinds(&report), ["engine_kill", "engine_pause", "catalog_outage", "compaction"]);
    assert!(report.outcomes[0].evidence.iter().any(|line| line.contains("service_started")));
    let lasted_s = report.outcomes[1].to_s - report.outcomes[1].from_s;
    assert!((3.0..10.0).contains(&lasted_s), "the pause took {lasted_s} s");
}

#[test]
#[ignore = "needs the test tools: run through make test"]
fn a_store_and_a_catalog_are_ill_and_away() {
    let guardian = Guardian::below(&std::env::temp_dir()).unwrap();
    let services = services(&guardian);
    let (store, database) = (services.s3(&["lake"]).unwrap(), services.postgres().unwrap());
    let store_proxy = Arc::new(Proxy::before(store.address(), 1).unwrap());
    let catalog_proxy = Arc::new(Proxy::before(database.address(), 2).unwrap());
    let mut settings = generated();
    settings.extend([
        format!("lake.catalog_uri={}", catalog_proxy.url_of(database.url()).unwrap()),
        "lake.warehouse=s3://lake/tables".to_owned(),
        format!("s3.endpoint={}", store_proxy.url_of(store.url()).unwrap()),
        format!("s3.region={S3_REGION}"),
        "s3.path_style=true".to_owned(),
        format!("s3.access_key_id={S3_ACCESS_KEY}"),
        format!("s3.secret_access_key={S3_SECRET_KEY}"),
    ]);
    let stage = Stage::new(&guardian, RunArguments::default(), &settings);
    let mut context = FaultContext::of_engines(stage.fleet.clone(), &stage.data_dir);
    context.catalog = CatalogAccess::Proxied(catalog_proxy.clone());
    context.store = Some(store_proxy.clone());
    let plan = "[[faults]]\nkind = \"store_brownout\"\nat_s = 1\nduration_s = 4\nlatency_ms = 300\nunavailable_ratio = 0.2\nreset_ratio = 0.1\n\
                [[faults]]\nkind = \"catalog_slow\"\nat_s = 8\nduration_s = 3\nlatency_ms = 400\n\
                [[faults]]\nkind = \"store_outage\"\nat_s = 14\nduration_s = 3\n\
                [[faults]]\nkind = \"catalog_outage\"\nat_s = 20\nduration_s = 4\nmanner = \"black_hole\"\n";
    let report = stage.suffer(plan, context);
    assert_eq!(kinds(&report), ["store_brownout", "catalog_slow", "store_outage", "catalog_outage"]);
    let counts = store_proxy.counts();
    assert!(counts.reset + counts.unavailable > 0 && counts.bytes_to_server > 0, "{counts:?}");
}

#[test]
#[ignore = "needs the test tools: run through make test"]
fn a_broker_goes_away_a_topic_grows_and_members_come_and_go() {
    let guardian = Guardian::below(&std::env::temp_dir()).unwrap();
    let broker = Arc::new(services(&guardian).kafka().unwrap());
    let topic = unique_with(LOAD_PREFIX, "faults");
    Topics::of(&broker.address()).unwrap().create(&topic, 2).unwrap();
    let sender = Sender::to(&broker.address(), &topic, 2);
    let source = RunArguments::default().kafka(&broker.address(), &topic, &topic);
    let quick = [
        "kafka.metadata_refresh_ms=1000",
        "kafka.librdkafka.session.timeout.ms=6000",
        "kafka.librdkafka.heartbeat.interval.ms=500",
    ];
    let stage = Stage::new(&guardian, source, &quick.map(str::to_owned));
    let mut context = FaultContext::of_engines(stage.fleet.clone(), &stage.data_dir.join("catalog.db"));
    let partitions = sender.partitions.clone();
    context.kafka = Some(KafkaAccess {
        brokers: broker.address(),
        topic,
        broker: Some(broker),
        has_grown: Box::new(move |count| partitions.store(count, Ordering::Relaxed)),
    });
    // The rebalance lasts 6 s from the moment at which the second engine has partitions, which takes some seconds as well.
    let plan = "[[faults]]\nkind = \"partition_growth\"\nat_s = 1\npartitions = 4\n\
                [[faults]]\nkind = \"rebalance\"\nat_s = 5\nduration_s = 6\n\
                [[faults]]\nkind = \"broker_pause\"\nat_s = 25\nduration_s = 3\n\
                [[faults]]\nkind = \"broker_restart\"\nat_s = 31\n";
    let report = stage.suffer(plan, context);
    assert_eq!(kinds(&report), ["partition_growth", "rebalance", "broker_pause", "broker_restart"]);
    assert_eq!(sender.partitions.load(Ordering::Relaxed), 4, "who sends was not told");
    assert_eq!(stage.fleet.members().len(), 1, "the second engine is still there");
}

/// Sends 200 events a second until it is dropped.
struct Sender {
    partitions: Arc<AtomicI32>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Sender {
    fn to(brokers: &str, topic: &str, partitions: i32) -> Self {
        let producer: ThreadedProducer<DefaultProducerContext> =
            ClientConfig::new().set("bootstrap.servers", brokers).set("log_level", "2").create().unwrap();
        let (partitions, stop) = (Arc::new(AtomicI32::new(partitions)), Arc::new(AtomicBool::new(false)));
        let (known, stopped, topic) = (partitions.clone(), stop.clone(), topic.to_owned());
        let send = move || {
            let mut number = 0;
            while !stopped.load(Ordering::Relaxed) {
                let at_ms = now_ms();
                let event = format!(
                    r#"{{"event_id":"e{number}","event_timestamp":{at_ms},"video_id":"v{}","user_id":"u","event_type":"like","payload":{{}}}}"#,
                    number % 7
                );
                let partition = number % known.load(Ordering::Relaxed);
                // A full queue, while the broker is away, is no reason to stop: these tests count nothing.
                let _ =
                    producer.send(BaseRecord::<str, str>::to(&topic).partition(partition).payload(&event));
                number += 1;
                std::thread::sleep(Duration::from_millis(5));
            }
            producer.purge(rdkafka::producer::PurgeConfig::default().queue().inflight());
        };
        Self { partitions, stop, thread: Some(std::thread::spawn(send)) }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[test]
fn a_plan_that_needs_what_is_not_there_is_refused_before_anything_happens() {
    let guardian = Guardian::below(&std::env::temp_dir()).unwrap();
    let plan = FleetPlan {
        binary: EngineBinary::at("/bin/cat".as_ref()).unwrap(),
        arguments: RunArguments::default(),
        directory: guardian.directory().to_owned(),
        guardian: guardian.clone(),
    };
    let fleet = Arc::new(Fleet::new(plan));
    let embedded = || FaultContext::of_engines(fleet.clone(), "catalog.db".as_ref());
    let foreign = || {
        let mut context = embedded();
        let (brokers, topic) = ("kafka.example.org:9092".to_owned(), "events".to_owned());
        context.kafka = Some(KafkaAccess { brokers, topic, broker: None, has_grown: Box::new(|_| {}) });
        context
    };
    let refusal = |entry: &str, context: FaultContext| {
        let fault: super::Fault = toml::from_str(entry).unwrap();
        let error = FaultRun::start(&FaultPlan { faults: vec![fault] }, 1, now_ms(), context);
        error.err().expect("it was taken").to_string()
    };
    let outage = "kind = \"broker_pause\"\nat_s = 0\nduration_s = 1";
    for (entry, context, words) in [
        (outage, foreign(), ["kafka.example.org:9092", "--brokers", "PULSELAKE_TEST_KAFKA_DIR"]),
        (outage, embedded(), ["broker_pause", "fault 1", "own generator"]),
        ("kind = \"rebalance\"\nat_s = 0\nduration_s = 1", embedded(), ["rebalance", "a topic", "generator"]),
        (
            "kind = \"store_outage\"\nat_s = 0\nduration_s = 1",
            embedded(),
            ["store_outage", "object store", "local files"],
        ),
        (
            "kind = \"catalog_slow\"\nat_s = 0\nduration_s = 1\nlatency_ms = 5",
            embedded(),
            ["catalog_slow", "SQLite", "catalog_outage"],
        ),
        ("kind = \"compaction\"\nat_s = 0", embedded(), ["compaction", "fault 1", "maintain"]),
    ] {
        let error = refusal(entry, context);
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    }
    assert!(foreign().check(&FaultPlan::default()).is_ok());
}
