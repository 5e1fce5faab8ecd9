//! Brokers that are not there, are something else, or go away; topics that do not exist; files that are others.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::engine::{Engine, free_address};
use crate::common::kafka::{brokers, unique};
use crate::common::scene::Scene;
use crate::common::{environment, repository};
use crate::support::{BRONZE, FAILED, assert_refused, events_file, start_files, table, verify_records};

/// Beyond the time-out that was set: what starting a process takes on a busy machine.
const START: Duration = Duration::from_secs(10);

fn start_on(scene: &Scene, brokers: &str, topic: &str, connect_timeout_ms: u64) -> Engine {
    let mut words = ["run", "--brokers", brokers, "--topic", topic].map(str::to_owned).to_vec();
    words.extend(scene.common_arguments(&[&format!("kafka.connect_timeout_ms={connect_timeout_ms}")]));
    scene.start_with(&words, "")
}

#[test]
fn a_broker_that_does_not_answer_is_named_in_time() {
    let scene = Scene::without_topic("unreachable");
    let address = free_address();
    let started = Instant::now();
    let engine = start_on(&scene, &address, "content_events", 700);
    let words = [
        "no Kafka broker answered at ",
        &address,
        "within 700 ms",
        "Connection refused",
        "check the address",
    ];
    assert_refused(engine, FAILED, &words);
    assert!(started.elapsed() < START, "{:?}", started.elapsed());
    let unresolvable = start_on(&scene, "no-such-host.invalid:9092", "content_events", 700);
    assert_refused(
        unresolvable,
        FAILED,
        &["no Kafka broker answered at no-such-host.invalid:9092", "check the address"],
    );
}

#[test]
fn what_speaks_another_protocol_is_no_broker() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 512];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let scene = Scene::without_topic("protocol");
    let engine = start_on(&scene, &address, "content_events", 700);
    assert_refused(engine, FAILED, &["no Kafka broker answered at ", &address, "check the address"]);
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn a_missing_topic_is_named_with_the_command_that_creates_it() {
    let scene = Scene::without_topic("missing");
    let topic = unique("missing");
    let command = format!("kafka-topics.sh --bootstrap-server {} --create --topic {topic}", brokers());
    let engine = start_on(&scene, &brokers(), &topic, 20_000);
    assert_refused(engine, FAILED, &[&format!("topic {topic:?} does not exist at {}", brokers()), &command]);
}

#[test]
#[ignore = "needs the test tools: run through make test"]
fn tables_take_nothing_from_another_source() {
    let scene = Scene::without_topic("other-source");
    let file = events_file(scene.directory(), "a.ndjson", 2_000, 1);
    start_files(&scene, &[&file], &[], "").wait_for_success();
    let before = table(&scene, BRONZE);

    let longer = events_file(scene.directory(), "b.ndjson", 2_001, 1);
    let refused = [
        "bronze.invalid_events_content was filled from source \"files:",
        "this source is \"files:",
        "another data directory",
    ];
    assert_refused(start_files(&scene, &[&longer], &[], ""), FAILED, &refused);
    assert_refused(start_files(&scene, &[&file, &longer], &[], ""), FAILED, &refused);
    let mut demo = ["demo", "--no-summary", "--seed", "7", "--rate", "77"].map(str::to_owned).to_vec();
    demo.extend(scene.common_arguments(&[]));
    let refused =
        ["was filled from source \"files:", "this source is \"pulselake-generator/", "seed=7;rate_per_s=77"];
    assert_refused(scene.start_with(&demo, ""), FAILED, &refused);

    start_files(&scene, &[&file], &[], "").wait_for_success();
    assert_eq!(table(&scene, BRONZE), before, "a refused source has changed the table");
    verify_records(&scene, 2_000);
}

#[test]
fn another_generator_is_another_source() {
    let scene = Scene::without_topic("other-generator");
    let demo = |seed: &str| {
        let mut words =
            ["demo", "--no-summary", "--duration-s", "2", "--seed", seed].map(str::to_owned).to_vec();
        words.extend(scene.common_arguments(&["bronze.commit_interval_ms=200"]));
        scene.start_with(&words, "")
    };
    demo("1").wait_for_success();
    assert_refused(demo("2"), FAILED, &["was filled from source", "seed=1;", "this source is", "seed=2;"]);
    demo("1").wait_for_success();
    scene.audit();
}

/// Runs the test of this name again beside a broker of its own, which it may stop.
fn with_own_broker(test: &str) {
    let mut command = Command::new("bash");
    command.arg(repository("tests/tools/with-kafka.sh")).arg(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--include-ignored", "--nocapture"]).env(OWN_BROKER, "yes");
    let output = command.output().unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

const OWN_BROKER: &str = "PULSELAKE_TEST_OWN_BROKER";

fn broker_script(name: &str, words: &[&str]) {
    let script = repository("tests/tools").join(name);
    let output = Command::new("bash").arg(script).args(words).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn a_broker_that_goes_away_and_comes_back_is_waited_for() {
    if std::env::var_os(OWN_BROKER).is_none() {
        return with_own_broker("sources::a_broker_that_goes_away_and_comes_back_is_waited_for");
    }
    let directory = environment("PULSELAKE_TEST_KAFKA_DIR");
    let port = brokers().rsplit(':').next().unwrap().to_owned();
    let scene = Scene::new("outage", 4);
    let mut stream = scene.stream(100.0, 3);
    stream.advance(120_000);
    let first = stream.flush();
    let mut engine = scene.start(&["engine.lag_interval_ms=200"]);
    engine.wait_until("it commits", |log| log.commits(BRONZE) >= 1);
    broker_script("kafka-down.sh", &[&directory]);
    engine.wait_until("it notices", |log| log.text.contains("librdkafka") && log.text.contains("refused"));
    broker_script("kafka-up.sh", &[&port, &directory]);
    engine.assert_alive();
    stream.advance(120_000);
    let all = stream.flush();
    let before = engine.log().commits(BRONZE);
    engine.wait_until("it commits again", |log| log.commits(BRONZE) > before);
    engine.terminate();
    assert!(all > first);
    scene.run_to_end();
    scene.verify_all();
}
