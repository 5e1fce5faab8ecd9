//! Sends generated logs over Kafka, open loop: each record at its record time, whether or not anyone keeps up. For the
//! embedded transport the engine makes the same records itself; then this only keeps the account of them, at the same pace.
//!
//! What was sent and what it comes to (the truth) is noted record by record, in the moment in which it is handed to the
//! producer: so it is exact whatever happens to the engine, and wherever a run ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use chrono::Utc;
use parking_lot::Mutex;
use pulselake_generator::{GeneratorConfig, partition_of_key};
use pulselake_source::{KafkaSink, KafkaSinkSettings};

use super::account::Account;
use super::seconds::{Second, SecondReader};
use super::sent::SentRecords;

/// Longest pause between two looks at what is due.
const TICK: Duration = Duration::from_millis(5);
/// Seconds that are made before they are due.
const SECONDS_AHEAD: usize = 3;
/// How long the last records may take to be acknowledged; a broker may be away meanwhile.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a topic's new partitions may take to be known everywhere.
const GROWTH_PATIENCE: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Where records go.
#[derive(Clone, Debug)]
pub(crate) enum FeedTarget {
    /// To a topic that is there and empty.
    Topic { brokers: String, topic: String, partitions: i32 },
    /// Nowhere: the engine makes them itself.
    Embedded { partitions: i32 },
}

/// A log on its way: from its second `lead_s` on, `length_s` seconds of it.
#[derive(Clone, Debug)]
pub(crate) struct FeedStretch {
    pub(crate) config: GeneratorConfig,
    pub(crate) lead_s: u32,
    pub(crate) length_s: u32,
}

/// The feed: a thread that sends one stretch after the other.
pub(crate) struct Feed {
    account: Arc<Mutex<Account>>,
    stretches: Option<Sender<FeedStretch>>,
    stop: Arc<AtomicBool>,
    /// Partitions that the topic has by now.
    partitions: Arc<AtomicI32>,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
}

impl Feed {
    /// A feed that has nothing to send yet. `start_ms`: the moment from which times are counted, milliseconds since the
    /// epoch.
    pub(crate) fn start(target: FeedTarget, start_ms: i64) -> anyhow::Result<Self> {
        let account = Arc::new(Mutex::new(Account::new(start_ms, nothing_sent(&target))));
        let (stretches, orders) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let partitions = Arc::new(AtomicI32::new(account.lock().sent.partitions()));
        let mut sender = FeedSender {
            sink: connect(&target)?,
            topic_partitions: partitions.load(Ordering::Relaxed),
            target,
            account: account.clone(),
            stop: stop.clone(),
            partitions: partitions.clone(),
        };
        let thread = std::thread::spawn(move || {
            let with_bytes = sender.sink.is_some();
            let mut next: Option<Making> = None;
            while let Some(making) =
                next.take().or_else(|| Some(Making::start(orders.recv().ok()?, with_bytes)))
            {
                // The one after it is made meanwhile: its first second may follow on this one's last.
                next = orders.try_recv().ok().map(|stretch| Making::start(stretch, with_bytes));
                sender.send_stretch(making)?;
            }
            sender.flush()
        });
        Ok(Self { account, stretches: Some(stretches), stop, partitions, thread: Some(thread) })
    }

    /// Sends this after everything that was asked for before.
    pub(crate) fn send(&self, stretch: FeedStretch) -> anyhow::Result<()> {
        let stretches = self.stretches.as_ref().context("the feed is finished")?;
        stretches.send(stretch).map_err(|_| anyhow!("the feed has failed; its error comes at the end"))
    }

    /// To be called with the number of partitions that the topic has got: from the next second on records go to all of
    /// them, by their keys.
    pub(crate) fn growth(&self) -> impl Fn(i32) + Send + Sync + 'static {
        let known = self.partitions.clone();
        move |partitions| {
            known.fetch_max(partitions, Ordering::Relaxed);
        }
    }

    /// The account so far.
    pub(crate) fn account(&self) -> &Arc<Mutex<Account>> {
        &self.account
    }

    /// Whether the thread has ended, which before [`Self::finish`] means that it has failed.
    pub(crate) fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits until everything is sent and acknowledged.
    ///
    /// # Errors
    /// When a record could not be sent: the account then holds what was handed to the producer.
    pub(crate) fn finish(&mut self) -> anyhow::Result<()> {
        self.stretches = None;
        let thread = self.thread.take().context("the feed is finished already")?;
        thread.join().map_err(|_| anyhow!("the feed's thread has panicked"))?
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn nothing_sent(target: &FeedTarget) -> SentRecords {
    match target {
        FeedTarget::Topic { partitions, .. } => SentRecords::to_topic(*partitions),
        FeedTarget::Embedded { partitions } => SentRecords::of_computed_log(*partitions),
    }
}

fn connect(target: &FeedTarget) -> anyhow::Result<Option<KafkaSink>> {
    let FeedTarget::Topic { brokers, topic, .. } = target else { return Ok(None) };
    let properties = [("compression.type", "none"), ("linger.ms", "5")];
    Ok(Some(KafkaSink::connect(&KafkaSinkSettings {
        brokers: brokers.clone(),
        topic: topic.clone(),
        delivery_timeout: FLUSH_TIMEOUT,
        properties: properties.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        ..KafkaSinkSettings::default()
    })?))
}

struct FeedSender {
    target: FeedTarget,
    sink: Option<KafkaSink>,
    /// Partitions that records go to.
    topic_partitions: i32,
    account: Arc<Mutex<Account>>,
    stop: Arc<AtomicBool>,
    partitions: Arc<AtomicI32>,
}

impl FeedSender {
    fn send_stretch(&mut self, making: Making) -> anyhow::Result<()> {
        let outcome = self.send_seconds(&making.seconds);
        making.end()?;
        outcome
    }

    fn send_seconds(&mut self, seconds: &Receiver<Second>) -> anyhow::Result<()> {
        for second in seconds {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            self.follow_growth()?;
            {
                let mut account = self.account.lock();
                account.plan(&second);
                account.sent.begin_second();
            }
            self.send_second(&second)?;
        }
        Ok(())
    }

    fn send_second(&mut self, second: &Second) -> anyhow::Result<()> {
        let mut next = 0;
        while let Some(first) = second.records.get(next) {
            let now_ms = Utc::now().timestamp_millis();
            let wait_ms = first.record.record_time_ms - now_ms;
            if wait_ms > 0 {
                if self.stop.load(Ordering::Relaxed) {
                    return Ok(());
                }
                std::thread::sleep(TICK.min(Duration::from_millis(wait_ms.unsigned_abs())));
                continue;
            }
            let due = second.records[next..].partition_point(|due| due.record.record_time_ms <= now_ms);
            self.send_due(second, next..next + due)?;
            next += due;
        }
        Ok(())
    }

    /// Sends what is due, and notes it.
    fn send_due(&mut self, second: &Second, range: std::ops::Range<usize>) -> anyhow::Result<()> {
        let due = &second.records[range];
        let mut places = Vec::with_capacity(due.len());
        for due in due {
            let key = format!("v_{}", due.record.video);
            // The log's partitions are the topic's, until it has more of them.
            let partition = if self.topic_partitions == self.log_partitions() {
                due.partition
            } else {
                partition_of_key(key.as_bytes(), self.topic_partitions)
            };
            if let Some(sink) = &self.sink {
                let value = &second.bytes[due.value.clone()];
                sink.send(Some(partition), key.as_bytes(), value, due.record.record_time_ms)?;
            }
            places.push(partition);
        }
        let mut account = self.account.lock();
        for (due, partition) in due.iter().zip(places) {
            let after_ms = u32::try_from(due.record.record_time_ms - account.start_ms)
                .context("a record is meant for a time before the run or weeks after it")?;
            account.sent.push(partition, after_ms, &due.record);
            account.truth.add(&due.record);
            account.promises.take(&due.record);
        }
        if let Some(first) = due.first() {
            let behind_ms = Utc::now().timestamp_millis() - first.record.record_time_ms;
            account.worst_delay_ms = account.worst_delay_ms.max(behind_ms);
            account.recent_delay_ms = account.recent_delay_ms.max(behind_ms);
        }
        Ok(())
    }

    fn log_partitions(&self) -> i32 {
        match self.target {
            FeedTarget::Topic { partitions, .. } | FeedTarget::Embedded { partitions } => partitions,
        }
    }

    /// Reconnects when the topic has more partitions: the producer learns of them at the start.
    fn follow_growth(&mut self) -> anyhow::Result<()> {
        let wanted = self.partitions.load(Ordering::Relaxed);
        if wanted <= self.topic_partitions || self.sink.is_none() {
            return Ok(());
        }
        self.flush()?;
        let deadline = Instant::now() + GROWTH_PATIENCE;
        loop {
            let sink = connect(&self.target)?;
            if sink.as_ref().is_some_and(|sink| sink.partitions() >= wanted) {
                self.sink = sink;
                break;
            }
            anyhow::ensure!(
                Instant::now() < deadline,
                "the topic has not {wanted} partitions within {GROWTH_PATIENCE:?}"
            );
            std::thread::sleep(LOOK_AGAIN);
        }
        self.topic_partitions = wanted;
        self.account.lock().sent.grow_to(wanted);
        Ok(())
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        if let Some(sink) = &self.sink {
            sink.flush(FLUSH_TIMEOUT)?;
        }
        Ok(())
    }
}

/// A stretch whose records are being made, a few seconds ahead.
struct Making {
    seconds: Receiver<Second>,
    maker: JoinHandle<anyhow::Result<()>>,
}

impl Making {
    fn start(stretch: FeedStretch, with_bytes: bool) -> Self {
        let (made, seconds) = sync_channel(SECONDS_AHEAD);
        Self { seconds, maker: std::thread::spawn(move || make(stretch, with_bytes, &made)) }
    }

    fn end(self) -> anyhow::Result<()> {
        // A maker that still has something to hand over gives up as soon as nobody takes it.
        drop(self.seconds);
        self.maker.join().map_err(|_| anyhow!("the thread that makes records has panicked"))?
    }
}

fn make(stretch: FeedStretch, with_bytes: bool, made: &SyncSender<Second>) -> anyhow::Result<()> {
    let mut reader = SecondReader::new(stretch.config, stretch.lead_s, with_bytes)?;
    for _ in 0..stretch.length_s {
        if made.send(reader.next_second()?).is_err() {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use pulselake_generator::count_events;

    use super::*;

    fn config(start_ms: i64) -> GeneratorConfig {
        GeneratorConfig {
            rate_per_s: 200.0,
            partitions: 2,
            videos: 50,
            users: 500,
            start_ms,
            invalid_ratio: 0.05,
            duplicate_ratio: 0.1,
            ..GeneratorConfig::default()
        }
    }

    #[test]
    fn the_account_is_the_generators_truth() {
        let start_ms = Utc::now().timestamp_millis() / 1_000 * 1_000 - 60_000;
        let mut feed = Feed::start(FeedTarget::Embedded { partitions: 2 }, start_ms).unwrap();
        // All of it is due already, so nothing waits.
        feed.send(FeedStretch { config: config(start_ms), lead_s: 0, length_s: 40 }).unwrap();
        feed.finish().unwrap();
        let account = feed.account().lock();
        let truth = count_events(Arc::new(config(start_ms)), 0, 40).unwrap();
        assert!(truth.retries > 50 && truth.events > 1_000, "{truth:?}");
        assert_eq!(account.truth, truth);
        assert_eq!(account.sent.count(), truth.records);
        assert_eq!(account.intended_by(start_ms + 40_000), truth.records);
        assert_eq!(account.intended_by(start_ms), 0);
        let half = count_events(Arc::new(config(start_ms)), 0, 20).unwrap().records;
        assert_eq!(account.intended_by(start_ms + 20_000), half);
        assert!(account.worst_delay_ms >= 20_000);
        assert!(feed.has_ended());
    }

    #[test]
    fn stretches_come_to_one_account() {
        let start_ms = Utc::now().timestamp_millis() / 1_000 * 1_000 - 60_000;
        let mut feed = Feed::start(FeedTarget::Embedded { partitions: 2 }, start_ms).unwrap();
        let with = |seed: u64, from_s: i64| GeneratorConfig {
            seed,
            duplicate_ratio: 0.0,
            ..config(start_ms + (from_s - 30) * 1_000)
        };
        for (seed, from_s) in [(1, 0), (2, 10)] {
            feed.send(FeedStretch { config: with(seed, from_s), lead_s: 30, length_s: 10 }).unwrap();
        }
        feed.finish().unwrap();
        let parts = [(1, 0), (2, 10)]
            .map(|(seed, from_s)| count_events(Arc::new(with(seed, from_s)), 30, 40).unwrap());
        let account = feed.account().lock();
        assert_eq!(account.truth.records, parts[0].records + parts[1].records);
        assert_eq!(account.truth.events, parts[0].events + parts[1].events);
        let counted: i64 = account.truth.by_video_minute.values().map(|counters| counters.events()).sum();
        assert_eq!(counted.unsigned_abs(), account.truth.events);
    }
}
