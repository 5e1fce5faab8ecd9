//! About how often each of any number of keys was seen, in a fixed room.
//!
//! Keys share slots, so that a count may be too high and is never too low; and it is the same in whatever order and parts
//! the keys came.

/// 4 MiB.
const SLOTS: usize = 1 << 20;

/// Counts by the hashes of keys.
#[derive(Clone, Debug)]
pub struct KeySketch {
    counts: Box<[u32]>,
}

impl Default for KeySketch {
    fn default() -> Self {
        Self { counts: vec![0; SLOTS].into_boxed_slice() }
    }
}

impl KeySketch {
    /// Counts `times` sightings of the key with this hash.
    pub fn add(&mut self, hash: u64, times: u64) {
        let count = &mut self.counts[slot(hash)];
        *count = count.saturating_add(u32::try_from(times).unwrap_or(u32::MAX));
    }

    /// How often the key was seen, or more.
    pub fn at_most(&self, hash: u64) -> u32 {
        self.counts[slot(hash)]
    }

    /// Adds the counts of another part.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count = count.saturating_add(*more);
        }
    }
}

fn slot(hash: u64) -> usize {
    // Below the number of slots, which is a power of two.
    (hash % SLOTS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_never_too_low_and_do_not_overflow() {
        let (mut one, mut other) = (KeySketch::default(), KeySketch::default());
        one.add(7, 3);
        other.add(7, 2);
        other.add(7 + SLOTS as u64, 1);
        one.merge(&other);
        assert_eq!((one.at_most(7), one.at_most(8)), (6, 0));
        one.add(9, u64::MAX);
        one.add(9, 1);
        assert_eq!(one.at_most(9), u32::MAX);
    }
}
