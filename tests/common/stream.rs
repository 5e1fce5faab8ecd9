//! The generator's events in a topic, as fast as a test wants stream time to pass.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pulselake_generator::{GeneratorConfig, PartitionLog, ReadOutcome, World};
use pulselake_model::RawBatch;
use pulselake_source::{KafkaSink, KafkaSinkSettings};

use super::PATIENCE;
use super::kafka::brokers;

/// Time between two steps of a stream in the background.
const TICK: Duration = Duration::from_millis(100);
/// 2026-02-07T10:00:00Z.
const START_MS: i64 = 1_770_458_400_000;

/// Writes deterministic events, with duplicates, late events and records that are not valid among them.
pub struct Stream {
    logs: Vec<(PartitionLog, RawBatch)>,
    sink: KafkaSink,
    at_ms: i64,
    sent: u64,
}

impl Stream {
    /// A stream of `rate_per_s` events per second of stream time into an existing topic.
    pub fn new(topic: &str, rate_per_s: f64, seed: u64) -> Self {
        let settings =
            KafkaSinkSettings { brokers: brokers(), topic: topic.to_owned(), ..Default::default() };
        let sink = KafkaSink::connect(&settings).unwrap();
        let config = GeneratorConfig {
            seed,
            rate_per_s,
            partitions: sink.partitions(),
            videos: 200,
            users: 2_000,
            start_ms: START_MS,
            invalid_ratio: 0.01,
            duplicate_ratio: 0.02,
            late_ratio: 0.02,
            ..GeneratorConfig::default()
        };
        let world = World::new(Arc::new(config)).unwrap();
        let log = |partition| {
            (PartitionLog::in_world(world.clone(), partition).unwrap(), RawBatch::at(partition, 0))
        };
        Self { logs: (0..sink.partitions()).map(log).collect(), sink, at_ms: START_MS, sent: 0 }
    }

    /// Writes the next `stream_ms` of stream time.
    pub fn advance(&mut self, stream_ms: i64) {
        self.at_ms += stream_ms;
        for (log, batch) in &mut self.logs {
            let partition = log.partition();
            *batch = RawBatch::at(partition, batch.next_offset);
            while log.read_into(batch, self.at_ms - 1, usize::MAX, usize::MAX).unwrap() == ReadOutcome::More {
            }
            for record in &batch.records {
                self.sink
                    .send(Some(partition), b"", batch.value(record), record.timestamp_ms.unwrap())
                    .unwrap();
            }
            self.sent += batch.records.len() as u64;
        }
    }

    /// Waits until the broker has everything; gives how many records that is.
    pub fn flush(&self) -> u64 {
        assert_eq!(self.sink.flush(PATIENCE).unwrap(), self.sent);
        self.sent
    }

    /// Goes on in a thread, `stream_ms` of stream time with each tick.
    pub fn in_background(mut self, stream_ms: i64) -> BackgroundStream {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut next = Instant::now();
            while !stopped.load(Ordering::Relaxed) {
                self.advance(stream_ms);
                // On a busy machine the stream falls behind instead of coming in bursts.
                next = (next + TICK).max(Instant::now());
                std::thread::sleep(next - Instant::now());
            }
            self
        });
        BackgroundStream { stop, thread: Some(thread) }
    }
}

/// A stream that goes on until it is stopped or dropped.
pub struct BackgroundStream {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Stream>>,
}

impl BackgroundStream {
    /// Stops, and waits until the broker has everything.
    pub fn stop(mut self) -> Stream {
        self.stop.store(true, Ordering::Relaxed);
        let stream = self.thread.take().unwrap().join().unwrap();
        println!(
            "{} records in the topic, {} s of stream time",
            stream.flush(),
            (stream.at_ms - START_MS) / 1_000
        );
        stream
    }
}

impl Drop for BackgroundStream {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
