//! Everything that follows from a configuration once and that all partitions share.

use std::sync::{Arc, Mutex};

use crate::audience::BodyTails;
use crate::block_plan::BlockPlan;
use crate::catalogue::Catalogue;
use crate::effects::OFFLINE_MS;
use crate::event_id::EventIds;
use crate::focus::Focus;
use crate::funnel::{FunnelLaws, LONGEST_FUNNEL_MS};
use crate::planner::Planner;
use crate::quantiles::QuantileTable;
use crate::random::Chance;
use crate::sessions::Sessions;
use crate::spill::BLOCK_MS;
use crate::{GeneratorConfig, GeneratorError, ScenarioKind};

/// Bits of an offset that count records inside a block.
pub const INDEX_BITS: u32 = 20;
/// Records that a block's offsets have room for.
pub(crate) const MAX_RECORDS_PER_BLOCK: usize = 1 << INDEX_BITS;
/// A partition's mean may come this close: over twenty standard deviations of one second's count are left.
const MAX_RECORDS_PER_S: u32 = 1_000_000;
/// The log ends here, about 2,000 years after its start: far enough, and no timestamp or id overflows.
pub(crate) const MAX_BLOCK: i64 = 1 << 36;

/// How far in the future an event with [`crate::MalformedKind::FutureTimestamp`] claims to be.
pub(crate) const FAR_FUTURE_MS: i32 = 2 * 3_600_000;
/// A record reaches the log this long after its event, at most.
const LONGEST_DELIVERY_MS: u32 = 2_000;
/// Events that are held back reach it after this time.
const SHORTEST_HOLD_MS: u32 = 121_000;
const LONGEST_HOLD_MS: u32 = 210_000;
const _: () = assert!(OFFLINE_MS + LONGEST_DELIVERY_MS as i64 <= LONGEST_HOLD_MS as i64);
/// A retry follows the first delivery after this time.
const SHORTEST_RETRY_MS: u32 = 50;
const LONGEST_RETRY_MS: u32 = 30_000;

/// The world that a log's events come from: made once, shared by its partitions.
pub struct World {
    pub(crate) config: Arc<GeneratorConfig>,
    pub(crate) catalogue: Catalogue,
    pub(crate) sessions: Sessions,
    pub(crate) focuses: Vec<Focus>,
    pub(crate) laws: FunnelLaws,
    pub(crate) body_tails: BodyTails,
    pub(crate) event_ids: EventIds,
    pub(crate) delivery: DeliveryLaws,
    /// Gaps between independent arrivals, by an arbitrary scale: see `mean_gap`.
    pub(crate) gaps: QuantileTable,
    /// The mean of `gaps`, as the table gives it: dividing by it makes rates exact.
    pub(crate) mean_gap: f64,
    spill_blocks: i64,
    planner: Mutex<Planner>,
}

/// How records come to the log.
pub(crate) struct DeliveryLaws {
    pub(crate) delay_ms: QuantileTable,
    pub(crate) is_held_back: Chance,
    pub(crate) hold_ms: QuantileTable,
    pub(crate) is_retried: Chance,
    pub(crate) retry_ms: QuantileTable,
}

impl World {
    /// Builds the world of a configuration: work and memory grow with the number of videos.
    ///
    /// # Errors
    /// When the configuration is not possible.
    pub fn new(config: Arc<GeneratorConfig>) -> Result<Arc<Self>, GeneratorError> {
        config.validate()?;
        let records_per_funnel = FunnelLaws::mean_events() * (1.0 + config.duplicate_ratio);
        let funnels_per_s = config.rate_per_s * (1.0 - config.invalid_ratio) / records_per_funnel;
        let gaps = QuantileTable::exponential(100_000.0);
        let laws = FunnelLaws::new();
        let catalogue = Catalogue::new(&config);
        let sessions = Sessions::new(&config, funnels_per_s, laws.spacing(&catalogue));
        let world = Self {
            focuses: Focus::all(&config, &catalogue, funnels_per_s),
            catalogue,
            sessions,
            laws,
            body_tails: BodyTails::new(),
            event_ids: EventIds::of(config.seed),
            delivery: DeliveryLaws::new(&config),
            mean_gap: gaps.mean(),
            gaps,
            spill_blocks: spill_blocks(&config),
            planner: Mutex::default(),
            config,
        };
        world.check_room_for_offsets()?;
        Ok(Arc::new(world))
    }

    /// The configuration that this is the world of.
    pub fn config(&self) -> &GeneratorConfig {
        &self.config
    }

    /// How many blocks beyond the one that it begins in a funnel can reach: 64 (videos are at most 60 s long), more
    /// when events are held back or retried. A seek plans this many blocks again.
    pub fn spill_blocks(&self) -> i64 {
        self.spill_blocks
    }

    /// Mean records per second of a partition, without what scenarios add: the rate, split by the popularity of the
    /// partition's videos.
    pub fn records_per_s(&self, partition: i32) -> f64 {
        self.config.rate_per_s * self.catalogue.mass(partition)
    }

    /// Where a block begins, in milliseconds since the epoch.
    pub fn block_start_ms(&self, block: i64) -> i64 {
        self.config.start_ms + block * BLOCK_MS
    }

    /// The block that is not yet complete at this time: all records of the blocks before it have record times at or
    /// before it. 0 before the log's start.
    pub fn first_incomplete_block(&self, now_ms: i64) -> i64 {
        let complete = now_ms.saturating_add(1).saturating_sub(self.config.start_ms).div_euclid(BLOCK_MS);
        complete.clamp(0, MAX_BLOCK)
    }

    /// What begins in a block, in all partitions.
    pub(crate) fn plan(&self, block: i64) -> Arc<BlockPlan> {
        // After a panic of another reader the planner may hold half of a block: begin anew.
        let mut planner = self.planner.lock().unwrap_or_else(|poisoned| {
            let mut planner = poisoned.into_inner();
            *planner = Planner::default();
            self.planner.clear_poison();
            planner
        });
        planner.plan(self, block)
    }

    /// Refuses rates that would overflow the offsets of a block, at the busiest moment that scenarios can make.
    fn check_room_for_offsets(&self) -> Result<(), GeneratorError> {
        let strength = |kind| {
            let of_kind = self.config.scenarios.iter().filter(move |scenario| scenario.kind == kind);
            of_kind.map(|scenario| scenario.strength).sum::<f64>()
        };
        let most_retried = 1.0 + if strength(ScenarioKind::Duplicates) > 0.0 { 1.0 } else { 0.0 };
        // A burst makes nine of ten records malformed at most; offline users deliver two minutes at once.
        let most_malformed = if strength(ScenarioKind::InvalidPayloadBurst) > 0.0 { 10.0 } else { 1.0 };
        let offline_share = (0.1 * strength(ScenarioKind::LateEvents)).min(1.0);
        let backlog = 1.0 + offline_share * OFFLINE_MS as f64 / BLOCK_MS as f64;
        let factor = self.sessions.most_rate_factor();
        for partition in 0..self.config.partitions {
            let ordinary = self.records_per_s(partition) * factor * most_retried * most_malformed * backlog;
            let here = self.focuses.iter().filter(|focus| i32::from(focus.partition) == partition);
            let focused: f64 = here.map(|focus| focus.funnels_per_s(factor)).sum();
            let records_per_s = ordinary + focused * FunnelLaws::mean_events();
            if records_per_s > f64::from(MAX_RECORDS_PER_S) {
                let limit = MAX_RECORDS_PER_S;
                return Err(GeneratorError::RateTooHigh { partition, records_per_s, limit });
            }
        }
        Ok(())
    }
}

impl DeliveryLaws {
    fn new(config: &GeneratorConfig) -> Self {
        Self {
            delay_ms: QuantileTable::log_normal(60.0, 0.9, 5.0, f64::from(LONGEST_DELIVERY_MS)),
            is_held_back: Chance::of(config.late_ratio),
            hold_ms: QuantileTable::uniform(SHORTEST_HOLD_MS, LONGEST_HOLD_MS),
            is_retried: Chance::of(config.duplicate_ratio),
            retry_ms: QuantileTable::log_normal(
                1_500.0,
                1.0,
                f64::from(SHORTEST_RETRY_MS),
                f64::from(LONGEST_RETRY_MS),
            ),
        }
    }
}

fn spill_blocks(config: &GeneratorConfig) -> i64 {
    let has = |kind| config.scenarios.iter().any(|scenario| scenario.kind == kind);
    let is_late = config.late_ratio > 0.0 || has(ScenarioKind::LateEvents);
    let is_retried = config.duplicate_ratio > 0.0 || has(ScenarioKind::Duplicates);
    let delivery_ms = if is_late { LONGEST_HOLD_MS } else { LONGEST_DELIVERY_MS };
    let retry_ms = if is_retried { LONGEST_RETRY_MS } else { 0 };
    // A funnel begins in its block's last millisecond at the latest.
    (BLOCK_MS - 1 + i64::from(LONGEST_FUNNEL_MS) + i64::from(delivery_ms) + i64::from(retry_ms)) / BLOCK_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_per_second_needs_about_six_users_at_a_time() {
        for (rate_per_s, day_curve, expected) in
            [(1_000.0, 0.0, 6_000), (10_000.0, 0.0, 60_000), (1_000.0, 1.0, 10_200)]
        {
            let config = GeneratorConfig { rate_per_s, day_curve, ..GeneratorConfig::default() };
            let seats = World::new(Arc::new(config)).unwrap().sessions.seats();
            assert!(
                (expected * 9 / 10..expected * 11 / 10).contains(&seats),
                "{rate_per_s}/s: {seats} seats"
            );
        }
    }
}
