//! Every key once a round, in an order of its own each round, without a list of keys.
//!
//! A round's order is a pseudo-random permutation that can be undone: so it can be asked both which key has a turn,
//! and how many turns a key has had before a moment.

use crate::mix::mix64;

/// Feistel steps: enough for an order that looks random.
const STEPS: u64 = 4;

/// Turns of `keys` keys, numbered from 0.
pub(crate) struct Rounds {
    keys: u64,
    seed: u64,
    /// Half the width of the numbers that are permuted, in bits: the narrowest that has room for all keys.
    half_bits: u32,
}

impl Rounds {
    /// Rounds of `keys` (at least 1) keys.
    pub(crate) fn new(keys: u64, seed: u64) -> Self {
        let bits = u64::BITS - (keys - 1).leading_zeros();
        Self { keys, seed, half_bits: bits.div_ceil(2).max(1) }
    }

    /// The key whose turn this is.
    pub(crate) fn key_at(&self, turn: u64) -> u64 {
        let round = turn / self.keys;
        let mut place = turn % self.keys;
        // What falls outside the keys is permuted again: the way back from inside passes the same places.
        loop {
            place = self.forth(round, place);
            if place < self.keys {
                return place;
            }
        }
    }

    /// How many of the first `turns` turns are this key's.
    pub(crate) fn turns_of(&self, key: u64, turns: u64) -> u64 {
        let round = turns / self.keys;
        let mut place = key;
        loop {
            place = self.back(round, place);
            if place < self.keys {
                return round + u64::from(place < turns % self.keys);
            }
        }
    }

    fn forth(&self, round: u64, place: u64) -> u64 {
        let (mut left, mut right) = self.halves(place);
        for step in 0..STEPS {
            (left, right) = (right, left ^ self.step_hash(round, step, right));
        }
        (left << self.half_bits) | right
    }

    fn back(&self, round: u64, place: u64) -> u64 {
        let (mut left, mut right) = self.halves(place);
        for step in (0..STEPS).rev() {
            (left, right) = (right ^ self.step_hash(round, step, left), left);
        }
        (left << self.half_bits) | right
    }

    fn halves(&self, place: u64) -> (u64, u64) {
        (place >> self.half_bits, place & self.mask())
    }

    fn mask(&self) -> u64 {
        (1 << self.half_bits) - 1
    }

    fn step_hash(&self, round: u64, step: u64, half: u64) -> u64 {
        mix64(mix64(self.seed ^ (round * STEPS + step)) ^ half) & self.mask()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_one_turn_a_round_and_its_turns_are_counted() {
        for keys in [1, 2, 3, 4, 5, 16, 17, 100, 1_000] {
            let rounds = Rounds::new(keys, 7);
            let mut counted = vec![0; keys as usize];
            for turn in 0..keys * 3 {
                let key = rounds.key_at(turn);
                assert_eq!(rounds.turns_of(key, turn), counted[key as usize], "{keys} keys, turn {turn}");
                counted[key as usize] += 1;
                assert_eq!(rounds.turns_of(key, turn + 1), counted[key as usize]);
            }
            assert!(counted.iter().all(|turns| *turns == 3), "{keys} keys: {counted:?}");
        }
    }

    #[test]
    fn rounds_and_seeds_have_orders_of_their_own() {
        let order = |seed, round: u64| -> Vec<u64> {
            let rounds = Rounds::new(1_000, seed);
            (0..1_000).map(|place| rounds.key_at(round * 1_000 + place)).collect()
        };
        assert_ne!(order(1, 0), order(1, 1));
        assert_ne!(order(1, 0), order(2, 0));
        let unmoved = order(1, 0).iter().zip(0..).filter(|(key, place)| **key == *place).count();
        assert!(unmoved < 10, "{unmoved}");
    }
}
