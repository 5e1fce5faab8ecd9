//! Brokers that go away, stand still, or are replaced while the engine commits. These tests stop their broker, so each
//! has one of its own.

use std::fs;
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::common::engine::Engine;
use crate::common::group::QUICK_GROUP;
use crate::common::kafka::{brokers, create_topic, topic_ends};
use crate::common::scene::Scene;
use crate::common::stream::Stream;
use crate::common::{PATIENCE, environment, poll, repository, scaled};
use crate::support::{BRONZE, FAILED, assert_says, event_time, files_below};

const OWN_BROKER: &str = "PULSELAKE_TEST_OWN_BROKER";
/// How long one commit is held back before its swap, milliseconds.
const HELD_MS: u64 = 8_000;
/// The third swap of the process: all tables have begun, and the work goes on.
const HELD_COMMIT: &str = "lake::before_catalog_swap=2*off->1*return(late:8000)->off";

/// The broker of this test.
struct Broker {
    directory: String,
    port: String,
}

impl Broker {
    /// `None` where `test` has just been run, by this call, beside a broker of its own.
    fn own(test: &str) -> Option<Self> {
        if std::env::var_os(OWN_BROKER).is_none() {
            run_beside_own_broker(test);
            return None;
        }
        let port = brokers().rsplit(':').next().unwrap().to_owned();
        Some(Self { directory: environment("PULSELAKE_TEST_KAFKA_DIR"), port })
    }

    fn stop(&self) {
        broker_script("kafka-down.sh", &[&self.directory]);
    }

    fn start(&self) {
        broker_script("kafka-up.sh", &[&self.port, &self.directory]);
    }

    fn signal(&self, name: &str) {
        let pid = fs::read_to_string(format!("{}/kafka.pid", self.directory)).unwrap();
        let kill = format!("kill -{name} {}", pid.trim());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success(), "{kill}");
    }

    /// Starts another cluster, without topics, at the address of the one that was stopped.
    fn start_empty(&self) {
        fs::remove_dir_all(format!("{}/logs", self.directory)).unwrap();
        self.start();
    }
}

fn run_beside_own_broker(test: &str) {
    let mut command = Command::new("bash");
    command.arg(repository("tests/tools/with-kafka.sh")).arg(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--include-ignored", "--nocapture"]).env(OWN_BROKER, "yes");
    let output = command.output().unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

fn broker_script(name: &str, words: &[&str]) {
    let script = repository("tests/tools").join(name);
    let output = Command::new("bash").arg(script).args(words).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Waits until two commits have landed and one more has written its metadata: it is held back before its swap.
fn wait_for_the_held_commit(scene: &Scene, engine: &mut Engine) {
    engine.wait_until("it commits", |log| log.count("commit_done") >= 2);
    let is_held = || {
        // Each table has one from its creation.
        let written = files_below(&scene.data_dir().join("warehouse"), ".metadata.json").len() - 3;
        (written > engine.log().count("commit_done")).then_some(())
    };
    poll(PATIENCE, is_held).expect("a commit is under way");
}

/// Waits until the held commit lands; it had begun before this moment, and lands after it.
fn assert_lands_after(engine: &mut Engine, moment: SystemTime) {
    engine.wait_until("the held commit lands", |log| {
        log.events("commit_done").iter().any(|commit| commit["duration_ms"].as_u64() >= Some(HELD_MS))
    });
    let commits = engine.log().events("commit_done");
    let held = commits.iter().find(|commit| commit["duration_ms"].as_u64().unwrap() >= HELD_MS);
    let held = held.unwrap_or_else(|| panic!("no commit was held back:\n{}", engine.log().tail()));
    let landed = event_time(held);
    let began = landed - Duration::from_millis(held["duration_ms"].as_u64().unwrap());
    assert!(began < moment && moment < landed, "{held} was not under way at {moment:?}");
}

/// The engine goes on by itself: what comes now is committed, it ends well, and nothing is lost or doubled.
fn assert_recovers(scene: &Scene, engine: &mut Engine, stream: &mut Stream) {
    engine.assert_alive();
    let before = engine.log().commits(BRONZE);
    stream.advance(120_000);
    stream.flush();
    let ends = topic_ends(&scene.topic, scene.partitions);
    engine.wait_until("it commits again", |log| log.commits(BRONZE) > before);
    let has_all = || (scene.committed(BRONZE) == ends).then_some(());
    if poll(PATIENCE, has_all).is_none() {
        panic!("bronze stands at {:?}, not at {ends:?}:\n{}", scene.committed(BRONZE), engine.log().tail());
    }
    engine.terminate();
    scene.run_to_end();
    scene.verify_all();
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn a_broker_that_goes_away_during_a_commit_and_comes_back_is_waited_for() {
    let name = "broker::a_broker_that_goes_away_during_a_commit_and_comes_back_is_waited_for";
    let Some(broker) = Broker::own(name) else { return };
    let scene = Scene::new("outage", 4);
    let mut stream = scene.stream(100.0, 3);
    stream.advance(120_000);
    stream.flush();
    let mut engine = scene.start_with(&scene.run_arguments(&["engine.lag_interval_ms=200"]), HELD_COMMIT);
    wait_for_the_held_commit(&scene, &mut engine);
    let stopped_at = SystemTime::now();
    broker.stop();
    engine.wait_until("it notices", |log| log.text.contains("librdkafka") && log.text.contains("refused"));
    broker.start();
    assert_lands_after(&mut engine, stopped_at);
    assert_recovers(&scene, &mut engine, &mut stream);
}

/// Longer than session and requests last: the group counts the member as dead when the broker wakes up.
#[test]
#[ignore = "needs a broker: run through make test"]
fn a_broker_that_stands_still_during_a_commit_is_waited_for() {
    let Some(broker) = Broker::own("broker::a_broker_that_stands_still_during_a_commit_is_waited_for") else {
        return;
    };
    let scene = Scene::new("paused", 4);
    let mut stream = scene.stream(100.0, 4);
    stream.advance(120_000);
    stream.flush();
    let mut settings = QUICK_GROUP.to_vec();
    settings.extend(["kafka.librdkafka.socket.timeout.ms=3000", "engine.lag_interval_ms=200"]);
    let mut engine = scene.start_with(&scene.run_arguments(&settings), HELD_COMMIT);
    wait_for_the_held_commit(&scene, &mut engine);
    let paused_at = SystemTime::now();
    broker.signal("STOP");
    std::thread::sleep(scaled(Duration::from_secs(10), Duration::from_secs(90)));
    engine.assert_alive();
    assert_says(&engine.log().text, &["librdkafka", "timed out"]);
    broker.signal("CONT");
    assert_lands_after(&mut engine, paused_at);
    assert_recovers(&scene, &mut engine, &mut stream);
}

/// An empty one at the same address, in which somebody makes the topic again: its records are not the stream's.
#[test]
#[ignore = "needs a broker: run through make test"]
fn a_broker_that_is_replaced_by_another_cluster_during_a_commit_stops_the_engine() {
    let name = "broker::a_broker_that_is_replaced_by_another_cluster_during_a_commit_stops_the_engine";
    let Some(broker) = Broker::own(name) else { return };
    // The engine still has its partitions when the other cluster answers.
    assert_refuses_another_cluster(&broker, &[], |_| {});
}

/// The same after the group has been lost: nobody reads when the other cluster answers, and the engine would join its
/// group like any other.
#[test]
#[ignore = "needs a broker: run through make test"]
fn a_cluster_that_takes_the_place_of_a_lost_one_is_not_joined() {
    let Some(broker) = Broker::own("broker::a_cluster_that_takes_the_place_of_a_lost_one_is_not_joined")
    else {
        return;
    };
    assert_refuses_another_cluster(&broker, &QUICK_GROUP, |engine| {
        engine.wait_until("its partitions are lost", |log| log.text.contains("partitions revoked"));
    });
}

fn assert_refuses_another_cluster(broker: &Broker, settings: &[&str], meanwhile: impl Fn(&mut Engine)) {
    let scene = Scene::new("replaced", 4);
    scene.fill(100.0, 5, 120);
    let ends = topic_ends(&scene.topic, scene.partitions);
    let mut engine = scene.start_with(&scene.run_arguments(settings), HELD_COMMIT);
    wait_for_the_held_commit(&scene, &mut engine);
    broker.stop();
    meanwhile(&mut engine);
    broker.start_empty();
    create_topic(&scene.topic, scene.partitions);
    // More than there was: every position of the engine exists in it.
    scene.fill(100.0, 6, 240);
    let status = engine.wait();
    let said = engine.log().text;
    // Another cluster, a topic that is not there yet, or another one of that name: whatever it sees first.
    assert_says(&said, &["pulselake has stopped", &scene.topic, "topic ", "data directory"]);
    assert_eq!(status.code(), Some(FAILED), "{said}");
    let committed = scene.committed(BRONZE);
    assert!(committed.iter().zip(&ends).all(|(next, end)| next <= end), "{committed:?} is beyond {ends:?}");
    let mut again = scene.start_bounded(&[], "");
    let status_of_the_next = again.wait();
    let next_said = again.log().text;
    assert_says(&next_said, &["was filled from source", "this source is", "another data directory"]);
    assert_eq!(status_of_the_next.code(), Some(FAILED), "{next_said}");
    assert_eq!(scene.committed(BRONZE), committed, "another cluster's records were taken");
    scene.audit();
}
