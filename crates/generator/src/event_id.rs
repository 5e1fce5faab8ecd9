//! Event ids: UUIDs (version 8, "custom") that are a one-to-one image of where an event was planned.
//!
//! Unique by construction, not by luck: two events of a log differ in partition, plan key or step, and the mapping
//! can be undone.

use crate::mix::{Role, mix_within, mix64, trait_hash};

/// Width of a UUID's text.
const TEXT_LEN: usize = 36;

/// Maps events of one log to their ids.
#[derive(Clone, Copy)]
pub(crate) struct EventIds {
    seed_hash: u64,
}

impl EventIds {
    pub(crate) fn of(seed: u64) -> Self {
        Self { seed_hash: trait_hash(seed, Role::EventId, 0) }
    }

    /// The id of step `step` (below 16) of what was planned in `partition` under `plan_key` (below 2⁶⁰).
    pub(crate) fn id(self, partition: i32, plan_key: u64, step: u8) -> [u8; TEXT_LEN] {
        // A UUID has 122 free bits: 60 in its first half, 62 in its second.
        let first = mix_within(60, plan_key ^ (self.seed_hash >> 4));
        let place = ((partition as u64) << 4) | u64::from(step);
        let second = mix_within(62, place ^ (mix64(first ^ self.seed_hash) >> 2));
        let high = ((first >> 12) << 16) | 0x8000 | (first & 0xFFF);
        let low = 0x8000_0000_0000_0000 | second;
        text(high, low)
    }
}

fn text(high: u64, low: u64) -> [u8; TEXT_LEN] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    // Where each byte's two digits go; the dashes lie between.
    const PLACES: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
    let mut id = [b'-'; TEXT_LEN];
    let bytes = ((u128::from(high) << 64) | u128::from(low)).to_be_bytes();
    for (byte, place) in bytes.into_iter().zip(PLACES) {
        id[place] = HEX[usize::from(byte >> 4)];
        id[place + 1] = HEX[usize::from(byte & 15)];
    }
    id
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_have_the_form_of_a_uuid() {
        let id = String::from_utf8(EventIds::of(42).id(3, 0x1234_5678, 1).to_vec()).unwrap();
        let groups: Vec<&str> = id.split('-').collect();
        assert_eq!(groups.iter().map(|group| group.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
        assert!(groups[2].starts_with('8') && groups[3].starts_with(['8', '9', 'a', 'b']), "{id}");
    }

    #[test]
    fn neighbours_in_every_direction_differ() {
        let ids = EventIds::of(42);
        let mut seen = HashSet::new();
        for partition in 0..12 {
            for block in 0..40u64 {
                for index in 0..20 {
                    for step in 0..6 {
                        assert!(seen.insert(ids.id(partition, block << 20 | index, step)));
                    }
                }
            }
        }
        assert!(!seen.contains(&EventIds::of(43).id(0, 0, 0)));
    }
}
