//! One video's counts by minute, packed: three bytes for a minute with a single impression.
//!
//! Newest minute first, so that the one that grows lies in front. A record is a byte that says which of the seven
//! numbers are not 0, and those numbers, seven bits a byte (LEB128). Between two records stands the distance of their
//! minutes. The newest minute itself is the owner's to keep.

use pulselake_model::{EventType, WindowCounters};
use smallvec::SmallVec;

use crate::minute::Minute;

/// Bytes that need no allocation: about five quiet minutes.
const INLINE_BYTES: usize = 16;
/// Room for a record in the making: a mask, seven numbers and a distance, ten bytes each, and some to spare.
const RECORD_BYTES: usize = 96;
/// Place of the watch time among the numbers.
const WATCH_TIME: usize = EventType::COUNT;

type Scratch = SmallVec<[u8; RECORD_BYTES]>;

/// See the module. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packed {
    bytes: SmallVec<[u8; INLINE_BYTES]>,
}

impl Packed {
    /// The counts of one minute, which is the newest.
    pub(crate) fn of(counters: &WindowCounters) -> Self {
        let mut record = Scratch::new();
        write_record(&mut record, counters);
        Self { bytes: SmallVec::from_slice(&record) }
    }

    /// Adds counts of `minute` and forgets the minutes before `oldest`. `newest` is the newest minute held, and is moved.
    pub(crate) fn add(
        &mut self,
        newest: &mut Minute,
        minute: Minute,
        counters: &WindowCounters,
        oldest: Minute,
    ) {
        if minute == *newest {
            self.grow_newest(counters);
        } else if minute > *newest {
            self.prepend(minute.abs_diff(*newest), counters);
            *newest = minute;
            self.forget_before(minute, oldest);
        } else {
            self.insert(*newest, minute, counters);
        }
    }

    /// Minutes with their counts, newest first.
    pub(crate) fn minutes(&self, newest: Minute) -> Minutes<'_> {
        Minutes { left: &self.bytes, minute: newest, is_first: true }
    }

    /// Bytes allocated beside the struct itself.
    pub(crate) fn heap_bytes(&self) -> usize {
        if self.bytes.spilled() { self.bytes.capacity() } else { 0 }
    }

    fn grow_newest(&mut self, counters: &WindowCounters) {
        let mut left = &self.bytes[..];
        let mut sums = read_record(&mut left);
        let old_length = self.bytes.len() - left.len();
        sums.merge(counters);
        let mut record = Scratch::new();
        write_record(&mut record, &sums);
        // Numbers only grow, but for counts that somebody takes back.
        if record.len() > old_length {
            self.bytes.insert_from_slice(old_length, &[0; RECORD_BYTES][..record.len() - old_length]);
        } else if record.len() < old_length {
            self.bytes.drain(record.len()..old_length);
        }
        self.bytes[..record.len()].copy_from_slice(&record);
    }

    fn prepend(&mut self, distance: u32, counters: &WindowCounters) {
        let mut record = Scratch::new();
        write_record(&mut record, counters);
        write_number(&mut record, u64::from(distance));
        self.bytes.insert_from_slice(0, &record);
    }

    /// A minute before the newest: a late event. Rare, so everything is written anew.
    fn insert(&mut self, newest: Minute, minute: Minute, counters: &WindowCounters) {
        let mut all: Vec<(Minute, WindowCounters)> = self.minutes(newest).collect();
        match all.binary_search_by(|(held, _)| minute.cmp(held)) {
            Ok(place) => all[place].1.merge(counters),
            Err(place) => all.insert(place, (minute, *counters)),
        }
        self.bytes.clear();
        let mut record = Scratch::new();
        let mut last = newest;
        for (held, sums) in &all {
            record.clear();
            if *held != newest {
                write_number(&mut record, u64::from(last.abs_diff(*held)));
            }
            write_record(&mut record, sums);
            self.bytes.extend_from_slice(&record);
            last = *held;
        }
    }

    fn forget_before(&mut self, newest: Minute, oldest: Minute) {
        let mut minutes = self.minutes(newest);
        let mut kept_bytes = 0;
        while let Some((minute, _)) = minutes.next() {
            if minute < oldest {
                break;
            }
            kept_bytes = self.bytes.len() - minutes.left.len();
        }
        self.bytes.truncate(kept_bytes);
        if self.bytes.spilled() && self.bytes.len() < self.bytes.capacity() / 4 {
            self.bytes.shrink_to_fit();
        }
    }
}

/// See [`Packed::minutes`].
pub(crate) struct Minutes<'a> {
    left: &'a [u8],
    minute: Minute,
    is_first: bool,
}

impl Iterator for Minutes<'_> {
    type Item = (Minute, WindowCounters);

    fn next(&mut self) -> Option<Self::Item> {
        if self.left.is_empty() {
            return None;
        }
        if !self.is_first {
            self.minute = self.minute.wrapping_sub(read_number(&mut self.left) as Minute);
        }
        self.is_first = false;
        Some((self.minute, read_record(&mut self.left)))
    }
}

fn write_record(to: &mut Scratch, counters: &WindowCounters) {
    let mask_at = to.len();
    to.push(0);
    let mut mask = 0_u8;
    for (place, number) in counters.by_type.iter().chain([&counters.watch_time_sum_ms]).enumerate() {
        if *number != 0 {
            mask |= 1 << place;
            write_number(to, *number as u64);
        }
    }
    to[mask_at] = mask;
}

fn read_record(from: &mut &[u8]) -> WindowCounters {
    let mut counters = WindowCounters::default();
    let Some((&first, rest)) = from.split_first() else { return counters };
    *from = rest;
    let mut mask = first;
    while mask != 0 {
        let place = mask.trailing_zeros() as usize;
        mask &= mask - 1;
        let number = read_number(from) as i64;
        if place == WATCH_TIME {
            counters.watch_time_sum_ms = number;
        } else {
            counters.by_type[place] = number;
        }
    }
    counters
}

fn write_number(to: &mut Scratch, number: u64) {
    let mut left = number;
    while left >= 0x80 {
        to.push(left as u8 | 0x80);
        left >>= 7;
    }
    to.push(left as u8);
}

fn read_number(from: &mut &[u8]) -> u64 {
    let (mut number, mut shift) = (0_u64, 0);
    while let Some((&byte, rest)) = from.split_first() {
        *from = rest;
        number |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 || shift > 63 {
            break;
        }
    }
    number
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn impressions(count: i64) -> WindowCounters {
        let mut counters = WindowCounters::default();
        counters.by_type[EventType::Impression as usize] = count;
        counters
    }

    fn listed(packed: &Packed, newest: Minute) -> Vec<(Minute, WindowCounters)> {
        packed.minutes(newest).collect()
    }

    #[test]
    fn a_quiet_minute_takes_three_bytes() {
        let mut packed = Packed::of(&impressions(1));
        let mut newest = 0;
        for minute in 1..5 {
            packed.add(&mut newest, minute, &impressions(1), 0);
        }
        assert_eq!((packed.bytes.len(), packed.heap_bytes()), (5 * 3 - 1, 0));
        assert_eq!(std::mem::size_of::<Packed>(), 24);
    }

    #[test]
    fn a_number_that_needs_more_bytes_moves_what_lies_behind() {
        let mut packed = Packed::of(&impressions(5));
        let mut newest = 7;
        packed.add(&mut newest, 9, &impressions(127), 0);
        packed.add(&mut newest, 9, &impressions(1), 0);
        assert_eq!(listed(&packed, newest), [(9, impressions(128)), (7, impressions(5))]);
        packed.add(&mut newest, 9, &impressions(-128), 0);
        assert_eq!(listed(&packed, newest), [(9, impressions(0)), (7, impressions(5))]);
    }

    #[test]
    fn the_largest_numbers_come_back() {
        let large =
            WindowCounters { by_type: [i64::MAX, i64::MIN, -1, 0, 1, 1 << 40], watch_time_sum_ms: i64::MAX };
        assert_eq!(listed(&Packed::of(&large), Minute::MAX), [(Minute::MAX, large)]);
    }

    #[test]
    fn old_minutes_leave_when_a_new_one_comes_and_give_their_memory_back() {
        let mut packed = Packed::of(&impressions(1));
        let mut newest = 0;
        for minute in 1..=200 {
            packed.add(&mut newest, minute, &impressions(1_000), minute - 100);
        }
        assert_eq!(listed(&packed, newest).len(), 101);
        let full_bytes = packed.heap_bytes();
        packed.add(&mut newest, 299, &impressions(1), 199);
        assert_eq!(
            listed(&packed, newest),
            [(299, impressions(1)), (200, impressions(1_000)), (199, impressions(1_000))]
        );
        assert!(packed.heap_bytes() < full_bytes / 4);
    }

    fn counters() -> impl Strategy<Value = WindowCounters> {
        let number = prop_oneof![Just(0_i64), 1_i64..5, 100_i64..300, 1_i64..i64::MAX / 1_000];
        (prop::array::uniform6(number.clone()), number)
            .prop_map(|(by_type, watch_time_sum_ms)| WindowCounters { by_type, watch_time_sum_ms })
    }

    proptest! {
        #[test]
        fn it_holds_what_a_map_holds(
            first in counters(),
            added in proptest::collection::vec((-40_i32..40, counters()), 0..60),
        ) {
            let mut packed = Packed::of(&first);
            let mut newest = 0;
            let mut map = BTreeMap::from([(0, first)]);
            for (minute, counts) in added {
                let oldest = newest.max(minute) - 34;
                if minute < oldest {
                    continue;
                }
                packed.add(&mut newest, minute, &counts, oldest);
                map.entry(minute).or_default().merge(&counts);
                map = map.split_off(&oldest);
            }
            let expected: Vec<_> = map.into_iter().rev().collect();
            prop_assert_eq!(listed(&packed, newest), expected);
        }
    }
}
