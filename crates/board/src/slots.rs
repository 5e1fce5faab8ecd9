//! The videos of one shard in columns, so that a scan over all scores reads little memory.
//!
//! A slot is one video of one partition. Slots are dense: the last one takes the place of a removed one.

use pulselake_model::{EventType, WindowCounters};

use crate::minute::{Minute, ROLLING_MINUTES, first_of_rolling};
use crate::packed::Packed;
use crate::scores::{surprise_z, weighted_reactions};

/// What a slot is, beside its counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    /// It has events in the 30 minutes that were scored, and its scores are those of the whole video.
    pub(crate) is_ranked: bool,
    /// Other partitions may hold counts of the same video.
    pub(crate) is_shared: bool,
    /// It has counts that its scores don't know.
    pub(crate) is_dirty: bool,
}

/// What a video's counts of 30 minutes come to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Score {
    pub(crate) impressions: u32,
    /// likes + 5·shares.
    pub(crate) reactions: u32,
    pub(crate) surprise_z: f64,
}

/// See the module. Every column has one element a slot.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    pub(crate) id: Vec<Box<str>>,
    pub(crate) partition: Vec<i32>,
    /// The newest minute of `packed`.
    pub(crate) newest: Vec<Minute>,
    /// From this minute on nothing of it was put out for want of room.
    pub(crate) whole_from: Vec<Minute>,
    pub(crate) packed: Vec<Packed>,
    pub(crate) score: Vec<Score>,
    pub(crate) flags: Vec<Flags>,
}

/// A slot as it comes in.
pub(crate) struct NewSlot<'a> {
    pub(crate) id: &'a str,
    pub(crate) partition: i32,
    pub(crate) minute: Minute,
    pub(crate) counters: &'a WindowCounters,
    pub(crate) whole_from: Minute,
    pub(crate) is_shared: bool,
}

/// Sums of 30 minutes of one video, over some of its slots.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rolling {
    pub(crate) sums: WindowCounters,
    /// Starts of playback by age in minutes; 0 is the last of the 30.
    pub(crate) plays: [i64; ROLLING_MINUTES],
    /// Age of the first of the 30 minutes that has an event.
    pub(crate) oldest_age: usize,
    /// Whether the last of them has one.
    pub(crate) has_last_minute: bool,
}

impl Rolling {
    /// See [`surprise_z`]. The video's past is that of the 30 minutes: what lies before them is forgotten, here as well as
    /// behind a restart.
    pub(crate) fn surprise_z(&self) -> f64 {
        surprise_z(self.plays.into_iter().enumerate(), self.oldest_age)
    }
}

impl Slots {
    pub(crate) fn len(&self) -> usize {
        self.id.len()
    }

    /// Bytes of all columns as they are allocated, without what ids and counts allocate themselves.
    pub(crate) fn column_bytes(&self) -> usize {
        fn bytes<T>(column: &Vec<T>) -> usize {
            column.capacity() * std::mem::size_of::<T>()
        }
        bytes(&self.id)
            + bytes(&self.partition)
            + bytes(&self.newest)
            + bytes(&self.whole_from)
            + bytes(&self.packed)
            + bytes(&self.score)
            + bytes(&self.flags)
    }

    /// What a slot's id and counts allocate themselves.
    pub(crate) fn own_bytes(&self, slot: usize) -> usize {
        self.id[slot].len() + self.packed[slot].heap_bytes()
    }

    pub(crate) fn push(&mut self, new: &NewSlot<'_>) {
        if self.id.len() == self.id.capacity() {
            self.grow();
        }
        self.id.push(new.id.into());
        self.partition.push(new.partition);
        self.newest.push(new.minute);
        self.whole_from.push(new.whole_from);
        self.packed.push(Packed::of(new.counters));
        self.score.push(Score::default());
        self.flags.push(Flags { is_shared: new.is_shared, ..Flags::default() });
    }

    /// By an eighth, where a vector by itself would double: with a million videos that is a lot of empty room.
    fn grow(&mut self) {
        let more = (self.len() / 8).max(16);
        self.id.reserve_exact(more);
        self.partition.reserve_exact(more);
        self.newest.reserve_exact(more);
        self.whole_from.reserve_exact(more);
        self.packed.reserve_exact(more);
        self.score.reserve_exact(more);
        self.flags.reserve_exact(more);
    }

    /// Removes a slot; the last one, if it is another, moves to its place.
    pub(crate) fn swap_remove(&mut self, slot: usize) {
        self.id.swap_remove(slot);
        self.partition.swap_remove(slot);
        self.newest.swap_remove(slot);
        self.whole_from.swap_remove(slot);
        self.packed.swap_remove(slot);
        self.score.swap_remove(slot);
        self.flags.swap_remove(slot);
    }

    /// Gives room back that has been empty since many videos left.
    pub(crate) fn shrink(&mut self) {
        if self.id.capacity() / 2 <= self.len() {
            return;
        }
        self.id.shrink_to_fit();
        self.partition.shrink_to_fit();
        self.newest.shrink_to_fit();
        self.whole_from.shrink_to_fit();
        self.packed.shrink_to_fit();
        self.score.shrink_to_fit();
        self.flags.shrink_to_fit();
    }

    pub(crate) fn add(&mut self, slot: usize, minute: Minute, counters: &WindowCounters, oldest: Minute) {
        self.packed[slot].add(&mut self.newest[slot], minute, counters, oldest);
    }

    /// A slot's minutes, newest first.
    pub(crate) fn minutes(&self, slot: usize) -> impl Iterator<Item = (Minute, WindowCounters)> + '_ {
        self.packed[slot].minutes(self.newest[slot])
    }

    /// Sums of the 30 minutes up to and with `last`, over the slots of one video.
    pub(crate) fn rolling(&self, slots: &[u32], last: Minute) -> Rolling {
        let first = first_of_rolling(last);
        let mut rolling = Rolling::default();
        for &slot in slots {
            for (minute, counters) in self.minutes(slot as usize) {
                if minute < first {
                    break;
                }
                if minute <= last {
                    let age = last.abs_diff(minute) as usize;
                    rolling.sums.merge(&counters);
                    rolling.plays[age] += counters.by_type[EventType::PlayStart as usize];
                    rolling.oldest_age = rolling.oldest_age.max(age);
                    rolling.has_last_minute |= age == 0;
                }
            }
        }
        rolling
    }

    /// The score of a video at minute `now`; `None` where it has no event in its 30 minutes.
    pub(crate) fn score_at(&self, slots: &[u32], now: Minute) -> Option<Score> {
        let rolling = self.rolling(slots, now);
        if rolling.sums.events() == 0 {
            return None;
        }
        let small = |count: i64| u32::try_from(count.max(0)).unwrap_or(u32::MAX);
        Some(Score {
            impressions: small(rolling.sums.by_type[EventType::Impression as usize]),
            reactions: small(weighted_reactions(&rolling.sums)),
            surprise_z: rolling.surprise_z(),
        })
    }

    /// The newest minute in which a video has an event.
    pub(crate) fn newest_of(&self, slots: &[u32]) -> Minute {
        slots.iter().map(|&slot| self.newest[slot as usize]).max().unwrap_or(Minute::MIN)
    }

    /// Whether nothing of a video's 30 minutes up to `last` was put out for want of room.
    pub(crate) fn is_whole_at(&self, slots: &[u32], last: Minute) -> bool {
        slots.iter().all(|&slot| self.whole_from[slot as usize] <= first_of_rolling(last))
    }
}
