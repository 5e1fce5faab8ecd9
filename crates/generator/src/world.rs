//! Everything that follows from a configuration once and that all partitions share.

use std::sync::Arc;

use crate::audience::{Audience, BodyTails};
use crate::catalogue::{PartitionVideos, allot};
use crate::event_id::EventIds;
use crate::funnel::{FunnelLaws, LONGEST_FUNNEL_MS};
use crate::quantiles::QuantileTable;
use crate::random::Chance;
use crate::spill::BLOCK_MS;
use crate::{GeneratorConfig, GeneratorError};

/// Bits of an offset that count records inside a block.
pub const INDEX_BITS: u32 = 20;
/// Records that a block's offsets have room for.
pub(crate) const MAX_RECORDS_PER_BLOCK: usize = 1 << INDEX_BITS;
/// A partition's mean may come this close: over twenty standard deviations of one second's count are left.
const MAX_RECORDS_PER_S: u32 = 1_000_000;
/// The log ends here, about 2,000 years after its start: far enough, and no timestamp or id overflows.
pub(crate) const MAX_BLOCK: i64 = 1 << 36;

/// A record reaches the log this long after its event, at most.
const LONGEST_DELIVERY_MS: u32 = 2_000;
/// Events that are held back reach it after this time.
const SHORTEST_HOLD_MS: u32 = 121_000;
const LONGEST_HOLD_MS: u32 = 210_000;
/// A retry follows the first delivery after this time.
const SHORTEST_RETRY_MS: u32 = 50;
const LONGEST_RETRY_MS: u32 = 30_000;

/// The world that a log's events come from: made once, shared by its partitions.
pub struct World {
    pub(crate) config: Arc<GeneratorConfig>,
    pub(crate) partitions: Vec<PartitionVideos>,
    pub(crate) audience: Audience,
    pub(crate) laws: FunnelLaws,
    pub(crate) body_tails: BodyTails,
    pub(crate) event_ids: EventIds,
    pub(crate) delivery: DeliveryLaws,
    /// Gaps between independent arrivals, by an arbitrary scale: see `mean_gap`.
    pub(crate) gaps: QuantileTable,
    /// The mean of `gaps`, as the table gives it: dividing by it makes rates exact.
    pub(crate) mean_gap: f64,
    funnels_per_s: f64,
    spill_blocks: i64,
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
    /// [`GeneratorError::Setting`] or [`GeneratorError::RateTooHigh`] when the configuration is not possible.
    pub fn new(config: Arc<GeneratorConfig>) -> Result<Arc<Self>, GeneratorError> {
        config.validate()?;
        let records_per_funnel = FunnelLaws::mean_events() * (1.0 + config.duplicate_ratio);
        let funnels_per_s = config.rate_per_s * (1.0 - config.invalid_ratio) / records_per_funnel;
        let gaps = QuantileTable::exponential(100_000.0);
        let world = Self {
            partitions: allot(&config),
            audience: Audience::new(&config, funnels_per_s),
            laws: FunnelLaws::new(),
            body_tails: BodyTails::new(),
            event_ids: EventIds::of(config.seed),
            delivery: DeliveryLaws::new(&config),
            mean_gap: gaps.mean(),
            gaps,
            funnels_per_s,
            spill_blocks: spill_blocks(&config),
            config,
        };
        for partition in 0..world.config.partitions {
            let records_per_s = world.records_per_s(partition);
            if records_per_s > f64::from(MAX_RECORDS_PER_S) {
                return Err(GeneratorError::RateTooHigh {
                    partition,
                    records_per_s,
                    limit: MAX_RECORDS_PER_S,
                });
            }
        }
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

    /// Mean records per second of a partition: the rate, split by the popularity of the partition's videos.
    pub fn records_per_s(&self, partition: i32) -> f64 {
        self.config.rate_per_s * self.mass(partition)
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

    /// Mean funnels that begin per second in a block of a partition. Laws that change with time belong here.
    pub(crate) fn funnels_per_s(&self, partition: i32) -> f64 {
        self.funnels_per_s * self.mass(partition)
    }

    /// Mean malformed records per second in a block of a partition.
    pub(crate) fn malformed_per_s(&self, partition: i32) -> f64 {
        self.records_per_s(partition) * self.config.invalid_ratio
    }

    /// The videos of a partition that exists.
    pub(crate) fn videos_of(&self, partition: i32) -> &PartitionVideos {
        &self.partitions[partition as usize]
    }

    fn mass(&self, partition: i32) -> f64 {
        usize::try_from(partition)
            .ok()
            .and_then(|index| self.partitions.get(index))
            .map_or(0.0, |videos| videos.mass)
    }
}

impl DeliveryLaws {
    fn new(config: &GeneratorConfig) -> Self {
        let uniform = |least: u32, most: u32| {
            QuantileTable::from_quantiles(move |probability| {
                f64::from(least) + f64::from(most - least) * probability
            })
        };
        Self {
            delay_ms: QuantileTable::log_normal(60.0, 0.9, 5.0, f64::from(LONGEST_DELIVERY_MS)),
            is_held_back: Chance::of(config.late_ratio),
            hold_ms: uniform(SHORTEST_HOLD_MS, LONGEST_HOLD_MS),
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
    let delivery_ms = if config.late_ratio > 0.0 { LONGEST_HOLD_MS } else { LONGEST_DELIVERY_MS };
    let retry_ms = if config.duplicate_ratio > 0.0 { LONGEST_RETRY_MS } else { 0 };
    // A funnel begins in its block's last millisecond at the latest.
    (BLOCK_MS - 1 + i64::from(LONGEST_FUNNEL_MS) + i64::from(delivery_ms) + i64::from(retry_ms)) / BLOCK_MS
}
