//! What a compaction may use, and what it uses.
//!
//! Memory is counted where it is taken: pages that were read, rows waiting to be sorted, batches being merged, row
//! groups being written. Each part has a share of the budget and stays below it by itself.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pulselake_commit::CommitLimits;
use pulselake_read::ScanOptions;

/// Bounds of a compaction.
#[derive(Clone, Debug)]
pub struct Budget {
    /// Memory, bytes; at least 32 MiB are used as if they were given.
    pub memory_bytes: u64,
    /// Where sorted rows that don't fit in memory wait: a local directory.
    pub spill_directory: PathBuf,
    /// The janitor's safety age: a group that took more than half of it is not committed.
    pub safety_age: Duration,
    /// Times that a run plans anew after a conflict before it gives up.
    pub max_conflicts: u32,
    /// Bounds of each commit.
    pub commit: CommitLimits,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            memory_bytes: 256 << 20,
            spill_directory: std::env::temp_dir(),
            safety_age: Duration::from_secs(24 * 3_600),
            max_conflicts: 5,
            commit: CommitLimits::default(),
        }
    }
}

const LEAST_MEMORY_BYTES: u64 = 32 << 20;

impl Budget {
    fn part(&self, divisor: u64) -> usize {
        (self.memory_bytes.max(LEAST_MEMORY_BYTES) / divisor) as usize
    }

    /// How input files are read.
    pub(crate) fn scan(&self) -> ScanOptions {
        ScanOptions {
            batch_rows: 8_192,
            batch_bytes: self.part(32).min(8 << 20),
            window_bytes: self.part(16),
        }
    }

    /// Rows waiting to be sorted, with their keys, beside so many bytes of deletes; `None` where those leave no room.
    pub(crate) fn sort_bytes(&self, deletes: usize) -> Option<usize> {
        let left = self.part(2).checked_sub(deletes)?;
        (left >= self.part(16)).then_some(left)
    }

    /// The row group being written: it is ended early when it needs more.
    pub(crate) fn row_group_bytes(&self) -> usize {
        self.part(8)
    }

    /// One batch of a sorted run.
    pub(crate) fn run_batch_bytes(&self) -> usize {
        self.part(256).min(1 << 20)
    }

    /// Sorted runs merged at once: each has a batch and its keys in memory, and the rows that go out.
    pub(crate) fn fan_in(&self) -> usize {
        (self.part(4) / (3 * self.run_batch_bytes())).max(2)
    }
}

/// Counts memory that is reserved now, and the most it ever was; clones share one count.
#[derive(Clone, Debug, Default)]
pub struct MemoryMeter {
    shared: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    now: AtomicU64,
    peak: AtomicU64,
}

impl MemoryMeter {
    /// Bytes reserved now.
    pub fn reserved_bytes(&self) -> u64 {
        self.shared.now.load(Ordering::Relaxed)
    }

    /// The most bytes that were ever reserved at once.
    pub fn peak_bytes(&self) -> u64 {
        self.shared.peak.load(Ordering::Relaxed)
    }

    /// A part of the work that says what it holds.
    pub(crate) fn slot(&self) -> MemorySlot {
        MemorySlot { meter: self.clone(), held: 0 }
    }
}

/// What one part of the work holds; nothing any more once it is dropped.
#[derive(Debug)]
pub(crate) struct MemorySlot {
    meter: MemoryMeter,
    held: u64,
}

impl MemorySlot {
    /// Now it holds so many bytes.
    pub(crate) fn set(&mut self, bytes: usize) {
        let counts = &self.meter.shared;
        let bytes = bytes as u64;
        if bytes >= self.held {
            let more = bytes - self.held;
            let now = counts.now.fetch_add(more, Ordering::Relaxed) + more;
            counts.peak.fetch_max(now, Ordering::Relaxed);
        } else {
            counts.now.fetch_sub(self.held - bytes, Ordering::Relaxed);
        }
        self.held = bytes;
    }
}

impl MemorySlot {
    /// An empty slot of the same meter.
    pub(crate) fn another(&self) -> Self {
        self.meter.slot()
    }
}

impl Drop for MemorySlot {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_add_up_and_are_given_back() {
        let meter = MemoryMeter::default();
        let (mut first, mut second) = (meter.slot(), meter.slot());
        first.set(10);
        second.set(5);
        first.set(3);
        assert_eq!((meter.reserved_bytes(), meter.peak_bytes()), (8, 15));
        drop((first, second));
        assert_eq!((meter.reserved_bytes(), meter.peak_bytes()), (0, 15));
    }

    #[test]
    fn the_shares_of_each_phase_fit_in_the_budget() {
        for memory_bytes in [32 << 20, 64 << 20, 256 << 20, 4_u64 << 30] {
            let budget = Budget { memory_bytes, ..Budget::default() };
            let scan = budget.scan().window_bytes + 3 * budget.scan().batch_bytes;
            let sorting = scan + budget.sort_bytes(0).unwrap() + 3 * budget.run_batch_bytes();
            let merging = 3 * budget.run_batch_bytes() * budget.fan_in() + budget.row_group_bytes();
            let copying = scan + 2 * budget.row_group_bytes();
            assert!(sorting.max(merging).max(copying) as u64 <= memory_bytes, "{memory_bytes}");
        }
    }

    #[test]
    fn deletes_take_from_what_can_be_sorted() {
        let budget = Budget { memory_bytes: 64 << 20, ..Budget::default() };
        assert_eq!(budget.sort_bytes(1 << 20), Some(31 << 20));
        assert_eq!(budget.sort_bytes(30 << 20), None);
    }
}
