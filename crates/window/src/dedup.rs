//! The event ids seen within the dedup horizon.
//!
//! Promise: after any sequence of sightings the set holds the most recently sighted ids that are still inside the
//! horizon, at most `max_ids` of them. That is a function of the last horizon of records alone, so a restart that
//! reads those again has the same set, the cap included. Ids are compared by all of their 128 bits.
//!
//! Memory: 28 to 30 bytes per id where few ids come twice, 40 at most, and some 20 KiB. It follows the number of
//! ids both ways, in steps of two fifths at most.

mod index;
mod ring;

use std::fmt;

use index::PlaceIndex;
use ring::SightingRing;

/// Superseded sightings that may be kept beside one for two live ids, before the ring is rebuilt without them.
const SUPERSEDED_ALLOWANCE: usize = ring::CHUNK_SIGHTINGS;

/// Sequence numbers are 32 bits wide: the ring must stay well below that.
const MAX_IDS: usize = 1 << 30;

/// A set of ids with the stream time of each one's last sighting; least recently sighted ids leave first.
///
/// `ring` holds sightings in their order; `newest` maps an id to the number of its newest sighting. Where an id is
/// sighted again, its earlier sighting is marked as superseded and does nothing when it leaves.
#[derive(Clone)]
pub(crate) struct DedupSet {
    horizon_us: i64,
    max_ids: usize,
    ring: SightingRing,
    newest: PlaceIndex,
    cap_evictions: u64,
}

/// What decides: each id with its last sighting, oldest first. Superseded sightings and numbers do not.
impl fmt::Debug for DedupSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let newest = self.ring.iter().filter(|sighting| !sighting.superseded);
        let times = newest.map(|sighting| (sighting.id, sighting.stream_time_us));
        formatter.debug_list().entries(times).entry(&self.cap_evictions).finish()
    }
}

impl DedupSet {
    /// An empty set. With a horizon of 0 it stays empty.
    pub(crate) fn new(horizon_us: i64, max_ids: usize) -> Self {
        Self {
            horizon_us,
            max_ids: max_ids.min(MAX_IDS),
            ring: SightingRing::default(),
            newest: PlaceIndex::default(),
            cap_evictions: 0,
        }
    }

    /// Notes a sighting of `id` at stream time `now_us` (which never falls) and says whether the id was known.
    pub(crate) fn sight(&mut self, id: u128, now_us: i64) -> bool {
        if self.horizon_us == 0 {
            return false;
        }
        self.evict_expired(now_us);
        let number = self.ring.next_number();
        let ring = &self.ring;
        let known = match self.newest.find(id, |other| ring.id_at(other) == id) {
            Some(newest) => {
                let superseded = std::mem::replace(newest, number);
                self.ring.supersede(superseded);
                true
            }
            None => {
                if self.newest.is_full() {
                    self.resize_index();
                }
                self.newest.insert(id, number);
                false
            }
        };
        self.ring.push(id, now_us);
        while self.newest.len() > self.max_ids {
            self.cap_evictions += u64::from(self.evict_oldest());
        }
        if self.ring.superseded() > self.newest.len() / 2 + SUPERSEDED_ALLOWANCE {
            self.drop_superseded();
        }
        known
    }

    /// Brings the parts of memory that the next sightings will touch into the cache, all at once.
    ///
    /// Changes nothing. A set of a million ids is larger than the near caches; one sighting after another waits for
    /// memory twice (its own id, and the one that expires), while these reads do not depend on one another.
    pub(crate) fn warm(&self, ids: &[u128]) {
        if self.horizon_us == 0 {
            return;
        }
        let mut read = 0;
        for id in ids {
            read ^= self.newest.touch(*id);
        }
        for id in self.ring.oldest_ids(ids.len()) {
            read ^= self.newest.touch(*id);
        }
        std::hint::black_box(read);
    }

    /// Ids in the set.
    pub(crate) fn len(&self) -> usize {
        self.newest.len()
    }

    /// Ids that left because of the cap while still inside the horizon.
    pub(crate) fn cap_evictions(&self) -> u64 {
        self.cap_evictions
    }

    fn evict_expired(&mut self, now_us: i64) {
        while let Some(oldest_us) = self.ring.oldest_us() {
            if now_us.saturating_sub(oldest_us) < self.horizon_us {
                break;
            }
            self.evict_oldest();
        }
    }

    /// Removes the oldest sighting; true when its id left the set with it.
    fn evict_oldest(&mut self) -> bool {
        let Some(oldest) = self.ring.pop() else { return false };
        if oldest.superseded {
            return false;
        }
        self.newest.remove(oldest.id, oldest.number);
        if self.newest.is_sparse() {
            self.resize_index();
        }
        true
    }

    /// Builds the index anew, with a size that fits. The old one goes first: both at once would be a peak of memory.
    fn resize_index(&mut self) {
        let len = self.newest.len();
        self.newest = PlaceIndex::default();
        self.newest = PlaceIndex::for_len(len);
        for sighting in self.ring.iter().filter(|sighting| !sighting.superseded) {
            self.newest.insert(sighting.id, sighting.number);
        }
    }

    /// Rebuilds the ring without superseded sightings: an id that is repeated without end must not fill memory.
    fn drop_superseded(&mut self) {
        let renewed = SightingRing::starting_at(self.ring.next_number());
        let mut old = std::mem::replace(&mut self.ring, renewed);
        self.newest.clear();
        while let Some(sighting) = old.pop() {
            if !sighting.superseded {
                self.newest.insert(sighting.id, self.ring.next_number());
                self.ring.push(sighting.id, sighting.stream_time_us);
            }
        }
    }

    /// Bytes allocated.
    #[cfg(test)]
    fn allocated_bytes(&self) -> usize {
        self.ring.allocated_bytes() + self.newest.allocated_bytes()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same rule without any structure: walk back to the id's last sighting.
    fn naive(history: &[(u128, i64)], id: u128, now_us: i64, horizon_us: i64, max_ids: usize) -> bool {
        let Some(last) = history.iter().rposition(|(other, _)| *other == id) else { return false };
        let mut since: Vec<u128> = history[last + 1..].iter().map(|(other, _)| *other).collect();
        since.sort_unstable();
        since.dedup();
        now_us - history[last].1 < horizon_us && since.len() < max_ids
    }

    #[test]
    fn an_id_is_known_until_exactly_the_horizon() {
        let mut set = DedupSet::new(100, 10);
        assert!(!set.sight(7, 0));
        assert!(set.sight(7, 99));
        assert!(!set.sight(7, 199));
    }

    #[test]
    fn each_sighting_refreshes() {
        let mut set = DedupSet::new(100, 10);
        assert!(!set.sight(7, 0));
        for now in [60, 120, 180, 240] {
            assert!(set.sight(7, now));
        }
        assert_eq!(set.len(), 1);
    }

    #[test]
    fn every_part_of_the_key_counts() {
        let mut set = DedupSet::new(100, 10);
        assert!(!set.sight(7, 0));
        assert!(!set.sight(7 | 1 << 64, 0));
        assert!(!set.sight(7 | 1 << 40, 0));
        assert!(!set.sight(7 | 1 << 20, 0));
        assert!(set.sight(7 | 1 << 64, 0));
    }

    #[test]
    fn the_cap_evicts_the_least_recently_sighted_and_counts_it() {
        let mut set = DedupSet::new(100, 2);
        set.sight(1, 0);
        set.sight(2, 0);
        set.sight(1, 0);
        set.sight(3, 0);
        assert_eq!((set.len(), set.cap_evictions()), (2, 1));
        assert!(set.sight(1, 0));
        assert!(set.sight(3, 0));
        assert!(!set.sight(2, 0));
    }

    #[test]
    fn what_expires_is_not_counted_as_evicted_by_the_cap() {
        let mut set = DedupSet::new(100, 2);
        for id in 0..50 {
            set.sight(id, id as i64 * 50);
        }
        assert_eq!(set.cap_evictions(), 0);
    }

    #[test]
    fn a_horizon_of_zero_remembers_nothing() {
        let mut set = DedupSet::new(0, 10);
        assert!(!set.sight(7, 0));
        assert!(!set.sight(7, 0));
        assert_eq!(set.len(), 0);
    }

    #[test]
    fn one_id_repeated_without_end_does_not_fill_memory() {
        let mut set = DedupSet::new(100, 10);
        set.sight(1, 0);
        set.sight(2, 0);
        for _ in 0..100_000 {
            assert!(set.sight(1, 0));
        }
        assert!(set.ring.superseded() <= 1 + SUPERSEDED_ALLOWANCE, "{} kept", set.ring.superseded());
        assert!(set.allocated_bytes() < FIXED_BYTES, "{} bytes", set.allocated_bytes());
        assert!(set.sight(2, 0));
    }

    /// What a set may take beside its ids: chunks that are not full, and one to spare.
    const FIXED_BYTES: usize = 20 * 1_024;

    /// An id as a record brings it.
    fn hashed(number: u64) -> u128 {
        let mix = |value: u64| (value ^ value >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        u128::from(mix(mix(number))) << 64 | u128::from(mix(mix(!number)))
    }

    fn bytes_per_id(set: &DedupSet) -> f64 {
        set.allocated_bytes().saturating_sub(FIXED_BYTES) as f64 / set.len().max(1) as f64
    }

    #[test]
    fn an_id_takes_30_bytes_while_the_set_grows_and_for_good() {
        let mut set = DedupSet::new(100_000, usize::MAX);
        for number in 0..1_000_000_u64 {
            // One in a hundred is a retry.
            let id = if number % 100 == 99 { number - 50 } else { number };
            set.sight(hashed(id), number as i64);
            assert!(bytes_per_id(&set) <= 30.0, "{} bytes for each of {}", bytes_per_id(&set), set.len());
        }
        assert_eq!(set.len(), 99_000);
    }

    #[test]
    fn ids_that_are_sighted_again_and_again_take_40_bytes() {
        // Each of so many ids comes again for ever, in an order that leaves the oldest sightings where they are.
        for live in [1_u64, 100, 3_000, 50_000] {
            let mut set = DedupSet::new(i64::MAX, usize::MAX);
            for number in 0..4 * live + 2_000 {
                let id = if number < live { number } else { (number * number) % live };
                assert_eq!(set.sight(hashed(id), number as i64), number >= live);
                assert!(bytes_per_id(&set) <= 40.0, "{} bytes for each of {}", bytes_per_id(&set), set.len());
            }
        }
    }

    #[test]
    fn memory_is_given_back_when_fewer_ids_come() {
        let mut set = DedupSet::new(1_000, usize::MAX);
        let (mut number, mut now_us) = (0, 0);
        for ids_a_tick in [100_u64, 1, 30] {
            for _ in 0..2_000 {
                now_us += 1;
                for _ in 0..ids_a_tick {
                    set.sight(hashed(number), now_us);
                    number += 1;
                }
                assert!(bytes_per_id(&set) <= 34.0, "{} for each of {}", bytes_per_id(&set), set.len());
            }
            assert_eq!(set.len() as u64, ids_a_tick * 1_000);
        }
    }

    #[test]
    fn sequence_numbers_wrap_around() {
        let mut set = DedupSet::new(100, 1_000);
        set.ring = SightingRing::starting_at(u32::MAX - 5);
        for id in 0..5_000_u128 {
            assert!(!set.sight(id, id as i64));
            assert!(set.sight(id, id as i64));
            assert!(set.sight(id.saturating_sub(50), id as i64));
        }
        assert!(set.ring.next_number() < u32::MAX - 5);
    }

    proptest! {
        #[test]
        fn agrees_with_a_walk_through_the_history(
            sightings in prop::collection::vec((0_u128..12, 0_i64..40), 0..400),
            horizon_us in 1_i64..200,
            max_ids in 0_usize..14,
        ) {
            let mut set = DedupSet::new(horizon_us, max_ids);
            let mut history = Vec::new();
            let mut now_us = 0;
            for (id, advance) in sightings {
                // Half of the steps stand still.
                now_us += (advance - 20).max(0);
                let expected = naive(&history, id, now_us, horizon_us, max_ids);
                prop_assert_eq!(set.sight(id, now_us), expected);
                prop_assert!(set.len() <= max_ids);
                history.push((id, now_us));
            }
        }
    }
}
