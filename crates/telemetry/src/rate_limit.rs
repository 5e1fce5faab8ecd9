//! Keeps a burst from filling the log: one line at once, then one line per interval with the sum of what came since.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Sums counts between two lines.
#[derive(Debug)]
pub(crate) struct BurstLimit {
    interval: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    last_line: Option<Instant>,
    suppressed: u64,
}

impl BurstLimit {
    pub(crate) const fn new(interval: Duration) -> Self {
        Self { interval, state: Mutex::new(State { last_line: None, suppressed: 0 }) }
    }

    /// Adds `count` at `now`; the sum to write when it is time for a line.
    pub(crate) fn add(&self, count: u64, now: Instant) -> Option<u64> {
        let mut state = self.state.lock();
        state.suppressed += count;
        if state.last_line.is_some_and(|last| now.saturating_duration_since(last) < self.interval) {
            return None;
        }
        state.last_line = Some(now);
        Some(std::mem::take(&mut state.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_makes_one_line_per_interval_and_loses_no_count() {
        let limit = BurstLimit::new(Duration::from_secs(10));
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(limit.add(1, start), Some(1));
        assert_eq!(limit.add(5, after(1)), None);
        assert_eq!(limit.add(7, after(9)), None);
        assert_eq!(limit.add(2, after(10)), Some(14));
        assert_eq!(limit.add(1, after(11)), None);
        assert_eq!(limit.add(1, after(30)), Some(2));
    }
}
