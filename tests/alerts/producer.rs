//! Events of chosen times, and rubbish, in a topic of one partition.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use pulselake_source::{KafkaSink, KafkaSinkSettings};
use serde_json::json;

use crate::common::PATIENCE;
use crate::common::kafka::{brokers, unique};

/// Time between two of a broken client's batches.
const TICK: Duration = Duration::from_millis(200);
/// Good events and rubbish of each.
const OF_EACH: u64 = 20;

/// Writes to the topic; cheap to clone.
#[derive(Clone)]
pub struct Producer {
    sink: Arc<KafkaSink>,
    written: Arc<AtomicU64>,
    /// Before all ids, so that no event is taken for a duplicate.
    name: Arc<str>,
}

/// A client that sends rubbish among good events until it is dropped.
pub struct BrokenClient {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Producer {
    /// A producer for an existing topic.
    pub fn new(topic: &str) -> Self {
        let settings =
            KafkaSinkSettings { brokers: brokers(), topic: topic.to_owned(), ..Default::default() };
        let sink = Arc::new(KafkaSink::connect(&settings).unwrap());
        Self { sink, written: Arc::default(), name: unique("e").into() }
    }

    /// `count` events, spread over the 30 seconds from `age_ms` ago on.
    pub fn events_since(&self, age_ms: i64, count: u64) {
        let begin_ms = now_ms() - age_ms;
        for number in 0..count {
            self.event(begin_ms + 30_000 * number as i64 / count as i64);
        }
        self.flush();
    }

    /// Sends good events and as many that are no JSON, on and on.
    pub fn broken_client(&self) -> BrokenClient {
        let stop = Arc::new(AtomicBool::new(false));
        let (producer, stopped) = (self.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                for _ in 0..OF_EACH {
                    producer.event(now_ms());
                    producer.send(b"{\"event_id\":", now_ms());
                }
                producer.flush();
                std::thread::sleep(TICK);
            }
        });
        BrokenClient { stop, thread: Some(thread) }
    }

    fn event(&self, at_ms: i64) {
        let number = self.written.load(Ordering::Relaxed);
        let event = json!({
            "event_id": format!("{}-{number}", self.name), "event_timestamp": at_ms, "video_id": format!("v_{}", number % 10),
            "user_id": "u_1", "event_type": "impression", "payload": {"watch_time_ms": 0},
        });
        self.send(event.to_string().as_bytes(), at_ms);
    }

    fn send(&self, value: &[u8], at_ms: i64) {
        self.sink.send(Some(0), b"", value, at_ms).unwrap();
        self.written.fetch_add(1, Ordering::Relaxed);
    }

    fn flush(&self) {
        self.sink.flush(PATIENCE).unwrap();
    }
}

impl Drop for BrokenClient {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Its panic would be the test's second one, which hides the first.
            let _ = thread.join();
        }
    }
}

fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}
