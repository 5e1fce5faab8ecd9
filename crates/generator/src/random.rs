//! The random stream of one block: ChaCha8 keyed with (seed, partition, stream, block).
//!
//! `rand_chacha` promises that the values of a key never change between its versions. Everything drawn is an
//! integer; chances are compared as 32-bit thresholds, so no float decides what happens.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// Independent streams of one block, so that one kind of traffic doesn't shift the draws of another.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(crate) enum Stream {
    Funnels = 1,
    Malformed = 2,
}

pub(crate) struct BlockRandom(ChaCha8Rng);

impl BlockRandom {
    pub(crate) fn new(seed: u64, partition: i32, stream: Stream, block: i64) -> Self {
        let mut key = [0; 32];
        key[0..8].copy_from_slice(&seed.to_le_bytes());
        key[8..12].copy_from_slice(&partition.to_le_bytes());
        key[12..16].copy_from_slice(&(stream as u32).to_le_bytes());
        key[16..24].copy_from_slice(&block.to_le_bytes());
        key[24..32].copy_from_slice(b"pulselak");
        Self(ChaCha8Rng::from_seed(key))
    }

    /// 32 uniform bits.
    pub(crate) fn bits(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// A uniform number below `bound`.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        ((u64::from(self.bits()) * u64::from(bound)) >> 32) as u32
    }

    /// Whether something of this chance happens.
    pub(crate) fn happens(&mut self, chance: Chance) -> bool {
        chance.hits(self.bits())
    }
}

/// A probability as a threshold for 32 uniform bits: 2³² is certainty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn of(probability: f64) -> Self {
        Self((probability.clamp(0.0, 1.0) * 4_294_967_296.0) as u64)
    }

    /// Whether 32 uniform bits fall within it.
    pub(crate) fn hits(self, bits: u32) -> bool {
        u64::from(bits) < self.0
    }

    pub(crate) fn is_never(self) -> bool {
        self.0 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_depends_on_each_part_of_its_key() {
        let first = |seed, partition, stream, block| BlockRandom::new(seed, partition, stream, block).bits();
        let base = first(1, 2, Stream::Funnels, 3);
        assert_eq!(base, first(1, 2, Stream::Funnels, 3));
        for other in [
            first(9, 2, Stream::Funnels, 3),
            first(1, 9, Stream::Funnels, 3),
            first(1, 2, Stream::Malformed, 3),
            first(1, 2, Stream::Funnels, 9),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn certain_and_impossible_are_exact() {
        let mut random = BlockRandom::new(1, 0, Stream::Funnels, 0);
        assert!((0..10_000).all(|_| random.happens(Chance::of(1.0))));
        assert!((0..10_000).all(|_| !random.happens(Chance::of(0.0))));
    }
}
