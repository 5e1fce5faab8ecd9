//! The embedded generator's changes as a source: one entity's log, computed like that of the events.

use std::sync::Arc;

use pulselake_generator::{CdcConfig, CdcPartitionLog, CdcWorld, GeneratorError, ReadOutcome};
use pulselake_model::RawBatch;

use crate::SourceError;
use crate::generator_log::{
    Clock, ComputedLog, ComputedSource, GeneratorPace, LogWorld, Schedule, wall_clock,
};

/// Settings of a [`GeneratorCdcSource`].
#[derive(Clone, Debug)]
pub struct GeneratorCdcSettings {
    /// The log: [`CdcConfig::beside`] gives the one that belongs to a log of events.
    pub config: CdcConfig,
    /// The name that stands for the topic.
    pub topic: String,
    /// When records can be read; the creates of what exists at the start can be read at once.
    pub pace: GeneratorPace,
    /// Where the log ends (ms since the epoch, rounded down to a second of record time, not before the initial creates);
    /// `None`: never.
    pub until_ms: Option<i64>,
}

/// A generated log of one entity's changes. Tombstones are records with an empty value.
pub type GeneratorCdcSource = ComputedSource<CdcWorld>;

impl GeneratorCdcSource {
    /// Prepares the log; fails on settings that are not possible.
    pub fn new(settings: GeneratorCdcSettings) -> Result<Self, SourceError> {
        Self::with_clock(settings, wall_clock())
    }

    fn with_clock(settings: GeneratorCdcSettings, clock: Clock) -> Result<Self, SourceError> {
        let cluster_id = settings.config.identity();
        let world = CdcWorld::new(settings.config).map_err(|error| SourceError::of_generator(&error))?;
        let schedule = Schedule { clock, pace: settings.pace, until_ms: settings.until_ms };
        Ok(Self::of_world(world, cluster_id, settings.topic, schedule))
    }
}

impl LogWorld for CdcWorld {
    type Log = CdcPartitionLog;

    fn partitions(&self) -> i32 {
        self.config().partitions
    }

    fn open_log(self: Arc<Self>, partition: i32) -> Result<CdcPartitionLog, GeneratorError> {
        CdcPartitionLog::in_world(self, partition)
    }

    fn end_offset_at(&self, now_ms: i64) -> i64 {
        CdcWorld::end_offset_at(self, now_ms)
    }

    fn end_of_whole_seconds_ms(&self, until_ms: i64) -> i64 {
        CdcWorld::end_of_whole_seconds_ms(self, until_ms)
    }

    fn records_between(&self, _partition: i32, from_offset: i64, to_offset: i64) -> i64 {
        CdcWorld::records_between(self, from_offset, to_offset)
    }
}

impl ComputedLog for CdcPartitionLog {
    fn seek_to(&mut self, offset: i64) -> Result<(), GeneratorError> {
        self.seek(offset)
    }

    fn read_up_to(
        &mut self,
        batch: &mut RawBatch,
        up_to_ms: i64,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<ReadOutcome, GeneratorError> {
        self.read_into(batch, up_to_ms, max_records, max_bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use pulselake_generator::GeneratorConfig;
    use pulselake_model::Entity;

    use super::*;
    use crate::{AssignmentEvent, PartitionReader, ReaderState, Source, UNKNOWN_END};

    const START_MS: i64 = 1_770_000_000_000;

    fn source(pace: GeneratorPace, until_ms: Option<i64>) -> (GeneratorCdcSource, Arc<AtomicI64>) {
        let events =
            GeneratorConfig { videos: 90, users: 100, start_ms: START_MS, ..GeneratorConfig::default() };
        let config = CdcConfig { rate_per_s: 60.0, ..CdcConfig::beside(&events, Entity::Videos) };
        let now = Arc::new(AtomicI64::new(START_MS));
        let clock = now.clone();
        let settings =
            GeneratorCdcSettings { config, topic: "cdc.content.videos".to_owned(), pace, until_ms };
        let source =
            GeneratorCdcSource::with_clock(settings, Arc::new(move || clock.load(Ordering::Relaxed)));
        (source.unwrap(), now)
    }

    type Records = Vec<(i64, Option<i64>, Vec<u8>)>;

    fn read(reader: &mut dyn PartitionReader, max_records: usize) -> (Records, ReaderState) {
        let mut records = Records::new();
        loop {
            let polled = reader.poll(max_records, 1 << 20).unwrap();
            for record in &polled.batch.records {
                records.push((record.offset, record.timestamp_ms, polled.batch.value(record).to_vec()));
            }
            if polled.state != ReaderState::More {
                return (records, polled.state);
            }
        }
    }

    #[test]
    fn it_says_which_log_it_is_and_hands_out_all_partitions() {
        let (source, _) = source(GeneratorPace::Live, None);
        let identity = source.identity();
        assert_eq!(identity.topic, "cdc.content.videos");
        let config = CdcConfig::from_identity(&identity.cluster_id).unwrap();
        assert_eq!((config.entity, config.rate_per_s, config.start_ms), (Entity::Videos, 60.0, START_MS));
        let Some(AssignmentEvent::Assigned(partitions)) = source.next_event(std::time::Duration::ZERO) else {
            panic!("nothing is assigned")
        };
        assert_eq!(partitions, [0, 1, 2]);
        assert!(source.has_broker_time() && !source.is_bounded());
    }

    #[test]
    fn what_exists_at_the_start_comes_at_once_and_changes_at_their_time() {
        let (source, now) = source(GeneratorPace::Live, None);
        now.store(START_MS - 3_600_000, Ordering::Relaxed);
        let mut created = 0;
        for partition in 0..3 {
            let mut reader = source.open(partition, 0, None).unwrap();
            let (records, state) = read(&mut *reader, 7);
            assert_eq!(state, ReaderState::AtEnd);
            assert_eq!(source.bounds(partition).unwrap().high, 1 << 20);
            created += records.len();
        }
        assert_eq!(created, 90);

        let mut reader = source.open(0, 0, None).unwrap();
        let (mut seen, _) = read(&mut *reader, 7);
        for step in 1..=60 {
            let at = START_MS + step * 700;
            now.store(at, Ordering::Relaxed);
            let (records, state) = read(&mut *reader, 13);
            assert_eq!(state, ReaderState::AtEnd);
            assert!(records.iter().all(|(_, time, _)| time.unwrap() > at - 700 && time.unwrap() <= at));
            seen.extend(records);
            assert!(source.bounds(0).unwrap().high > seen.last().map_or(0, |(offset, _, _)| *offset));
        }
        assert!(seen.len() > 500, "{}", seen.len());
        for index in [0, 1, seen.len() / 2, seen.len() - 1] {
            let mut again = source.open(0, seen[index].0, None).unwrap();
            assert_eq!(read(&mut *again, 50).0, seen[index..]);
        }
        assert!(matches!(reader.poll(1, 1), Err(SourceError::NotAssigned { partition: 0, .. })));
    }

    #[test]
    fn a_log_with_an_end_is_over_there_at_any_pace() {
        let until_ms = Some(START_MS + 10_500);
        let (live, now) = source(GeneratorPace::Live, until_ms);
        now.store(START_MS + 60_000, Ordering::Relaxed);
        let (unlimited, _) = source(GeneratorPace::Unlimited, until_ms);
        let (expected, state) = read(&mut *live.open(1, 0, None).unwrap(), 100);
        assert_eq!(state, ReaderState::Finished);
        assert!(expected.iter().all(|(_, time, _)| time.unwrap() < START_MS + 10_000));
        assert_eq!(read(&mut *unlimited.open(1, 0, None).unwrap(), 1_000), (expected, ReaderState::Finished));
        assert_eq!(live.bounds(1).unwrap(), unlimited.bounds(1).unwrap());
        let (endless, _) = source(GeneratorPace::Unlimited, None);
        assert_eq!(endless.bounds(1).unwrap().high, UNKNOWN_END);

        let (before_start, _) = source(GeneratorPace::Live, Some(START_MS - 5_000));
        let mut created = 0;
        for partition in 0..3 {
            let (records, state) = read(&mut *before_start.open(partition, 0, None).unwrap(), 100);
            assert_eq!(state, ReaderState::Finished);
            created += records.len();
        }
        assert_eq!(created, 90);
    }

    #[test]
    fn what_is_not_there_is_refused() {
        let (source, _) = source(GeneratorPace::Live, None);
        assert!(matches!(source.open(3, 0, None), Err(SourceError::UnknownPartition { partition: 3, .. })));
        assert!(matches!(source.open(0, -1, None), Err(SourceError::OffsetOutOfRange { .. })));
        source.close();
        assert!(matches!(source.open(0, 0, None), Err(SourceError::Closed)));
    }
}
