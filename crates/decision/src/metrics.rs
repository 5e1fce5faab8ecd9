//! Rates over the sums of 30 minutes.

use pulselake_model::{EventType, WindowCounters};

use crate::Rules;

/// A share counts as much as this many likes.
const SHARE_WEIGHT: i64 = 5;
/// Fewer impressions than these divide as if they were so many: a handful of likes is no trend.
const LEAST_IMPRESSIONS: i64 = 100;

/// What a video's last 30 minutes come to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Metrics30m {
    /// Impressions.
    pub impressions: i64,
    /// Starts of playback.
    pub play_start: i64,
    /// Starts of playback less those that have ended: `play_start − play_finish − skips`, 0 where that is negative. Plays
    /// that began before the 30 minutes and ended within them are set off against the running ones, so that it is about 0
    /// for a steady pace.
    pub unended_plays: i64,
    /// (likes + 5 · shares) / max(impressions, 100).
    pub velocity: f64,
    /// Finished plays / max(play_start, 1). Above 1 where plays began before the 30 minutes.
    pub completion_rate: f64,
    /// Skips / max(play_start, 1).
    pub skip_rate: f64,
}

impl Metrics30m {
    /// Of the sums of 30 minutes ([`crate::rolling_30m`]).
    pub fn of(sums: &WindowCounters) -> Self {
        let count = |kind: EventType| sums.by_type[kind as usize];
        let (impressions, play_start) = (count(EventType::Impression), count(EventType::PlayStart));
        let liking = count(EventType::Like) + SHARE_WEIGHT * count(EventType::Share);
        let (finished, skipped) = (count(EventType::PlayFinish), count(EventType::Skip));
        let plays = play_start.max(1);
        Self {
            impressions,
            play_start,
            unended_plays: (play_start - finished - skipped).max(0),
            velocity: ratio(liking, impressions.max(LEAST_IMPRESSIONS)),
            completion_rate: ratio(finished, plays),
            skip_rate: ratio(skipped, plays),
        }
    }

    /// Whether viewers stay: enough finish, few go on, and there are enough plays to say so.
    pub fn passes_gate(&self, rules: &Rules) -> bool {
        self.completion_rate >= rules.min_completion_rate
            && self.skip_rate <= rules.max_skip_rate
            && self.play_start >= rules.min_play_starts
    }
}

/// One division of whole numbers, correctly rounded: 11/20 is exactly the 0.55 that a rule compares it with.
fn ratio(numerator: i64, denominator: i64) -> f64 {
    numerator as f64 / denominator as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(counts: [i64; 6]) -> WindowCounters {
        WindowCounters { by_type: counts, watch_time_sum_ms: 0 }
    }

    #[test]
    fn velocity_weighs_shares_and_divides_by_100_at_least() {
        for (impressions, likes, shares, velocity) in
            [(0, 0, 0, 0.0), (10, 8, 0, 0.08), (99, 0, 2, 0.1), (100, 5, 1, 0.1), (200, 10, 2, 0.1)]
        {
            let metrics = Metrics30m::of(&sums([impressions, 0, 0, likes, shares, 0]));
            assert_eq!((metrics.velocity, metrics.impressions), (velocity, impressions));
        }
    }

    #[test]
    fn rates_divide_by_one_play_at_least() {
        let metrics = Metrics30m::of(&sums([0, 0, 2, 0, 0, 3]));
        assert_eq!((metrics.completion_rate, metrics.skip_rate), (2.0, 3.0));
        let metrics = Metrics30m::of(&sums([0, 40, 22, 0, 0, 14]));
        assert_eq!((metrics.play_start, metrics.completion_rate, metrics.skip_rate), (40, 0.55, 0.35));
    }

    #[test]
    fn plays_that_have_not_ended_are_what_is_left_of_the_started_ones() {
        for (play_start, play_finish, skips, unended) in [(40, 22, 14, 4), (40, 0, 0, 40), (3, 4, 2, 0)] {
            let metrics = Metrics30m::of(&sums([0, play_start, play_finish, 0, 0, skips]));
            assert_eq!(metrics.unended_plays, unended);
        }
    }

    #[test]
    fn the_gate_holds_at_its_bounds_and_not_beyond() {
        let rules = Rules::default();
        let passes = |play_start, play_finish, skips| {
            Metrics30m::of(&sums([0, play_start, play_finish, 0, 0, skips])).passes_gate(&rules)
        };
        assert!(passes(40, 22, 14), "0.55 and 0.35");
        assert!(!passes(40, 21, 14), "completion below 0.55");
        assert!(!passes(40, 22, 15), "skips above 0.35");
        assert!(passes(30, 30, 0), "30 plays");
        assert!(!passes(29, 29, 0), "29 plays");
    }
}
