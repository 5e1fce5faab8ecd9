//! Reading one partition of the log, from any position.

use std::sync::Arc;

use pulselake_model::{EventType, RawBatch, RawRecord};

use crate::encode::Encoder;
use crate::planned::PlannedRecord;
use crate::spill::{BLOCK_MS, SpillBuffer};
use crate::world::{INDEX_BITS, MAX_BLOCK, MAX_RECORDS_PER_BLOCK, World};
use crate::{GeneratorConfig, GeneratorError, RecordKind};

/// One call looks at this many blocks at most, so that it returns soon even where a partition is empty.
const MAX_BLOCKS_PER_READ: usize = 600;
const INDEX_MASK: i64 = (1 << INDEX_BITS) - 1;
const LAST_OFFSET: i64 = MAX_BLOCK << INDEX_BITS;

/// Why a read ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadOutcome {
    /// A limit of the call was reached: there may be more to read at once.
    More,
    /// Every record up to the time asked for has been read.
    CaughtUp {
        /// No record exists before this record time (ms since the epoch) that hasn't been read.
        next_ms: i64,
    },
}

/// What a record says, without its bytes: for recounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// Its offset in the partition.
    pub offset: i64,
    /// Its record timestamp, ms since the epoch.
    pub record_time_ms: i64,
    /// The event's own timestamp, ms since the epoch.
    pub event_time_ms: i64,
    /// The number in `v_<number>`.
    pub video: u32,
    /// The number in `u_<number>`.
    pub user: u32,
    /// What happened.
    pub event_type: EventType,
    /// `watch_time_ms` of the body.
    pub watch_time_ms: u32,
    /// Event, retry or malformed; for the last the fields above say what its good parts are made of.
    pub kind: RecordKind,
    /// Whether its client's clock is more than a day slow (26 to 48 hours), so that an engine with the usual allowed
    /// lateness keeps it in bronze and out of gold. The good bytes of an event all the same.
    pub is_beyond_lateness: bool,
}

/// A reader of one partition. It has a position; reading on from it is cheap, and reading from anywhere else is
/// possible at the price of planning [`World::spill_blocks`] blocks.
pub struct PartitionLog {
    world: Arc<World>,
    partition: i32,
    encoder: Encoder,
    buffer: SpillBuffer<PlannedRecord>,
    /// Whether the buffer's first block is planned and in order.
    is_loaded: bool,
    block: i64,
    /// Index in the block of the next record.
    index: usize,
}

impl PartitionLog {
    /// Opens a partition at its first offset, in a world of its own. Use [`Self::in_world`] for several partitions.
    ///
    /// # Errors
    /// When the configuration is not possible or the partition doesn't exist.
    pub fn new(config: Arc<GeneratorConfig>, partition: i32) -> Result<Self, GeneratorError> {
        Self::in_world(World::new(config)?, partition)
    }

    /// Opens a partition at its first offset.
    ///
    /// # Errors
    /// [`GeneratorError::NoSuchPartition`].
    pub fn in_world(world: Arc<World>, partition: i32) -> Result<Self, GeneratorError> {
        let partitions = world.config().partitions;
        if !(0..partitions).contains(&partition) {
            return Err(GeneratorError::NoSuchPartition { partition, last: partitions - 1 });
        }
        Ok(Self {
            partition,
            encoder: Encoder::new(&world, partition),
            buffer: SpillBuffer::new(world.spill_blocks()),
            is_loaded: false,
            block: 0,
            index: 0,
            world,
        })
    }

    /// The partition that this reads.
    pub fn partition(&self) -> i32 {
        self.partition
    }

    /// The offset at which the next read continues.
    pub fn position(&self) -> i64 {
        // The index stays at or below the block's record count, so below 2^20 or, at the very end of a full block,
        // on the next block's first offset.
        (self.block << INDEX_BITS) + self.index as i64
    }

    /// Moves the position to any offset, also one in a gap. Costs nothing until the next read.
    ///
    /// # Errors
    /// [`GeneratorError::NoSuchOffset`] for a negative offset or one beyond the log's last block.
    pub fn seek(&mut self, offset: i64) -> Result<(), GeneratorError> {
        if !(0..=LAST_OFFSET).contains(&offset) {
            return Err(GeneratorError::NoSuchOffset { offset, last: LAST_OFFSET });
        }
        self.block = offset >> INDEX_BITS;
        self.index = (offset & INDEX_MASK) as usize;
        Ok(())
    }

    /// Where the log certainly ends at this time (ms since the epoch): the first offset of the block that is not
    /// complete then. Every offset before it is final. A live reader, which sees single records of the incomplete
    /// block, can be beyond it.
    pub fn end_offset_at(&self, now_ms: i64) -> i64 {
        self.world.first_incomplete_block(now_ms) << INDEX_BITS
    }

    /// Appends records to `batch`, from `batch.next_offset` on (anything but [`Self::position`] is a seek), as long as
    /// their record time is at or before `up_to_ms`, the batch has at most `max_records` records and its arena at most
    /// `max_bytes` bytes; one record is always allowed. `batch.next_offset` moves behind the last record, and beyond
    /// the end of blocks that are used up, with or without records: it says how far the log has been read.
    ///
    /// # Errors
    /// [`GeneratorError::NoSuchOffset`] when the batch stands where no log is; [`GeneratorError::BlockOverflow`] is a
    /// defect.
    pub fn read_into(
        &mut self,
        batch: &mut RawBatch,
        up_to_ms: i64,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<ReadOutcome, GeneratorError> {
        debug_assert_eq!(batch.partition, self.partition);
        if batch.next_offset != self.position() {
            self.seek(batch.next_offset)?;
        }
        for _ in 0..MAX_BLOCKS_PER_READ {
            let block_start_ms = self.world.block_start_ms(self.block);
            if block_start_ms > up_to_ms || self.block >= MAX_BLOCK {
                return Ok(ReadOutcome::CaughtUp { next_ms: block_start_ms });
            }
            self.load(self.block)?;
            while let Some(record) = self.buffer.first().get(self.index) {
                let record_time_ms = block_start_ms + i64::from(record.record_ms);
                if record_time_ms > up_to_ms {
                    return Ok(ReadOutcome::CaughtUp { next_ms: record_time_ms });
                }
                if batch.records.len() >= max_records.max(1) {
                    return Ok(ReadOutcome::More);
                }
                let start = batch.bytes.len();
                self.encoder.write(&self.world, record, record_time_ms, &mut batch.bytes);
                if batch.bytes.len() > max_bytes && !batch.records.is_empty() {
                    batch.bytes.truncate(start);
                    return Ok(ReadOutcome::More);
                }
                let offset = (self.block << INDEX_BITS) + self.index as i64;
                let len = batch.bytes.len() - start;
                batch.records.push(RawRecord { offset, timestamp_ms: Some(record_time_ms), start, len });
                self.index += 1;
                batch.next_offset = offset + 1;
            }
            let next_block_ms = block_start_ms + BLOCK_MS;
            if up_to_ms < next_block_ms - 1 {
                return Ok(ReadOutcome::CaughtUp { next_ms: next_block_ms });
            }
            self.block += 1;
            self.index = 0;
            batch.next_offset = self.block << INDEX_BITS;
        }
        Ok(ReadOutcome::More)
    }

    /// The records of a block, without their bytes. The position stays, though reading on from it may have to plan
    /// again when `block` is not its block.
    ///
    /// # Errors
    /// [`GeneratorError::NoSuchOffset`] for a block that the log doesn't have.
    pub fn records_of_block(
        &mut self,
        block: i64,
    ) -> Result<impl Iterator<Item = LogRecord>, GeneratorError> {
        if !(0..MAX_BLOCK).contains(&block) {
            let offset = block.saturating_mul(1 << INDEX_BITS);
            return Err(GeneratorError::NoSuchOffset { offset, last: LAST_OFFSET });
        }
        self.load(block)?;
        let block_start_ms = self.world.block_start_ms(block);
        let catalogue = &self.world.catalogue;
        Ok(self.buffer.first().iter().zip(block << INDEX_BITS..).map(move |(record, offset)| {
            let record_time_ms = block_start_ms + i64::from(record.record_ms);
            LogRecord {
                offset,
                record_time_ms,
                event_time_ms: record_time_ms - i64::from(record.lag_ms),
                video: catalogue.video(record.video).number,
                user: record.user,
                event_type: record.event_type,
                watch_time_ms: record.watch_time_ms,
                kind: record.kind,
                is_beyond_lateness: record.is_beyond_lateness(),
            }
        }))
    }

    /// Puts what begins in a block into the buffer.
    fn take_plan(&mut self, block: i64) {
        for due in self.world.plan(block).of_partition(self.partition) {
            self.buffer.place(due.due_ms, due.record);
        }
    }

    /// Makes `block` the buffer's first block, planned whole.
    fn load(&mut self, block: i64) -> Result<(), GeneratorError> {
        let loaded = self.buffer.first_block();
        if self.is_loaded && block == loaded {
            return Ok(());
        }
        let spill_blocks = self.world.spill_blocks();
        if self.is_loaded && block > loaded && block - loaded <= spill_blocks {
            for next in loaded + 1..=block {
                self.buffer.advance();
                self.take_plan(next);
            }
        } else {
            self.buffer.restart_at(block);
            for earlier in (block - spill_blocks).max(0)..=block {
                self.take_plan(earlier);
            }
        }
        self.buffer.settle_first();
        self.is_loaded = true;
        let records = self.buffer.first().len();
        if records > MAX_RECORDS_PER_BLOCK {
            let (partition, limit) = (self.partition, MAX_RECORDS_PER_BLOCK);
            return Err(GeneratorError::BlockOverflow { partition, block, records, limit });
        }
        Ok(())
    }
}
