//! The board as its users see it.

use std::hash::BuildHasher;
use std::sync::Arc;

use pulselake_decision::VideoMinutes;
use pulselake_model::WindowCounters;

use crate::coverage::{BoardStats, Coverage};
use crate::delta::{PartitionTime, VideoDelta};
use crate::inner::Inner;
use crate::minute::{Minute, minute_of, start_us};
use crate::partition::Facts;
use crate::settings::BoardSettings;
use crate::top::{Best, Candidates, TopQuery, sort_best_first};
use crate::video::{BoardVideo, RollingVisit};

/// Shared by the aggregators, which feed it, and whoever asks. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LiveBoard {
    inner: Arc<Inner>,
}

impl Default for LiveBoard {
    fn default() -> Self {
        Self::new(BoardSettings::default())
    }
}

impl LiveBoard {
    /// An empty board.
    pub fn new(settings: BoardSettings) -> Self {
        Self { inner: Arc::new(Inner::new(settings)) }
    }

    /// Its bounds.
    pub fn settings(&self) -> BoardSettings {
        self.inner.settings
    }

    /// Whether it holds anything at all (`max_videos` is not 0).
    pub fn is_enabled(&self) -> bool {
        self.inner.settings.max_videos > 0
    }

    /// A generation takes a partition over: what was put there before is gone, and only this generation is heard from now
    /// on. `covered_from_us`: from which minute on the board will have everything with what the generation adds by itself;
    /// `None` where nothing is known.
    pub fn begin(&self, partition: i32, generation: u64, covered_from_us: Option<i64>) {
        if !self.is_enabled() {
            return;
        }
        let entry = self.inner.partitions.entry(partition).or_default().clone();
        let mut gate = entry.lock();
        *gate = Some(generation);
        self.inner.remove_where(|held, _| held == partition);
        *entry.facts() = Facts::new(generation, covered_from_us);
    }

    /// The generation has put the older rows there too: the board has everything from `covered_from_us` on.
    pub fn cover(&self, partition: i32, generation: u64, covered_from_us: i64) {
        let Some(entry) = self.inner.partition(partition) else { return };
        if let Some(_gate) = entry.lock_for(generation) {
            entry.facts().covered_from_us = Some(covered_from_us);
        }
    }

    /// Whether this generation owns the partition: what it adds is heard.
    pub fn is_current(&self, partition: i32, generation: u64) -> bool {
        self.inner.partition(partition).is_some_and(|entry| entry.lock_for(generation).is_some())
    }

    /// Adds counts: events as they are counted, before their window closes, and committed rows at a refill. Those of any
    /// generation but the one that began last are ignored, and so are minutes that are not kept any more.
    pub fn add(&self, partition: i32, generation: u64, deltas: &[VideoDelta]) {
        let counts = deltas.iter().map(|delta| (&*delta.video_id, delta.minute_start_us, delta.counters));
        self.add_counts(partition, generation, counts);
    }

    /// The same from borrowed ids: id, start of the minute (µs), counts.
    pub fn add_counts<'a>(
        &self,
        partition: i32,
        generation: u64,
        counts: impl IntoIterator<Item = (&'a str, i64, WindowCounters)>,
    ) {
        let Some(entry) = self.inner.partition(partition) else { return };
        let Some(_gate) = entry.lock_for(generation) else { return };
        self.inner.add(partition, &entry, counts);
    }

    /// Where the partition's event time stands. Also puts out what has gone quiet, once a minute.
    pub fn advance(&self, partition: i32, generation: u64, time: PartitionTime) {
        let Some(entry) = self.inner.partition(partition) else { return };
        let Some(_gate) = entry.lock_for(generation) else { return };
        let mut facts = entry.facts();
        let minute = |told: PartitionTime| told.newest_event_us.and_then(minute_of);
        let has_moved = minute(facts.time) != minute(time);
        facts.time = time;
        let oldest = facts.oldest_kept(self.inner.settings.minutes);
        drop(facts);
        if has_moved {
            self.inner.put_out_quiet(partition, &entry, oldest);
        }
    }

    /// The partition is not this process's any more.
    pub fn remove(&self, partition: i32) {
        let Some((_, entry)) = self.inner.partitions.remove(&partition) else { return };
        // Whoever waits for the gate with this entry in hand is not heard any more.
        let mut gate = entry.lock();
        *gate = None;
        self.inner.remove_where(|held, _| held == partition);
    }

    /// What is held, from when on it is whole, and how much it is.
    pub fn coverage(&self) -> Coverage {
        let minutes = self.inner.settings.minutes;
        let all = self.inner.all_partitions();
        let mut partitions: Vec<_> =
            all.iter().map(|(number, entry)| entry.coverage(*number, minutes)).collect();
        partitions.sort_unstable_by_key(|coverage| coverage.partition);
        let now_minute_us = partitions.iter().filter_map(|coverage| coverage.newest_minute_us).max();
        Coverage { partitions, now_minute_us, stats: self.stats() }
    }

    /// How much is held.
    pub fn stats(&self) -> BoardStats {
        self.inner.stats()
    }

    /// The board's minute (start, µs): the newest with events over all partitions, none ahead of stream time.
    pub fn now_minute_us(&self) -> Option<i64> {
        self.inner.now().map(start_us)
    }

    /// A video's last 30 minutes; `None` where it has no event in them.
    pub fn video(&self, video_id: &str) -> Option<BoardVideo> {
        let now = self.inner.now()?;
        self.inner.video(video_id, now, self.inner.catalogue_rate(now))
    }

    /// A video's counts by minute, over all partitions, as far back as they are kept; empty where it is unknown.
    pub fn minutes_of(&self, video_id: &str) -> VideoMinutes {
        let mut minutes = VideoMinutes::new();
        let mut held = Vec::new();
        let hash = self.inner.hasher.hash_one(video_id);
        let shard = self.inner.shard(hash).lock();
        for slot in shard.parts(hash, video_id) {
            let slot = slot as usize;
            held.push((shard.slots().partition[slot], shard.slots().minutes(slot).collect::<Vec<_>>()));
        }
        drop(shard);
        for (partition, of_partition) in held {
            let Some(entry) = self.inner.partition(partition) else { continue };
            let oldest = entry.facts().oldest_kept(self.inner.settings.minutes);
            for (minute, counters) in of_partition.into_iter().filter(|(minute, _)| *minute >= oldest) {
                minutes.entry(start_us(minute)).or_default().merge(&counters);
            }
        }
        minutes
    }

    /// The best videos of the last 30 minutes, best first, ties by id.
    ///
    /// Cheap while a minute lasts; the first call after a new minute makes every score anew. No lock is held for longer than
    /// one shard's share of it.
    pub fn top(&self, query: &TopQuery<'_>) -> Vec<BoardVideo> {
        let Some(now) = self.inner.now().filter(|_| query.limit > 0) else { return Vec::new() };
        let catalogue_rate = self.inner.catalogue_rate(now);
        let mut best = Best::new(query, catalogue_rate);
        let mut candidates = Candidates::default();
        for shard in &self.inner.shards {
            candidates.clear();
            let mut locked = shard.lock();
            locked.refresh(&self.inner.hasher, now);
            best.look_at(locked.slots(), &mut candidates);
            drop(locked);
            best.take(&candidates, query.keep);
        }
        let mut videos: Vec<BoardVideo> =
            best.into_ids().filter_map(|id| self.inner.video(&id, now, catalogue_rate)).collect();
        // Counts may have come in since: what is shown is what is sorted.
        sort_best_first(&mut videos, query.order);
        videos
    }

    /// Every video of `partition` with an event in the minute that starts at `minute_us`, with the sums of the 30 minutes up
    /// to it; later minutes are left out. Sums are over all partitions: a video that is spread over several is visited for
    /// each of them that has an event of it in that minute.
    ///
    /// Left out are videos that may have been put out meanwhile for want of room: their sums could be too small. Called
    /// without any lock held.
    pub fn rolling_at(
        &self,
        partition: i32,
        minute_us: i64,
        visit: &mut dyn FnMut(&str, &WindowCounters),
    ) -> RollingVisit {
        let mut outcome = RollingVisit::default();
        let Some(last) = minute_of(minute_us) else { return outcome };
        let mut copied = Copied::default();
        for shard in &self.inner.shards {
            copied.clear();
            let locked = shard.lock();
            let slots = locked.slots();
            for slot in 0..slots.len() {
                if slots.partition[slot] != partition || slots.newest[slot] < last {
                    continue;
                }
                let of_partition = slots.rolling(&[slot as u32], last);
                if !of_partition.has_last_minute {
                    continue;
                }
                let parts = locked.parts_of(&self.inner.hasher, slot);
                if !slots.is_whole_at(&parts, last) {
                    outcome.left_out += 1;
                    continue;
                }
                let sums =
                    if parts.len() == 1 { of_partition.sums } else { slots.rolling(&parts, last).sums };
                copied.push(&slots.id[slot], sums);
            }
            drop(locked);
            outcome.visited += copied.visit(visit);
        }
        outcome
    }

    /// Sums over all videos by minute (start, µs), oldest first, up to the board's minute. Eviction does not change them.
    pub fn totals_by_minute(&self) -> Vec<(i64, WindowCounters)> {
        let Some(now) = self.inner.now() else { return Vec::new() };
        let minutes = Minute::try_from(self.inner.settings.minutes).unwrap_or(Minute::MAX);
        let oldest = now.saturating_sub(minutes - 1);
        self.inner.totals(oldest, now).into_iter().map(|(minute, sums)| (start_us(minute), sums)).collect()
    }

    /// How many parts [`Self::visit_minutes`] can be asked for.
    pub fn parts(&self) -> usize {
        self.inner.shards.len()
    }

    /// Everything that one of the [`Self::parts`] holds, in no order: partition, video, start of the minute (µs), counts.
    /// Called without any lock held.
    pub fn visit_minutes(&self, part: usize, visit: &mut dyn FnMut(i32, &str, i64, &WindowCounters)) {
        let Some(shard) = self.inner.shards.get(part) else { return };
        let locked = shard.lock();
        let slots = locked.slots();
        let copied: Vec<_> = (0..slots.len())
            .map(|slot| {
                (slots.partition[slot], slots.id[slot].clone(), slots.minutes(slot).collect::<Vec<_>>())
            })
            .collect();
        drop(locked);
        for (partition, id, minutes) in copied {
            for (minute, counters) in minutes {
                visit(partition, &id, start_us(minute), &counters);
            }
        }
    }

    /// Every video with an event in the last 30 minutes, with its sums, in no order. Called without any lock held.
    pub fn visit_all(&self, visit: &mut dyn FnMut(&str, &WindowCounters)) {
        let Some(now) = self.inner.now() else { return };
        let mut copied = Copied::default();
        for shard in &self.inner.shards {
            copied.clear();
            let mut locked = shard.lock();
            locked.refresh(&self.inner.hasher, now);
            let slots = locked.slots();
            for slot in (0..slots.len()).filter(|&slot| slots.flags[slot].is_ranked) {
                let parts = locked.parts_of(&self.inner.hasher, slot);
                copied.push(&slots.id[slot], slots.rolling(&parts, now).sums);
            }
            drop(locked);
            copied.visit(visit);
        }
    }
}

/// Ids with sums, the texts in one piece: what leaves a lock.
#[derive(Default)]
struct Copied {
    ids: String,
    /// Where the id ends, and its sums.
    sums: Vec<(usize, WindowCounters)>,
}

impl Copied {
    fn clear(&mut self) {
        self.ids.clear();
        self.sums.clear();
    }

    fn push(&mut self, id: &str, sums: WindowCounters) {
        self.ids.push_str(id);
        self.sums.push((self.ids.len(), sums));
    }

    fn visit(&self, visit: &mut dyn FnMut(&str, &WindowCounters)) -> usize {
        let mut start = 0;
        for (end, sums) in &self.sums {
            visit(&self.ids[start..*end], sums);
            start = *end;
        }
        self.sums.len()
    }
}
