//! When the query process is started again after it has ended: pure.

use std::time::{Duration, Instant};

/// First pause after an end; it doubles …
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// … up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A process that has run this long was well: the next pause is the first again.
const WELL_AFTER: Duration = Duration::from_secs(60);

/// How often it has ended of late, and until when it is not started.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BackOff {
    ends: u32,
    not_before: Option<Instant>,
}

impl BackOff {
    /// It has ended, or could not be started, after running so long.
    pub(super) fn ended(&mut self, now: Instant, ran: Duration) {
        if ran >= WELL_AFTER {
            self.ends = 0;
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << self.ends.min(10)).min(LONGEST_PAUSE);
        self.ends = self.ends.saturating_add(1);
        self.not_before = Some(now + pause);
    }

    /// How long it is still not to be started; `None`: it may be.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        let left = self.not_before?.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_half_a_minute_and_begin_anew_after_a_good_run() {
        let begin = Instant::now();
        let mut back_off = BackOff::default();
        assert_eq!(back_off.wait(begin), None);
        let pauses: Vec<u128> = (0..9)
            .map(|_| {
                back_off.ended(begin, Duration::from_secs(1));
                back_off.wait(begin).unwrap().as_millis()
            })
            .collect();
        assert_eq!(pauses, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
        assert_eq!(back_off.wait(begin + LONGEST_PAUSE), None);
        back_off.ended(begin, WELL_AFTER);
        assert_eq!(back_off.wait(begin), Some(FIRST_PAUSE));
    }
}
