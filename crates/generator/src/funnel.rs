//! What one viewer does with one video: impression, play_start, like, share, play_finish or skip.

use pulselake_model::EventType;

use crate::catalogue::{LONGEST_MS, Video};
use crate::quantiles::QuantileTable;
use crate::random::{BlockRandom, Chance};

const PLAY_PROBABILITY: f64 = 0.85;
/// Of plays; a video's affection moves it, the popularity-weighted mean stays.
const LIKE_PROBABILITY: f64 = 0.08;
const SHARE_PROBABILITY: f64 = 0.015;
/// From the impression to the start of playback, at most.
const LONGEST_PLAY_DELAY_MS: u32 = 2_000;
/// From the impression to the last event of its funnel, at most.
pub(crate) const LONGEST_FUNNEL_MS: u32 = LONGEST_PLAY_DELAY_MS + LONGEST_MS;

/// One event of a funnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) event_type: EventType,
    /// Since the impression.
    pub(crate) elapsed_ms: u32,
    pub(crate) watch_time_ms: u32,
}

/// The probabilities and times of every funnel.
pub(crate) struct FunnelLaws {
    play: Chance,
    play_delay_ms: QuantileTable,
    /// How much of a video of mean appeal the viewer would watch, in 1/1024 of its duration.
    patience: QuantileTable,
    /// When in the watched time a like comes, in 1/1024: log-normal, towards the start.
    like_moment: QuantileTable,
    share_moment: QuantileTable,
}

impl FunnelLaws {
    pub(crate) fn new() -> Self {
        Self {
            play: Chance::of(PLAY_PROBABILITY),
            play_delay_ms: QuantileTable::log_normal(300.0, 0.7, 50.0, f64::from(LONGEST_PLAY_DELAY_MS)),
            patience: QuantileTable::log_normal(1024.0, 0.8, 1.0, 102_400.0),
            like_moment: QuantileTable::log_normal(256.0, 0.6, 1.0, 1024.0),
            share_moment: QuantileTable::log_normal(512.0, 0.5, 1.0, 1024.0),
        }
    }

    /// Mean events of a funnel, over the whole log.
    pub(crate) fn mean_events() -> f64 {
        // A play always ends: by play_finish or by skip.
        1.0 + PLAY_PROBABILITY * (2.0 + LIKE_PROBABILITY + SHARE_PROBABILITY)
    }

    /// Plans one funnel, each event type at most once, by no particular order of time.
    pub(crate) fn play_out(
        &self,
        video: &Video,
        random: &mut BlockRandom,
        mut visit: impl FnMut(&mut BlockRandom, Step),
    ) {
        visit(random, Step { event_type: EventType::Impression, elapsed_ms: 0, watch_time_ms: 0 });
        if !random.happens(self.play) {
            return;
        }
        let started_ms = self.play_delay_ms.at(random.bits());
        visit(random, Step { event_type: EventType::PlayStart, elapsed_ms: started_ms, watch_time_ms: 0 });

        let willing = u64::from(self.patience.at(random.bits())) * u64::from(video.appeal) / 1024;
        let (ending, watched_ms) = if willing >= 1024 {
            (EventType::PlayFinish, video.duration_ms)
        } else {
            (EventType::Skip, (u64::from(video.duration_ms) * willing / 1024).max(1) as u32)
        };
        let reactions = [
            (EventType::Like, LIKE_PROBABILITY, &self.like_moment),
            (EventType::Share, SHARE_PROBABILITY, &self.share_moment),
        ];
        for (event_type, probability, moment) in reactions {
            if random.happens(Chance::of(probability * f64::from(video.affection) / 1024.0)) {
                let part = u64::from(moment.at(random.bits()));
                let watch_time_ms = (u64::from(watched_ms) * part / 1024).max(1) as u32;
                visit(random, Step { event_type, elapsed_ms: started_ms + watch_time_ms, watch_time_ms });
            }
        }
        visit(
            random,
            Step { event_type: ending, elapsed_ms: started_ms + watched_ms, watch_time_ms: watched_ms },
        );
    }
}
