//! When a bronze writer's flush is due by time alone: pure, with the wall clock's microseconds handed in.
//!
//! Promises: flushes are due where the clock enters another commit interval. Intervals begin at the same moments in
//! every shard, so that the shards' commits meet at the committer and become one snapshot. A run's first flush comes
//! a tenth of the interval after its first data, or up to twice as long where that joins the other shards: after a
//! restart readers have waited already. It is never sooner than 1 s, unless the interval itself is that short, so that
//! a run that is restarted over and over leaves one small commit a second at worst; and who wants large commits
//! with a long interval gets them from the first one on.

use std::time::Duration;

/// The least time (µs) that a run's first data wait, where intervals are not shorter than twice that.
const SHORTEST_FIRST_WAIT_US: i64 = 1_000_000;

/// The interval's share that a run's first data wait.
const FIRST_WAIT_DIVISOR: i64 = 10;

/// The timing of one run's flushes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FlushTiming {
    interval_us: i64,
    last: LastFlush,
}

#[derive(Clone, Copy, Debug)]
enum LastFlush {
    /// None so far, and no data.
    NoData,
    /// None so far; the first data came at this time (µs).
    None { first_data_us: i64 },
    /// In the interval with this number.
    In { slot: i64 },
}

impl FlushTiming {
    /// For a run that has received nothing yet.
    pub(crate) fn new(interval: Duration) -> Self {
        let interval_us = i64::try_from(interval.as_micros()).unwrap_or(i64::MAX).max(1);
        Self { interval_us, last: LastFlush::NoData }
    }

    /// Notes that data came at `now_us`.
    pub(crate) fn received(&mut self, now_us: i64) {
        if matches!(self.last, LastFlush::NoData) {
            self.last = LastFlush::None { first_data_us: now_us };
        }
    }

    /// Notes that a flush began at `now_us`, whatever made it due.
    pub(crate) fn flushed(&mut self, now_us: i64) {
        self.last = LastFlush::In { slot: now_us / self.interval_us };
    }

    /// Whether what has been received is to be flushed at `now_us`.
    pub(crate) fn is_due(&self, now_us: i64) -> bool {
        match self.last {
            LastFlush::NoData => false,
            // A clock that was set back must not keep data waiting.
            LastFlush::None { first_data_us } => {
                now_us < first_data_us || now_us >= first_flush_us(first_data_us, self.interval_us)
            }
            LastFlush::In { slot } => now_us / self.interval_us != slot,
        }
    }
}

/// When (µs) the first flush is due: after the first wait, or with the interval's end where that comes before a second
/// one would be over, which spares a second small commit just behind the first.
fn first_flush_us(first_data_us: i64, interval_us: i64) -> i64 {
    let first_wait_us = (interval_us / FIRST_WAIT_DIVISOR).max(SHORTEST_FIRST_WAIT_US);
    let until_next_slot_us = interval_us - first_data_us.rem_euclid(interval_us);
    let intervals_are_short = interval_us <= 2 * first_wait_us;
    let ends_soon = (first_wait_us..=2 * first_wait_us).contains(&until_next_slot_us);
    let wait_us = if intervals_are_short || ends_soon { until_next_slot_us } else { first_wait_us };
    first_data_us.saturating_add(wait_us)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_US: i64 = 1_000_000;
    const INTERVAL: Duration = Duration::from_secs(10);

    /// When the flush becomes due, looked at every 50 ms as the writer does.
    fn due_at_ms(timing: FlushTiming, from_ms: i64) -> i64 {
        (from_ms..from_ms + 600_000).step_by(50).find(|ms| timing.is_due(ms * 1_000)).unwrap()
    }

    fn first_due_at_ms(interval: Duration, first_data_ms: i64) -> i64 {
        let mut timing = FlushTiming::new(interval);
        timing.received(first_data_ms * 1_000);
        due_at_ms(timing, first_data_ms)
    }

    #[test]
    fn nothing_is_due_before_data_came() {
        let timing = FlushTiming::new(INTERVAL);
        assert!((0..100).all(|second| !timing.is_due(second * SECOND_US)));
    }

    #[test]
    fn the_first_flush_comes_a_second_after_the_first_data() {
        assert_eq!(first_due_at_ms(INTERVAL, 100_000), 101_000);
        assert_eq!(first_due_at_ms(INTERVAL, 107_000), 108_000);
    }

    #[test]
    fn the_first_flush_joins_an_interval_that_ends_soon() {
        assert_eq!(first_due_at_ms(INTERVAL, 108_000), 110_000);
        assert_eq!(first_due_at_ms(INTERVAL, 108_500), 110_000);
        assert_eq!(first_due_at_ms(INTERVAL, 109_000), 110_000);
    }

    #[test]
    fn the_first_flush_holds_more_than_what_came_just_before_an_interval_ended() {
        assert_eq!(first_due_at_ms(INTERVAL, 109_950), 110_950);
    }

    #[test]
    fn the_first_flush_waits_longer_where_intervals_are_long() {
        assert_eq!(first_due_at_ms(Duration::from_secs(60), 100_000), 106_000);
        assert_eq!(first_due_at_ms(Duration::from_secs(3_600), 100_000), 460_000);
        let mut endless = FlushTiming::new(Duration::MAX);
        endless.received(i64::MAX - 1);
        assert!(!endless.is_due(i64::MAX - 1));
    }

    #[test]
    fn the_first_flush_comes_no_sooner_than_a_second_where_intervals_are_shorter_than_ten() {
        assert_eq!(first_due_at_ms(Duration::from_secs(5), 100_000), 101_000);
    }

    #[test]
    fn short_intervals_are_kept_from_the_first_flush_on() {
        assert_eq!(first_due_at_ms(Duration::from_millis(200), 100_050), 100_200);
        assert_eq!(first_due_at_ms(Duration::from_secs(2), 101_500), 102_000);
    }

    #[test]
    fn more_data_do_not_put_the_first_flush_off() {
        let mut timing = FlushTiming::new(INTERVAL);
        for ms in (100_000..101_000).step_by(50) {
            timing.received(ms * 1_000);
            assert!(!timing.is_due(ms * 1_000));
        }
        assert!(timing.is_due(101 * SECOND_US));
    }

    #[test]
    fn later_flushes_come_where_intervals_end() {
        let mut timing = FlushTiming::new(INTERVAL);
        timing.received(103 * SECOND_US);
        for (flushed_ms, next_ms) in [(104_000, 110_000), (110_000, 120_000), (127_350, 130_000)] {
            timing.flushed(flushed_ms * 1_000);
            timing.received(flushed_ms * 1_000);
            assert_eq!(due_at_ms(timing, flushed_ms), next_ms);
        }
    }

    #[test]
    fn a_first_flush_that_was_due_for_another_reason_counts() {
        let mut timing = FlushTiming::new(INTERVAL);
        timing.received(102 * SECOND_US);
        timing.flushed(102 * SECOND_US + 1);
        assert_eq!(due_at_ms(timing, 102_050), 110_000);
    }

    #[test]
    fn a_clock_set_back_keeps_nothing_waiting() {
        let mut timing = FlushTiming::new(INTERVAL);
        timing.received(100 * SECOND_US);
        assert!(timing.is_due(50 * SECOND_US));
        timing.flushed(100 * SECOND_US);
        assert!(timing.is_due(50 * SECOND_US));
    }
}
