//! Random numbers: streams that are a function of what they are drawn for.
//!
//! [`BlockRandom`] is ChaCha8 keyed with (seed, stream, lane, block), for what arrives independently. `rand_chacha`
//! promises that the values of a key never change between its versions. [`KeyedRandom`] is splitmix64 from a hash, for
//! what is drawn so often, and from so many starting points, that a cipher's set-up would cost most of the time.
//! Everything drawn is an integer; chances are compared as 32-bit thresholds, so no float decides what happens.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::mix::{WEYL, mix64};

/// What all streams can do.
pub(crate) trait Random {
    /// 32 uniform bits.
    fn bits(&mut self) -> u32;

    /// A uniform number below `bound`.
    fn below(&mut self, bound: u32) -> u32 {
        ((u64::from(self.bits()) * u64::from(bound)) >> 32) as u32
    }

    /// Whether something of this chance happens.
    fn happens(&mut self, chance: Chance) -> bool {
        chance.hits(self.bits())
    }
}

/// Independent streams of one block, so that one kind of traffic doesn't shift the draws of another.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(crate) enum Stream {
    Malformed = 2,
    /// The traffic of a scenario's own; its lane is the scenario's index.
    Scenario = 3,
}

pub(crate) struct BlockRandom(ChaCha8Rng);

impl BlockRandom {
    pub(crate) fn new(seed: u64, stream: Stream, lane: u32, block: i64) -> Self {
        let mut key = [0; 32];
        key[0..8].copy_from_slice(&seed.to_le_bytes());
        key[8..12].copy_from_slice(&lane.to_le_bytes());
        key[12..16].copy_from_slice(&(stream as u32).to_le_bytes());
        key[16..24].copy_from_slice(&block.to_le_bytes());
        key[24..32].copy_from_slice(b"pulselak");
        Self(ChaCha8Rng::from_seed(key))
    }
}

impl Random for BlockRandom {
    fn bits(&mut self) -> u32 {
        self.0.next_u32()
    }
}

/// The stream of a key: splitmix64, whose key must be a hash already.
pub(crate) struct KeyedRandom(u64);

impl KeyedRandom {
    pub(crate) fn of(key: u64) -> Self {
        Self(key)
    }

    /// A stream for something else about the same key.
    pub(crate) fn aside(key: u64, purpose: u64) -> Self {
        Self(mix64(key ^ mix64(purpose)))
    }
}

impl Random for KeyedRandom {
    fn bits(&mut self) -> u32 {
        let bits = (mix64(self.0) >> 32) as u32;
        self.0 = self.0.wrapping_add(WEYL);
        bits
    }
}

/// A probability as a threshold for 32 uniform bits: 2³² is certainty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn of(probability: f64) -> Self {
        Self((probability.clamp(0.0, 1.0) * 4_294_967_296.0) as u64)
    }

    /// The chance of `threshold` in 2³².
    pub(crate) const fn of_threshold(threshold: u64) -> Self {
        Self(threshold)
    }

    /// The chance as a share, 0 to 1.
    pub(crate) fn probability(self) -> f64 {
        self.0 as f64 / 4_294_967_296.0
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
        let first = |seed, stream, lane, block| BlockRandom::new(seed, stream, lane, block).bits();
        let base = first(1, Stream::Malformed, 2, 3);
        assert_eq!(base, first(1, Stream::Malformed, 2, 3));
        for other in [
            first(9, Stream::Malformed, 2, 3),
            first(1, Stream::Malformed, 9, 3),
            first(1, Stream::Scenario, 2, 3),
            first(1, Stream::Malformed, 2, 9),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn keyed_streams_are_uniform_and_apart() {
        let mut sum = 0.0;
        for key in 0..2_000 {
            let mut random = KeyedRandom::of(mix64(key));
            sum += (0..50).map(|_| f64::from(random.bits()) / 4_294_967_296.0).sum::<f64>();
        }
        assert!((sum / 100_000.0 - 0.5).abs() < 0.003, "{sum}");
        assert_ne!(KeyedRandom::aside(7, 1).bits(), KeyedRandom::aside(7, 2).bits());
        assert_ne!(KeyedRandom::aside(7, 1).bits(), KeyedRandom::aside(8, 1).bits());
    }

    #[test]
    fn certain_and_impossible_are_exact() {
        let mut random = BlockRandom::new(1, Stream::Malformed, 0, 0);
        assert!((0..10_000).all(|_| random.happens(Chance::of(1.0))));
        assert!((0..10_000).all(|_| !random.happens(Chance::of(0.0))));
    }
}
