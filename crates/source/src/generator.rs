//! The embedded generator's events as a source: a log that is computed, so that any position can be read again at any
//! time.

use std::sync::Arc;

use pulselake_generator::{GeneratorConfig, GeneratorError, PartitionLog, ReadOutcome, World};
use pulselake_model::RawBatch;

use crate::SourceError;
use crate::generator_log::{
    Clock, ComputedLog, ComputedSource, GeneratorPace, LogWorld, Schedule, wall_clock,
};

/// Settings of a [`GeneratorSource`].
#[derive(Clone, Debug)]
pub struct GeneratorSourceSettings {
    /// The log.
    pub config: GeneratorConfig,
    /// The name that stands for the topic.
    pub topic: String,
    /// When records can be read.
    pub pace: GeneratorPace,
    /// Where the log ends (ms since the epoch, rounded down to a second of record time); `None`: never.
    pub until_ms: Option<i64>,
}

/// Offsets count the records within a second in this many low bits, and seconds above them.
const OFFSET_BITS_PER_SECOND: u32 = 20;

/// A generated log of events.
pub type GeneratorSource = ComputedSource<World>;

impl GeneratorSource {
    /// Prepares the log; fails on settings that are not possible.
    pub fn new(settings: GeneratorSourceSettings) -> Result<Self, SourceError> {
        Self::with_clock(settings, wall_clock())
    }

    fn with_clock(settings: GeneratorSourceSettings, clock: Clock) -> Result<Self, SourceError> {
        let cluster_id = settings.config.identity();
        let world =
            World::new(Arc::new(settings.config)).map_err(|error| SourceError::of_generator(&error))?;
        let schedule = Schedule { clock, pace: settings.pace, until_ms: settings.until_ms };
        Ok(Self::of_world(world, cluster_id, settings.topic, schedule))
    }
}

impl LogWorld for World {
    type Log = PartitionLog;

    fn partitions(&self) -> i32 {
        self.config().partitions
    }

    fn open_log(self: Arc<Self>, partition: i32) -> Result<PartitionLog, GeneratorError> {
        PartitionLog::in_world(self, partition)
    }

    fn end_offset_at(&self, now_ms: i64) -> i64 {
        self.first_incomplete_block(now_ms) << OFFSET_BITS_PER_SECOND
    }

    fn end_of_whole_seconds_ms(&self, until_ms: i64) -> i64 {
        self.block_start_ms(self.first_incomplete_block(until_ms))
    }

    fn records_between(&self, partition: i32, from_offset: i64, to_offset: i64) -> i64 {
        let seconds = (to_offset - from_offset).max(0) >> OFFSET_BITS_PER_SECOND;
        (seconds as f64 * self.records_per_s(partition)) as i64
    }
}

impl ComputedLog for PartitionLog {
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

    use super::*;
    use crate::{PartitionReader, ReaderState, Source};

    const START_MS: i64 = 1_770_000_000_000;

    fn source(pace: GeneratorPace, until_ms: Option<i64>) -> (GeneratorSource, Arc<AtomicI64>) {
        let config = GeneratorConfig {
            rate_per_s: 300.0,
            partitions: 2,
            videos: 50,
            users: 100,
            start_ms: START_MS,
            ..GeneratorConfig::default()
        };
        let now = Arc::new(AtomicI64::new(START_MS));
        let clock = now.clone();
        let settings = GeneratorSourceSettings { config, topic: "content_events".to_owned(), pace, until_ms };
        let source = GeneratorSource::with_clock(settings, Arc::new(move || clock.load(Ordering::Relaxed)));
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
    fn records_come_when_their_time_has_come_and_again_from_any_offset() {
        let (source, now) = source(GeneratorPace::Live, None);
        assert!(source.has_broker_time() && !source.is_bounded());
        let mut reader = source.open(0, 0, None).unwrap();
        now.store(START_MS - 1, Ordering::Relaxed);
        assert_eq!(read(&mut *reader, 50), (Vec::new(), ReaderState::AtEnd));
        let mut seen = Records::new();
        for step in 1..=40 {
            let at = START_MS + step * 700;
            now.store(at, Ordering::Relaxed);
            let (records, state) = read(&mut *reader, 13);
            assert_eq!(state, ReaderState::AtEnd);
            assert!(records.iter().all(|(_, time, _)| time.unwrap() > at - 700 && time.unwrap() <= at));
            seen.extend(records);
            // What has been handed over never lies beyond the bound that a restart would see.
            assert!(source.bounds(0).unwrap().high > seen.last().map_or(0, |(offset, _, _)| *offset));
        }
        assert!(seen.len() > 1_000, "{}", seen.len());
        for index in [0, 1, seen.len() / 2, seen.len() - 1] {
            let mut again = source.open(0, seen[index].0, None).unwrap();
            assert_eq!(read(&mut *again, 50).0, seen[index..]);
        }
        assert!(matches!(reader.poll(1, 1), Err(SourceError::NotAssigned { partition: 0, .. })));
    }

    #[test]
    fn a_bounded_reader_finishes_at_its_bound_and_takes_nothing_behind_it() {
        let (source, now) = source(GeneratorPace::Live, None);
        now.store(START_MS + 20_300, Ordering::Relaxed);
        let high = source.bounds(1).unwrap().high;
        let mut reader = source.open(1, 0, Some(high)).unwrap();
        let (first, state) = read(&mut *reader, 100);
        assert_eq!(state, ReaderState::AtEnd, "the present second is not over");
        now.store(START_MS + 23_000, Ordering::Relaxed);
        let (rest, finished) = read(&mut *reader, 100);
        assert_eq!(finished, ReaderState::Finished);
        assert!(!rest.is_empty() && rest.iter().all(|(offset, _, _)| *offset < high));

        let middle = first[first.len() / 2].0;
        let (half, half_state) = read(&mut *source.open(1, 0, Some(middle)).unwrap(), 7);
        assert_eq!((half.as_slice(), half_state), (&first[..first.len() / 2], ReaderState::Finished));
    }

    #[test]
    fn a_log_with_an_end_is_over_there_at_any_pace() {
        let (live, now) = source(GeneratorPace::Live, Some(START_MS + 10_500));
        now.store(START_MS + 60_000, Ordering::Relaxed);
        let (unlimited, _) = source(GeneratorPace::Unlimited, Some(START_MS + 10_500));
        let (expected, state) = read(&mut *live.open(0, 0, None).unwrap(), 100);
        assert_eq!(state, ReaderState::Finished);
        assert!(expected.iter().all(|(_, time, _)| time.unwrap() < START_MS + 10_000));
        assert_eq!(read(&mut *unlimited.open(0, 0, None).unwrap(), 1_000), (expected, ReaderState::Finished));
        assert!(live.is_bounded() && unlimited.is_bounded());
        assert_eq!(live.bounds(0).unwrap(), unlimited.bounds(0).unwrap());
    }

    #[test]
    fn the_end_is_reached_also_behind_a_look_that_came_after_the_last_record() {
        let mut looks_behind_the_last = 0;
        for end in (1..=10).map(|seconds| START_MS + seconds * 1_000) {
            let (source, now) = source(GeneratorPace::Live, Some(end));
            for before_end in 2..=10 {
                let mut reader = source.open(0, 0, None).unwrap();
                now.store(end - before_end, Ordering::Relaxed);
                let (_, state) = read(&mut *reader, 1_000);
                assert_eq!(state, ReaderState::AtEnd, "the last second is not over");
                now.store(end + 1_000, Ordering::Relaxed);
                let (rest, finished) = read(&mut *reader, 1_000);
                assert_eq!(finished, ReaderState::Finished, "after a look {before_end} ms before the end");
                looks_behind_the_last += u32::from(rest.is_empty());
            }
        }
        assert!(looks_behind_the_last > 10, "{looks_behind_the_last}");
    }

    #[test]
    fn what_is_not_there_is_refused() {
        let (source, _) = source(GeneratorPace::Live, None);
        assert!(matches!(source.open(2, 0, None), Err(SourceError::UnknownPartition { partition: 2, .. })));
        assert!(matches!(source.open(0, -1, None), Err(SourceError::OffsetOutOfRange { .. })));
        source.close();
        assert!(matches!(source.open(0, 0, None), Err(SourceError::Closed)));
    }
}
