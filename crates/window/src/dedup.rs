//! The event ids seen within the dedup horizon.
//!
//! Promise: after any sequence of sightings the set holds the most recently sighted ids that are still inside the
//! horizon, at most `max_ids` of them. That is a function of the last horizon of records alone, so a restart that
//! reads those again has the same set, the cap included.

use std::collections::VecDeque;
use std::fmt;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// Sightings that may be superseded before the ring is rebuilt, beside one per live id.
const STALE_ALLOWANCE: usize = 1_024;

/// Sequence numbers are 32 bits wide: the ring must stay well below that.
const MAX_IDS: usize = 1 << 30;

/// One sighting of an id. Halves of the key, because a `u128` would pad the entry from 24 to 32 bytes.
#[derive(Clone, Copy)]
struct Sighting {
    id_high: u64,
    id_low: u64,
    stream_time_us: i64,
}

impl Sighting {
    fn fingerprint(&self) -> u32 {
        self.id_low as u32
    }

    fn is_of(&self, id: u128) -> bool {
        self.id_low == id as u64 && self.id_high == (id >> 64) as u64
    }
}

/// Where an id's newest sighting is: 32 bits of the key beside it, so that neither a chance neighbour nor a rehash
/// has to look into the ring, which is far away in memory.
#[derive(Clone, Copy)]
struct Place {
    number: u32,
    fingerprint: u32,
}

/// The 64 bits that the table wants, of which it uses some low ones and the seven highest.
fn table_hash(fingerprint: u32) -> u64 {
    u64::from(fingerprint) << 32 | u64::from(fingerprint)
}

/// A set of ids with the stream time of each one's last sighting; least recently sighted ids leave first.
///
/// `ring` holds sightings in their order; `newest` maps an id to the sequence number of its newest sighting. A
/// sighting whose number is not in `newest` has been superseded.
#[derive(Clone)]
pub(crate) struct DedupSet {
    horizon_us: i64,
    max_ids: usize,
    ring: VecDeque<Sighting>,
    /// Sequence number of the ring's front; numbers wrap around.
    front: u32,
    newest: HashTable<Place>,
    cap_evictions: u64,
}

/// What decides: each id with its last sighting, oldest first. Superseded sightings and numbers do not.
impl fmt::Debug for DedupSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbered = self.ring.iter().zip(0_u32..);
        let newest = numbered.filter_map(|(sighting, index)| {
            let number = self.front.wrapping_add(index);
            let place = self.newest.find(table_hash(sighting.fingerprint()), |other| other.number == number);
            place.map(|_| (sighting.id_high, sighting.id_low, sighting.stream_time_us))
        });
        formatter.debug_list().entries(newest).entry(&self.cap_evictions).finish()
    }
}

impl DedupSet {
    /// An empty set. With a horizon of 0 it stays empty.
    pub(crate) fn new(horizon_us: i64, max_ids: usize) -> Self {
        Self {
            horizon_us,
            max_ids: max_ids.min(MAX_IDS),
            ring: VecDeque::new(),
            front: 0,
            newest: HashTable::new(),
            cap_evictions: 0,
        }
    }

    /// Notes a sighting of `id` at stream time `now_us` (which never falls) and says whether the id was known.
    pub(crate) fn sight(&mut self, id: u128, now_us: i64) -> bool {
        if self.horizon_us == 0 {
            return false;
        }
        self.evict_expired(now_us);
        let number = self.front.wrapping_add(self.ring.len() as u32);
        let fingerprint = id as u32;
        let (ring, front) = (&self.ring, self.front);
        let entry = self.newest.entry(
            table_hash(fingerprint),
            |other| {
                other.fingerprint == fingerprint && ring[other.number.wrapping_sub(front) as usize].is_of(id)
            },
            |other| table_hash(other.fingerprint),
        );
        let known = match entry {
            Entry::Occupied(mut newest) => {
                newest.get_mut().number = number;
                true
            }
            Entry::Vacant(vacant) => {
                vacant.insert(Place { number, fingerprint });
                false
            }
        };
        self.ring.push_back(Sighting {
            id_high: (id >> 64) as u64,
            id_low: id as u64,
            stream_time_us: now_us,
        });
        while self.newest.len() > self.max_ids {
            self.cap_evictions += u64::from(self.pop_front());
        }
        if self.ring.len() > 2 * self.newest.len() + STALE_ALLOWANCE {
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
        let mut read = 0_u32;
        let mut touch = |fingerprint: u32| {
            self.newest.find(table_hash(fingerprint), |place| {
                read ^= place.number;
                true
            });
        };
        for id in ids {
            touch(*id as u32);
        }
        for oldest in self.ring.range(..ids.len().min(self.ring.len())) {
            touch(oldest.fingerprint());
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
        while let Some(oldest) = self.ring.front() {
            if now_us.saturating_sub(oldest.stream_time_us) < self.horizon_us {
                return;
            }
            self.pop_front();
        }
    }

    /// Removes the oldest sighting; true when its id left the set with it.
    fn pop_front(&mut self) -> bool {
        let Some(oldest) = self.ring.pop_front() else { return false };
        let number = self.front;
        self.front = self.front.wrapping_add(1);
        match self.newest.find_entry(table_hash(oldest.fingerprint()), |other| other.number == number) {
            Ok(entry) => {
                entry.remove();
                true
            }
            Err(_) => false,
        }
    }

    /// Rebuilds the ring without superseded sightings: an id that is repeated without end must not fill memory.
    fn drop_superseded(&mut self) {
        let mut number = self.front;
        let newest = &self.newest;
        self.ring.retain(|sighting| {
            let this = number;
            number = number.wrapping_add(1);
            newest.find(table_hash(sighting.fingerprint()), |other| other.number == this).is_some()
        });
        self.newest.clear();
        let rehash = |place: &Place| table_hash(place.fingerprint);
        for (index, sighting) in self.ring.iter().enumerate() {
            let fingerprint = sighting.fingerprint();
            let place = Place { number: self.front.wrapping_add(index as u32), fingerprint };
            self.newest.insert_unique(table_hash(fingerprint), place, rehash);
        }
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
        assert!(set.ring.len() <= 2 * 2 + STALE_ALLOWANCE, "{} sightings kept", set.ring.len());
        assert!(set.sight(2, 0));
    }

    #[test]
    fn sequence_numbers_wrap_around() {
        let mut set = DedupSet::new(100, 1_000);
        set.front = u32::MAX - 5;
        for id in 0..5_000_u128 {
            assert!(!set.sight(id, id as i64));
            assert!(set.sight(id, id as i64));
            assert!(set.sight(id.saturating_sub(50), id as i64));
        }
        assert!(set.front < u32::MAX - 5);
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
