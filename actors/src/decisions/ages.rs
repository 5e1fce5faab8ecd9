//! How old gold is: samples of its age and their P95.
//!
//! At any moment the age of gold is the time since the end of the last window that can be queried. It grows until the next
//! commit: its samples over some minutes are what an event waits at most until its row is visible.

use std::collections::VecDeque;

use pulselake_decision::{MINUTE_US, percentile_cont};

/// Samples older than this don't count. Several commits of gold fall into it.
const SPAN_US: i64 = 3 * MINUTE_US;

/// The samples of the last minutes.
#[derive(Debug, Default)]
pub(super) struct Ages {
    /// Moment (µs) and age (seconds).
    samples: VecDeque<(i64, f64)>,
}

impl Ages {
    /// At `at_us`, every window that ends at or before `visible_through_us` can be queried.
    pub(super) fn add(&mut self, at_us: i64, visible_through_us: i64) {
        let age_us = at_us.saturating_sub(visible_through_us).max(0);
        self.samples.push_back((at_us, age_us as f64 / 1e6));
        let is_old = |(sampled_us, _): &(i64, f64)| at_us.saturating_sub(*sampled_us) > SPAN_US;
        while self.samples.front().is_some_and(is_old) {
            self.samples.pop_front();
        }
    }

    /// The newest sample, seconds.
    pub(super) fn newest_s(&self) -> Option<f64> {
        self.samples.back().map(|(_, age_s)| *age_s)
    }

    /// 95 percent of the samples are at most so old, seconds; `None` without any.
    pub(super) fn p95_s(&self) -> Option<f64> {
        let ages: Vec<f64> = self.samples.iter().map(|(_, age_s)| *age_s).collect();
        percentile_cont(&ages, 0.95)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_US: i64 = 1_000_000;

    #[test]
    fn a_commit_each_minute_is_a_saw_tooth_below_its_top() {
        let mut ages = Ages::default();
        assert_eq!(ages.p95_s(), None);
        for second in 0..600 {
            // A window is visible 12 s after its end.
            let visible_s = (second - 12_i64).div_euclid(60) * 60;
            ages.add(second * SECOND_US, visible_s * SECOND_US);
        }
        let p95_s = ages.p95_s().unwrap();
        assert!((67.0..=71.0).contains(&p95_s), "{p95_s}");
        assert_eq!(ages.samples.len(), 181);
    }

    #[test]
    fn a_standstill_grows_with_the_clock() {
        let mut ages = Ages::default();
        for second in 0..1_000 {
            ages.add(second * SECOND_US, 0);
        }
        assert!(ages.p95_s().unwrap() > 980.0);
        assert_eq!(ages.newest_s(), Some(999.0));
    }

    #[test]
    fn a_window_that_ends_in_the_future_has_no_age() {
        let mut ages = Ages::default();
        ages.add(0, 5 * SECOND_US);
        assert_eq!(ages.p95_s(), Some(0.0));
    }
}
