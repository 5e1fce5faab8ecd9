//! The generator's changes of both entities in their topics, as fast as a test wants stream time to pass, and changes made
//! by hand among them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pulselake_generator::cdc::CdcRecordKind;
use pulselake_generator::{CdcConfig, CdcPartitionLog, CdcTruth, CdcWorld, GeneratorConfig, ReadOutcome};
use pulselake_model::{Entity, RawBatch};
use pulselake_source::{KafkaSink, KafkaSinkSettings};

use crate::common::PATIENCE;
use crate::common::kafka::brokers;

/// Time between two steps of a feed in the background.
const TICK: Duration = Duration::from_millis(100);
/// 2026-02-07T10:00:00Z.
const START_MS: i64 = 1_770_458_400_000;
/// `source.lsn` of changes made by hand: beyond those of the generator.
const FIRST_POSITION_BY_HAND: u64 = 1 << 50;

/// How much changes.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Videos at the start; there are half as many users more.
    pub videos: u32,
    /// Versions of an entity in a second of stream time.
    pub rate_per_s: f64,
}

impl Size {
    /// Some thousand keys.
    pub const LARGE: Self = Self { videos: 900, rate_per_s: 25.0 };
    /// Where many engines start one after the other.
    pub const SMALL: Self = Self { videos: 200, rate_per_s: 8.0 };
}

/// See the module.
pub struct Feed {
    parts: Vec<EntityFeed>,
    at_ms: i64,
}

struct EntityFeed {
    entity: Entity,
    world: Arc<CdcWorld>,
    logs: Vec<(CdcPartitionLog, RawBatch)>,
    sink: KafkaSink,
    sent: u64,
    made_by_hand: u64,
}

impl Feed {
    /// Changes with a good share of each kind that there is, into existing topics.
    pub fn new(topic_of: impl Fn(Entity) -> String, size: Size, seed: u64) -> Self {
        let parts = Entity::ALL.map(|entity| EntityFeed::new(entity, topic_of(entity), size, seed));
        let mut feed = Self { parts: parts.into(), at_ms: START_MS };
        // The initial creates come before everything else.
        feed.advance(0);
        feed
    }

    /// Writes the next `stream_s` seconds of stream time.
    pub fn advance(&mut self, stream_s: i64) {
        self.at_ms += stream_s * 1_000;
        for part in &mut self.parts {
            part.write_before(self.at_ms);
        }
    }

    /// Writes a new row that no other change is of, with further fields (JSON text: `"a":1,"b":2`) beside its key.
    pub fn make_by_hand(&mut self, entity: Entity, fields: &str) {
        self.part_mut(entity).make_by_hand(fields);
    }

    /// Waits until the broker has everything; gives how many records that is.
    pub fn flush(&self) -> u64 {
        let flushed = self.parts.iter().map(|part| {
            assert_eq!(part.sink.flush(PATIENCE).unwrap(), part.sent);
            part.sent
        });
        flushed.sum()
    }

    /// What the generator says that an entity's changes come to; those made by hand do not count.
    pub fn truth(&self, entity: Entity) -> CdcTruth {
        let world = &self.part(entity).world;
        let ends = vec![world.end_offset_at(self.at_ms - 1); self.part(entity).logs.len()];
        CdcTruth::up_to(world, &ends).unwrap()
    }

    /// Rows that were made by hand.
    pub fn made_by_hand(&self, entity: Entity) -> u64 {
        self.part(entity).made_by_hand
    }

    fn part(&self, entity: Entity) -> &EntityFeed {
        self.parts.iter().find(|part| part.entity == entity).unwrap()
    }

    fn part_mut(&mut self, entity: Entity) -> &mut EntityFeed {
        self.parts.iter_mut().find(|part| part.entity == entity).unwrap()
    }

    /// Goes on in a thread, `stream_s` of stream time with each tick.
    pub fn in_background(self, stream_s: i64) -> BackgroundFeed {
        let stop = Arc::new(AtomicBool::new(false));
        let feed = Arc::new(Mutex::new(self));
        let (stopped, shared) = (stop.clone(), feed.clone());
        let thread = std::thread::spawn(move || {
            let mut next = Instant::now();
            while !stopped.load(Ordering::Relaxed) {
                shared.lock().unwrap().advance(stream_s);
                // On a busy machine the feed falls behind instead of coming in bursts.
                next = (next + TICK).max(Instant::now());
                std::thread::sleep(next - Instant::now());
            }
        });
        BackgroundFeed { stop, feed: Some(feed), thread: Some(thread) }
    }
}

impl EntityFeed {
    fn new(entity: Entity, topic: String, size: Size, seed: u64) -> Self {
        let sink = KafkaSink::connect(&KafkaSinkSettings { brokers: brokers(), topic, ..Default::default() })
            .unwrap();
        let events = GeneratorConfig {
            seed,
            videos: size.videos,
            users: size.videos * 3 / 2,
            start_ms: START_MS,
            ..GeneratorConfig::default()
        };
        let config = CdcConfig {
            partitions: sink.partitions(),
            rate_per_s: size.rate_per_s,
            delete_ratio: 0.1,
            duplicate_ratio: 0.05,
            reorder_ratio: 0.2,
            wrapped_ratio: 0.2,
            invalid_ratio: 0.03,
            snapshot_every_s: 60,
            ..CdcConfig::beside(&events, entity)
        };
        let world = CdcWorld::new(config).unwrap();
        let log = |partition| {
            (CdcPartitionLog::in_world(world.clone(), partition).unwrap(), RawBatch::at(partition, 0))
        };
        let logs = (0..sink.partitions()).map(log).collect();
        Self { entity, world, logs, sink, sent: 0, made_by_hand: 0 }
    }

    fn write_before(&mut self, end_ms: i64) {
        for (log, batch) in &mut self.logs {
            let partition = log.partition();
            *batch = RawBatch::at(partition, batch.next_offset);
            let mut records = Vec::new();
            while log
                .read_with(batch, end_ms - 1, usize::MAX, usize::MAX, |record| records.push(record))
                .unwrap()
                == ReadOutcome::More
            {}
            for (raw, record) in batch.records.iter().zip(&records) {
                let (key, time_ms) = (self.world.key_text(record.key), record.record_time_ms);
                match record.kind {
                    CdcRecordKind::Tombstone => {
                        self.sink.send_tombstone(Some(partition), key.as_bytes(), time_ms)
                    }
                    _ => self.sink.send(Some(partition), key.as_bytes(), batch.value(raw), time_ms),
                }
                .unwrap();
            }
            self.sent += records.len() as u64;
        }
    }

    fn make_by_hand(&mut self, fields: &str) {
        let (number, entity) = (self.made_by_hand, self.entity);
        let key = format!("{}-by-hand-{number}", entity.as_str());
        let row = format!(r#"{{"{}":"{key}",{fields}}}"#, entity.key_column());
        let position = FIRST_POSITION_BY_HAND + number;
        self.sink.send(None, key.as_bytes(), created(&row, position).as_bytes(), START_MS).unwrap();
        self.sent += 1;
        self.made_by_hand += 1;
    }
}

/// A change that creates a row (JSON text), in the bare form.
pub fn created(row: &str, position: u64) -> String {
    format!(
        r#"{{"before":null,"after":{row},"source":{{"connector":"postgresql","ts_ms":{START_MS},"lsn":{position}}},"op":"c","ts_ms":{START_MS}}}"#
    )
}

/// A feed that goes on until it is stopped or dropped.
pub struct BackgroundFeed {
    stop: Arc<AtomicBool>,
    feed: Option<Arc<Mutex<Feed>>>,
    thread: Option<JoinHandle<()>>,
}

impl BackgroundFeed {
    /// As [`Feed::make_by_hand`], between two steps.
    pub fn make_by_hand(&self, entity: Entity, fields: &str) {
        self.feed.as_ref().unwrap().lock().unwrap().make_by_hand(entity, fields);
    }

    /// Stops, and waits until the broker has everything.
    pub fn stop(mut self) -> Feed {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        let shared = Arc::try_unwrap(self.feed.take().unwrap());
        let feed = shared.unwrap_or_else(|_| panic!("the thread has ended")).into_inner().unwrap();
        println!(
            "{} records in the topics, {} s of stream time",
            feed.flush(),
            (feed.at_ms - START_MS) / 1_000
        );
        feed
    }
}

impl Drop for BackgroundFeed {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
