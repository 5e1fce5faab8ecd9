//! Each place in turn: the tables are made, filled by an engine that is killed in the middle, maintained, inspected,
//! filled to the end, and read by others.

use std::time::Instant;

use serde_json::Value;

use crate::common::scene::Scene;
use crate::common::side_by_side;
use crate::place::{Place, TABLES};
use crate::services::{Service, new_bucket, new_database, shared_s3, told};

/// What a user configures so that maintenance does all it can at once.
const EAGER: [&str; 4] =
    ["--set", "maintenance.snapshot_max_age_ms=0", "--set", "maintenance.snapshots_to_keep=1"];

/// A scene with its tables at a place.
fn scene_at(name: &str, make: impl FnOnce(&Scene) -> Place) -> (Scene, Place) {
    let mut scene = Scene::new(name, 2);
    let place = make(&scene);
    place.furnish(&mut scene);
    (scene, place)
}

/// Side by side: they wait more than they work.
#[test]
#[ignore = "needs a broker and services: run through make test"]
fn every_place_is_a_home() {
    side_by_side(&[
        ("PostgreSQL, files", &postgres_and_files),
        ("REST, files", &rest_and_files),
        ("REST with tokens, S3 with keys from there", &rest_with_tokens_and_vended_keys_on_s3),
        ("SQLite, S3", &sqlite_and_s3),
        ("PostgreSQL, S3", &postgres_and_s3),
    ]);
}

fn postgres_and_files() {
    let (scene, place) = scene_at("pg-files", |scene| {
        Place::postgres(&new_database("places")).on_files(&scene.directory().join("elsewhere"))
    });
    live(&scene, &place);
}

fn rest_and_files() {
    let catalog = Service::rest("places-rest", &[]);
    let (scene, place) = scene_at("rest-files", |scene| {
        Place::rest(&catalog.url).on_files(&scene.directory().join("elsewhere"))
    });
    live(&scene, &place);
}

fn rest_with_tokens_and_vended_keys_on_s3() {
    let credential = "engine:secret-of-a-place";
    let bucket = new_bucket("places-vended");
    let options = [
        format!("s3={}", shared_s3()),
        format!("bucket={bucket}"),
        format!("credential={credential}"),
        "prefix=of/a/place".to_owned(),
        "name=its warehouse".to_owned(),
        "vend=true".to_owned(),
        // Several tokens in one run.
        "token-seconds=4".to_owned(),
    ];
    let catalog = Service::rest("places-oauth", &options);
    let (scene, place) = scene_at("rest-s3", |scene| {
        Place::rest_that_vends(&catalog.url, "its warehouse", credential, scene.directory())
    });
    live(&scene, &place);
}

fn sqlite_and_s3() {
    let (scene, place) = scene_at("sqlite-s3", |scene| {
        let file = scene.directory().join("elsewhere.db");
        Place::sqlite(&file).on_s3(&shared_s3(), &new_bucket("places-sqlite"))
    });
    live(&scene, &place);
}

fn postgres_and_s3() {
    let (scene, place) = scene_at("pg-s3", |scene| {
        let url = new_database("places");
        let place = Place::postgres_by_file(&url, "password-of-a-place", scene.directory());
        place.on_s3_by_file(&shared_s3(), &new_bucket("places-pg"), "testtest", scene.directory())
    });
    live(&scene, &place);
}

fn live(scene: &Scene, place: &Place) {
    let begun = Instant::now();
    let mut said = vec![succeed(scene, &["init"])];
    for table in TABLES {
        assert!(said[0].contains(&format!("{table} created")), "{}", said[0]);
    }
    said.push(succeed(scene, &["init"]));
    assert!(said[1].contains("is there and fits"), "{}", said[1]);

    let mut stream = scene.stream(30.0, 11);
    stream.advance(60_000);
    let stream = stream.in_background(1_000);
    let mut killed = scene.start(&["log.level=debug"]);
    killed.wait_until("bronze and gold were committed to", |log| {
        log.commits(TABLES[0]) >= 3 && log.commits(TABLES[2]) >= 1
    });
    killed.kill();
    let sent = stream.stop().flush();

    said.push(succeed(scene, &["audit"]));
    let before = inspect(scene, TABLES[0]);
    said.push(maintain(scene));
    let after = inspect(scene, TABLES[0]);
    assert!(count(&before, "/data_files/count") > count(&after, "/data_files/count"), "{before}\n{after}");
    assert!(count(&before, "/snapshots/count") > 1, "{before}");

    let flags = ["--until-caught-up".to_owned()];
    let arguments = scene.run_arguments(&["kafka.group_mode=assign"]);
    scene.start_with(&[arguments.as_slice(), &flags].concat(), "").wait_for_success();
    said.push(maintain(scene));
    for table in TABLES {
        said.push(inspect(scene, table).to_string());
    }
    assert_eq!(place.verify(scene), sent);
    place.assert_no_secret(scene, &said);
    println!("{} records at {} in {:?}", sent, scene.topic, begun.elapsed());
}

/// Runs a command that has to succeed; gives all that it said.
fn succeed(scene: &Scene, words: &[&str]) -> String {
    let output = scene.command(words);
    assert!(output.status.success(), "pulselake {words:?} ended with {}:\n{}", output.status, told(&output));
    told(&output)
}

fn maintain(scene: &Scene) -> String {
    let said = succeed(scene, &[&["maintain", "--format", "json"], &EAGER[..]].concat());
    let document: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error} in:\n{said}"));
    assert_eq!(document["tables"].as_array().unwrap().len(), TABLES.len(), "{document}");
    said
}

fn inspect(scene: &Scene, table: &str) -> Value {
    let said = succeed(scene, &["tables", "inspect", table, "--orphans", "--format", "json"]);
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error} in:\n{said}"))
}

fn count(document: &Value, pointer: &str) -> u64 {
    document.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("no {pointer} in {document}"))
}
