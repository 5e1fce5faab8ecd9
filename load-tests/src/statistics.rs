//! Small statistics over few numbers.

use serde::Serialize;

/// The middle of some numbers; the mean of the two middle ones where there is no middle. NaN of none.
pub(crate) fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[half],
        _ => f64::midpoint(sorted[half - 1], sorted[half]),
    }
}

/// How a quantity went over time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Trend {
    pub(crate) first_third_mean: f64,
    pub(crate) last_third_mean: f64,
    /// Last third less first third.
    pub(crate) growth: f64,
    pub(crate) max: f64,
    pub(crate) last: f64,
}

impl Trend {
    /// The trend of samples at even distances; `None` of fewer than three.
    pub(crate) fn of(samples: &[f64]) -> Option<Self> {
        let third = samples.len() / 3;
        if third == 0 {
            return None;
        }
        let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
        let first_third_mean = mean(&samples[..third]);
        let last_third_mean = mean(&samples[samples.len() - third..]);
        Some(Self {
            first_third_mean: rounded(first_third_mean, 1),
            last_third_mean: rounded(last_third_mean, 1),
            growth: rounded(last_third_mean - first_third_mean, 1),
            max: samples.iter().copied().fold(f64::MIN, f64::max),
            last: samples[samples.len() - 1],
        })
    }
}

/// Rounds for a report.
pub(crate) fn rounded(number: f64, decimals: i32) -> f64 {
    let scale = 10_f64.powi(decimals);
    (number * scale).round() / scale
}

/// Mebibytes, for a report.
pub(crate) fn mib(bytes: u64) -> f64 {
    rounded(bytes as f64 / f64::from(1 << 20), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn a_trend_compares_the_thirds() {
        let trend = Trend::of(&[1.0, 3.0, 9.0, 5.0, 4.0, 6.0, 7.0]).unwrap();
        assert_eq!((trend.first_third_mean, trend.last_third_mean, trend.growth), (2.0, 6.5, 4.5));
        assert_eq!((trend.max, trend.last), (9.0, 7.0));
        assert_eq!(Trend::of(&[1.0, 2.0]), None);
    }
}
