//! A place that can't be used: said at once, with its name and what is wrong, exit code 1, and without the secret.

use std::time::{Duration, Instant};

use crate::common::engine::free_address;
use crate::common::environment;
use crate::common::scene::Scene;
use crate::place::Place;
use crate::services::{S3_SECRET, new_bucket, s3_is_a_stand_in, shared_s3, told};

/// "At once", on a machine that does much else.
const SOON: Duration = Duration::from_secs(30);
const WRONG: &str = "wrong-secret-of-a-test";

/// `init` and `run` refuse the place with all of these words.
fn assert_refused(name: &str, make: impl FnOnce(&Scene) -> Place, words: &[&str]) {
    let mut scene = Scene::without_topic(name);
    let place = make(&scene);
    place.furnish(&mut scene);
    let begun = Instant::now();
    let init = scene.command(&["init"]);
    let init_time = begun.elapsed();
    assert_eq!(init.status.code(), Some(1), "{name}: {}", told(&init));

    let events = scene.directory().join("events.ndjson");
    std::fs::write(&events, "").unwrap();
    let mut run = vec!["run".to_owned(), "--files".to_owned(), events.display().to_string()];
    run.extend(scene.common_arguments(&[]));
    let mut engine = scene.start_with(&run, "");
    let begun = Instant::now();
    let status = engine.wait();
    let log = engine.log().text;
    println!("{name}: init {init_time:?}, run {:?}: {}", begun.elapsed(), told(&init).trim());
    assert_eq!(status.code(), Some(1), "{name}: {log}");
    for said in [&told(&init), &log] {
        for word in words {
            assert!(said.contains(word), "{name}: {word:?} is not in:\n{said}");
        }
        for secret in place.secrets.iter().map(String::as_str).chain([WRONG]) {
            assert!(!said.contains(secret), "{name}: {secret:?} is in:\n{said}");
        }
    }
    assert!(init_time < SOON && begun.elapsed() < SOON, "{name}: {init_time:?}, {:?}", begun.elapsed());
}

/// A service that does not answer may be on its way: how long that is waited for is a setting.
fn impatient(mut place: Place) -> Place {
    place.set("lake.connect_timeout_ms=1000");
    place
}

#[test]
#[ignore = "needs services: run through make test"]
fn a_rest_catalog_that_is_not_opened() {
    let (url, name) =
        (environment("PULSELAKE_TEST_REST_OAUTH"), environment("PULSELAKE_TEST_REST_WAREHOUSE"));
    let credential = environment("PULSELAKE_TEST_REST_CREDENTIAL");
    let wrong = format!("pulselake:{WRONG}");
    let vends = |scene: &Scene, warehouse: &str, credential: &str| {
        Place::rest_that_vends(&url, warehouse, credential, scene.directory())
    };
    assert_refused("rest-credential", |scene| vends(scene, &name, &wrong), &[&url, "401"]);
    assert_refused("rest-warehouse", |scene| vends(scene, "no-such-warehouse", &credential), &[&url]);
    let files = |scene: &Scene| scene.directory().join("elsewhere");
    assert_refused("rest-nobody", |scene| Place::rest(&url).on_files(&files(scene)), &[&url, "401"]);
    let away = free_address();
    let nobody = |scene: &Scene| impatient(Place::rest(&format!("http://{away}")).on_files(&files(scene)));
    assert_refused("rest-away", nobody, &[&away]);
}

#[test]
#[ignore = "needs services: run through make test"]
fn a_database_that_is_not_opened() {
    let server = environment("PULSELAKE_TEST_POSTGRES");
    let (address, _) = server.rsplit_once('/').unwrap();
    let on = |url: String| {
        move |scene: &Scene| Place::postgres(&url).on_files(&scene.directory().join("elsewhere"))
    };
    assert_refused("pg-database", on(format!("{address}/no_such_database")), &["no_such_database"]);
    let (_, host) = address.split_once('@').unwrap();
    let stranger = format!("postgres://stranger:{WRONG}@{host}/postgres");
    assert_refused("pg-user", on(stranger), &["stranger"]);
    let away = free_address();
    let nobody = on(format!("postgres://postgres@{away}/postgres"));
    assert_refused("pg-away", |scene| impatient(nobody(scene)), &[&away]);
}

#[test]
#[ignore = "needs services: run through make test"]
fn a_bucket_that_is_not_opened() {
    let sqlite = |scene: &Scene| Place::sqlite(&scene.directory().join("elsewhere.db"));
    let (server, bucket) = (shared_s3(), new_bucket("refusals"));
    if s3_is_a_stand_in() {
        println!("moto checks no keys");
    } else {
        let wrong = |scene: &Scene| sqlite(scene).on_s3_by_file(&server, &bucket, WRONG, scene.directory());
        assert_refused("s3-secret", wrong, &[&bucket, "SignatureDoesNotMatch"]);
    }
    let right = |scene: &Scene, server: &str, bucket: &str| {
        sqlite(scene).on_s3_by_file(server, bucket, S3_SECRET, scene.directory())
    };
    assert_refused("s3-bucket", |scene| right(scene, &server, "no-such-bucket"), &["no-such-bucket"]);
    let away = format!("http://{}", free_address());
    assert_refused("s3-away", |scene| impatient(right(scene, &away, &bucket)), &[&away]);
}
