//! The recount: what a run over some blocks must come to, straight from the plan and not from the bytes.

use std::collections::BTreeMap;
use std::sync::Arc;

use pulselake_model::{ErrorCode, WindowCounters};

use crate::{GeneratorConfig, GeneratorError, LogRecord, PartitionLog, RecordKind, World};

const MINUTE_MS: i64 = 60_000;

/// What the records of some blocks, over all partitions, come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TruthCounts {
    /// All records.
    pub records: u64,
    /// Of these, events delivered for the first time.
    pub events: u64,
    /// Of these, retries of events delivered before. (A retry's event can lie before the range.)
    pub retries: u64,
    /// Of the events, those whose client's clock is more than a day slow: they are not in `by_video_minute`.
    pub beyond_lateness: u64,
    /// Of the records, those that must end in quarantine, indexed by [`ErrorCode`] as a number.
    pub malformed_by_code: [u64; ErrorCode::COUNT],
    /// Per (number of the video, start of the minute of event time in ms since the epoch): events, without retries.
    pub by_video_minute: BTreeMap<(u32, i64), WindowCounters>,
}

/// Counts what was sent, record by record or block by block.
pub struct TruthCounter {
    world: Arc<World>,
    /// A reader per partition, opened when its first block is counted.
    logs: Vec<Option<PartitionLog>>,
    counts: TruthCounts,
}

impl TruthCounter {
    /// A counter of a world's records that has counted nothing yet.
    pub fn new(world: Arc<World>) -> Self {
        let logs = (0..world.config().partitions).map(|_| None).collect();
        Self { world, logs, counts: TruthCounts::default() }
    }

    /// Counts one record.
    pub fn add(&mut self, record: &LogRecord) {
        self.counts.add(record);
    }

    /// Counts all records of a block of a partition. Blocks in rising order are the cheapest.
    ///
    /// # Errors
    /// When the log doesn't have this partition or block.
    pub fn count_block(&mut self, partition: i32, block: i64) -> Result<(), GeneratorError> {
        let last = self.world.config().partitions - 1;
        let slot = usize::try_from(partition).ok().and_then(|index| self.logs.get_mut(index));
        let slot = slot.ok_or(GeneratorError::NoSuchPartition { partition, last })?;
        let log = match slot {
            Some(log) => log,
            None => slot.insert(PartitionLog::in_world(self.world.clone(), partition)?),
        };
        for record in log.records_of_block(block)? {
            self.counts.add(&record);
        }
        Ok(())
    }

    /// What has been counted so far.
    pub fn counts(&self) -> &TruthCounts {
        &self.counts
    }

    /// What has been counted.
    pub fn into_counts(self) -> TruthCounts {
        self.counts
    }
}

impl TruthCounts {
    /// Counts one record, of whichever log: several logs that were sent one after the other come to one truth.
    pub fn add(&mut self, record: &LogRecord) {
        self.records += 1;
        match record.kind {
            RecordKind::Retry => self.retries += 1,
            RecordKind::Malformed(kind) => self.malformed_by_code[kind.error_code() as usize] += 1,
            RecordKind::Event => {
                self.events += 1;
                if record.is_beyond_lateness {
                    self.beyond_lateness += 1;
                    return;
                }
                let minute_start_ms = record.event_time_ms - record.event_time_ms.rem_euclid(MINUTE_MS);
                let counters = self.by_video_minute.entry((record.video, minute_start_ms)).or_default();
                counters.add(record.event_type, record.watch_time_ms.into());
            }
        }
    }
}

/// Counts the records whose record time lies in blocks `from_block..to_block`, of all partitions.
///
/// # Errors
/// When the configuration is not possible or the log doesn't have these blocks.
pub fn count_events(
    config: Arc<GeneratorConfig>,
    from_block: i64,
    to_block: i64,
) -> Result<TruthCounts, GeneratorError> {
    let world = World::new(config)?;
    let partitions = world.config().partitions;
    let mut counter = TruthCounter::new(world);
    // Block by block, so that all partitions use one plan.
    for block in from_block..to_block {
        for partition in 0..partitions {
            counter.count_block(partition, block)?;
        }
    }
    Ok(counter.into_counts())
}
