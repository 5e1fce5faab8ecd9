//! The embedded generator as a source: a log that is computed, so that any position can be read again at any time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use pulselake_generator::{GeneratorConfig, GeneratorError, PartitionLog, ReadOutcome, World};
use pulselake_model::RawBatch;

use crate::static_assignment::StaticAssignment;
use crate::{
    AssignmentEvent, OffsetBounds, PartitionReader, Polled, Progress, ReaderState, Source, SourceError,
    SourceIdentity, UNKNOWN_END,
};

/// When the records of the log can be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GeneratorPace {
    /// Each when its record time has come, as from a live topic.
    #[default]
    Live,
    /// All at once: as fast as the engine takes them, also those of the future.
    Unlimited,
}

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

type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// A generated log.
pub struct GeneratorSource {
    identity: SourceIdentity,
    assignment: StaticAssignment,
    world: Arc<World>,
    time: Time,
    /// The cancellation of each partition's latest reader: a new one takes the partition over.
    readers: Vec<Mutex<Arc<AtomicBool>>>,
}

/// Up to where the log can be read at a moment.
#[derive(Clone)]
struct Time {
    clock: Clock,
    pace: GeneratorPace,
    /// Record time of the first record behind the end.
    end_ms: Option<i64>,
}

/// Blocks, the steps in which a log becomes final, are this long.
const BLOCK_MS: i64 = 1_000;

impl Time {
    /// The last record time (ms since the epoch) that can be read now.
    fn readable_ms(&self) -> i64 {
        let reached = match self.pace {
            GeneratorPace::Live => (self.clock)(),
            GeneratorPace::Unlimited => i64::MAX,
        };
        self.end_ms.map_or(reached, |end| reached.min(end - 1))
    }
}

impl GeneratorSource {
    /// Prepares the log; fails on settings that are not possible.
    pub fn new(settings: GeneratorSourceSettings) -> Result<Self, SourceError> {
        Self::with_clock(settings, Arc::new(wall_clock_ms))
    }

    fn with_clock(settings: GeneratorSourceSettings, clock: Clock) -> Result<Self, SourceError> {
        let partitions = settings.config.partitions;
        let cluster_id = settings.config.identity();
        let world = World::new(Arc::new(settings.config)).map_err(|error| generator_failed(&error))?;
        let end_ms = settings.until_ms.map(|until| world.block_start_ms(world.first_incomplete_block(until)));
        Ok(Self {
            identity: SourceIdentity { cluster_id, topic: settings.topic },
            assignment: StaticAssignment::new((0..partitions).collect()),
            readers: (0..partitions).map(|_| Mutex::default()).collect(),
            time: Time { clock, pace: settings.pace, end_ms },
            world,
        })
    }

    fn log(&self, partition: i32) -> Result<PartitionLog, SourceError> {
        PartitionLog::in_world(self.world.clone(), partition)
            .map_err(|_| SourceError::UnknownPartition { topic: self.identity.topic.clone(), partition })
    }
}

impl Source for GeneratorSource {
    fn identity(&self) -> &SourceIdentity {
        &self.identity
    }

    fn next_event(&self, wait: Duration) -> Option<AssignmentEvent> {
        self.assignment.next_event(wait)
    }

    /// `high` is the end of the present second: no reader has been beyond it, and at most a second later one is there.
    /// An endless log without a pace has no end to be caught up with: [`UNKNOWN_END`].
    fn bounds(&self, partition: i32) -> Result<OffsetBounds, SourceError> {
        let log = self.log(partition)?;
        let present_ms = (self.time.clock)() + BLOCK_MS;
        let end_ms = match (self.time.end_ms, self.time.pace) {
            (Some(end), GeneratorPace::Live) => end.min(present_ms),
            (Some(end), GeneratorPace::Unlimited) => end,
            (None, GeneratorPace::Live) => present_ms,
            (None, GeneratorPace::Unlimited) => return Ok(OffsetBounds { low: 0, high: UNKNOWN_END }),
        };
        Ok(OffsetBounds { low: 0, high: log.end_offset_at(end_ms) })
    }

    fn records_between(&self, partition: i32, from_offset: i64, to_offset: i64) -> i64 {
        let seconds = (to_offset - from_offset).max(0) >> OFFSET_BITS_PER_SECOND;
        (seconds as f64 * self.world.records_per_s(partition)) as i64
    }

    fn open(
        &self,
        partition: i32,
        from_offset: i64,
        stop_at: Option<i64>,
    ) -> Result<Box<dyn PartitionReader>, SourceError> {
        if self.assignment.is_closed() {
            return Err(SourceError::Closed);
        }
        let mut log = self.log(partition)?;
        log.seek(from_offset).map_err(|error| SourceError::OffsetOutOfRange {
            topic: self.identity.topic.clone(),
            partition,
            offset: from_offset,
            detail: error.to_string(),
        })?;
        let end = self.time.end_ms.map(|end_ms| log.end_offset_at(end_ms));
        let is_cancelled = Arc::new(AtomicBool::new(false));
        if let Some(latest) = usize::try_from(partition).ok().and_then(|index| self.readers.get(index)) {
            std::mem::replace(&mut *latest.lock(), is_cancelled.clone()).store(true, Ordering::Release);
        }
        Ok(Box::new(GeneratorReader {
            topic: self.identity.topic.clone(),
            partition,
            position: from_offset,
            stop_at: [stop_at, end].into_iter().flatten().min(),
            log,
            time: self.time.clone(),
            nothing_before_ms: i64::MIN,
            is_paused: false,
            is_cancelled,
        }))
    }

    fn note_progress(&self, _positions: &[(i32, i64)]) {}

    fn has_broker_time(&self) -> bool {
        true
    }

    fn is_bounded(&self) -> bool {
        self.time.end_ms.is_some()
    }

    fn progress(&self) -> Option<Progress> {
        None
    }

    fn close(&self) {
        self.assignment.close();
        for reader in &self.readers {
            reader.lock().store(true, Ordering::Release);
        }
    }
}

struct GeneratorReader {
    topic: String,
    partition: i32,
    position: i64,
    stop_at: Option<i64>,
    log: PartitionLog,
    time: Time,
    /// The log has no record that is not read and older than this.
    nothing_before_ms: i64,
    is_paused: bool,
    is_cancelled: Arc<AtomicBool>,
}

impl PartitionReader for GeneratorReader {
    fn partition(&self) -> i32 {
        self.partition
    }

    fn poll(&mut self, max_records: usize, max_bytes: usize) -> Result<Polled, SourceError> {
        if self.is_cancelled.load(Ordering::Acquire) {
            return Err(SourceError::NotAssigned { topic: self.topic.clone(), partition: self.partition });
        }
        let mut batch = RawBatch::at(self.partition, self.position);
        let is_finished = |position: i64| self.stop_at.is_some_and(|stop| position >= stop);
        if is_finished(self.position) {
            return Ok(Polled { batch, state: ReaderState::Finished });
        }
        if self.is_paused || max_records == 0 {
            return Ok(Polled { batch, state: ReaderState::More });
        }
        let readable_ms = self.time.readable_ms();
        if readable_ms < self.nothing_before_ms {
            return Ok(Polled { batch, state: ReaderState::AtEnd });
        }
        let outcome = self
            .log
            .read_into(&mut batch, readable_ms, max_records, max_bytes)
            .map_err(|error| generator_failed(&error))?;
        if let Some(stop) = self.stop_at.filter(|stop| batch.next_offset > *stop) {
            cut(&mut batch, stop);
        }
        self.position = batch.next_offset;
        let state = match outcome {
            _ if self.stop_at.is_some_and(|stop| self.position >= stop) => ReaderState::Finished,
            ReadOutcome::More => ReaderState::More,
            ReadOutcome::CaughtUp { next_ms } => {
                self.nothing_before_ms = next_ms;
                ReaderState::AtEnd
            }
        };
        Ok(Polled { batch, state })
    }

    fn set_paused(&mut self, paused: bool) -> Result<(), SourceError> {
        self.is_paused = paused;
        Ok(())
    }
}

/// Takes the records at and behind `stop` off a batch.
fn cut(batch: &mut RawBatch, stop: i64) {
    let kept = batch.records.partition_point(|record| record.offset < stop);
    if let Some(first_cut) = batch.records.get(kept) {
        let end = first_cut.start;
        batch.bytes.truncate(end);
    }
    batch.records.truncate(kept);
    batch.next_offset = stop;
}

fn wall_clock_ms() -> i64 {
    // A clock before 1970 reads as 1970: then nothing is due yet.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn generator_failed(error: &GeneratorError) -> SourceError {
    SourceError::Settings { setting: "generator".to_owned(), detail: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicI64;

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
    fn what_is_not_there_is_refused() {
        let (source, _) = source(GeneratorPace::Live, None);
        assert!(matches!(source.open(2, 0, None), Err(SourceError::UnknownPartition { partition: 2, .. })));
        assert!(matches!(source.open(0, -1, None), Err(SourceError::OffsetOutOfRange { .. })));
        source.close();
        assert!(matches!(source.open(0, 0, None), Err(SourceError::Closed)));
    }
}
