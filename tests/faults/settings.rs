//! Wrong settings: all of them at once, each with its place and what is allowed; a secret in no output.

use std::fs;
use std::process::{Command, Output};

use crate::common::engine::{BINARY, free_address};
use crate::common::scene::Scene;
use crate::support::{FAILED, WRONG_USAGE, assert_refused, assert_says};

const SECRET: &str = "hunter2-of-the-test";

fn run(arguments: &[&str], environment: &[(&str, &str)]) -> (Output, String) {
    let mut command = Command::new(BINARY);
    command.args(arguments).env_remove("PULSELAKE_CONFIG").envs(environment.iter().copied());
    let output = command.output().unwrap();
    let text = [output.stdout.clone(), output.stderr.clone()].concat();
    (output, String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn all_that_is_wrong_is_said_at_once_with_its_place() {
    let scene = Scene::without_topic("settings");
    let file = scene.directory().join("my.toml");
    let lines =
        "[engine]\nshard = 2\nbatch_records = 0\n[log]\nlevel = 3\n[windows]\nwatermark_delay_ms = \"10s\"\n";
    fs::write(&file, lines).unwrap();
    let data_dir = scene.data_dir().display().to_string();
    let file = file.display().to_string();
    let words = ["run", "--config", &file, "--data-dir", &data_dir, "--shards", "5000"];
    let (output, said) =
        run(&words, &[("PULSELAKE_BRONZE__ZSTD_LEVEL", "99"), ("PULSELAKE_KAFKA_BROKERS", "b:1")]);
    assert_eq!(output.status.code(), Some(WRONG_USAGE), "{said}");
    assert_says(
        &said,
        &[
            &format!("engine.shard ({file}, line 2): no such setting; did you mean engine.shards?"),
            &format!("engine.batch_records ({file}, line 3): found 0, allowed is an integer from 1 to"),
            &format!("log.level ({file}, line 5): found 3, allowed is \"error\" | \"warn\""),
            &format!("windows.watermark_delay_ms ({file}, line 7): found \"10s\", allowed is an integer"),
            "bronze.zstd_level (environment variable PULSELAKE_BRONZE__ZSTD_LEVEL): found 99, allowed is an integer from 1 to 19",
            "PULSELAKE_KAFKA_BROKERS: a section is set off by two underscores: PULSELAKE_KAFKA__BROKERS",
            "engine.shards (flag --shards): found 5000, allowed is an integer from 0 to 1024 (shards)",
        ],
    );
    assert!(!scene.data_dir().exists(), "a run with wrong settings has made a data directory");
    let (checked, check_said) = run(&["config", "check", "--config", &file], &[]);
    assert_eq!(checked.status.code(), Some(WRONG_USAGE), "{check_said}");
    assert_says(&check_said, &["engine.batch_records", "line 3"]);
}

#[test]
fn a_file_that_is_not_there_or_no_toml_is_named() {
    let scene = Scene::without_topic("settings-file");
    let file = scene.directory().join("my.toml").display().to_string();
    let (absent, said) = run(&["run", "--config", &file], &[]);
    assert_eq!(absent.status.code(), Some(WRONG_USAGE), "{said}");
    assert_says(&said, &[&file, "can't read the settings file", "name an existing one"]);
    fs::write(&file, "[engine]\nshards == 2\n").unwrap();
    let (broken, said) = run(&["run", "--config", &file], &[]);
    assert_eq!(broken.status.code(), Some(WRONG_USAGE), "{said}");
    assert_says(&said, &[&file, "line 2", "not valid TOML"]);
}

#[test]
fn settings_that_do_not_go_together_are_refused() {
    let (output, said) = run(&["run", "--set", "source.kind=kafka", "--set", "http.bind=0.0.0.0:9464"], &[]);
    assert_eq!(output.status.code(), Some(WRONG_USAGE), "{said}");
    assert_says(
        &said,
        &["kafka.brokers", "at least one host:port", "http.bind", "can be reached from other machines"],
    );
}

#[test]
fn a_property_that_the_kafka_client_does_not_know_is_a_wrong_setting() {
    let scene = Scene::without_topic("property");
    let mut words = vec!["run".to_owned(), "--brokers".to_owned(), free_address()];
    words.extend(scene.common_arguments(&["kafka.librdkafka.fetch.wait.max=1"]));
    assert_refused(
        scene.start_with(&words, ""),
        WRONG_USAGE,
        &["kafka.librdkafka.fetch.wait.max", "No such configuration property", "CONFIGURATION.md"],
    );
}

#[test]
fn a_secret_is_in_no_output() {
    let scene = Scene::without_topic("secrets");
    let address = free_address();
    let secrets = [
        format!("kafka.librdkafka.sasl.password={SECRET}"),
        format!("kafka.librdkafka.ssl.key.password={SECRET}"),
        format!("http.token={SECRET}"),
    ];
    let mut more: Vec<&str> = secrets.iter().map(String::as_str).collect();
    more.extend(["log.level=trace", "kafka.connect_timeout_ms=300", "kafka.librdkafka.debug=all"]);
    more.extend([
        "kafka.librdkafka.security.protocol=SASL_PLAINTEXT",
        "kafka.librdkafka.sasl.mechanism=PLAIN",
    ]);
    more.extend(["kafka.librdkafka.sasl.username=me", "http.bind=127.0.0.1:0"]);
    let mut words = vec!["run".to_owned(), "--brokers".to_owned(), address.clone()];
    words.extend(scene.common_arguments(&more));
    let said = assert_refused(scene.start_with(&words, ""), FAILED, &[&address, "no Kafka broker answered"]);
    assert!(!said.contains(SECRET), "{said}");

    let mut print = vec!["config", "print"];
    for setting in &secrets {
        print.extend(["--set", setting.as_str()]);
    }
    let (output, shown) =
        run(&print, &[("PULSELAKE_LAKE__CATALOG_URI", &format!("postgres://me:{SECRET}@db/lake"))]);
    assert!(output.status.success() && !shown.contains(SECRET), "{shown}");
    assert_says(&shown, &["token = \"***\"", "postgres://me:***@db/lake"]);

    let spaced = format!("{SECRET} with spaces");
    let (output, said) = run(&["config", "check"], &[("PULSELAKE_HTTP__TOKEN", &spaced)]);
    assert_eq!(output.status.code(), Some(WRONG_USAGE), "{said}");
    assert!(said.contains("http.token") && !said.contains(SECRET), "{said}");
}
