//! The rows of the videos that scenarios are about: created once, never changed.
//!
//! Their keys ([`focus_video`]) lie beside those that the schedule counts. A cold start's video is uploaded when the
//! scenario begins, whether or not a drought lasts then: without it the scenario would be none. All others are a day old
//! at the log's start, and created among the keys that exist then.

use pulselake_model::Entity;

use super::schedule::Schedule;
use crate::cdc::CdcConfig;
use crate::spill::BLOCK_MS;
use crate::{FIRST_FOCUS_VIDEO, ScenarioKind, focus_video};

/// How old a video is at the log's start that is no new upload.
const AGE_AT_START_MS: i64 = 86_400_000;

/// One scenario's video.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FocusVideo {
    pub(crate) key: u64,
    /// When it was created, ms since the epoch.
    pub(crate) created_ms: i64,
    pub(crate) place: FocusPlace,
}

/// Where in the source's history such a video was created. `nth` counts the videos of the same kind of place, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FocusPlace {
    /// Before the start, right after the create of this key.
    AfterKey { key: u64, nth: u8 },
    /// When this block began: after so many slots.
    InBlock { block: i64, slots: u64, nth: u8 },
}

impl FocusVideo {
    /// The block with which it is uploaded; `None` when it is older than the log.
    pub(crate) fn upload_block(&self) -> Option<i64> {
        match self.place {
            FocusPlace::AfterKey { .. } => None,
            FocusPlace::InBlock { block, .. } => Some(block),
        }
    }
}

/// All of a log, ordered by their places' times, and by their keys where those are equal.
pub(crate) struct FocusVideos(Vec<FocusVideo>);

impl FocusVideos {
    /// `initial_created_ms` says when a key that exists at the start was created, ms since the epoch.
    pub(crate) fn new(
        config: &CdcConfig,
        schedule: &Schedule,
        initial_created_ms: impl Fn(u64) -> i64,
    ) -> Self {
        if config.entity != Entity::Videos {
            return Self(Vec::new());
        }
        let focused = config.scenarios.iter().enumerate().filter(|(_, scenario)| scenario.has_focus());
        let (uploads, old): (Vec<_>, Vec<_>) =
            focused.partition(|(_, scenario)| scenario.kind == ScenarioKind::ColdStartUnderExposed);

        // Nothing is before 1970.
        let old_ms = (config.start_ms - AGE_AT_START_MS).max(0);
        let after_key = last_created_by(old_ms, config.initial_keys(), initial_created_ms);
        let mut videos: Vec<FocusVideo> = (1..)
            .zip(old)
            .map(|(nth, (index, _))| FocusVideo {
                key: focus_video(index).into(),
                created_ms: old_ms,
                place: FocusPlace::AfterKey { key: after_key, nth },
            })
            .collect();

        let mut starts: Vec<(u32, usize)> =
            uploads.into_iter().map(|(index, scenario)| (scenario.start_s, index)).collect();
        starts.sort_unstable();
        videos.extend((1..).zip(starts).map(|(nth, (start_s, index))| {
            let block = i64::from(start_s);
            let slots = schedule.slots_before(block * BLOCK_MS);
            FocusVideo {
                key: focus_video(index).into(),
                created_ms: config.start_ms + block * BLOCK_MS,
                place: FocusPlace::InBlock { block, slots, nth },
            }
        }));
        Self(videos)
    }

    pub(crate) fn all(&self) -> &[FocusVideo] {
        &self.0
    }

    /// The video with this key.
    pub(crate) fn get(&self, key: u64) -> Option<&FocusVideo> {
        // Nearly all keys are lower.
        if key < FIRST_FOCUS_VIDEO.into() {
            return None;
        }
        self.0.iter().find(|video| video.key == key)
    }

    /// How many are created between the start and the beginning of this block.
    pub(crate) fn uploads_before(&self, block: i64) -> i64 {
        let uploaded_in = self.0.iter().filter_map(FocusVideo::upload_block);
        // At most as many as scenarios.
        uploaded_in.filter(|own| *own < block).count() as i64
    }
}

/// The last of the keys from 1 to `keys` that was created at this time or before; the first when none was.
fn last_created_by(time_ms: i64, keys: u64, created_ms: impl Fn(u64) -> i64) -> u64 {
    let (mut low, mut high) = (1, keys);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if created_ms(middle) <= time_ms {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_key_before_a_time_is_found() {
        let created_ms = |key: u64| [10, 20, 20, 35, 50][key as usize - 1];
        for (time_ms, expected) in [(9, 1), (10, 1), (19, 1), (20, 3), (34, 3), (35, 4), (50, 5), (99, 5)] {
            assert_eq!(last_created_by(time_ms, 5, created_ms), expected, "{time_ms}");
        }
        assert_eq!(last_created_by(5, 1, |_| 3), 1);
    }
}
