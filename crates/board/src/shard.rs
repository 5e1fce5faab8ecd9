//! A part of the board's videos, by hash of their ids: all that one lock guards.
//!
//! Scores are brought up to date when somebody asks for them: for the videos that have changed since, or for all once a
//! minute has passed. Adding counts only notes which videos have changed.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};
use pulselake_model::WindowCounters;
use smallvec::SmallVec;

use crate::minute::Minute;
use crate::slots::{Flags, NewSlot, Slots};

/// The slots of one video: one, but for sources that spread a video over partitions.
pub(crate) type Parts = SmallVec<[u32; 4]>;

/// The part of a full shard that goes at once: so rarely that choosing whom costs little.
const EVICTED_PART: usize = 16;

/// Counts that come in.
pub(crate) struct Counted<'a> {
    pub(crate) partition: i32,
    pub(crate) id: &'a str,
    pub(crate) minute: Minute,
    pub(crate) counters: &'a WindowCounters,
    /// Minutes before this one are of no use any more.
    pub(crate) oldest: Minute,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Shard {
    index: HashTable<u32>,
    slots: Slots,
    /// Slots whose scores are behind their counts.
    dirty: Vec<u32>,
    /// The minute of the scores; `None`: every score has to be made anew.
    scored_at: Option<Minute>,
    /// The newest minute of all that was put out for want of room.
    evicted_through: Option<Minute>,
    /// What ids and counts allocate themselves.
    own_bytes: usize,
}

impl Shard {
    pub(crate) fn slots(&self) -> &Slots {
        &self.slots
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.slots.column_bytes() + self.own_bytes + self.index.allocation_size() + self.dirty.capacity() * 4
    }

    /// Adds counts; true when the video is new here.
    pub(crate) fn add(&mut self, hasher: &DefaultHashBuilder, hash: u64, counted: &Counted<'_>) -> bool {
        let slots = &self.slots;
        let found = self.index.find(hash, |&slot| {
            let slot = slot as usize;
            slots.partition[slot] == counted.partition && *slots.id[slot] == *counted.id
        });
        if let Some(&slot) = found {
            let place = slot as usize;
            let before = self.slots.own_bytes(place);
            self.slots.add(place, counted.minute, counted.counters, counted.oldest);
            self.own_bytes = self.own_bytes + self.slots.own_bytes(place) - before;
            self.note_dirty(slot);
            return false;
        }
        self.insert(hasher, hash, counted);
        true
    }

    fn insert(&mut self, hasher: &DefaultHashBuilder, hash: u64, counted: &Counted<'_>) {
        let others = self.parts(hash, counted.id);
        for &other in &others {
            self.slots.flags[other as usize].is_shared = true;
        }
        // A shard has 2³² slots at most: memory ends long before.
        let slot = self.slots.len() as u32;
        self.slots.push(&NewSlot {
            id: counted.id,
            partition: counted.partition,
            minute: counted.minute,
            counters: counted.counters,
            whole_from: self.evicted_through.map_or(Minute::MIN, |minute| minute.saturating_add(1)),
            is_shared: !others.is_empty(),
        });
        self.own_bytes += self.slots.own_bytes(slot as usize);
        let slots = &self.slots;
        self.index.insert_unique(hash, slot, |&held| hasher.hash_one(&*slots.id[held as usize]));
        self.note_dirty(slot);
    }

    fn note_dirty(&mut self, slot: u32) {
        let flags = &mut self.slots.flags[slot as usize];
        // Without a minute every score is made anew anyway.
        if self.scored_at.is_some() && !flags.is_dirty {
            flags.is_dirty = true;
            self.dirty.push(slot);
        }
    }

    /// The slots of a video, by rising number; none when it isn't here.
    pub(crate) fn parts(&self, hash: u64, id: &str) -> Parts {
        let held = self.index.iter_hash(hash).copied();
        let mut parts: Parts = held.filter(|&slot| *self.slots.id[slot as usize] == *id).collect();
        parts.sort_unstable();
        parts
    }

    /// The slots of the video of a slot.
    pub(crate) fn parts_of(&self, hasher: &DefaultHashBuilder, slot: usize) -> Parts {
        if self.slots.flags[slot].is_shared {
            let id = &*self.slots.id[slot];
            self.parts(hasher.hash_one(id), id)
        } else {
            Parts::from_slice(&[slot as u32])
        }
    }

    /// Removes the slots that `is_gone` says; gives their number for each partition to `removed`.
    pub(crate) fn remove_where(
        &mut self,
        hasher: &DefaultHashBuilder,
        is_gone: impl Fn(&Slots, usize) -> bool,
        mut removed: impl FnMut(i32),
    ) {
        let before = self.slots.len();
        // From the end, so that what moves into a gap has been looked at.
        for slot in (0..before).rev() {
            if is_gone(&self.slots, slot) {
                removed(self.slots.partition[slot]);
                self.remove(hasher, slot);
            }
        }
        if self.slots.len() < before {
            self.slots.shrink();
            let slots = &self.slots;
            if self.index.capacity() / 4 > slots.len() {
                self.index.shrink_to_fit(|&held| hasher.hash_one(&*slots.id[held as usize]));
            }
        }
    }

    fn remove(&mut self, hasher: &DefaultHashBuilder, slot: usize) {
        let last = self.slots.len() - 1;
        self.own_bytes -= self.slots.own_bytes(slot);
        let hash_of = |slots: &Slots, place: usize| hasher.hash_one(&*slots.id[place]);
        if let Ok(entry) = self.index.find_entry(hash_of(&self.slots, slot), |&held| held as usize == slot) {
            entry.remove();
        }
        if slot != last
            && let Some(held) = self.index.find_mut(hash_of(&self.slots, last), |&held| held as usize == last)
        {
            *held = slot as u32;
        }
        self.slots.swap_remove(slot);
        // Slots have moved: what was noted about them is of no use.
        self.scored_at = None;
        self.dirty.clear();
    }

    /// Makes room: the videos go that have been without an event for the longest, among equals those with the fewest.
    pub(crate) fn evict_quietest(&mut self, hasher: &DefaultHashBuilder, removed: impl FnMut(i32)) -> usize {
        let count = (self.slots.len() / EVICTED_PART).max(1).min(self.slots.len());
        let loudness = |slot: u32| {
            let events: i64 = self.slots.minutes(slot as usize).map(|(_, counters)| counters.events()).sum();
            (self.slots.newest[slot as usize], events, slot)
        };
        let mut quietest: Vec<_> = (0..self.slots.len() as u32).map(loudness).collect();
        if count < quietest.len() {
            quietest.select_nth_unstable(count);
            quietest.truncate(count);
        }
        let newest_gone = quietest.iter().map(|(newest, ..)| *newest).max();
        self.evicted_through = self.evicted_through.max(newest_gone);
        let mut is_gone = vec![false; self.slots.len()];
        for (_, _, slot) in quietest {
            is_gone[slot as usize] = true;
        }
        // Each slot is looked at once, before anything moves to its place.
        self.remove_where(hasher, |_, slot| is_gone[slot], removed);
        count
    }

    /// Brings every score to minute `now`.
    pub(crate) fn refresh(&mut self, hasher: &DefaultHashBuilder, now: Minute) {
        if self.scored_at == Some(now) {
            let mut dirty = std::mem::take(&mut self.dirty);
            for slot in dirty.drain(..) {
                self.rescore(hasher, slot as usize, now);
            }
            self.dirty = dirty;
            return;
        }
        self.dirty.clear();
        for slot in 0..self.slots.len() {
            self.rescore(hasher, slot, now);
        }
        self.scored_at = Some(now);
    }

    /// Of a video in several partitions its first slot is ranked for all of them.
    fn rescore(&mut self, hasher: &DefaultHashBuilder, slot: usize, now: Minute) {
        let parts = self.parts_of(hasher, slot);
        let score = self.slots.score_at(&parts, now);
        for (index, &part) in parts.iter().enumerate() {
            let flags = &mut self.slots.flags[part as usize];
            *flags = Flags { is_ranked: index == 0 && score.is_some(), is_dirty: false, ..*flags };
        }
        self.slots.score[parts[0] as usize] = score.unwrap_or_default();
    }
}
