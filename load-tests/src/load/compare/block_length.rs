//! How long blocks must be so that what happens in one says little about the next: the automatic rule for the circular block
//! bootstrap by Politis and White ("Automatic Block-Length Selection for the Dependent Bootstrap", Econometric Reviews 23,
//! 2004) with the correction by Patton, Politis and White (Econometric Reviews 28, 2009).

/// The length, in items, for a series around zero: 1 where neighbours have nothing to do with each other, at most a quarter
/// of the series.
pub(crate) fn block_length(series: &[f64]) -> usize {
    let count = series.len();
    let longest = (count / 4).max(1);
    let variance = autocovariance(series, 0);
    if count < 4 || variance <= 0.0 {
        return 1;
    }
    let bandwidth = 2 * last_notable_lag(series, variance).max(1);
    let lags = 1..=bandwidth.min(count - 1);
    let weighted = lags.map(|lag| {
        let covariance = flat_top(lag as f64 / bandwidth as f64) * autocovariance(series, lag);
        (covariance, lag as f64 * covariance)
    });
    let (sum, sum_by_lag) = weighted
        .fold((0.0, 0.0), |(sum, by_lag), (covariance, product)| (sum + covariance, by_lag + product));
    // Both sums run over negative lags too.
    let spectrum_at_zero = variance + 2.0 * sum;
    let spread_by_lag = 2.0 * sum_by_lag;
    let variance_constant = 4.0 / 3.0 * spectrum_at_zero * spectrum_at_zero;
    let best = (2.0 * spread_by_lag * spread_by_lag / variance_constant * count as f64).cbrt();
    // Nothing sensible (0 / 0) counts as the longest: more noise, never less.
    if best.is_finite() { (best.ceil() as usize).clamp(1, longest) } else { longest }
}

/// The last lag before a run of lags whose correlation is no more than chance makes.
fn last_notable_lag(series: &[f64], variance: f64) -> usize {
    let count = series.len() as f64;
    let quiet_run = 5.max(count.log10().sqrt().ceil() as usize);
    let by_chance = 2.0 * (count.log10() / count).sqrt();
    let highest = (count.sqrt().ceil() as usize + quiet_run).min(series.len() - 1);
    let is_notable = |lag: usize| (autocovariance(series, lag) / variance).abs() >= by_chance;
    let mut last_notable = 0;
    for lag in 1..=highest {
        if is_notable(lag) {
            last_notable = lag;
        } else if lag - last_notable >= quiet_run {
            break;
        }
    }
    last_notable
}

fn autocovariance(series: &[f64], lag: usize) -> f64 {
    let products = series.iter().zip(series.iter().skip(lag)).map(|(a, b)| a * b);
    products.sum::<f64>() / series.len() as f64
}

/// Politis and Romano's trapezoid: whole up to one half, then down to nothing at one.
fn flat_top(part: f64) -> f64 {
    (2.0 * (1.0 - part)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// An autoregressive process of order one.
    fn process(count: usize, memory: f64, seed: u64) -> Vec<f64> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut value = 0.0;
        (0..count)
            .map(|_| {
                value = memory * value + random.random::<f64>() - 0.5;
                value
            })
            .collect()
    }

    #[test]
    fn independent_items_need_no_blocks_and_remembering_ones_need_long_ones() {
        let mean_length =
            |memory| (0..20).map(|seed| block_length(&process(400, memory, seed))).sum::<usize>() / 20;
        let (independent, some, much) = (mean_length(0.0), mean_length(0.5), mean_length(0.9));
        assert!(independent <= 4, "{independent}");
        assert!(independent < some && some < much, "{independent} {some} {much}");
        // Theory for memory 0.9 and 400 items: (2 G² / D × 400)^(1/3) with G / g(0) = 2 × 0.9 / (1 − 0.81), about 38.
        assert!((20..=60).contains(&much), "{much}");
    }

    #[test]
    fn blocks_are_never_longer_than_a_quarter() {
        let drift: Vec<f64> = (0..40).map(|index| f64::from(index) - 19.5).collect();
        assert_eq!(block_length(&drift), 10);
        assert_eq!(block_length(&[0.0; 50]), 1);
        assert_eq!(block_length(&[]), 1);
    }
}
