//! How much a percentile of a run could have come out otherwise: Woodruff's interval ("Confidence Intervals for Medians and
//! Other Position Measures", JASA 47, 1952). The share of events above the percentile is a ratio over the run's intervals,
//! whose noise `noise` knows; the interval of that share, read back through the distribution, is the percentile's.

use super::noise::{Part, half_width};
use crate::load::outcome::{IntervalPercentiles, Percentiles};

/// The shares that an interval's percentiles stand for, with nothing below zero seconds.
const SHARES: [f64; 7] = [0.0, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0];

/// The run's events as far as its intervals' percentiles tell: straight lines between them.
struct Pool {
    /// Phase, count and the values at [`SHARES`].
    intervals: Vec<(usize, f64, [f64; 7])>,
    largest: f64,
}

/// Bounds of a percentile as factors of it: (at most 1, at least 1). `intervals` come with their phases; those without
/// events say nothing. `None` with too few of them.
pub(crate) fn bounds(intervals: &[(usize, &IntervalPercentiles)], share: f64) -> Option<(f64, f64)> {
    let pool = Pool::of(intervals);
    let value = pool.value_at(share);
    let parts: Vec<Part> = pool
        .intervals
        .iter()
        .map(|(phase, count, values)| Part {
            phase: *phase,
            numerator: count * (1.0 - share_below(values, value)),
            denominator: *count,
        })
        .collect();
    let half = half_width(&parts)?;
    if value <= 0.0 {
        return None;
    }
    let low = pool.value_at((share - half).max(0.0)) / value;
    let high = pool.value_at((share + half).min(1.0)) / value;
    Some((low.min(1.0), high.max(1.0)))
}

impl Pool {
    fn of(intervals: &[(usize, &IntervalPercentiles)]) -> Self {
        let with_events = intervals.iter().filter(|(_, interval)| interval.percentiles.count > 0);
        let intervals: Vec<_> = with_events
            .map(|(phase, interval)| {
                let Percentiles { count, p50_s, p90_s, p95_s, p99_s, p999_s, max_s } = interval.percentiles;
                (*phase, count as f64, [0.0, p50_s, p90_s, p95_s, p99_s, p999_s, max_s])
            })
            .collect();
        let largest = intervals.iter().map(|(.., values)| values[6]).fold(0.0, f64::max);
        Self { intervals, largest }
    }

    fn share_below(&self, value: f64) -> f64 {
        let below: f64 =
            self.intervals.iter().map(|(_, count, values)| count * share_below(values, value)).sum();
        below / self.intervals.iter().map(|(_, count, _)| count).sum::<f64>()
    }

    /// By halving: the share below never falls with the value. Forty halvings are finer than any latency is measured.
    fn value_at(&self, share: f64) -> f64 {
        let (mut low, mut high) = (0.0, self.largest);
        for _ in 0..40 {
            let middle = f64::midpoint(low, high);
            if self.share_below(middle) < share {
                low = middle;
            } else {
                high = middle;
            }
        }
        high
    }
}

/// The share of an interval's events that are at most so slow.
fn share_below(values: &[f64; 7], value: f64) -> f64 {
    let Some(upper) = values.iter().position(|knot| *knot > value) else { return 1.0 };
    if upper == 0 {
        return 0.0;
    }
    let (from, to) = (values[upper - 1], values[upper]);
    let part = (value - from) / (to - from);
    SHARES[upper - 1] + part * (SHARES[upper] - SHARES[upper - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(level: f64, count: u64) -> IntervalPercentiles {
        let percentiles = Percentiles {
            count,
            p50_s: level,
            p90_s: 2.0 * level,
            p95_s: 3.0 * level,
            p99_s: 4.0 * level,
            p999_s: 5.0 * level,
            max_s: 6.0 * level,
        };
        IntervalPercentiles { from_s: 0.0, percentiles }
    }

    #[test]
    fn equal_intervals_pool_to_themselves_and_have_no_noise() {
        let intervals: Vec<_> = (0..20).map(|_| interval(1.0, 100)).collect();
        let with_phases: Vec<_> = intervals.iter().map(|interval| (0, interval)).collect();
        let pool = Pool::of(&with_phases);
        for (share, value) in [(0.5, 1.0), (0.95, 3.0), (0.99, 4.0)] {
            assert!((pool.value_at(share) - value).abs() < 1e-6);
            let (low, high) = bounds(&with_phases, share).unwrap();
            assert!((low - 1.0).abs() < 1e-6 && (high - 1.0).abs() < 1e-6, "{low} {high}");
        }
    }

    #[test]
    fn uneven_intervals_have_noise_around_the_percentile() {
        let intervals: Vec<_> =
            (0..40).map(|index| interval(1.0 + 0.1 * f64::from(index * index % 7 % 3), 100)).collect();
        let with_phases: Vec<_> = intervals.iter().map(|interval| (0, interval)).collect();
        let (low, high) = bounds(&with_phases, 0.95).unwrap();
        assert!(low < 1.0 && low > 0.8 && high > 1.0 && high < 1.2, "{low} {high}");
    }

    #[test]
    fn intervals_without_events_and_too_few_say_nothing() {
        let intervals: Vec<_> = (0..30).map(|index| interval(1.0, u64::from(index % 10 == 0))).collect();
        let with_phases: Vec<_> = intervals.iter().map(|interval| (0, interval)).collect();
        assert_eq!(bounds(&with_phases, 0.5), None);
        assert_eq!(bounds(&[], 0.5), None);
    }

    #[test]
    fn equal_percentiles_make_a_step() {
        let values = [0.0, 1.0, 1.0, 1.0, 1.0, 2.0, 2.0];
        assert_eq!(share_below(&values, 1.0), 0.99);
        assert_eq!(share_below(&values, 0.5), 0.25);
        assert_eq!(share_below(&values, 2.0), 1.0);
    }
}
