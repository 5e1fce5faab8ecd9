//! What the generator's sources share: reading logs that are computed, at the pace of a clock or without one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use pulselake_generator::{GeneratorError, ReadOutcome};
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

/// What the partitions of a computed log share.
pub trait LogWorld: Send + Sync + 'static {
    /// A reader of one of its partitions.
    type Log: ComputedLog;

    /// How many partitions there are.
    fn partitions(&self) -> i32;

    /// Opens a partition at its first offset.
    fn open_log(self: Arc<Self>, partition: i32) -> Result<Self::Log, GeneratorError>;

    /// The first offset that is not final at this time (ms since the epoch), in every partition.
    fn end_offset_at(&self, now_ms: i64) -> i64;

    /// The first record time (ms since the epoch) of the second that is not complete at `until_ms`.
    fn end_of_whole_seconds_ms(&self, until_ms: i64) -> i64;

    /// About how many records lie between two offsets.
    fn records_between(&self, partition: i32, from_offset: i64, to_offset: i64) -> i64;
}

/// A computed log's reader.
pub trait ComputedLog: Send + 'static {
    /// Moves to any offset.
    fn seek_to(&mut self, offset: i64) -> Result<(), GeneratorError>;

    /// Appends what there is from `batch.next_offset` on with record times up to `up_to_ms`, within the limits.
    fn read_up_to(
        &mut self,
        batch: &mut RawBatch,
        up_to_ms: i64,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<ReadOutcome, GeneratorError>;
}

/// Milliseconds since the epoch, whenever asked.
pub(crate) type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// When the records of a log can be read, and where it ends.
pub(crate) struct Schedule {
    pub(crate) clock: Clock,
    pub(crate) pace: GeneratorPace,
    /// Rounded down to a second; `None`: there is no end.
    pub(crate) until_ms: Option<i64>,
}

/// A computed log as a [`Source`].
pub struct ComputedSource<World> {
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

    /// Whether all that there is can be read at this time (a [`Self::readable_ms`]).
    fn is_over_at(&self, readable_ms: i64) -> bool {
        self.end_ms.is_some_and(|end| readable_ms >= end - 1)
    }
}

impl<World: LogWorld> ComputedSource<World> {
    /// The source of a world's log; `cluster_id` is all that decides its content.
    pub(crate) fn of_world(world: Arc<World>, cluster_id: String, topic: String, schedule: Schedule) -> Self {
        let partitions = world.partitions();
        let end_ms = schedule.until_ms.map(|until| world.end_of_whole_seconds_ms(until));
        Self {
            identity: SourceIdentity { cluster_id, topic },
            assignment: StaticAssignment::new((0..partitions).collect()),
            readers: (0..partitions).map(|_| Mutex::default()).collect(),
            time: Time { clock: schedule.clock, pace: schedule.pace, end_ms },
            world,
        }
    }

    fn log(&self, partition: i32) -> Result<World::Log, SourceError> {
        self.world.clone().open_log(partition).map_err(|_| self.unknown_partition(partition))
    }

    fn unknown_partition(&self, partition: i32) -> SourceError {
        SourceError::UnknownPartition { topic: self.identity.topic.clone(), partition }
    }
}

impl<World: LogWorld> Source for ComputedSource<World> {
    fn identity(&self) -> &SourceIdentity {
        &self.identity
    }

    fn next_event(&self, wait: Duration) -> Option<AssignmentEvent> {
        self.assignment.next_event(wait)
    }

    /// `high` is the end of the present second: no reader has been beyond it, and at most a second later one is there.
    /// An endless log without a pace has no end to be caught up with: [`UNKNOWN_END`].
    fn bounds(&self, partition: i32) -> Result<OffsetBounds, SourceError> {
        if !(0..self.world.partitions()).contains(&partition) {
            return Err(self.unknown_partition(partition));
        }
        let present_ms = (self.time.clock)() + BLOCK_MS;
        let end_ms = match (self.time.end_ms, self.time.pace) {
            (Some(end), GeneratorPace::Live) => end.min(present_ms),
            (Some(end), GeneratorPace::Unlimited) => end,
            (None, GeneratorPace::Live) => present_ms,
            (None, GeneratorPace::Unlimited) => return Ok(OffsetBounds { low: 0, high: UNKNOWN_END }),
        };
        Ok(OffsetBounds { low: 0, high: self.world.end_offset_at(end_ms) })
    }

    fn records_between(&self, partition: i32, from_offset: i64, to_offset: i64) -> i64 {
        self.world.records_between(partition, from_offset, to_offset)
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
        log.seek_to(from_offset).map_err(|error| SourceError::OffsetOutOfRange {
            topic: self.identity.topic.clone(),
            partition,
            offset: from_offset,
            detail: error.to_string(),
        })?;
        let end = self.time.end_ms.map(|end_ms| self.world.end_offset_at(end_ms));
        let is_cancelled = Arc::new(AtomicBool::new(false));
        if let Some(latest) = usize::try_from(partition).ok().and_then(|index| self.readers.get(index)) {
            std::mem::replace(&mut *latest.lock(), is_cancelled.clone()).store(true, Ordering::Release);
        }
        Ok(Box::new(ComputedReader {
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

struct ComputedReader<Log> {
    topic: String,
    partition: i32,
    position: i64,
    stop_at: Option<i64>,
    log: Log,
    time: Time,
    /// The log has no record that is not read and older than this.
    nothing_before_ms: i64,
    is_paused: bool,
    is_cancelled: Arc<AtomicBool>,
}

impl<Log: ComputedLog> PartitionReader for ComputedReader<Log> {
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
        // At the log's end it is read once more, though no record may be left: only that moves the position to the end.
        if readable_ms < self.nothing_before_ms && !self.time.is_over_at(readable_ms) {
            return Ok(Polled { batch, state: ReaderState::AtEnd });
        }
        let outcome = self
            .log
            .read_up_to(&mut batch, readable_ms, max_records, max_bytes)
            .map_err(|error| SourceError::of_generator(&error))?;
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

/// The machine's clock.
pub(crate) fn wall_clock() -> Clock {
    Arc::new(|| {
        // A clock before 1970 reads as 1970: then nothing is due yet.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

impl SourceError {
    /// What the generator refused: its settings are wrong.
    pub(crate) fn of_generator(error: &GeneratorError) -> Self {
        Self::Settings { setting: "generator".to_owned(), detail: error.to_string() }
    }
}
