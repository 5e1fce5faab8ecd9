//! Where an id's newest sighting is: a hash table of sighting numbers that holds no keys.
//!
//! Promise: a number takes 7.5 to 9.2 bytes while their count grows, 12.8 at most while it falls, if the owner builds
//! the table anew where [`PlaceIndex::is_full`] or [`PlaceIndex::is_sparse`] says so. A removal leaves nothing behind,
//! so a table of steady size is never built anew.
//!
//! A number goes into the bucket that its hash names or, where that is full, into the first one with room on a way
//! that the hash gives. A bucket counts the numbers that had to pass it, so that a search ends at the first bucket
//! that none has passed: in nearly every case the first one, which is one cache line. Were the way simply the
//! buckets that follow, full ones would form rows, and searches would take several times as long.

/// Numbers in a bucket.
const BUCKET_PLACES: usize = 12;

/// Numbers per two buckets in a full table. Every tenth bucket or so is full by then.
const FULL_PER_TWO_BUCKETS: usize = 17;

/// Numbers per bucket in a new table.
const NEW_PER_BUCKET: usize = 7;

/// Numbers per bucket below which a table is too large.
const SPARSE_PER_BUCKET: usize = 5;

const EVERY_BYTE: u128 = u128::MAX / 0xff;

#[derive(Clone, Copy, Default)]
#[repr(align(64))]
struct Bucket {
    /// The first `len` are in use.
    numbers: [u32; BUCKET_PLACES],
    /// Eight bits of each one's hash.
    tags: [u8; BUCKET_PLACES],
    /// Numbers of buckets before that had to go to a bucket behind. It stays at the largest value once it is there.
    passed_by: u16,
    len: u8,
}

impl Bucket {
    /// Positions whose tag is this one, as the highest bits of bytes. Behind the first there may be others.
    fn candidates(&self, tag: u8) -> u128 {
        let [low @ .., a, b, c, d] = self.tags;
        let tags = u128::from(u64::from_le_bytes(low)) | u128::from(u32::from_le_bytes([a, b, c, d])) << 64;
        let differing = tags ^ (EVERY_BYTE * u128::from(tag));
        let equal = differing.wrapping_sub(EVERY_BYTE) & !differing & EVERY_BYTE << 7;
        let in_use = (1 << (8 * u32::from(self.len))) - 1;
        equal & in_use
    }

    #[inline]
    fn position(&self, tag: u8, mut is_wanted: impl FnMut(u32) -> bool) -> Option<usize> {
        let mut candidates = self.candidates(tag);
        while candidates != 0 {
            let position = candidates.trailing_zeros() as usize / 8;
            if is_wanted(self.numbers[position]) {
                return Some(position);
            }
            candidates &= candidates - 1;
        }
        None
    }

    fn push(&mut self, tag: u8, number: u32) -> bool {
        let position = usize::from(self.len);
        if position == BUCKET_PLACES {
            return false;
        }
        self.numbers[position] = number;
        self.tags[position] = tag;
        self.len += 1;
        true
    }

    fn take(&mut self, position: usize) {
        self.len -= 1;
        self.numbers[position] = self.numbers[usize::from(self.len)];
        self.tags[position] = self.tags[usize::from(self.len)];
    }
}

/// Which bucket and which tag.
#[derive(Clone, Copy)]
struct Hash(u64);

impl Hash {
    /// Ids are hashes themselves; the product spreads those that are not.
    fn of(id: u128) -> Self {
        Self((id as u64 ^ (id >> 64) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn bucket(self, buckets: usize) -> usize {
        (((self.0 >> 32) * buckets as u64) >> 32) as usize
    }

    /// The next bucket of the way. The generator has the full period (Knuth's MMIX), so a way leads everywhere.
    fn next(self) -> Self {
        Self(self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407))
    }

    fn tag(self) -> u8 {
        (self.0 >> 24) as u8
    }
}

/// See the module.
#[derive(Clone, Default)]
pub(super) struct PlaceIndex {
    buckets: Vec<Bucket>,
    len: usize,
    /// Most buckets that any number has passed: no search goes further.
    longest_way: usize,
}

impl PlaceIndex {
    /// An empty table with the size for `len` numbers and some more.
    pub(super) fn for_len(len: usize) -> Self {
        let buckets = len.div_ceil(NEW_PER_BUCKET).max(1);
        Self { buckets: vec![Bucket::default(); buckets], len: 0, longest_way: 0 }
    }

    /// Numbers in the table.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no room for another number.
    pub(super) fn is_full(&self) -> bool {
        2 * self.len >= FULL_PER_TWO_BUCKETS * self.buckets.len()
    }

    /// Whether the numbers that are left deserve a smaller table.
    pub(super) fn is_sparse(&self) -> bool {
        self.buckets.len() > 1 && self.len < SPARSE_PER_BUCKET * self.buckets.len()
    }

    /// The number kept for `id`, to be read or replaced; `is_of_id` says whether a number stands for it.
    #[inline]
    pub(super) fn find(&mut self, id: u128, mut is_of_id: impl FnMut(u32) -> bool) -> Option<&mut u32> {
        let hash = Hash::of(id);
        let (bucket, position) = self.search(hash, &mut is_of_id)?;
        Some(&mut self.buckets[bucket].numbers[position])
    }

    /// Adds the number of an id that is not in the table, which must not be full.
    #[inline]
    pub(super) fn insert(&mut self, id: u128, number: u32) {
        let hash = Hash::of(id);
        let (mut way, mut passed_buckets) = (hash, 0);
        let mut bucket = way.bucket(self.buckets.len());
        while !self.buckets[bucket].push(hash.tag(), number) {
            let passed = &mut self.buckets[bucket].passed_by;
            *passed = passed.saturating_add(1);
            passed_buckets += 1;
            way = way.next();
            bucket = way.bucket(self.buckets.len());
        }
        self.longest_way = self.longest_way.max(passed_buckets);
        self.len += 1;
    }

    /// Removes the number kept for `id`. Nothing happens when another is kept.
    #[inline]
    pub(super) fn remove(&mut self, id: u128, number: u32) {
        let hash = Hash::of(id);
        let Some((found, position)) = self.search(hash, &mut |other| other == number) else { return };
        self.buckets[found].take(position);
        self.len -= 1;
        let mut way = hash;
        let mut bucket = way.bucket(self.buckets.len());
        while bucket != found {
            let passed = &mut self.buckets[bucket].passed_by;
            if *passed < u16::MAX {
                *passed -= 1;
            }
            way = way.next();
            bucket = way.bucket(self.buckets.len());
        }
    }

    /// Forgets all numbers and keeps the room.
    pub(super) fn clear(&mut self) {
        self.buckets.fill(Bucket::default());
        self.len = 0;
        self.longest_way = 0;
    }

    /// Reads something of the bucket in which a search for `id` begins.
    #[inline]
    pub(super) fn touch(&self, id: u128) -> u32 {
        self.buckets.get(Hash::of(id).bucket(self.buckets.len())).map_or(0, |bucket| bucket.numbers[0])
    }

    #[inline]
    fn search(&self, hash: Hash, is_wanted: &mut impl FnMut(u32) -> bool) -> Option<(usize, usize)> {
        let mut way = hash;
        for _ in 0..=self.longest_way {
            let bucket = way.bucket(self.buckets.len());
            let looked_at = self.buckets.get(bucket)?;
            if let Some(position) = looked_at.position(hash.tag(), &mut *is_wanted) {
                return Some((bucket, position));
            }
            if looked_at.passed_by == 0 {
                return None;
            }
            way = way.next();
        }
        None
    }

    /// Bytes allocated.
    #[cfg(test)]
    pub(super) fn allocated_bytes(&self) -> usize {
        self.buckets.capacity() * size_of::<Bucket>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bucket_is_a_cache_line() {
        assert_eq!(size_of::<Bucket>(), 64);
    }

    #[test]
    fn a_crowded_table_finds_all_and_is_clean_once_all_have_left() {
        let mut index = PlaceIndex::for_len(1_000);
        // Ids that all want one of three buckets.
        let ids: Vec<u128> =
            (0..).filter(|id| Hash::of(*id).bucket(index.buckets.len()) < 3).take(500).collect();
        for (number, id) in (0..).zip(&ids) {
            assert!(index.find(*id, |other| ids[other as usize] == *id).is_none());
            index.insert(*id, number);
        }
        for (number, id) in (0..).zip(&ids) {
            assert_eq!(index.find(*id, |other| ids[other as usize] == *id).copied(), Some(number));
        }
        for (number, id) in (0..).zip(&ids) {
            index.remove(*id, number + 1_000);
            index.remove(*id, number);
        }
        assert_eq!(index.len(), 0);
        assert!(index.buckets.iter().all(|bucket| bucket.len == 0 && bucket.passed_by == 0));
    }

    #[test]
    fn a_count_of_passes_that_is_at_its_end_stays_there() {
        let mut index = PlaceIndex::for_len(100);
        let same_hash: Vec<u128> = (0..14_u128).map(|high| high << 64 | (7 ^ high)).collect();
        for (number, id) in (0..).zip(&same_hash) {
            index.insert(*id, number);
        }
        let home = Hash::of(same_hash[0]).bucket(index.buckets.len());
        assert_eq!(index.buckets[home].passed_by, 2);
        index.buckets[home].passed_by = u16::MAX;
        index.remove(same_hash[13], 13);
        assert_eq!(index.buckets[home].passed_by, u16::MAX);
        assert!(index.find(same_hash[12], |number| number == 12).is_some());
    }

    proptest! {
        #[test]
        fn agrees_with_a_map(steps in prop::collection::vec((0_u128..60, any::<bool>()), 0..500)) {
            let mut index = PlaceIndex::for_len(45);
            let mut map = HashMap::new();
            let mut id_of = Vec::new();
            for (small, remove) in steps {
                // Many ids with the same hash.
                let id = (small / 3) << 64 | ((small / 3) ^ (small % 3));
                let found = index.find(id, |number| id_of[number as usize] == id).copied();
                prop_assert_eq!(found, map.get(&id).copied());
                match found {
                    Some(number) if remove => {
                        index.remove(id, number);
                        map.remove(&id);
                    }
                    None if !index.is_full() => {
                        let number = id_of.len() as u32;
                        id_of.push(id);
                        index.insert(id, number);
                        map.insert(id, number);
                    }
                    _ => {}
                }
                prop_assert_eq!(index.len(), map.len());
            }
        }
    }
}
