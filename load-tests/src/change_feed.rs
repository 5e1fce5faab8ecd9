//! Sends the generator's changes of its videos: first the creates of all keys at once, then changes at a steady rate, open
//! loop. It keeps what a reader of the tables must come to, straight from the plan and not from the bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use chrono::Utc;
use pulselake_generator::cdc::{CdcRecord, CdcRecordKind, ChangeOperation};
use pulselake_generator::{CdcConfig, CdcPartitionLog, CdcWorld, ReadOutcome};
use pulselake_model::RawBatch;
use pulselake_source::{KafkaSink, KafkaSinkSettings};

use crate::cli::BrokerArgs;

/// Pause between two looks at what is due.
const TICK: Duration = Duration::from_millis(5);
/// How long the last records may take to be acknowledged.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(120);
/// Records and bytes that are made before they are sent.
const BATCH_RECORDS: usize = 1_000;
const BATCH_BYTES: usize = 4 << 20;

/// What was sent, and what the tables must hold after it.
#[derive(Default)]
pub(crate) struct SentChanges {
    /// Of each partition and offset: when the version was written in the source, ms since the epoch by this machine's
    /// clock. `None` for the initial creates and for what gives the dimension no newer row: versions behind a newer one
    /// of their key, repeated deliveries, tombstones, malformed records.
    pub(crate) written_ms: Vec<Vec<Option<i64>>>,
    /// Versions delivered for the first time: rows of the history.
    pub(crate) versions: u64,
    /// Of these, those behind a newer one of their key.
    pub(crate) late_versions: u64,
    /// The newest version's position of each key, from number 1 on, and whether there is a row.
    newest: Vec<Option<(i64, bool)>>,
}

impl SentChanges {
    /// Of so many partitions, nothing sent yet.
    pub(crate) fn of_partitions(partitions: i32) -> Self {
        let written_ms = vec![Vec::new(); partitions.unsigned_abs() as usize];
        Self { written_ms, ..Self::default() }
    }

    pub(crate) fn count(&self) -> u64 {
        self.written_ms.iter().map(Vec::len).sum::<usize>() as u64
    }

    /// Keys that are there.
    pub(crate) fn rows(&self) -> u64 {
        self.newest.iter().flatten().filter(|(_, is_there)| *is_there).count() as u64
    }

    /// Takes a record in, which becomes the next one of its partition. `clock_shift_ms`: what this machine's clock is
    /// ahead of the log's.
    pub(crate) fn take(
        &mut self,
        partition: usize,
        record: &CdcRecord,
        is_initial: bool,
        clock_shift_ms: i64,
    ) {
        let mut written_ms = None;
        if let CdcRecordKind::Version(operation) = record.kind {
            self.versions += 1;
            let place = record.key as usize - 1;
            if self.newest.len() <= place {
                self.newest.resize(place + 1, None);
            }
            let newest = &mut self.newest[place];
            if newest.is_some_and(|(position, _)| position > record.position) {
                self.late_versions += 1;
            } else {
                *newest = Some((record.position, operation != ChangeOperation::Delete));
                written_ms = (!is_initial).then_some(record.source_ts_ms + clock_shift_ms);
            }
        }
        self.written_ms[partition].push(written_ms);
    }
}

/// A log of changes on its way into an existing, empty topic: so a record's offset is its number in its partition.
pub(crate) struct ChangeFeed {
    world: Arc<CdcWorld>,
    logs: Vec<CdcPartitionLog>,
    sink: KafkaSink,
    sent: SentChanges,
}

impl ChangeFeed {
    pub(crate) fn new(broker: &BrokerArgs, topic: &str, config: &CdcConfig) -> anyhow::Result<Self> {
        let sink = KafkaSink::connect(&KafkaSinkSettings {
            brokers: broker.brokers.clone(),
            topic: topic.to_owned(),
            properties: [("compression.type", broker.compression.as_str()), ("linger.ms", "5")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            ..KafkaSinkSettings::default()
        })?;
        let world = CdcWorld::new(CdcConfig { partitions: sink.partitions(), ..config.clone() })?;
        let logs: Vec<CdcPartitionLog> = (0..sink.partitions())
            .map(|partition| CdcPartitionLog::in_world(world.clone(), partition))
            .collect::<Result<_, _>>()?;
        let sent = SentChanges::of_partitions(sink.partitions());
        Ok(Self { world, logs, sink, sent })
    }

    /// When the changes begin by the log's own clock, ms since the epoch.
    pub(crate) fn start_ms(&self) -> i64 {
        self.world.config().start_ms
    }

    /// Sends the creates of everything that exists at the start, and waits until the broker has them; their number.
    pub(crate) fn send_initial(&mut self) -> anyhow::Result<u64> {
        self.send_up_to(self.start_ms() - 1, 0, &mut |_| {})?;
        self.sink.flush(FLUSH_TIMEOUT)?;
        Ok(self.sent.count())
    }

    /// Sends what is not sent yet up to this time of the log. `progress` gets the record time of the first record of each
    /// batch, ms since the epoch by this machine's clock, as soon as the batch is sent.
    fn send_up_to(
        &mut self,
        up_to_ms: i64,
        clock_shift_ms: i64,
        progress: &mut dyn FnMut(i64),
    ) -> anyhow::Result<()> {
        let initial_end = self.world.initial_end_offset();
        let mut records = Vec::with_capacity(BATCH_RECORDS);
        for (index, log) in self.logs.iter_mut().enumerate() {
            let mut batch = RawBatch::at(log.partition(), log.position());
            loop {
                batch = RawBatch::at(log.partition(), batch.next_offset);
                records.clear();
                let outcome = log.read_with(&mut batch, up_to_ms, BATCH_RECORDS, BATCH_BYTES, |record| {
                    records.push(record);
                })?;
                for (raw, record) in batch.records.iter().zip(&records) {
                    let key = self.world.key_text(record.key);
                    let (partition, time_ms) =
                        (Some(batch.partition), record.record_time_ms + clock_shift_ms);
                    if record.kind == CdcRecordKind::Tombstone {
                        self.sink.send_tombstone(partition, key.as_bytes(), time_ms)?;
                    } else {
                        self.sink.send(partition, key.as_bytes(), batch.value(raw), time_ms)?;
                    }
                    self.sent.take(index, record, record.offset < initial_end, clock_shift_ms);
                }
                if let Some(first) = records.first() {
                    progress(first.record_time_ms + clock_shift_ms);
                }
                if outcome != ReadOutcome::More {
                    break;
                }
            }
        }
        Ok(())
    }
}

#[derive(Default)]
struct Progress {
    stop: AtomicBool,
    sent: AtomicU64,
    /// The furthest that sending has been behind its plan, ms.
    worst_delay_ms: AtomicI64,
}

/// Changes on their way at their rate, until the last one is due.
pub(crate) struct PacedChanges {
    progress: Arc<Progress>,
    thread: Option<JoinHandle<anyhow::Result<SentChanges>>>,
}

impl PacedChanges {
    /// Sends the first `duration` of the changes, each when it is due: by the log's clock, or behind it by what is past of
    /// it already.
    pub(crate) fn start(mut feed: ChangeFeed, duration: Duration) -> anyhow::Result<Self> {
        let clock_shift_ms = (Utc::now().timestamp_millis() - feed.start_ms()).max(0);
        let last_ms = feed.start_ms() + i64::try_from(duration.as_millis())? - 1;
        let progress = Arc::new(Progress::default());
        progress.sent.store(feed.sent.count(), Ordering::Relaxed);
        let seen = progress.clone();
        let thread = std::thread::spawn(move || {
            loop {
                let due_ms = Utc::now().timestamp_millis() - clock_shift_ms;
                feed.send_up_to(due_ms.min(last_ms), clock_shift_ms, &mut |meant_ms| {
                    let behind_ms = Utc::now().timestamp_millis() - meant_ms;
                    seen.worst_delay_ms.fetch_max(behind_ms, Ordering::Relaxed);
                })?;
                seen.sent.store(feed.sent.count(), Ordering::Relaxed);
                if due_ms >= last_ms || seen.stop.load(Ordering::Relaxed) {
                    break;
                }
                std::thread::sleep(TICK);
            }
            feed.sink.flush(FLUSH_TIMEOUT)?;
            Ok(feed.sent)
        });
        Ok(Self { progress, thread: Some(thread) })
    }

    /// Records handed to the producer so far, initial creates included.
    pub(crate) fn sent(&self) -> u64 {
        self.progress.sent.load(Ordering::Relaxed)
    }

    /// Waits until the broker has everything: what was sent, and the furthest that sending was behind its plan, ms.
    ///
    /// # Errors
    /// When a change was not acknowledged.
    pub(crate) fn finish(mut self) -> anyhow::Result<(SentChanges, i64)> {
        let thread = self.thread.take().context("the changes are finished already")?;
        let sent = thread.join().map_err(|_| anyhow::anyhow!("the thread that sends has panicked"))??;
        Ok((sent, self.progress.worst_delay_ms.load(Ordering::Relaxed)))
    }
}

impl Drop for PacedChanges {
    fn drop(&mut self) {
        self.progress.stop.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use pulselake_generator::{CdcTruth, GeneratorConfig};
    use pulselake_model::Entity;

    use super::*;

    /// What is kept here, record by record, is what the generator's own truth says.
    #[test]
    fn what_was_sent_comes_to_the_truth() {
        let events = GeneratorConfig { videos: 300, ..GeneratorConfig::default() };
        let config = CdcConfig {
            rate_per_s: 40.0,
            delete_ratio: 0.1,
            reorder_ratio: 0.2,
            ..CdcConfig::beside(&events, Entity::Videos)
        };
        let world = CdcWorld::new(config).unwrap();
        let end_ms = world.config().start_ms + 200_000;
        let mut sent = SentChanges { written_ms: vec![Vec::new(); 3], ..SentChanges::default() };
        for partition in 0..3 {
            let mut log = CdcPartitionLog::in_world(world.clone(), partition).unwrap();
            let mut batch = RawBatch::at(partition, 0);
            let mut records = Vec::new();
            log.read_with(&mut batch, end_ms - 1, usize::MAX, usize::MAX, |record| records.push(record))
                .unwrap();
            for record in &records {
                let is_initial = record.offset < world.initial_end_offset();
                sent.take(partition as usize, record, is_initial, 7);
            }
        }
        let truth = CdcTruth::up_to(&world, &[world.end_offset_at(end_ms - 1); 3]).unwrap();
        assert_eq!((sent.count(), sent.rows()), (truth.records, truth.rows().count() as u64));
        assert_eq!((sent.versions, sent.late_versions), (truth.versions, truth.late));
        assert!(truth.late > 100, "{}", truth.late);
        let timed: Vec<i64> = sent.written_ms.concat().into_iter().flatten().collect();
        assert_eq!(timed.len() as u64, truth.versions - truth.late - 300);
        assert!(timed.iter().all(|time| (end_ms - 200_000 + 7..end_ms + 7).contains(time)));
    }
}
