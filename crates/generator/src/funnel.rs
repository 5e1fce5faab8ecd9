//! What one viewer does with one video: impression, play_start, like, share, play_finish or skip, and then on to the
//! next one.

use pulselake_model::EventType;

use crate::catalogue::{Catalogue, LONGEST_MS, Video};
use crate::quantiles::QuantileTable;
use crate::random::{Chance, Random};

const PLAY_PROBABILITY: f64 = 0.85;
/// Of plays; a video's affection moves it, the popularity-weighted mean stays.
const LIKE_PROBABILITY: f64 = 0.08;
const SHARE_PROBABILITY: f64 = 0.015;
/// Of the plays of the worst video, and what the best video has more, the share that comes to the end.
const FINISH_LEAST: f64 = 0.15;
const FINISH_RANGE: f64 = 0.80;
/// From the impression to the start of playback, at most.
const LONGEST_PLAY_DELAY_MS: u32 = 2_000;
/// From the impression to the last event of its funnel, at most.
pub(crate) const LONGEST_FUNNEL_MS: u32 = LONGEST_PLAY_DELAY_MS + LONGEST_MS;

/// How much of the video had been watched at a skip in the real sample, in 1/65536 of the duration, at every twentieth
/// of the probability (docs/generator.md).
const SAMPLE_SKIPS: [f64; 21] = [
    0.0, 2_988.0, 5_564.0, 8_133.0, 10_722.0, 13_140.0, 15_781.0, 18_435.0, 21_640.0, 25_212.0, 29_085.0,
    33_083.0, 37_729.0, 41_910.0, 45_967.0, 49_886.0, 53_995.0, 57_672.0, 60_863.0, 63_419.0, 65_529.0,
];
const SKIP_UNIT: u32 = 65_536;

/// One event of a funnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) event_type: EventType,
    /// Since the impression.
    pub(crate) elapsed_ms: u32,
    pub(crate) watch_time_ms: u32,
}

/// What viewers think of one video: chances of its plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taste {
    /// To be watched to the end.
    pub(crate) finish: Chance,
    /// Of the others, to be skipped; the rest is left without a word, as when the app is closed.
    pub(crate) skip: Chance,
    pub(crate) like: Chance,
    pub(crate) share: Chance,
}

impl Taste {
    /// The taste for an ordinary video of this quality and affection, both in 1/1024. Every play ends with an event.
    pub(crate) fn of_quality(quality: u32, affection: u32) -> Self {
        let at_unit = |probability: f64| (probability * 4_294_967_296.0 / 1024.0) as u64;
        let finish = at_unit(FINISH_LEAST) * 1024 + at_unit(FINISH_RANGE) * u64::from(quality);
        Self {
            finish: Chance::of_threshold(finish),
            skip: Chance::of(1.0),
            like: Chance::of_threshold(at_unit(LIKE_PROBABILITY) * u64::from(affection)),
            share: Chance::of_threshold(at_unit(SHARE_PROBABILITY) * u64::from(affection)),
        }
    }

    /// A taste by the shares of plays that are finished, skipped (together at most 1), liked and shared.
    pub(crate) fn of_shares(finish: f64, skip: f64, like: f64, share: f64) -> Self {
        let of_others = if finish < 1.0 { skip / (1.0 - finish) } else { 0.0 };
        Self {
            finish: Chance::of(finish),
            skip: Chance::of(of_others),
            like: Chance::of(like),
            share: Chance::of(share),
        }
    }
}

/// The first two moments of the time from one impression of a viewer to the next, in ms.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spacing {
    pub(crate) mean_ms: f64,
    pub(crate) mean_square: f64,
}

/// The probabilities and times of every funnel.
pub(crate) struct FunnelLaws {
    play: Chance,
    play_delay_ms: QuantileTable,
    /// How much of the video is watched when it is not finished.
    skipped_at: QuantileTable,
    /// When in the watched time a like comes, in 1/1024: log-normal, towards the start.
    like_moment: QuantileTable,
    share_moment: QuantileTable,
    /// From the end of one video, or the refusal of it, to the next impression.
    scroll_ms: QuantileTable,
}

impl FunnelLaws {
    pub(crate) fn new() -> Self {
        Self {
            play: Chance::of(PLAY_PROBABILITY),
            play_delay_ms: QuantileTable::log_normal(300.0, 0.7, 50.0, f64::from(LONGEST_PLAY_DELAY_MS)),
            skipped_at: QuantileTable::measured(&SAMPLE_SKIPS),
            like_moment: QuantileTable::log_normal(256.0, 0.6, 1.0, 1024.0),
            share_moment: QuantileTable::log_normal(512.0, 0.5, 1.0, 1024.0),
            scroll_ms: QuantileTable::log_normal(900.0, 0.9, 150.0, 20_000.0),
        }
    }

    /// Mean events of a funnel of ordinary videos, over the whole log.
    pub(crate) fn mean_events() -> f64 {
        // A play always ends: by play_finish or by skip.
        1.0 + PLAY_PROBABILITY * (2.0 + LIKE_PROBABILITY + SHARE_PROBABILITY)
    }

    /// The time between two impressions of a viewer, over all ordinary videos by their popularity.
    pub(crate) fn spacing(&self, catalogue: &Catalogue) -> Spacing {
        let unit = f64::from(SKIP_UNIT);
        let (part, part_square) =
            (self.skipped_at.mean() / unit, self.skipped_at.mean_square() / (unit * unit));
        let (mut weights, mut watched, mut watched_square) = (0.0, 0.0, 0.0);
        for (weight, video) in catalogue.weighted() {
            let finish = video.taste().finish.probability();
            let duration_ms = f64::from(video.duration_ms);
            weights += weight;
            watched += weight * duration_ms * (finish + (1.0 - finish) * part);
            watched_square += weight * duration_ms * duration_ms * (finish + (1.0 - finish) * part_square);
        }
        let (watched, watched_square) = (watched / weights, watched_square / weights);
        let (delay, scroll) = (self.play_delay_ms.mean(), self.scroll_ms.mean());
        let play = PLAY_PROBABILITY * (delay + watched);
        let play_square =
            PLAY_PROBABILITY * (self.play_delay_ms.mean_square() + 2.0 * delay * watched + watched_square);
        Spacing {
            mean_ms: scroll + play,
            mean_square: self.scroll_ms.mean_square() + 2.0 * scroll * play + play_square,
        }
    }

    /// Plans one funnel, each event type at most once, by no particular order of time, and says how long after the
    /// impression the same viewer's next one comes.
    pub(crate) fn play_out(
        &self,
        video: &Video,
        taste: Taste,
        random: &mut impl Random,
        mut visit: impl FnMut(Step),
    ) -> u32 {
        let scrolled_ms = self.scroll_ms.at(random.bits());
        visit(Step { event_type: EventType::Impression, elapsed_ms: 0, watch_time_ms: 0 });
        if !random.happens(self.play) {
            return scrolled_ms;
        }
        let started_ms = self.play_delay_ms.at(random.bits());
        visit(Step { event_type: EventType::PlayStart, elapsed_ms: started_ms, watch_time_ms: 0 });

        let is_finished = random.happens(taste.finish);
        let part = self.skipped_at.at(random.bits());
        let is_skipped = random.happens(taste.skip);
        let skipped_ms = (u64::from(video.duration_ms) * u64::from(part) / u64::from(SKIP_UNIT)).max(1);
        let watched_ms = if is_finished { video.duration_ms } else { skipped_ms as u32 };

        let reactions = [
            (EventType::Like, taste.like, &self.like_moment),
            (EventType::Share, taste.share, &self.share_moment),
        ];
        for (event_type, chance, moment) in reactions {
            let (hit, moment_bits) = (random.bits(), random.bits());
            if chance.hits(hit) {
                let in_1024 = u64::from(moment.at(moment_bits));
                let watch_time_ms = (u64::from(watched_ms) * in_1024 / 1024).max(1) as u32;
                visit(Step { event_type, elapsed_ms: started_ms + watch_time_ms, watch_time_ms });
            }
        }
        let elapsed_ms = started_ms + watched_ms;
        if is_finished || is_skipped {
            let event_type = if is_finished { EventType::PlayFinish } else { EventType::Skip };
            visit(Step { event_type, elapsed_ms, watch_time_ms: watched_ms });
        }
        elapsed_ms + scrolled_ms
    }
}
