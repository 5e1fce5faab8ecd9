//! Brokers that are not there, are something else, or go away; topics that do not exist; files that are others.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::common::engine::{Engine, free_address};
use crate::common::kafka::{brokers, unique};
use crate::common::scene::Scene;
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
