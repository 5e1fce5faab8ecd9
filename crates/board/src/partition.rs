//! What the board knows of one source partition, beside its videos.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::{Mutex, MutexGuard};
use pulselake_model::WindowCounters;

use crate::coverage::PartitionCoverage;
use crate::delta::PartitionTime;
use crate::minute::{Minute, minute_of, start_us};

/// One partition. Whoever changes its videos holds the gate meanwhile, so that a generation that takes over finds nothing
/// half done; the facts are locked for moments only.
#[derive(Debug, Default)]
pub(crate) struct Partition {
    gate: Mutex<Option<u64>>,
    facts: Mutex<Facts>,
    /// Videos with counts of it. Changed under the lock of the video's shard.
    videos: AtomicI64,
}

/// Held while the videos of a partition are changed.
pub(crate) type Gate<'a> = MutexGuard<'a, Option<u64>>;

impl Partition {
    /// The gate, whoever owns the partition.
    pub(crate) fn lock(&self) -> Gate<'_> {
        self.gate.lock()
    }

    /// The gate for the generation that owns the partition; `None` for any other.
    pub(crate) fn lock_for(&self, generation: u64) -> Option<Gate<'_>> {
        let gate = self.gate.lock();
        (*gate == Some(generation)).then_some(gate)
    }

    /// Locked for moments only, and never together with those of another partition.
    pub(crate) fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock()
    }

    /// A video of it came, or some went.
    pub(crate) fn count_videos(&self, change: i64) {
        self.videos.fetch_add(change, Ordering::Relaxed);
    }

    pub(crate) fn coverage(&self, partition: i32, minutes: usize) -> PartitionCoverage {
        let videos = usize::try_from(self.videos.load(Ordering::Relaxed)).unwrap_or(0);
        let facts = self.facts();
        let oldest_us = start_us(facts.oldest_kept(minutes));
        PartitionCoverage {
            partition,
            generation: facts.generation,
            covered_from_us: facts.covered_from_us.map(|from_us| from_us.max(oldest_us)),
            watermark_us: facts.time.watermark_us,
            closed_through_us: facts.time.closed_through_us,
            newest_event_us: facts.time.newest_event_us,
            newest_minute_us: facts.newest().map(start_us),
            is_replaying: facts.time.is_replaying,
            is_idle: facts.time.is_idle,
            videos,
        }
    }
}

/// See [`Partition`].
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) generation: u64,
    pub(crate) covered_from_us: Option<i64>,
    pub(crate) time: PartitionTime,
    /// Minutes before this one have been put out.
    kept_from: Option<Minute>,
    /// Sums over all videos.
    totals: BTreeMap<Minute, WindowCounters>,
}

impl Facts {
    pub(crate) fn new(generation: u64, covered_from_us: Option<i64>) -> Self {
        Self { generation, covered_from_us, ..Self::default() }
    }

    /// The minute in which stream time stands; without a stream time, the newest one with events.
    pub(crate) fn now(&self) -> Option<Minute> {
        match self.time.newest_event_us {
            Some(newest_us) => minute_of(newest_us),
            None => self.totals.last_key_value().map(|(minute, _)| *minute),
        }
    }

    /// The newest minute with events, none ahead of stream time.
    pub(crate) fn newest(&self) -> Option<Minute> {
        let now = self.now()?;
        self.totals.range(..=now).next_back().map(|(minute, _)| *minute)
    }

    /// The first minute that is kept, of `minutes` in all.
    pub(crate) fn oldest_kept(&self, minutes: usize) -> Minute {
        let span = Minute::try_from(minutes).unwrap_or(Minute::MAX) - 1;
        let by_time = self.now().map(|now| now.saturating_sub(span));
        by_time.max(self.kept_from).unwrap_or(Minute::MIN)
    }

    /// Minutes before `oldest` are gone.
    pub(crate) fn forget_before(&mut self, oldest: Minute) {
        self.kept_from = self.kept_from.max(Some(oldest));
        self.totals = self.totals.split_off(&oldest);
    }

    /// Adds to the sums over all videos.
    pub(crate) fn count(&mut self, minute: Minute, counters: &WindowCounters) {
        self.totals.entry(minute).or_default().merge(counters);
    }

    /// Sums over all videos by minute, oldest first.
    pub(crate) fn totals(&self) -> &BTreeMap<Minute, WindowCounters> {
        &self.totals
    }
}
