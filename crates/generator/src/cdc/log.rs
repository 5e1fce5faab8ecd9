//! Reading one partition of an entity's changes, from any position.

use std::sync::Arc;

use pulselake_model::{RawBatch, RawRecord};

use super::encode::ChangeEncoder;
use super::plan::{CdcRecordKind, PlannedChange, plan_block, plan_initial};
use super::world::{CdcWorld, MAX_LIVE_BLOCK};
use crate::spill::{BLOCK_MS, SpillBuffer};
use crate::world::{INDEX_BITS, MAX_RECORDS_PER_BLOCK};
use crate::{GeneratorError, ReadOutcome};

/// One call looks at this many blocks at most, so that it returns soon even where nothing changes.
const MAX_BLOCKS_PER_READ: usize = 600;
const INDEX_MASK: i64 = (1 << INDEX_BITS) - 1;

/// What a record of a log of changes says, without its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CdcRecord {
    /// Its offset in the partition.
    pub offset: i64,
    /// Its record timestamp, ms since the epoch.
    pub record_time_ms: i64,
    /// Number of its key, from 1: [`CdcWorld::key_text`] is its text.
    pub key: u64,
    /// Which version of the row it has ([`CdcWorld::row`]), from 0; a snapshot's is the one that it found.
    pub version: u64,
    /// `source.lsn`: rises with the true order of the versions.
    pub position: i64,
    /// `source.ts_ms`, ms since the epoch.
    pub source_ts_ms: i64,
    /// What it is. Of a malformed record, the fields above say what its good parts are made of.
    pub kind: CdcRecordKind,
}

/// A reader of one partition. It has a position; reading on from it is cheap, and reading from anywhere else is possible
/// at the price of planning about two minutes of changes.
pub struct CdcPartitionLog {
    world: Arc<CdcWorld>,
    partition: i32,
    encoder: ChangeEncoder,
    /// The records of `loaded` when it holds initial creates.
    initial: Vec<PlannedChange>,
    /// Where the records of later blocks wait; numbered from the start.
    buffer: SpillBuffer<PlannedChange>,
    /// Whether the buffer's first block is planned and in order.
    is_buffer_planned: bool,
    /// The block whose records can be read.
    loaded: Option<i64>,
    block: i64,
    /// Index in the block of the next record.
    index: usize,
}

impl CdcPartitionLog {
    /// Opens a partition at its first offset.
    ///
    /// # Errors
    /// [`GeneratorError::NoSuchPartition`].
    pub fn in_world(world: Arc<CdcWorld>, partition: i32) -> Result<Self, GeneratorError> {
        let partitions = world.config().partitions;
        if !(0..partitions).contains(&partition) {
            return Err(GeneratorError::NoSuchPartition { partition, last: partitions - 1 });
        }
        Ok(Self {
            partition,
            encoder: ChangeEncoder::new(world.config().entity),
            initial: Vec::new(),
            buffer: SpillBuffer::new(world.delivery.spill_blocks()),
            is_buffer_planned: false,
            loaded: None,
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
        (self.block << INDEX_BITS) + self.index as i64
    }

    /// Moves the position to any offset, also one in a gap. Costs nothing until the next read.
    ///
    /// # Errors
    /// [`GeneratorError::NoSuchOffset`] for a negative offset or one beyond the log's last block.
    pub fn seek(&mut self, offset: i64) -> Result<(), GeneratorError> {
        let last = self.end_block() << INDEX_BITS;
        if !(0..=last).contains(&offset) {
            return Err(GeneratorError::NoSuchOffset { offset, last });
        }
        self.block = offset >> INDEX_BITS;
        self.index = (offset & INDEX_MASK) as usize;
        Ok(())
    }

    /// Appends records to `batch`, from `batch.next_offset` on, as long as their record time is at or before `up_to_ms`
    /// (the initial creates come whatever it is), the batch has at most `max_records` records and its arena at most
    /// `max_bytes` bytes; one record is always allowed. `batch.next_offset` says how far the log has been read. The value
    /// of a tombstone is empty.
    ///
    /// # Errors
    /// [`GeneratorError::NoSuchOffset`] when the batch stands where no log is; [`GeneratorError::BlockOverflow`] when a
    /// second has more records than offsets.
    pub fn read_into(
        &mut self,
        batch: &mut RawBatch,
        up_to_ms: i64,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<ReadOutcome, GeneratorError> {
        self.read_with(batch, up_to_ms, max_records, max_bytes, |_| {})
    }

    /// [`Self::read_into`] that also says what each appended record is: what a producer needs beside the value.
    ///
    /// # Errors
    /// As [`Self::read_into`].
    pub fn read_with(
        &mut self,
        batch: &mut RawBatch,
        up_to_ms: i64,
        max_records: usize,
        max_bytes: usize,
        mut on_record: impl FnMut(CdcRecord),
    ) -> Result<ReadOutcome, GeneratorError> {
        debug_assert_eq!(batch.partition, self.partition);
        if batch.next_offset != self.position() {
            self.seek(batch.next_offset)?;
        }
        for _ in 0..MAX_BLOCKS_PER_READ {
            let block_start_ms = self.block_start_ms(self.block);
            if block_start_ms > up_to_ms || self.block >= self.end_block() {
                return Ok(ReadOutcome::CaughtUp { next_ms: block_start_ms });
            }
            self.load(self.block)?;
            let is_initial = self.block < self.world.initial_blocks();
            let start_ms = self.world.config().start_ms;
            while let Some(change) = self.loaded_changes().get(self.index).copied() {
                let record_time_ms = start_ms + change.record_time_ms;
                if record_time_ms > up_to_ms && !is_initial {
                    return Ok(ReadOutcome::CaughtUp { next_ms: record_time_ms });
                }
                if batch.records.len() >= max_records.max(1) {
                    return Ok(ReadOutcome::More);
                }
                let start = batch.bytes.len();
                self.encoder.write(&self.world, &change, &mut batch.bytes);
                if batch.bytes.len() > max_bytes && !batch.records.is_empty() {
                    batch.bytes.truncate(start);
                    return Ok(ReadOutcome::More);
                }
                let offset = self.position();
                let len = batch.bytes.len() - start;
                batch.records.push(RawRecord { offset, timestamp_ms: Some(record_time_ms), start, len });
                on_record(self.describe(offset, &change));
                self.index += 1;
                batch.next_offset = offset + 1;
            }
            let next_block_ms = self.block_start_ms(self.block + 1);
            if !is_initial && up_to_ms < next_block_ms - 1 {
                return Ok(ReadOutcome::CaughtUp { next_ms: next_block_ms });
            }
            self.block += 1;
            self.index = 0;
            batch.next_offset = self.block << INDEX_BITS;
        }
        Ok(ReadOutcome::More)
    }

    /// The records of a block, without their bytes; the position stays.
    ///
    /// # Errors
    /// [`GeneratorError::NoSuchOffset`] for a block that the log doesn't have.
    pub fn records_of_block(
        &mut self,
        block: i64,
    ) -> Result<impl Iterator<Item = CdcRecord>, GeneratorError> {
        if !(0..self.end_block()).contains(&block) {
            let offset = block.saturating_mul(1 << INDEX_BITS);
            return Err(GeneratorError::NoSuchOffset { offset, last: self.end_block() << INDEX_BITS });
        }
        self.load(block)?;
        let changes = self.loaded_changes().iter().zip(block << INDEX_BITS..);
        Ok(changes.map(|(change, offset)| self.describe(offset, change)))
    }

    fn describe(&self, offset: i64, change: &PlannedChange) -> CdcRecord {
        CdcRecord {
            offset,
            record_time_ms: self.world.config().start_ms + change.record_time_ms,
            key: change.key,
            version: change.version,
            position: self.world.position(change.moment, change.key),
            source_ts_ms: self.world.source_ts_ms(change.moment, change.key),
            kind: change.kind,
        }
    }

    /// The first block that the log doesn't have.
    fn end_block(&self) -> i64 {
        self.world.initial_blocks() + MAX_LIVE_BLOCK
    }

    /// When a block begins; that of the initial creates always has.
    fn block_start_ms(&self, block: i64) -> i64 {
        let live_block = block - self.world.initial_blocks();
        if live_block < 0 { i64::MIN } else { self.world.config().start_ms + live_block * BLOCK_MS }
    }

    fn loaded_changes(&self) -> &[PlannedChange] {
        match self.loaded {
            Some(block) if block < self.world.initial_blocks() => &self.initial,
            Some(_) => self.buffer.first(),
            None => &[],
        }
    }

    /// Plans the records of `block`.
    fn load(&mut self, block: i64) -> Result<(), GeneratorError> {
        if self.loaded == Some(block) {
            return Ok(());
        }
        self.loaded = Some(block);
        let live_block = block - self.world.initial_blocks();
        if live_block < 0 {
            plan_initial(&self.world, self.partition, block, &mut self.initial);
            return Ok(());
        }
        self.initial.clear();
        let planned = self.buffer.first_block();
        let spill_blocks = self.world.delivery.spill_blocks();
        if self.is_buffer_planned && (planned..=planned + spill_blocks).contains(&live_block) {
            for next in planned + 1..=live_block {
                self.buffer.advance();
                plan_block(&self.world, self.partition, next, &mut self.buffer);
            }
        } else {
            self.buffer.restart_at(live_block);
            for earlier in (live_block - spill_blocks).max(0)..=live_block {
                plan_block(&self.world, self.partition, earlier, &mut self.buffer);
            }
            self.is_buffer_planned = true;
        }
        self.buffer.settle_first();
        let records = self.buffer.first().len();
        if records > MAX_RECORDS_PER_BLOCK {
            let (partition, limit) = (self.partition, MAX_RECORDS_PER_BLOCK);
            return Err(GeneratorError::BlockOverflow { partition, block, records, limit });
        }
        Ok(())
    }
}
