//! Which key changes when: slots at even distances, each of which creates a key or changes one once or twice.
//!
//! Slots that create are spread evenly. The others take turns between *wide* rounds over all keys that exist at the
//! start (one new version) and *hot* rounds over the newest sixteenth of them (two versions at once): so some keys
//! change far more often than others, and a key's version at any moment is a count of turns.
//!
//! This is the plan as it is without a drought: [`super::lives`] says what one leaves out of it.

use super::rounds::Rounds;
use crate::cdc::CdcConfig;
use crate::mix::{Role, trait_hash};
use crate::spill::BLOCK_MS;

/// The second version of a slot follows the first within this time.
const LONGEST_SECOND_MS: f64 = 500.0;
/// One key in so many is hot.
const KEYS_PER_HOT_KEY: u64 = 16;
/// Shares of slots are counted in units of 2⁻³².
const SHARE_BITS: u32 = 32;

/// What happens in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Number of the key, from 1.
    pub(crate) key: u64,
    /// The version that the key gets: 0 for one that is new.
    pub(crate) version: u64,
    /// Whether the version after that comes in the same slot.
    pub(crate) is_double: bool,
}

/// The slots of one entity, numbered from 0.
pub(crate) struct Schedule {
    initial_keys: u64,
    /// Share of slots that create, in 2⁻³².
    create_share: u64,
    /// Infinite when nothing changes.
    ms_per_slot: f64,
    wide: Rounds,
    hot: Rounds,
    hot_keys: u64,
}

impl Schedule {
    pub(crate) fn new(config: &CdcConfig, entity_seed: u64) -> Self {
        let initial_keys = config.initial_keys();
        let hot_keys = initial_keys.div_ceil(KEYS_PER_HOT_KEY);
        // A create is one version; of the other slots every second has two.
        let versions_per_slot = config.create_ratio + 1.5 * (1.0 - config.create_ratio);
        Self {
            initial_keys,
            create_share: (config.create_ratio * (1u64 << SHARE_BITS) as f64) as u64,
            ms_per_slot: 1_000.0 * versions_per_slot / config.rate_per_s,
            wide: Rounds::new(initial_keys, trait_hash(entity_seed, Role::ChangeOrder, 0)),
            hot: Rounds::new(hot_keys, trait_hash(entity_seed, Role::ChangeOrder, 1)),
            hot_keys,
        }
    }

    /// What happens in a slot.
    pub(crate) fn slot(&self, slot: u64) -> Slot {
        let created = self.created_before(slot);
        if self.created_before(slot + 1) > created {
            return Slot { key: self.initial_keys + created + 1, version: 0, is_double: false };
        }
        let turn = slot - created;
        let is_double = turn % 2 == 1;
        let rounds = if is_double { &self.hot } else { &self.wide };
        let key = self.initial_keys - rounds.key_at(turn / 2);
        Slot { key, version: self.version_after(key, slot) + 1, is_double }
    }

    /// The latest version that a key, which exists then, has after the first `slots` slots.
    pub(crate) fn version_after(&self, key: u64, slots: u64) -> u64 {
        let Some(place) = self.initial_keys.checked_sub(key) else { return 0 };
        let turns = slots - self.created_before(slots);
        let wide_turns = self.wide.turns_of(place, turns.div_ceil(2));
        if place >= self.hot_keys {
            return wide_turns;
        }
        wide_turns + 2 * self.hot.turns_of(place, turns / 2)
    }

    /// Keys that there have been after the first `slots` slots, with those that are deleted or that a drought left out.
    pub(crate) fn keys_after(&self, slots: u64) -> u64 {
        self.initial_keys + self.created_before(slots)
    }

    /// Whether a key exists at the start.
    pub(crate) fn is_initial(&self, key: u64) -> bool {
        key <= self.initial_keys
    }

    /// The slot in which a key that is not there at the start is created.
    pub(crate) fn slot_of_create(&self, key: u64) -> u64 {
        let nth = u128::from(key - self.initial_keys) << SHARE_BITS;
        // The first count of slots among which are as many creates ends with the slot looked for. A schedule without
        // creates has no such key.
        (nth.div_ceil(u128::from(self.create_share.max(1))) as u64).saturating_sub(1)
    }

    /// When a slot is, ms since the start.
    pub(crate) fn slot_ms(&self, slot: u64) -> i64 {
        ((slot + 1) as f64 * self.ms_per_slot) as i64
    }

    /// When the second version of a slot is written: not before the first, and neither after the next slot nor in a later
    /// block, so that a block's end parts all versions before it from all behind it.
    pub(crate) fn second_ms(&self, slot: u64) -> i64 {
        let pause_ms = (self.ms_per_slot / 2.0).min(LONGEST_SECOND_MS);
        let free_ms = ((slot + 1) as f64 * self.ms_per_slot + pause_ms) as i64;
        free_ms.min(self.slot_ms(slot) / BLOCK_MS * BLOCK_MS + BLOCK_MS - 1)
    }

    /// How many slots lie before this time (ms since the start).
    pub(crate) fn slots_before(&self, time_ms: i64) -> u64 {
        if self.ms_per_slot.is_infinite() || time_ms <= 0 {
            return 0;
        }
        let mut slots = (time_ms as f64 / self.ms_per_slot) as u64;
        // The division is off by one slot at most; the times themselves decide.
        while self.slot_ms(slots) < time_ms {
            slots += 1;
        }
        while slots > 0 && self.slot_ms(slots - 1) >= time_ms {
            slots -= 1;
        }
        slots
    }

    fn created_before(&self, slot: u64) -> u64 {
        ((u128::from(slot) * u128::from(self.create_share)) >> SHARE_BITS) as u64
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use pulselake_model::Entity;

    use super::*;
    use crate::GeneratorConfig;

    fn schedule(videos: u32, rate_per_s: f64, create_ratio: f64) -> Schedule {
        let events = GeneratorConfig { videos, ..GeneratorConfig::default() };
        let beside = CdcConfig::beside(&events, Entity::Videos);
        Schedule::new(&CdcConfig { rate_per_s, create_ratio, ..beside }, 99)
    }

    #[test]
    fn versions_count_up_one_by_one_whatever_changes_a_key() {
        for (videos, create_ratio) in [(1, 0.0), (2, 0.3), (40, 0.1), (300, 0.02), (5, 1.0)] {
            let schedule = schedule(videos, 10.0, create_ratio);
            let mut versions: HashMap<u64, u64> = (1..=videos.into()).map(|key| (key, 0)).collect();
            for number in 0..2_000 {
                let slot = schedule.slot(number);
                if slot.version == 0 {
                    assert_eq!(schedule.slot_of_create(slot.key), number, "{videos} videos");
                    assert_eq!(versions.insert(slot.key, 0), None);
                } else {
                    let version = versions.get_mut(&slot.key).unwrap();
                    assert_eq!(slot.version, *version + 1, "{videos} videos, slot {number}");
                    *version = slot.version + u64::from(slot.is_double);
                }
                let after = number + 1;
                assert_eq!(schedule.version_after(slot.key, after), versions[&slot.key]);
                assert_eq!(schedule.keys_after(after), versions.len() as u64);
            }
            for (key, version) in &versions {
                assert_eq!(schedule.version_after(*key, 2_000), *version);
            }
        }
    }

    #[test]
    fn slots_are_where_their_times_say_and_the_rate_is_kept() {
        for rate_per_s in [0.01, 1.0, 3.7, 1_000.0, 99_999.0] {
            let schedule = schedule(100, rate_per_s, 0.02);
            let mut slots = 0;
            for second in 0..200 {
                let next = schedule.slots_before((second + 1) * 1_000);
                for slot in slots..next.min(slots + 50) {
                    let time_ms = schedule.slot_ms(slot);
                    assert_eq!(time_ms / 1_000, second);
                    let second_ms = schedule.second_ms(slot);
                    assert!((time_ms..=schedule.slot_ms(slot + 1)).contains(&second_ms));
                    assert_eq!(second_ms / 1_000, second);
                }
                slots = next;
            }
            let versions = slots as f64 * 1.49;
            assert!((versions - 200.0 * rate_per_s).abs() <= 3.0, "{rate_per_s}: {versions}");
        }
        let nothing = schedule(100, 0.0, 0.02);
        assert_eq!(nothing.slots_before(i64::MAX), 0);
    }

    #[test]
    fn hot_keys_change_more_often() {
        let schedule = schedule(160, 10.0, 0.0);
        let changes = |key| schedule.version_after(key, 3_200);
        assert_eq!(changes(1), 10);
        assert_eq!(changes(160), 10 + 2 * 160);
    }
}
