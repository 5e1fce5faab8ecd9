//! What the handles of a board share: shards and partitions, and how counts come in and go.
//!
//! Locks are taken in this order: a partition's gate, a shard, a partition's facts. Two of a kind are never held together.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use dashmap::DashMap;
use hashbrown::DefaultHashBuilder;
use parking_lot::Mutex;
use pulselake_decision::{MINUTE_US, Metrics30m};
use pulselake_model::{EventType, WindowCounters};
use smallvec::SmallVec;

use crate::coverage::BoardStats;
use crate::minute::{Minute, first_of_rolling, minute_of, start_us};
use crate::partition::Partition;
use crate::scores::{shrunken_velocity, weighted_reactions};
use crate::settings::BoardSettings;
use crate::shard::{Counted, Parts, Shard};
use crate::video::BoardVideo;

/// Shards at most: with a million videos one holds some thousand, and its lock is held for less than a millisecond.
const MOST_SHARDS: usize = 256;
/// A smaller board has fewer shards, so that the quietest of a shard are about the quietest of all.
const VIDEOS_PER_SHARD: usize = 1_024;

/// See the module.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) settings: BoardSettings,
    pub(crate) hasher: DefaultHashBuilder,
    /// As many as a power of two.
    pub(crate) shards: Box<[Mutex<Shard>]>,
    pub(crate) partitions: DashMap<i32, Arc<Partition>>,
    /// Slots of all shards.
    videos: AtomicUsize,
    evicted: AtomicU64,
}

impl Inner {
    pub(crate) fn new(settings: BoardSettings) -> Self {
        let shards = (settings.max_videos / VIDEOS_PER_SHARD).clamp(1, MOST_SHARDS).next_power_of_two();
        Self {
            settings,
            hasher: DefaultHashBuilder::default(),
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            partitions: DashMap::new(),
            videos: AtomicUsize::new(0),
            evicted: AtomicU64::new(0),
        }
    }

    pub(crate) fn stats(&self) -> BoardStats {
        BoardStats {
            videos: self.videos.load(Ordering::Relaxed),
            memory_bytes: self.shards.iter().map(|shard| shard.lock().memory_bytes()).sum(),
            evicted: self.evicted.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn partition(&self, partition: i32) -> Option<Arc<Partition>> {
        self.partitions.get(&partition).map(|entry| entry.clone())
    }

    /// Collected, so that nothing is locked while they are looked at.
    pub(crate) fn all_partitions(&self) -> Vec<(i32, Arc<Partition>)> {
        self.partitions.iter().map(|entry| (*entry.key(), entry.value().clone())).collect()
    }

    /// The tables inside the shards go by the lowest and the highest bits, so this doesn't.
    fn shard_number(&self, hash: u64) -> usize {
        (hash >> 32) as usize & (self.shards.len() - 1)
    }

    pub(crate) fn shard(&self, hash: u64) -> &Mutex<Shard> {
        &self.shards[self.shard_number(hash)]
    }

    pub(crate) fn now(&self) -> Option<Minute> {
        self.all_partitions().iter().filter_map(|(_, entry)| entry.facts().newest()).max()
    }

    /// Sums over all videos and partitions of the minutes from `first` to `last`.
    pub(crate) fn totals(&self, first: Minute, last: Minute) -> BTreeMap<Minute, WindowCounters> {
        let mut sums: BTreeMap<Minute, WindowCounters> = BTreeMap::new();
        for (_, entry) in self.all_partitions() {
            for (minute, counters) in entry.facts().totals().range(first..=last) {
                sums.entry(*minute).or_default().merge(counters);
            }
        }
        sums
    }

    /// Weighted reactions per impression of all videos in the last 30 minutes.
    pub(crate) fn catalogue_rate(&self, now: Minute) -> f64 {
        let mut sums = WindowCounters::default();
        self.totals(first_of_rolling(now), now).values().for_each(|counters| sums.merge(counters));
        weighted_reactions(&sums) as f64 / sums.by_type[EventType::Impression as usize].max(1) as f64
    }

    /// The gate of the partition is held.
    pub(crate) fn add<'a>(
        &self,
        partition: i32,
        entry: &Partition,
        counts: impl IntoIterator<Item = (&'a str, i64, WindowCounters)>,
    ) {
        let oldest = entry.facts().oldest_kept(self.settings.minutes);
        let mut totals: SmallVec<[(Minute, WindowCounters); 4]> = SmallVec::new();
        let mut routed = Vec::new();
        for (id, minute_start_us, counters) in counts {
            let minute = minute_of(minute_start_us).filter(|minute| *minute >= oldest);
            let Some(minute) = minute.filter(|_| counters != WindowCounters::default()) else { continue };
            match totals.iter_mut().find(|(known, _)| *known == minute) {
                Some((_, sums)) => sums.merge(&counters),
                None => totals.push((minute, counters)),
            }
            let hash = self.hasher.hash_one(id);
            routed.push((self.shard_number(hash), hash, id, minute, counters));
        }
        // One lock a shard, not one a video.
        routed.sort_unstable_by_key(|(shard, ..)| *shard);
        for of_shard in routed.chunk_by(|(one, ..), (other, ..)| one == other) {
            let mut shard = self.shards[of_shard[0].0].lock();
            for (_, hash, id, minute, counters) in of_shard {
                let counted = Counted { partition, id, minute: *minute, counters, oldest };
                if shard.add(&self.hasher, *hash, &counted) {
                    entry.count_videos(1);
                    self.make_room(&mut shard);
                }
            }
        }
        let mut facts = entry.facts();
        totals.iter().for_each(|(minute, sums)| facts.count(*minute, sums));
    }

    /// A video has come into the shard: beyond the most that may be held, the shard's quietest go.
    fn make_room(&self, shard: &mut Shard) {
        if self.videos.fetch_add(1, Ordering::Relaxed) < self.settings.max_videos {
            return;
        }
        let gone = shard.evict_quietest(&self.hasher, |partition| self.count_gone(partition));
        self.videos.fetch_sub(gone, Ordering::Relaxed);
        self.evicted.fetch_add(gone as u64, Ordering::Relaxed);
    }

    /// Puts out the videos without an event since `oldest`, those of idle partitions too: their time stands still.
    pub(crate) fn put_out_quiet(&self, partition: i32, entry: &Partition, oldest: Minute) {
        entry.facts().forget_before(oldest);
        let now = entry.facts().now();
        let mut limits: SmallVec<[i32; 16]> = SmallVec::from_slice(&[partition]);
        for (number, other) in self.all_partitions().iter().filter(|(number, _)| *number != partition) {
            let mut facts = other.facts();
            // One whose time is ahead may still need what is older than this.
            if facts.time.is_idle && facts.now() < now {
                facts.forget_before(oldest);
                limits.push(*number);
            }
        }
        self.remove_where(|held, newest| newest < oldest && limits.contains(&held));
    }

    /// Removes slots by their partition and newest minute.
    pub(crate) fn remove_where(&self, is_gone: impl Fn(i32, Minute) -> bool) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            let mut gone = 0;
            shard.remove_where(
                &self.hasher,
                |slots, slot| is_gone(slots.partition[slot], slots.newest[slot]),
                |partition| {
                    gone += 1;
                    self.count_gone(partition);
                },
            );
            self.videos.fetch_sub(gone, Ordering::Relaxed);
        }
    }

    fn count_gone(&self, partition: i32) {
        if let Some(entry) = self.partition(partition) {
            entry.count_videos(-1);
        }
    }

    pub(crate) fn video(&self, video_id: &str, now: Minute, catalogue_rate: f64) -> Option<BoardVideo> {
        let hash = self.hasher.hash_one(video_id);
        let shard = self.shard(hash).lock();
        let parts: Parts = shard.parts(hash, video_id);
        let slots = shard.slots();
        let rolling = slots.rolling(&parts, now);
        if rolling.sums.events() == 0 {
            return None;
        }
        let metrics = Metrics30m::of(&rolling.sums);
        let reactions = weighted_reactions(&rolling.sums) as f64;
        Some(BoardVideo {
            video_id: video_id.to_owned(),
            sums: rolling.sums,
            metrics,
            surprise_z: rolling.surprise_z(),
            velocity_shrunk: shrunken_velocity(reactions, metrics.impressions as f64, catalogue_rate),
            first_minute_us: start_us(now) - rolling.oldest_age as i64 * MINUTE_US,
            newest_minute_us: start_us(slots.newest_of(&parts)),
            is_whole: slots.is_whole_at(&parts, now),
        })
    }
}
