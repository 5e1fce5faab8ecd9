//! The rolling buffer of planned records: one bucket for each block that planned funnels can still reach.
//!
//! Reading forward plans each block once. A jump empties the buckets and plans the blocks before it again.

use std::collections::VecDeque;

pub(crate) const BLOCK_MS: i64 = 1_000;

/// What waits in a [`SpillBuffer`]: it knows when in its block it is due.
pub(crate) trait Spilled: Copy {
    /// The same record, due at this time (ms since the log's start).
    fn due_at(self, record_time_ms: i64) -> Self;

    /// Rises with the time at which it is due, within a block.
    fn order_in_block(&self) -> i64;
}

/// Buckets of consecutive blocks, the first of them the block being read.
pub(crate) struct SpillBuffer<Record> {
    first_block: i64,
    buckets: VecDeque<Vec<Record>>,
}

impl<Record: Spilled> SpillBuffer<Record> {
    /// A buffer for funnels that reach at most `spill_blocks` blocks beyond the one that they begin in.
    pub(crate) fn new(spill_blocks: i64) -> Self {
        let buckets = (0..=spill_blocks).map(|_| Vec::new()).collect();
        Self { first_block: 0, buckets }
    }

    pub(crate) fn first_block(&self) -> i64 {
        self.first_block
    }

    /// Empties the buffer and begins at another block.
    pub(crate) fn restart_at(&mut self, block: i64) {
        self.first_block = block;
        self.buckets.iter_mut().for_each(Vec::clear);
    }

    /// Drops the first block's records and moves on by one block.
    pub(crate) fn advance(&mut self) {
        // The emptied bucket becomes the last: its memory is used again.
        self.buckets.rotate_left(1);
        if let Some(last) = self.buckets.back_mut() {
            last.clear();
        }
        self.first_block += 1;
    }

    /// Puts a record into the bucket of its record time, given in ms since the log's start. Records of blocks before
    /// the first are not needed any more and dropped.
    pub(crate) fn place(&mut self, record_time_ms: i64, record: Record) {
        let ahead = record_time_ms / BLOCK_MS - self.first_block;
        if ahead < 0 {
            return;
        }
        debug_assert!(
            (ahead as usize) < self.buckets.len(),
            "a record spills {ahead} blocks: beyond the limit"
        );
        if let Some(bucket) = self.buckets.get_mut(ahead as usize) {
            bucket.push(record.due_at(record_time_ms));
        }
    }

    /// Puts the first block's records into their final order. All funnels that reach it must have been planned.
    pub(crate) fn settle_first(&mut self) {
        // Stable: equal times stay in the order of planning, which is the same after any seek.
        if let Some(first) = self.buckets.front_mut() {
            first.sort_by_key(Spilled::order_in_block);
        }
    }

    /// The first block's records.
    pub(crate) fn first(&self) -> &[Record] {
        self.buckets.front().map_or(&[], Vec::as_slice)
    }
}
