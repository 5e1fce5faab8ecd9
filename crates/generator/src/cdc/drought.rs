//! Droughts of the inventory: times in which rows neither come nor come back.
//!
//! The schedule knows nothing of them: slots, keys and versions keep the numbers that they have without a drought. What a
//! drought leaves out is decided for each key and each version by itself, from ranges of slots that are found once:
//! - The create of a key that is left out never happens. The key's number stays unused, as a number of a database's
//!   sequence does after a rollback; no later record has it, and no snapshot.
//! - A version that is left out neither deletes a row nor creates it again: a row that is there is updated instead, one
//!   that is gone stays gone and has no record. If rows could still be deleted, a long drought would empty the catalogue
//!   and with it the changes of other rows, which are to go on at their rate.
//!
//! So everything stays arithmetic: a seek costs what it costs without a drought, and what is not left out has the bytes
//! that it has without one.

use std::ops::Range;

use pulselake_model::Entity;

use super::schedule::Schedule;
use super::world::MAX_LIVE_BLOCK;
use crate::cdc::CdcConfig;
use crate::random::Chance;
use crate::spill::BLOCK_MS;
use crate::{Scenario, ScenarioKind};

/// The droughts of one entity's log: those of the scenarios, for videos.
pub(crate) struct Droughts(Vec<Drought>);

struct Drought {
    /// The slots that are written while it lasts.
    slots: Range<u64>,
    laws: DroughtLaws,
}

/// How much a drought leaves out.
#[derive(Clone, Copy)]
struct DroughtLaws {
    share: Chance,
    /// Whether it leaves out everything.
    is_total: bool,
}

/// The droughts as one key sees them.
pub(crate) struct KeyDroughts(Vec<(Range<u64>, DroughtLaws)>);

impl Droughts {
    pub(crate) fn new(config: &CdcConfig, schedule: &Schedule) -> Self {
        let is_drought = |scenario: &&Scenario| {
            config.entity == Entity::Videos && scenario.kind == ScenarioKind::InventoryDrought
        };
        let droughts = config.scenarios.iter().filter(is_drought).map(|scenario| {
            let from_ms = i64::from(scenario.start_s) * BLOCK_MS;
            let until_ms = match scenario.length_s {
                0 => MAX_LIVE_BLOCK * BLOCK_MS,
                length_s => from_ms + i64::from(length_s) * BLOCK_MS,
            };
            Drought {
                slots: schedule.slots_before(from_ms)..schedule.slots_before(until_ms),
                laws: DroughtLaws {
                    share: Chance::of(scenario.strength),
                    is_total: scenario.strength >= 1.0,
                },
            }
        });
        Self(droughts.collect())
    }

    /// Whether a create in this slot is left out. `bits` are the create's own.
    pub(crate) fn leave_out_create(&self, slot: u64, bits: u32) -> bool {
        self.0.iter().any(|drought| drought.slots.contains(&slot) && drought.laws.share.hits(bits))
    }

    /// The same droughts, as ranges of a key's versions.
    pub(crate) fn of_key(&self, schedule: &Schedule, key: u64) -> KeyDroughts {
        // The version after so many slots is the last one before a drought, or the last one in it.
        let first_after = |slots| schedule.version_after(key, slots) + 1;
        let ranges = self
            .0
            .iter()
            .map(|drought| (first_after(drought.slots.start)..first_after(drought.slots.end), drought.laws));
        KeyDroughts(ranges.collect())
    }
}

impl KeyDroughts {
    /// The latest version before `version` that decides what is there after it, when this one is left out; `None` when
    /// it is not. `bits` are the version's own. A total drought is passed in one step, however long it is.
    pub(crate) fn version_before(&self, version: u64, bits: u32) -> Option<u64> {
        let here = self.0.iter().filter(|(versions, _)| versions.contains(&version));
        let left_out = here.filter(|(_, laws)| laws.share.hits(bits));
        left_out.map(|(versions, laws)| if laws.is_total { versions.start - 1 } else { version - 1 }).min()
    }
}
