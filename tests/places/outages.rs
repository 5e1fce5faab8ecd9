//! A service dies, freezes or stays away while the engine commits: the engine waits, goes on by itself, and nothing is
//! lost or doubled. Each test has the services to itself.

use std::time::Duration;

use crate::common::engine::Engine;
use crate::common::scene::Scene;
use crate::common::{scaled, side_by_side};
use crate::place::{Place, TABLES};
use crate::services::{Service, s3_is_a_stand_in};

/// How long a service is away: longer than one call to commit goes on trying.
fn outage() -> Duration {
    scaled(Duration::from_secs(8), Duration::from_secs(600))
}

/// The same for a store: files are written all the time.
fn store_outage() -> Duration {
    scaled(Duration::from_secs(8), Duration::from_secs(120))
}

/// How often a service that is needed all the time is killed and started again at once.
fn kills() -> usize {
    scaled(2, 10)
}

/// Side by side: they wait more than they work.
#[test]
#[ignore = "needs a broker and services: run through make test"]
fn no_outage_loses_or_doubles_anything() {
    side_by_side(&[
        ("PostgreSQL", &postgres_dies_and_comes_back),
        ("REST", &a_rest_catalog_dies_and_comes_back),
        ("S3", &an_s3_server_freezes_dies_and_comes_back),
    ]);
}

fn postgres_dies_and_comes_back() {
    let database = Service::postgres("outage-postgres");
    let place = |scene: &Scene| Place::postgres(&database.url).on_files(&scene.directory().join("elsewhere"));
    go_through("pg-outage", place, |engine| {
        for _ in 0..kills() {
            database.kill();
            database.bring_back();
            goes_on(engine, "after PostgreSQL was killed and started again");
        }
        database.kill();
        stays_alive(engine, outage());
        database.bring_back();
        goes_on(engine, "after PostgreSQL was away");
    });
}

fn a_rest_catalog_dies_and_comes_back() {
    let catalog = Service::rest("outage-rest", &[]);
    let place = |scene: &Scene| Place::rest(&catalog.url).on_files(&scene.directory().join("elsewhere"));
    go_through("rest-outage", place, |engine| {
        for _ in 1..kills() {
            catalog.kill();
            catalog.bring_back();
            goes_on(engine, "after the REST catalog was killed and started again");
        }
        catalog.kill();
        stays_alive(engine, outage());
        catalog.bring_back();
        goes_on(engine, "after the REST catalog was away");
    });
}

fn an_s3_server_freezes_dies_and_comes_back() {
    let store = Service::s3("outage-s3", "outages");
    let place =
        |scene: &Scene| Place::sqlite(&scene.directory().join("elsewhere.db")).on_s3(&store.url, "outages");
    go_through("s3-outage", place, |engine| {
        store.signal("STOP");
        stays_alive(engine, store_outage());
        store.signal("CONT");
        goes_on(engine, "after the S3 server was frozen");
        if s3_is_a_stand_in() {
            println!("moto forgets everything when it ends: it is not killed");
            return;
        }
        store.kill();
        stays_alive(engine, store_outage() / 2);
        store.bring_back();
        goes_on(engine, "after the S3 server was killed");
    });
}

/// An engine runs under load through `outage`, ends when it is asked to, and everything is there once.
fn go_through(name: &str, make: impl FnOnce(&Scene) -> Place, outage: impl FnOnce(&mut Engine)) {
    let mut scene = Scene::new(name, 2);
    let place = make(&scene);
    place.furnish(&mut scene);
    // What comes in ten minutes has to be caught up within the patience of one wait.
    let mut stream = scene.stream(scaled(50.0, 10.0), 7);
    stream.advance(60_000);
    let stream = stream.in_background(500);
    let mut engine = scene.start(&[]);
    engine.wait_until("bronze and gold were committed to", |log| {
        log.commits(TABLES[0]) >= 1 && log.commits(TABLES[2]) >= 1
    });
    outage(&mut engine);
    let log = engine.log();
    println!(
        "{name}: {} commits, {} retries, {} restarts of shards",
        log.count("commit_done"),
        log.count("commit_retry"),
        log.count("generation_killed")
    );
    engine.terminate();
    let sent = stream.stop().flush();
    scene.run_to_end();
    assert_eq!(place.verify(&scene), sent);
    place.assert_no_secret(&scene, &[]);
}

/// The engine commits to bronze and gold again.
fn goes_on(engine: &mut Engine, when: &str) {
    let log = engine.log();
    let before = [0, 2].map(|table| log.commits(TABLES[table]));
    engine.wait_until(&format!("bronze and gold are committed to {when}"), |now| {
        // The first may have been answered before the outage.
        now.commits(TABLES[0]) > before[0] + 1 && now.commits(TABLES[2]) > before[1]
    });
}

/// The engine does not give up while the service is away, and has noticed.
fn stays_alive(engine: &mut Engine, how_long: Duration) {
    let before = engine.log().count("commit_done");
    let until = std::time::Instant::now() + how_long;
    while std::time::Instant::now() < until {
        engine.assert_alive();
        std::thread::sleep(Duration::from_millis(100));
    }
    // What was answered when the service went may be logged a moment later; then nothing more.
    let after = engine.log().count("commit_done");
    assert!(after <= before + 4, "{} commits without the service", after - before);
}
