//! Whether a low completion rate means that viewers leave, or only that their plays have not had time to end.
//!
//! `completion_rate_30m` divides the plays that were finished by those that were started. In the first minutes of a spike
//! most plays are still running: the best video has a low rate then. Of a candidate that fails the gate by its completion
//! rate alone, the rule asks how many of its plays *may still be running*:
//!
//! ```text
//! running  = min(play_start_30m − play_finish_30m − skips_30m, play_start of the newest minutes)
//! immature = running > max_running_share · play_start_30m
//! ```
//!
//! where the newest minutes are as many as a play of the video can last, see [`running_since`]. While it is immature, nothing
//! is decided, and the pause between actions does not begin. A skip rate above the gate is never immature: the plays that
//! are running can only add to the skips.
//!
//! Both parts are needed. The subtraction is about 0 for a steady pace, whatever the plays last, because those that ended
//! and began before the 30 minutes stand for those that are running. But players that are closed send neither a finish nor
//! a skip; without the second part such plays would be running for ever. With the defaults (a fifth, and 5 of 30 minutes) a
//! video whose plays keep a steady pace is always mature.

use crate::{MINUTE_US, Metrics30m, Rules};

/// The start of the first minute of which plays may still be running at `as_of_us`, the end of the minute that is decided
/// about: the duration in whole minutes, rounded up, and one more for the minute in which the play began; at most
/// [`Rules::max_play_us`], which also stands for a duration that is unknown (absent, or not above 0).
pub fn running_since(rules: &Rules, duration_ms: Option<i64>, as_of_us: i64) -> i64 {
    let known_us =
        duration_ms.filter(|&duration| duration > 0).map(|duration| duration.saturating_mul(1_000));
    let reach_us = known_us.map_or(rules.max_play_us, |duration_us| {
        let whole_minutes = duration_us.saturating_sub(1) / MINUTE_US + 1;
        whole_minutes.saturating_add(1).saturating_mul(MINUTE_US).min(rules.max_play_us)
    });
    as_of_us.saturating_sub(reach_us)
}

/// Whether a completion rate below the gate may be only a matter of time. `plays_since` gives the starts of playback of the
/// minutes from a moment on, up to the one that is decided about ([`crate::minutes::plays_since`]); it is asked only where
/// the answer hangs on it.
pub fn is_immature(
    rules: &Rules,
    metrics: &Metrics30m,
    duration_ms: Option<i64>,
    as_of_us: i64,
    plays_since: impl FnOnce(i64) -> i64,
) -> bool {
    let fails_by_completion_alone = metrics.completion_rate < rules.min_completion_rate
        && metrics.skip_rate <= rules.max_skip_rate
        && metrics.play_start >= rules.min_play_starts;
    let is_too_much = |plays: i64| plays as f64 > rules.max_running_share * metrics.play_start as f64;
    fails_by_completion_alone
        && is_too_much(metrics.unended_plays)
        && is_too_much(plays_since(running_since(rules, duration_ms, as_of_us)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_US: i64 = 100 * MINUTE_US;

    /// 100 plays, of which so many have been finished and skipped, and so many may be running for their age.
    fn is_immature_at(finished: i64, skipped: i64, recent: i64) -> bool {
        let metrics = Metrics30m {
            play_start: 100,
            unended_plays: 100 - finished - skipped,
            completion_rate: finished as f64 / 100.0,
            skip_rate: skipped as f64 / 100.0,
            ..Metrics30m::default()
        };
        is_immature(&Rules::default(), &metrics, None, NOW_US, |_| recent)
    }

    #[test]
    fn the_first_minute_of_a_good_video_is_immature() {
        assert!(is_immature_at(10, 5, 100));
    }

    #[test]
    fn a_fifth_running_is_mature_and_more_is_not() {
        assert!(!is_immature_at(50, 30, 100), "20 of 100 have not ended");
        assert!(is_immature_at(49, 30, 100), "21 of 100");
        assert!(!is_immature_at(0, 30, 20), "70 have not ended, but 50 of them are too old to be running");
        assert!(is_immature_at(0, 30, 21));
    }

    #[test]
    fn only_a_completion_rate_alone_is_a_matter_of_time() {
        assert!(!is_immature_at(0, 36, 100), "skips only become more");
        assert!(is_immature_at(0, 35, 100));
        assert!(!is_immature_at(55, 0, 100), "the gate holds");
        let few = Metrics30m { play_start: 29, unended_plays: 29, ..Metrics30m::default() };
        assert!(!is_immature(&Rules::default(), &few, None, NOW_US, |_| 29), "too few plays is no rate");
    }

    #[test]
    fn a_share_of_one_takes_every_rate_at_its_word() {
        let rules = Rules { max_running_share: 1.0, ..Rules::default() };
        let metrics = Metrics30m { play_start: 100, unended_plays: 100, ..Metrics30m::default() };
        assert!(!is_immature(&rules, &metrics, None, NOW_US, |_| 100));
    }

    #[test]
    fn recent_plays_are_asked_for_only_when_they_matter() {
        let ended = Metrics30m { play_start: 100, unended_plays: 20, ..Metrics30m::default() };
        assert!(!is_immature(&Rules::default(), &ended, None, NOW_US, |_| unreachable!("not needed")));
    }

    #[test]
    fn plays_run_as_long_as_the_video_and_their_minute() {
        let rules = Rules::default();
        for (duration_ms, minutes) in [
            (Some(1), 2),
            (Some(60_000), 2),
            (Some(60_001), 3),
            (Some(240_000), 5),
            (Some(240_001), 5),
            (Some(i64::MAX), 5),
            (Some(0), 5),
            (Some(-1), 5),
            (None, 5),
        ] {
            let since_us = running_since(&rules, duration_ms, NOW_US);
            assert_eq!(since_us, NOW_US - minutes * MINUTE_US, "{duration_ms:?}");
        }
    }
}
