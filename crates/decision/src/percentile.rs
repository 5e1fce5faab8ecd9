//! The percentile that baselines are made with.

/// The value below which the share `fraction` (0 to 1) of the sorted values lies, with linear interpolation between
/// neighbours: SQL's `percentile_cont`, Spark's `percentile`, DuckDB's `quantile_cont`, type 7 of Hyndman and Fan, "Sample
/// Quantiles in Statistical Packages" (The American Statistician 50, 1996). `None` without values. A fraction outside 0 to
/// 1 counts as the nearer bound.
pub fn percentile_cont(values: &[f64], fraction: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    let position = fraction.clamp(0.0, 1.0) * last as f64;
    // Between 0 and `last`.
    let below = position.floor() as usize;
    let (low, high) = (sorted[below], sorted[(below + 1).min(last)]);
    Some(low + (high - low) * (position - below as f64))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn neighbours_are_interpolated() {
        // As DuckDB answers: quantile_cont of 1, 2, 3, 4 is 3.7 at 0.9 and 2.2 at 0.4.
        for (values, fraction, expected) in [
            (&[1.0, 2.0, 3.0, 4.0][..], 0.9, 3.7),
            (&[4.0, 1.0, 3.0, 2.0], 0.4, 2.2),
            (&[10.0, 20.0], 0.5, 15.0),
            (&[7.0], 0.9, 7.0),
            (&[1.0, 2.0, 3.0], 0.0, 1.0),
            (&[1.0, 2.0, 3.0], 1.0, 3.0),
            (&[1.0, 2.0, 3.0], 7.0, 3.0),
        ] {
            let found = percentile_cont(values, fraction).unwrap();
            assert!((found - expected).abs() < 1e-12, "{values:?} at {fraction}: {found}, not {expected}");
        }
        assert_eq!(percentile_cont(&[], 0.5), None);
    }

    proptest! {
        #[test]
        fn a_percentile_lies_among_the_values_and_rises_with_the_fraction(
            values in proptest::collection::vec(-1e6_f64..1e6, 1..60),
            fraction in 0.0_f64..=1.0,
            further in 0.0_f64..=1.0,
        ) {
            let (low, high) = (fraction.min(further), fraction.max(further));
            let (at_low, at_high) = (percentile_cont(&values, low).unwrap(), percentile_cont(&values, high).unwrap());
            prop_assert!(at_low <= at_high + 1e-9);
            let least = values.iter().copied().fold(f64::INFINITY, f64::min);
            prop_assert!(at_low >= least - 1e-9);
        }
    }
}
