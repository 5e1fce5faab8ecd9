//! SIGTERM: drain, last commit, exit code 0; the next start goes on exactly there.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod common;

use common::scene::Scene;

#[test]
#[ignore = "needs a broker: run through make test"]
fn sigterm_under_load_commits_what_was_read_and_the_next_run_reads_the_rest() {
    let scene = Scene::new("shutdown", 4);
    // A backlog that takes the engine a while, and more to come.
    let mut stream = scene.stream(100.0, 7);
    stream.advance(600_000);
    let stream = stream.in_background(3_000);
    let mut read = 0;
    for _ in 0..2 {
        let mut engine = scene.start(&["kafka.group_instance_id=only"]);
        engine.wait_until("it commits", |log| log.commits("bronze.raw_events") >= 2);
        engine.terminate();
        let log = engine.log();
        assert!(log.has("drain_finished") && log.has("service_stopped"), "{}", log.tail());
        assert!(!log.has("generation_killed"), "a shard failed:\n{}", log.tail());
        scene.audit();
        read += log.records_read();
    }
    let sent = stream.stop().flush();
    assert!(read < sent, "there was nothing left to read: the engine was not stopped under load");
    read += scene.run_to_end().records_read();
    assert_eq!(read, sent, "each record is read for bronze by exactly one of the runs");
    scene.verify_all();
}

#[test]
fn the_demo_goes_on_where_it_was() {
    let scene = Scene::without_topic("demo");
    // Two minutes in the past, so that there are windows to close.
    let start_ms = chrono::Utc::now().timestamp_millis() - 120_000;
    let start = format!("generator.start_ms={start_ms}");
    let words = ["demo", "--no-summary", "--duration-s", "8", "--rate", "500"].map(str::to_owned);
    let arguments = [words.to_vec(), scene.common_arguments(&[&start])].concat();
    let mut read = 0;
    for _ in 0..2 {
        let mut engine = scene.start_with(&arguments, "");
        engine.wait_for_success();
        let log = engine.log();
        assert!(!log.has("generation_killed"), "a shard failed:\n{}", log.tail());
        assert!(log.commits("gold.rt_video_stats_1min") > 0, "no gold was committed:\n{}", log.tail());
        assert!(log.records_read() > 0, "nothing new was read:\n{}", log.tail());
        read += log.records_read();
        scene.audit();
    }
    assert!(
        read >= 60_000,
        "two minutes at 500 events per second are there at the start, {read} records were read"
    );
}
