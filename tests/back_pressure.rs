//! A sink that stands still for longer than max.poll.interval, at full input: memory stays flat, the member stays in
//! its group, and everything comes out afterwards.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod common;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use common::engine::{Engine, free_address, http_get, metric_sum};
use common::kafka::group_members;
use common::scene::Scene;
use common::verify::fact;
use common::{PATIENCE, environment, poll, scaled};

const MAX_POLL_INTERVAL: Duration = Duration::from_secs(10);
/// What the engine may take beyond what it holds when the sink begins to stand still: the buffers that fill up then.
const FILLING_MAX_BYTES: u64 = 32 << 20;
/// What it may take while nothing moves any more: half of the input that comes meanwhile.
const STANDING_MAX_BYTES: u64 = 6 << 20;
/// A generated record, without what Kafka adds to it.
const RECORD_BYTES: f64 = 250.0;

/// Holds SQLite's exclusive lock on the catalog: no commit can land. Dropping it gives the lock back.
struct SinkLock {
    holder: Child,
    _stdin: ChildStdin,
}

impl SinkLock {
    fn take(catalog: &Path) -> Self {
        const HOLD: &str = "import sqlite3, sys\n\
            connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)\n\
            connection.execute('BEGIN EXCLUSIVE')\n\
            print('locked', flush=True)\n\
            sys.stdin.read()\n";
        let mut command = Command::new(environment("PULSELAKE_TEST_PYTHON"));
        command.args(["-c", HOLD]).arg(catalog).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "locked");
        Self { _stdin: holder.stdin.take().unwrap(), holder }
    }
}

impl Drop for SinkLock {
    fn drop(&mut self) {
        // Without its transaction's end, SQLite rolls back: it has changed nothing.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn a_sink_that_stands_still_stops_the_reading_and_nothing_else() {
    let scene = Scene::new("back-pressure", 4);
    let mut stream = scene.stream(1_000.0, 9);
    stream.advance(60_000);
    let stream = stream.in_background(500);
    let address = free_address();
    let bind = format!("http.bind={address}");
    let mut engine = scene.start(&[
        &bind,
        "kafka.prefetch_max_bytes=4194304",
        "engine.lag_interval_ms=500",
        "kafka.revoke_timeout_ms=5000",
        "kafka.librdkafka.session.timeout.ms=6000",
        "kafka.librdkafka.max.poll.interval.ms=10000",
        // Whoever waits is no actor that hangs.
        "supervision.heartbeat_interval_ms=500",
        "supervision.heartbeat_timeout_ms=5000",
    ]);
    engine.wait_until("both tables have commits", |log| {
        log.commits("bronze.raw_events") >= 3 && log.commits("gold.rt_video_stats_1min") >= 1
    });

    let before = engine.resident_bytes();
    let commits = engine.log().count("commit_done");
    let lock = SinkLock::take(&scene.data_dir().join("catalog.db"));
    let locked_at = Instant::now();
    poll(PATIENCE, || (metrics(&address, "pulselake_paused_partitions") >= 4.0).then_some(()))
        .unwrap_or_else(|| panic!("the partitions were not paused:\n{}", engine.log().tail()));
    let read_when_paused = metrics(&address, "pulselake_source_records_total");
    let filled = engine.resident_bytes();
    let lag_when_paused = metrics(&address, "pulselake_consumer_lag_records");
    let mut highest = filled;
    let standstill = scaled(MAX_POLL_INTERVAL + Duration::from_secs(4), MAX_POLL_INTERVAL * 12);
    let input_bytes =
        || (metrics(&address, "pulselake_consumer_lag_records") - lag_when_paused) * RECORD_BYTES;
    while locked_at.elapsed() < standstill || input_bytes() < 2.0 * STANDING_MAX_BYTES as f64 {
        engine.assert_alive();
        assert!(locked_at.elapsed() < standstill + PATIENCE, "the input does not come");
        highest = highest.max(engine.resident_bytes());
        std::thread::sleep(Duration::from_millis(200));
    }
    println!(
        "resident memory: {} MB before, {} MB when paused, {} MB at most",
        before >> 20,
        filled >> 20,
        highest >> 20
    );
    // One commit of each table may have been on its way.
    assert!(engine.log().count("commit_done") <= commits + 3, "commits landed: the sink did not stand still");
    assert_eq!(metrics(&address, "pulselake_source_records_total"), read_when_paused, "it went on reading");
    assert!(
        filled < before + FILLING_MAX_BYTES,
        "{before} bytes before, {filled} when all partitions were paused"
    );
    assert!(
        highest < filled + STANDING_MAX_BYTES,
        "{filled} bytes when paused, {highest} later: memory is not flat"
    );
    assert_eq!(group_members(&scene.topic), 1, "the member has left its group");
    let (code, ready) = http_get(&address, "/readyz").unwrap();
    assert_eq!(code, 503, "nothing can be committed, and it says it is ready: {ready}");
    drop(lock);

    let sent = stream.stop().flush();
    poll(PATIENCE, || (metrics(&address, "pulselake_source_records_total") >= sent as f64).then_some(()))
        .unwrap_or_else(|| panic!("it did not catch up:\n{}", engine.log().tail()));
    assert_undisturbed(&engine);
    engine.terminate();
    assert_undisturbed(&engine);
    scene.run_to_end();
    assert_eq!(fact(&scene.verify_all(), "topic records"), sent);
}

/// One assignment at the start and no other, and no shard that failed.
fn assert_undisturbed(engine: &Engine) {
    let log = engine.log();
    assert_eq!(log.count("rebalanced"), 1, "the group was rebalanced:\n{}", log.tail());
    for event in ["generation_killed", "heartbeat_missed", "fenced"] {
        assert!(!log.has(event), "{event}:\n{}", log.tail());
    }
}

/// Sum of a metric; 0 while the engine does not answer.
fn metrics(address: &str, name: &str) -> f64 {
    http_get(address, "/metrics").map_or(0.0, |(_, body)| metric_sum(&body, name))
}
