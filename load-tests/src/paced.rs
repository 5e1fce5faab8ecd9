//! Sends events at a steady rate, open loop: event `i` is meant for start + i / rate, whether the broker and the engine
//! keep up or not, and carries that moment as its time. A latency that is counted from there leaves no wait out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use chrono::Utc;
use pulselake_generator::partition_of_key;
use pulselake_source::{KafkaSink, KafkaSinkSettings};

use crate::cli::BrokerArgs;
use crate::events::{EventShape, EventStream};

/// Pause between two looks at what is due.
const TICK: Duration = Duration::from_millis(2);
/// How long the last records may take to be acknowledged.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(60);

/// What is sent, and where.
#[derive(Clone, Debug)]
pub(crate) struct PacedPlan {
    pub(crate) brokers: String,
    pub(crate) topic: String,
    pub(crate) shape: EventShape,
    /// Events per second, all partitions together.
    pub(crate) rate_per_s: f64,
    /// Compression of the record batches, as librdkafka names it.
    pub(crate) compression: String,
}

impl PacedPlan {
    /// Events of the usual shape, as a scenario with a broker asks for them.
    pub(crate) fn of(broker: &BrokerArgs, topic: &str, seed: u64, rate_per_s: f64) -> Self {
        Self {
            brokers: broker.brokers.clone(),
            topic: topic.to_owned(),
            shape: EventShape { seed, ..EventShape::default() },
            rate_per_s,
            compression: broker.compression.clone(),
        }
    }
}

#[derive(Default)]
struct Progress {
    stop: AtomicBool,
    sent: AtomicU64,
    /// The furthest that sending has been behind its plan, microseconds.
    worst_delay_us: AtomicI64,
}

/// A stream that goes on until it is stopped.
pub(crate) struct PacedStream {
    progress: Arc<Progress>,
    thread: Option<JoinHandle<anyhow::Result<SentEvents>>>,
}

/// What was sent, and when it was meant to be.
pub(crate) struct SentEvents {
    /// Start of the stream, milliseconds since the epoch.
    pub(crate) started_ms: i64,
    /// Of each partition and offset: when it was meant to be sent, milliseconds after the start.
    pub(crate) intended_ms: Vec<Vec<u32>>,
    /// The furthest that sending has been behind its plan, milliseconds: more than a few mean that the load is not what
    /// was asked for.
    pub(crate) worst_delay_ms: i64,
}

impl SentEvents {
    pub(crate) fn count(&self) -> usize {
        self.intended_ms.iter().map(Vec::len).sum()
    }

    /// When the last event was meant to be sent, milliseconds since the epoch.
    pub(crate) fn ended_ms(&self) -> i64 {
        let last = self.intended_ms.iter().filter_map(|times| times.last()).max();
        self.started_ms + i64::from(last.copied().unwrap_or(0))
    }
}

impl PacedStream {
    /// Starts to send into an existing, empty topic: so a record's offset is its number in its partition.
    pub(crate) fn start(plan: PacedPlan) -> anyhow::Result<Self> {
        let sink = KafkaSink::connect(&KafkaSinkSettings {
            brokers: plan.brokers.clone(),
            topic: plan.topic.clone(),
            properties: [("compression.type", plan.compression.as_str()), ("linger.ms", "5")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            ..KafkaSinkSettings::default()
        })?;
        let progress = Arc::new(Progress::default());
        let seen = progress.clone();
        let thread = std::thread::spawn(move || send(&plan, &sink, &seen));
        Ok(Self { progress, thread: Some(thread) })
    }

    /// Events handed to the producer so far.
    pub(crate) fn sent(&self) -> u64 {
        self.progress.sent.load(Ordering::Relaxed)
    }

    /// Stops and waits until the broker has everything.
    ///
    /// # Errors
    /// When an event was not acknowledged.
    pub(crate) fn stop(mut self) -> anyhow::Result<SentEvents> {
        self.progress.stop.store(true, Ordering::Relaxed);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(outcome)) => outcome,
            _ => anyhow::bail!("the thread that sends has panicked"),
        }
    }
}

impl Drop for PacedStream {
    fn drop(&mut self) {
        self.progress.stop.store(true, Ordering::Relaxed);
    }
}

fn send(plan: &PacedPlan, sink: &KafkaSink, progress: &Progress) -> anyhow::Result<SentEvents> {
    let mut stream = EventStream::new(&plan.shape);
    let partition_of: Vec<i32> =
        (0..stream.videos()).map(|video| partition_of_key(stream.key(video), sink.partitions())).collect();
    let mut intended_ms = vec![Vec::new(); sink.partitions().unsigned_abs() as usize];
    let mut value = Vec::with_capacity(512);
    let (started, started_ms) = (Instant::now(), Utc::now().timestamp_millis());
    let mut index = 0_u64;
    while !progress.stop.load(Ordering::Relaxed) {
        let due = (started.elapsed().as_secs_f64() * plan.rate_per_s) as u64;
        while index < due {
            let after_ms = (index as f64 / plan.rate_per_s * 1e3) as u32;
            let time_ms = started_ms + i64::from(after_ms);
            let video = stream.write_next(time_ms, &mut value);
            let partition = partition_of[video];
            sink.send(Some(partition), stream.key(video), &value, time_ms)?;
            intended_ms[partition.unsigned_abs() as usize].push(after_ms);
            index += 1;
        }
        progress.sent.store(index, Ordering::Relaxed);
        let behind_s = started.elapsed().as_secs_f64() - index as f64 / plan.rate_per_s;
        progress.worst_delay_us.fetch_max((behind_s * 1e6) as i64, Ordering::Relaxed);
        std::thread::sleep(TICK);
    }
    sink.flush(FLUSH_TIMEOUT)?;
    let worst_delay_ms = progress.worst_delay_us.load(Ordering::Relaxed) / 1_000;
    Ok(SentEvents { started_ms, intended_ms, worst_delay_ms })
}
