//! Counts of one video per minute, and their sum over 30 minutes.

use std::collections::BTreeMap;

use pulselake_model::{EventType, WindowCounters};

/// A minute in microseconds.
pub const MINUTE_US: i64 = 60_000_000;

/// Minutes before the current one that count as well: with it, 30.
const PRECEDING_MINUTES: i64 = 29;

/// One video's counts by the start of their minute (microseconds since the epoch). A minute without events is absent.
pub type VideoMinutes = BTreeMap<i64, WindowCounters>;

/// The sum over `minute_start_us` and the 29 minutes before it: SQL's `RANGE BETWEEN 29 minutes PRECEDING AND CURRENT
/// ROW`. Minutes that come later never count.
pub fn rolling_30m(minutes: &VideoMinutes, minute_start_us: i64) -> WindowCounters {
    let first_us = minute_start_us.saturating_sub(PRECEDING_MINUTES * MINUTE_US);
    let mut sum = WindowCounters::default();
    for counters in minutes.range(first_us..=minute_start_us).map(|(_, counters)| counters) {
        sum.merge(counters);
    }
    sum
}

/// Starts of playback in the minutes from the first that begins at or after `since_us` to the one at `minute_start_us`: what
/// [`crate::decide`] asks for.
pub fn plays_since(minutes: &VideoMinutes, since_us: i64, minute_start_us: i64) -> i64 {
    if since_us > minute_start_us {
        return 0;
    }
    let counted = minutes.range(since_us..=minute_start_us);
    counted.map(|(_, counters)| counters.by_type[EventType::PlayStart as usize]).sum()
}

/// The first minute whose 30 minutes lie whole at or after `from_us`. Before it, missing data would look like a video
/// that nobody sees.
pub fn first_covered_minute(from_us: i64) -> i64 {
    let first_whole_us = from_us + (-from_us).rem_euclid(MINUTE_US);
    first_whole_us + PRECEDING_MINUTES * MINUTE_US
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn impressions(count: i64) -> WindowCounters {
        let mut counters = WindowCounters::default();
        counters.by_type[EventType::Impression as usize] = count;
        counters
    }

    #[test]
    fn the_window_holds_the_current_minute_and_29_before() {
        let minutes: VideoMinutes =
            [(0, 1), (1, 10), (29, 100), (30, 1_000)].map(|(at, n)| (at * MINUTE_US, impressions(n))).into();
        let sum_at = |minute: i64| rolling_30m(&minutes, minute * MINUTE_US).events();
        assert_eq!(
            [-1, 0, 1, 28, 29, 30, 31, 58, 59, 60].map(sum_at),
            [0, 1, 11, 11, 111, 1_110, 1_100, 1_100, 1_000, 0]
        );
    }

    #[test]
    fn watch_time_is_summed_too() {
        let mut seen = WindowCounters::default();
        seen.add(EventType::PlayFinish, 7_000);
        let minutes: VideoMinutes = [(0, seen), (MINUTE_US, seen)].into();
        assert_eq!(rolling_30m(&minutes, MINUTE_US).watch_time_sum_ms, 14_000);
    }

    #[test]
    fn plays_are_counted_by_whole_minutes_up_to_the_decided_one() {
        let mut played = WindowCounters::default();
        played.by_type[EventType::PlayStart as usize] = 5;
        let minutes: VideoMinutes = (0..4).map(|minute| (minute * MINUTE_US, played)).collect();
        for (since_us, plays) in [(0, 15), (1, 10), (MINUTE_US, 10), (2 * MINUTE_US, 5), (i64::MAX, 0)] {
            assert_eq!(plays_since(&minutes, since_us, 2 * MINUTE_US), plays, "since {since_us}");
        }
    }

    #[test]
    fn the_first_covered_minute_is_the_30th_whole_one() {
        for (from_us, minute) in [(0, 29), (1, 30), (MINUTE_US - 1, 30), (MINUTE_US, 30), (-1, 29)] {
            assert_eq!(first_covered_minute(from_us), minute * MINUTE_US, "from {from_us}");
        }
    }

    proptest! {
        #[test]
        fn the_sum_is_that_of_the_minutes_within_reach(
            counts in proptest::collection::btree_map(0_i64..200, 0_i64..50, 0..80),
            at in 0_i64..230,
        ) {
            let minutes: VideoMinutes =
                counts.iter().map(|(minute, n)| (minute * MINUTE_US, impressions(*n))).collect();
            let expected: i64 =
                counts.iter().filter(|(minute, _)| (at - 29..=at).contains(*minute)).map(|(_, n)| n).sum();
            prop_assert_eq!(rolling_30m(&minutes, at * MINUTE_US).events(), expected);
        }
    }
}
