//! Which rows of a day repeat the id of another row: all but the one that was delivered first, by source partition and
//! offset.
//!
//! Two passes over the ids find them without holding the ids: a sieve of bits, a fixed share of the memory, tells which ids
//! *may* be there twice; of those alone the rows are compared, in portions where they are many. What is kept is the places of
//! the rows that don't count, some bits each.

use hashbrown::{HashMap, HashSet};
use parking_lot::Mutex;
use roaring::RoaringTreemap;
use xxhash_rust::xxh3::xxh3_128;

/// Bits of the sieve for each row: one id in about fifty is then compared without need.
const BITS_PER_ROW: u64 = 32;
const LEAST_BITS: u64 = 1 << 10;
/// What a suspect takes while its rows are compared, about.
const BYTES_PER_SUSPECT: usize = 80;

/// What tells ids apart, as in the stream.
pub fn id_key(event_id: &str) -> u128 {
    xxh3_128(event_id.as_bytes())
}

/// The first pass: which ids may be there twice.
#[derive(Debug)]
pub struct Sieve {
    bits: Vec<u64>,
    mask: u64,
    suspects: HashSet<u64>,
}

impl Sieve {
    /// A sieve for about `rows` ids, of at most `max_bytes`.
    pub fn new(rows: u64, max_bytes: usize) -> Self {
        let most = (max_bytes as u64).saturating_mul(8).max(LEAST_BITS);
        let wanted = rows.saturating_mul(BITS_PER_ROW).clamp(LEAST_BITS, most);
        // A power of two that fits: the largest up to what is wanted.
        let bits = 1_u64 << wanted.ilog2();
        // At most max_bytes, or a few kilobytes: it fits usize.
        Self { bits: vec![0; (bits / 64) as usize], mask: bits - 1, suspects: HashSet::new() }
    }

    /// Sees an id.
    pub fn see(&mut self, id: u128) {
        let place = (id as u64) & self.mask;
        // The mask keeps the place within the bits.
        let word = &mut self.bits[(place / 64) as usize];
        let bit = 1_u64 << (place % 64);
        if *word & bit != 0 {
            self.suspects.insert(suspect(id));
        }
        *word |= bit;
    }

    /// The ids that may be there twice.
    pub fn into_suspects(self) -> Suspects {
        Suspects(self.suspects)
    }
}

/// Other bits than those of the sieve's places.
fn suspect(id: u128) -> u64 {
    (id >> 64) as u64
}

/// Ids that may be there twice; each that is there twice is among them.
#[derive(Debug)]
pub struct Suspects(HashSet<u64>);

impl Suspects {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In how many portions to compare them so that each takes at most `max_bytes`.
    pub fn portions(&self, max_bytes: usize) -> u64 {
        (self.0.len() * BYTES_PER_SUSPECT).div_ceil(max_bytes.max(BYTES_PER_SUSPECT)).max(1) as u64
    }

    /// Whether the id is one, and of this portion out of so many.
    pub fn contains(&self, id: u128, portion: u64, portions: u64) -> bool {
        suspect(id) % portions == portion && self.0.contains(&suspect(id))
    }
}

/// Where a row comes from. The order decides which of several counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Place {
    partition: i32,
    offset: i64,
    /// In the list of topics.
    topic: u16,
}

/// The rows that don't count.
#[derive(Debug, Default)]
pub struct Duplicates {
    topics: Vec<String>,
    left_out: HashMap<(u16, i32), RoaringTreemap>,
    /// Rows of one and the same record, which bronze ought not to have; whether one has been counted.
    twice_the_same: Mutex<HashMap<Place, bool>>,
    rows: u64,
}

/// The second pass over one portion of the suspects.
#[derive(Debug, Default)]
pub struct Comparison {
    first: HashMap<u128, Place>,
}

impl Duplicates {
    /// Takes in a row of a suspect id.
    pub fn compare(
        &mut self,
        comparison: &mut Comparison,
        id: u128,
        topic: &str,
        partition: i32,
        offset: i64,
    ) {
        let place = Place { partition, offset, topic: self.number_of(topic) };
        let Some(first) = comparison.first.get_mut(&id) else {
            comparison.first.insert(id, place);
            return;
        };
        let order =
            |place: &Place| (place.partition, place.offset, self.topics[usize::from(place.topic)].as_str());
        match order(&place).cmp(&order(first)) {
            std::cmp::Ordering::Equal => {
                self.twice_the_same.lock().insert(place, false);
                self.rows += 1;
            }
            std::cmp::Ordering::Less => {
                let later = std::mem::replace(first, place);
                self.leave_out(later);
            }
            std::cmp::Ordering::Greater => self.leave_out(place),
        }
    }

    fn leave_out(&mut self, place: Place) {
        let offsets = self.left_out.entry((place.topic, place.partition)).or_default();
        // Any one-to-one mapping does.
        offsets.insert(place.offset as u64);
        self.rows += 1;
    }

    /// A topic's number. Beyond 65,535 topics all further ones share one: their rows are then told apart by offset alone.
    fn number_of(&mut self, topic: &str) -> u16 {
        if let Some(known) = self.topics.iter().position(|name| name == topic) {
            return u16::try_from(known).unwrap_or(u16::MAX);
        }
        if self.topics.len() <= usize::from(u16::MAX) {
            self.topics.push(topic.to_owned());
        }
        u16::try_from(self.topics.len() - 1).unwrap_or(u16::MAX)
    }

    /// Rows that don't count.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Whether the row counts. Of a record that is there twice, the first that is asked for does.
    pub fn counts(&self, topic: &str, partition: i32, offset: i64) -> bool {
        if self.rows == 0 {
            return true;
        }
        let Some(known) = self.topics.iter().position(|name| name == topic) else { return true };
        let number = u16::try_from(known).unwrap_or(u16::MAX);
        let is_left_out =
            self.left_out.get(&(number, partition)).is_some_and(|offsets| offsets.contains(offset as u64));
        if is_left_out {
            return false;
        }
        let mut twice = self.twice_the_same.lock();
        match twice.get_mut(&Place { partition, offset, topic: number }) {
            Some(is_counted) => !std::mem::replace(is_counted, true),
            None => true,
        }
    }

    /// Forgets which of the records that are there twice were counted: for another pass over the rows.
    pub fn begin_again(&self) {
        self.twice_the_same.lock().values_mut().for_each(|is_counted| *is_counted = false);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Row = (u8, u8, i32, i64);

    fn id(number: u8) -> u128 {
        id_key(&format!("event {number}"))
    }

    fn topic(number: u8) -> &'static str {
        ["a", "b"][usize::from(number % 2)]
    }

    fn find(rows: &[Row], max_bytes: usize) -> Duplicates {
        let mut sieve = Sieve::new(rows.len() as u64, max_bytes);
        rows.iter().for_each(|row| sieve.see(id(row.0)));
        let suspects = sieve.into_suspects();
        let portions = suspects.portions(max_bytes);
        let mut duplicates = Duplicates::default();
        for portion in 0..portions {
            let mut comparison = Comparison::default();
            for row in rows.iter().filter(|row| suspects.contains(id(row.0), portion, portions)) {
                duplicates.compare(&mut comparison, id(row.0), topic(row.1), row.2, row.3);
            }
        }
        duplicates
    }

    #[test]
    fn the_first_delivered_counts() {
        let rows = [(1, 0, 3, 7), (1, 0, 2, 9), (1, 0, 2, 8), (2, 0, 2, 10), (1, 1, 2, 8)];
        let duplicates = find(&rows, 1 << 20);
        let counted: Vec<Row> =
            rows.into_iter().filter(|row| duplicates.counts(topic(row.1), row.2, row.3)).collect();
        assert_eq!(counted, [(1, 0, 2, 8), (2, 0, 2, 10)]);
        assert_eq!(duplicates.rows(), 3);
    }

    #[test]
    fn a_sieve_that_is_far_too_small_makes_no_mistakes() {
        let rows: Vec<Row> = (0..200_i64).map(|row| ((row % 150) as u8, 0, 0, row)).collect();
        let duplicates = find(&rows, 1);
        assert_eq!(duplicates.rows(), 50);
        assert!(rows.iter().all(|row| duplicates.counts("a", 0, row.3) == (row.3 < 150)));
    }

    /// Rows of which each record is one event: what stands at one place has one id.
    fn rows() -> impl Strategy<Value = Vec<Row>> {
        prop::collection::vec((0..12_u8, 0..2_u8, 0..3_i32, 0..8_i64), 0..60).prop_map(|mut rows| {
            let mut ids = std::collections::HashMap::new();
            for row in &mut rows {
                row.0 = *ids.entry((row.1, row.2, row.3)).or_insert(row.0);
            }
            rows
        })
    }

    proptest! {
        #[test]
        fn one_row_of_each_id_counts_and_it_is_the_first(
            rows in rows(),
            max_bytes in prop_oneof![Just(1_usize), Just(200), Just(1 << 20)],
        ) {
            let duplicates = find(&rows, max_bytes);
            for _ in 0..2 {
                duplicates.begin_again();
                let counted: Vec<&Row> =
                    rows.iter().filter(|row| duplicates.counts(topic(row.1), row.2, row.3)).collect();
                prop_assert_eq!(counted.len() as u64 + duplicates.rows(), rows.len() as u64);
                for number in 0..12 {
                    let place = |row: &&Row| (row.2, row.3, row.1);
                    let first = rows.iter().filter(|row| row.0 == number).map(|row| place(&row)).min();
                    let found: Vec<_> = counted.iter().filter(|row| row.0 == number).map(place).collect();
                    prop_assert_eq!(found, first.into_iter().collect::<Vec<_>>());
                }
            }
        }
    }
}
