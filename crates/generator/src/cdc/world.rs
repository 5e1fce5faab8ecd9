//! Everything that follows from a configuration once and that all partitions of an entity's log share.

use std::sync::Arc;

use pulselake_model::Entity;

use super::focus::FocusVideos;
use super::lives::Lives;
use super::plan::DeliveryLaws;
use super::rows::{CdcRow, ChangeOperation, RowLaws};
use super::schedule::Schedule;
use crate::cdc::CdcConfig;
use crate::mix::mix64;
use crate::spill::BLOCK_MS;
use crate::world::INDEX_BITS;
use crate::{GeneratorError, partition_of_key};

/// Keys whose creates one of the first blocks holds, over all partitions.
pub(crate) const KEYS_PER_INITIAL_BLOCK: u64 = 16_384;
/// The log ends here, about 68 years after its start: positions and times stay far from their limits.
pub(crate) const MAX_LIVE_BLOCK: i64 = 1 << 31;

/// Over how long the keys that exist at the start were created.
const VIDEOS_CREATED_WITHIN_MS: u128 = 30 * 86_400_000;
const USERS_CREATED_WITHIN_MS: u128 = 730 * 86_400_000;

/// An entity's changes: cheap to make, shared by the partitions of the log.
pub struct CdcWorld {
    pub(crate) config: CdcConfig,
    pub(crate) entity_seed: u64,
    pub(crate) schedule: Schedule,
    pub(crate) rows: RowLaws,
    pub(crate) delivery: DeliveryLaws,
    pub(crate) focus: FocusVideos,
    lives: Lives,
    initial_blocks: i64,
}

impl CdcWorld {
    /// Makes the world of a configuration.
    ///
    /// # Errors
    /// [`GeneratorError::Setting`] when the configuration is not possible.
    pub fn new(config: CdcConfig) -> Result<Arc<Self>, GeneratorError> {
        config.validate()?;
        let entity_seed = mix64(config.seed ^ ((config.entity as u64 + 1) << 48));
        let initial_blocks = config.initial_keys().div_ceil(KEYS_PER_INITIAL_BLOCK);
        let schedule = Schedule::new(&config, entity_seed);
        Ok(Arc::new(Self {
            entity_seed,
            lives: Lives::new(&config, entity_seed, &schedule),
            focus: FocusVideos::new(&config, &schedule, |key| initial_created_ms(&config, key)),
            schedule,
            rows: RowLaws::new(&config, entity_seed),
            delivery: DeliveryLaws::new(&config),
            // At most ten million keys.
            initial_blocks: initial_blocks as i64,
            config,
        }))
    }

    /// The configuration that this is the world of.
    pub fn config(&self) -> &CdcConfig {
        &self.config
    }

    /// Behind the creates of all keys that exist at the start, in every partition.
    pub fn initial_end_offset(&self) -> i64 {
        self.initial_blocks << INDEX_BITS
    }

    /// Where the log certainly ends at this time (ms since the epoch), in every partition: every offset before it is
    /// final. Never before [`Self::initial_end_offset`].
    pub fn end_offset_at(&self, now_ms: i64) -> i64 {
        let complete = now_ms.saturating_add(1).saturating_sub(self.config.start_ms).div_euclid(BLOCK_MS);
        (self.initial_blocks + complete.clamp(0, MAX_LIVE_BLOCK)) << INDEX_BITS
    }

    /// The first record time (ms since the epoch) of the second that is not complete at this time, which is the start
    /// before it.
    pub fn end_of_whole_seconds_ms(&self, now_ms: i64) -> i64 {
        let live_blocks = (self.end_offset_at(now_ms) >> INDEX_BITS) - self.initial_blocks;
        self.config.start_ms + live_blocks * BLOCK_MS
    }

    /// About how many records lie between two offsets of a partition, without snapshots.
    pub fn records_between(&self, from_offset: i64, to_offset: i64) -> i64 {
        let (from_block, to_block) = (from_offset.max(0) >> INDEX_BITS, to_offset.max(0) >> INDEX_BITS);
        let is_initial = |block: i64| block.min(self.initial_blocks);
        let initial_keys = (is_initial(to_block) - is_initial(from_block)).max(0) as f64
            * self.config.initial_keys() as f64
            / self.initial_blocks as f64;
        let is_live = |block: i64| (block - self.initial_blocks).max(0);
        let live_s = (is_live(to_block) - is_live(from_block)).max(0) as f64;
        ((initial_keys + live_s * self.config.rate_per_s) / f64::from(self.config.partitions)) as i64
    }

    /// The key's text, such as `v_17`.
    pub fn key_text(&self, key: u64) -> String {
        let mut text = Vec::new();
        self.write_key(key, &mut text);
        String::from_utf8_lossy(&text).into_owned()
    }

    /// The keys of a block of initial creates; `None` when the block is a later one.
    pub(crate) fn initial_keys_of(&self, block: i64) -> Option<std::ops::RangeInclusive<u64>> {
        if !(0..self.initial_blocks).contains(&block) {
            return None;
        }
        let before = block.unsigned_abs() * KEYS_PER_INITIAL_BLOCK;
        Some(before + 1..=(before + KEYS_PER_INITIAL_BLOCK).min(self.config.initial_keys()))
    }

    pub(crate) fn initial_blocks(&self) -> i64 {
        self.initial_blocks
    }

    pub(crate) fn write_key(&self, key: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(match self.config.entity {
            Entity::Videos => b"v_",
            Entity::Users => b"u_",
        });
        out.extend_from_slice(itoa::Buffer::new().format(key).as_bytes());
    }

    pub(crate) fn partition_of(&self, key: u64) -> i32 {
        let mut text = Vec::with_capacity(24);
        self.write_key(key, &mut text);
        partition_of_key(&text, self.config.partitions)
    }

    /// When a key was created first, ms since the epoch. Rises with the key's number, but for focus videos.
    pub(crate) fn created_ms(&self, key: u64) -> i64 {
        if let Some(video) = self.focus.get(key) {
            return video.created_ms;
        }
        if self.schedule.is_initial(key) {
            return initial_created_ms(&self.config, key);
        }
        self.config.start_ms + self.schedule.slot_ms(self.schedule.slot_of_create(key))
    }

    /// The row of a key in a version; `None` when it is not there then: deleted, or never created in a drought.
    pub fn row(&self, key: u64, version: u64) -> Option<CdcRow> {
        self.is_there(key, version).then(|| self.rows.row(key, version, self.created_ms(key)))
    }

    /// What a version of a key is: never a snapshot; `None` when a drought leaves it out.
    pub(crate) fn operation(&self, key: u64, version: u64) -> Option<ChangeOperation> {
        if self.focus.get(key).is_some() {
            return (version == 0).then_some(ChangeOperation::Create);
        }
        self.lives.operation(&self.schedule, key, version)
    }

    /// Whether a key's row is there once it has this version.
    pub(crate) fn is_there(&self, key: u64, version: u64) -> bool {
        self.focus.get(key).is_some() || self.lives.is_there(&self.schedule, key, version)
    }
}

/// When a key that exists at the start was created, ms since the epoch.
fn initial_created_ms(config: &CdcConfig, key: u64) -> i64 {
    let (within_ms, is_skewed) = match config.entity {
        Entity::Videos => (VIDEOS_CREATED_WITHIN_MS, true),
        Entity::Users => (USERS_CREATED_WITHIN_MS, false),
    };
    let ranks = u128::from(config.initial_keys());
    let rank = ranks + 1 - u128::from(key);
    // More videos are new than old: their age grows with the square of the rank.
    let age_ms = if is_skewed { within_ms * rank * rank / (ranks * ranks) } else { within_ms * rank / ranks };
    // At most two years: it fits. No log begins before 1970, and nothing in it is older.
    (config.start_ms - (age_ms as i64).max(1)).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GeneratorConfig;

    fn world(entity: Entity) -> Arc<CdcWorld> {
        CdcWorld::new(CdcConfig::beside(&GeneratorConfig::default(), entity)).unwrap()
    }

    #[test]
    fn keys_are_created_one_after_the_other_and_before_the_start() {
        for entity in Entity::ALL {
            let world = world(entity);
            let keys = world.config().initial_keys();
            let times: Vec<i64> = (1..=keys + 20).map(|key| world.created_ms(key)).collect();
            assert!(times.is_sorted());
            assert!(times[keys as usize - 1] < world.config().start_ms);
            assert!(times[keys as usize] >= world.config().start_ms);
        }
        let videos = world(Entity::Videos);
        let last_hour = videos.config().start_ms - 3_600_000;
        let young = (1..=10_000).filter(|key| videos.created_ms(*key) > last_hour).count();
        assert!((300..450).contains(&young), "{young}");
    }

    #[test]
    fn the_end_is_behind_the_initial_creates_and_then_moves_by_seconds() {
        let world = world(Entity::Users);
        let start_ms = world.config().start_ms;
        assert_eq!(world.initial_end_offset(), 7 << 20);
        for (now_ms, block) in
            [(i64::MIN, 7), (start_ms + 998, 7), (start_ms + 999, 8), (start_ms + 4_999, 12)]
        {
            assert_eq!(world.end_offset_at(now_ms), block << 20, "{now_ms}");
        }
        assert_eq!(world.records_between(0, 7 << 20), 33_333);
        assert_eq!(world.records_between(0, 307 << 20), 33_433);
        assert_eq!(world.records_between(7 << 20, 307 << 20), 100);
        assert_eq!(world.records_between(307 << 20, 7 << 20), 0);
    }
}
