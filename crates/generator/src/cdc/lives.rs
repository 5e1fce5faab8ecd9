//! Whether a key's row is there after each of its versions, and so what each version is.

use super::drought::{Droughts, KeyDroughts};
use super::rows::{ChangeOperation, version_hash};
use super::schedule::Schedule;
use crate::cdc::CdcConfig;
use crate::mix::mix64;
use crate::random::Chance;

/// What decides the lives of one entity's rows.
pub(crate) struct Lives {
    entity_seed: u64,
    deletes: Chance,
    droughts: Droughts,
}

impl Lives {
    pub(crate) fn new(config: &CdcConfig, entity_seed: u64, schedule: &Schedule) -> Self {
        Self {
            entity_seed,
            deletes: Chance::of(config.delete_ratio),
            droughts: Droughts::new(config, schedule),
        }
    }

    /// What a version of a key is: never a snapshot; `None` when a drought leaves it out.
    pub(crate) fn operation(&self, schedule: &Schedule, key: u64, version: u64) -> Option<ChangeOperation> {
        let Some(version_before) = version.checked_sub(1) else {
            return self.is_created(schedule, key).then_some(ChangeOperation::Create);
        };
        let droughts = self.droughts.of_key(schedule, key);
        let was_there = self.is_there_after(&droughts, key, version_before);
        match (was_there, self.is_there_after(&droughts, key, version)) {
            (true, true) => Some(ChangeOperation::Update),
            (true, false) => Some(ChangeOperation::Delete),
            (false, true) => Some(ChangeOperation::Create),
            (false, false) => None,
        }
    }

    /// Whether a key's row is there once it has this version.
    pub(crate) fn is_there(&self, schedule: &Schedule, key: u64, version: u64) -> bool {
        if version == 0 {
            return self.is_created(schedule, key);
        }
        self.is_there_after(&self.droughts.of_key(schedule, key), key, version)
    }

    fn is_created(&self, schedule: &Schedule, key: u64) -> bool {
        if schedule.is_initial(key) {
            return true;
        }
        !self.droughts.leave_out_create(schedule.slot_of_create(key), self.drought_bits(key, 0))
    }

    /// Of a key that was created. Goes back to the last version after which the row is there in any case: with a
    /// drought that leaves out a part, or many deletes, that is some versions away.
    fn is_there_after(&self, droughts: &KeyDroughts, key: u64, version: u64) -> bool {
        // A version that would delete creates the row again when it is gone already.
        let mut is_there = true;
        let mut earlier = version;
        while earlier > 0 {
            if let Some(before) = droughts.version_before(earlier, self.drought_bits(key, earlier)) {
                earlier = before;
                continue;
            }
            if !self.deletes.hits(version_hash(self.entity_seed, key, earlier) as u32) {
                break;
            }
            is_there = !is_there;
            earlier -= 1;
        }
        is_there
    }

    fn drought_bits(&self, key: u64, version: u64) -> u32 {
        (mix64(version_hash(self.entity_seed, key, version)) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use pulselake_model::Entity;

    use super::*;
    use crate::{GeneratorConfig, Scenario, ScenarioKind};

    const SLOTS: u64 = 4_000;

    fn config(entity: Entity, delete_ratio: f64, scenarios: Vec<Scenario>) -> CdcConfig {
        let events = GeneratorConfig { videos: 30, users: 30, ..GeneratorConfig::default() };
        let beside = CdcConfig::beside(&events, entity);
        CdcConfig { rate_per_s: 10.0, create_ratio: 0.05, delete_ratio, scenarios, ..beside }
    }

    fn drought(start_s: u32, length_s: u32, strength: f64) -> Scenario {
        Scenario { kind: ScenarioKind::InventoryDrought, start_s, length_s, strength }
    }

    fn lives_of(config: &CdcConfig) -> (Lives, Schedule) {
        let schedule = Schedule::new(config, 5);
        (Lives::new(config, 5, &schedule), schedule)
    }

    /// Goes through all slots with a state for each key: what a version is must follow from the state, and what a drought
    /// forbids must not occur.
    fn walk(config: &CdcConfig) -> (usize, usize) {
        let (lives, schedule) = lives_of(config);
        let mut is_there: std::collections::HashMap<u64, bool> =
            (1..=config.initial_keys()).map(|key| (key, true)).collect();
        let (mut creates, mut left_out) = (0, 0);
        for number in 0..SLOTS {
            let slot = schedule.slot(number);
            for version in slot.version..=slot.version + u64::from(slot.is_double) {
                let state = is_there.entry(slot.key).or_insert(false);
                match lives.operation(&schedule, slot.key, version) {
                    Some(ChangeOperation::Create) => {
                        assert!(!std::mem::replace(state, true), "key {} is there already", slot.key);
                        creates += 1;
                    }
                    Some(ChangeOperation::Update) => assert!(*state),
                    Some(ChangeOperation::Delete) => assert!(std::mem::replace(state, false)),
                    Some(ChangeOperation::Snapshot) => panic!("a version of its own"),
                    None => {
                        assert!(!*state, "an update of a row that is there is never left out");
                        left_out += 1;
                    }
                }
                assert_eq!(lives.is_there(&schedule, slot.key, version), *state);
            }
        }
        (creates, left_out)
    }

    #[test]
    fn a_deleted_key_is_created_next_and_nothing_else_is_created_twice() {
        let (lives, schedule) = lives_of(&config(Entity::Users, 0.5, Vec::new()));
        let mut deletes = 0;
        for key in 1..=30 {
            for version in 1..800 {
                let is_deleted_before =
                    lives.operation(&schedule, key, version - 1) == Some(ChangeOperation::Delete);
                let operation = lives.operation(&schedule, key, version);
                assert_eq!(operation == Some(ChangeOperation::Create), is_deleted_before);
                deletes += u32::from(operation == Some(ChangeOperation::Delete));
            }
        }
        assert!((6_000..10_000).contains(&deletes), "{deletes}");
        let (never, schedule) = lives_of(&config(Entity::Users, 0.0, Vec::new()));
        assert!(
            (1..1_000)
                .all(|version| { never.operation(&schedule, 1, version) == Some(ChangeOperation::Update) })
        );
    }

    #[test]
    fn versions_follow_from_each_other_in_and_around_droughts() {
        let none = walk(&config(Entity::Videos, 0.3, Vec::new()));
        assert_eq!(none.1, 0);
        let mut creates = vec![none.0];
        for scenarios in [
            vec![drought(100, 200, 0.5)],
            vec![drought(100, 200, 1.0)],
            vec![drought(50, 100, 0.3), drought(120, 100, 1.0), drought(400, 0, 0.9)],
            vec![drought(0, 0, 1.0)],
        ] {
            let (with_drought, left_out) = walk(&config(Entity::Videos, 0.3, scenarios));
            assert!(left_out > 0);
            creates.push(with_drought);
        }
        assert!(creates.is_sorted_by(|more, fewer| more > fewer), "{creates:?}");
        assert_eq!(creates[4], 0, "nothing was deleted before a drought from the start");
    }

    #[test]
    fn a_total_drought_has_no_creates_and_no_deletes() {
        let config = CdcConfig { videos: 800, ..config(Entity::Videos, 0.3, vec![drought(1_000, 150, 7.0)]) };
        let (lives, schedule) = lives_of(&config);
        let (mut updates, mut left_out) = (0, 0);
        for number in schedule.slots_before(1_000_000)..schedule.slots_before(1_150_000) {
            let slot = schedule.slot(number);
            match lives.operation(&schedule, slot.key, slot.version) {
                Some(ChangeOperation::Update) => updates += 1,
                None => left_out += 1,
                other => panic!("{other:?}"),
            }
        }
        // One in twenty is a create, and of the rows three in thirteen were gone when it began.
        assert!((680..840).contains(&updates) && left_out > 150, "{updates} and {left_out}");
    }

    #[test]
    fn a_partial_drought_leaves_out_its_share_of_the_creates() {
        let all = CdcConfig { create_ratio: 1.0, ..config(Entity::Videos, 0.0, vec![drought(0, 0, 0.3)]) };
        let (lives, schedule) = lives_of(&all);
        let created = (31..10_031).filter(|key| lives.is_there(&schedule, *key, 0)).count();
        assert!((6_800..7_200).contains(&created), "{created}");
    }

    #[test]
    fn users_have_no_droughts() {
        let config = config(Entity::Users, 0.3, vec![drought(0, 0, 1.0)]);
        assert_eq!(walk(&config).1, 0);
    }

    /// A drought of years is passed in one step.
    #[test]
    fn a_long_drought_costs_no_more_than_a_short_one() {
        let config =
            CdcConfig { rate_per_s: 100_000.0, ..config(Entity::Videos, 0.3, vec![drought(9, 0, 1.0)]) };
        let (lives, schedule) = lives_of(&config);
        let version = schedule.version_after(30, schedule.slots_before(31_536_000_000));
        assert!(version > 1_000_000_000);
        let operation = lives.operation(&schedule, 30, version);
        assert!([None, Some(ChangeOperation::Update)].contains(&operation));
    }
}
