//! How much a figure of a run could have come out otherwise, judged by its own intervals.
//!
//! A figure is a ratio of sums over the run's intervals (records by seconds, CPU by records; a mean is a sum by a count).
//! Neighbouring intervals are not independent, so its variance is that of the **circular block bootstrap** (Künsch 1989;
//! Politis and Romano 1992) over the ratio's residuals. For a sum the bootstrap's variance needs no drawing: it is the mean
//! of the squared sums of all blocks (Meketon and Schmeiser's overlapping batch means, 1984); so the same runs always give
//! the same answer. What one phase has more of than another is the scenario's, not noise: residuals count from their
//! phase's mean.

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::block_length::block_length;

/// Share of intervals that hold the true value. At 99 % a comparison of twenty figures of two equal runs would call one of
/// them worse in one of ten, if the smallest effects (`floors`) did not stand before it too.
pub(crate) const CONFIDENCE: f64 = 0.99;

/// With fewer intervals than this (beyond one for each phase) nothing is said about noise.
const FEWEST_INTERVALS: usize = 8;

/// One interval's part of a ratio.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Part {
    pub(crate) phase: usize,
    pub(crate) numerator: f64,
    pub(crate) denominator: f64,
}

/// Sum by sum; `None` of nothing.
pub(crate) fn ratio(parts: &[Part]) -> Option<f64> {
    let (numerator, denominator) = sums(parts);
    (denominator > 0.0).then(|| numerator / denominator)
}

fn sums(parts: &[Part]) -> (f64, f64) {
    (parts.iter().map(|part| part.numerator).sum(), parts.iter().map(|part| part.denominator).sum())
}

/// Half of the ratio's confidence interval; `None` with too few intervals.
pub(crate) fn half_width(parts: &[Part]) -> Option<f64> {
    let value = ratio(parts)?;
    let mut residuals: Vec<f64> =
        parts.iter().map(|part| part.numerator - value * part.denominator).collect();
    let phases = centre_by_phase(parts, &mut residuals);
    let count = residuals.len();
    if count < phases + FEWEST_INTERVALS {
        return None;
    }
    let length = block_length(&residuals);
    let squares = circular_block_sums(&residuals, length).map(|sum| sum * sum);
    let mean_square = squares.sum::<f64>() / count as f64;
    // Centring takes one freedom for each phase, and a block's sum lacks what the whole sum of zero takes from it.
    let freedoms = count as f64 / (count - phases) as f64 * count as f64 / (count - length) as f64;
    let variance_of_sum = mean_square / length as f64 * freedoms * count as f64;
    let blocks_apart = count as f64 / length as f64;
    Some(t_quantile(blocks_apart - 1.0) * variance_of_sum.sqrt() / sums(parts).1)
}

/// The sums of all blocks of a length, one beginning at each item; the end of the series is followed by its beginning.
fn circular_block_sums(series: &[f64], length: usize) -> impl Iterator<Item = f64> {
    let twice = series.iter().chain(&series[..length]);
    // The sum of everything before each item: a block is the difference of two of them.
    let mut sum_before = vec![0.0];
    sum_before.extend(twice.scan(0.0, |sum, item| {
        *sum += item;
        Some(*sum)
    }));
    (0..series.len()).map(move |start| sum_before[start + length] - sum_before[start])
}

/// Takes each phase's mean off; says how many phases there are.
fn centre_by_phase(parts: &[Part], residuals: &mut [f64]) -> usize {
    let mut phases: Vec<usize> = parts.iter().map(|part| part.phase).collect();
    phases.sort_unstable();
    phases.dedup();
    for phase in &phases {
        let of_phase =
            || parts.iter().enumerate().filter(|(_, part)| part.phase == *phase).map(|(index, _)| index);
        let count = of_phase().count();
        let mean = of_phase().map(|index| residuals[index]).sum::<f64>() / count as f64;
        of_phase().for_each(|index| residuals[index] -= mean);
    }
    phases.len()
}

/// Student's t for a two-sided interval of [`CONFIDENCE`]; the normal one's for many degrees of freedom.
pub(crate) fn t_quantile(degrees_of_freedom: f64) -> f64 {
    // A degree of freedom or more is a valid distribution: no error then.
    let distribution = StudentsT::new(0.0, 1.0, degrees_of_freedom.max(1.0));
    distribution.map_or(f64::INFINITY, |t| t.inverse_cdf(0.5 + CONFIDENCE / 2.0))
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Parts of a mean of an autoregressive process around 10.
    fn parts(count: usize, memory: f64, seed: u64) -> Vec<Part> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut deviation = 0.0;
        (0..count)
            .map(|_| {
                deviation = memory * deviation + random.random::<f64>() - 0.5;
                Part { phase: 0, numerator: 10.0 + deviation, denominator: 1.0 }
            })
            .collect()
    }

    #[test]
    fn quantiles_are_those_of_the_tables() {
        assert!((t_quantile(4.0) - 4.604).abs() < 1e-3);
        assert!((t_quantile(1e6) - 2.576).abs() < 1e-3);
    }

    #[test]
    fn blocks_go_around_the_end() {
        let sums: Vec<f64> = circular_block_sums(&[1.0, 2.0, 4.0, 8.0], 3).collect();
        assert_eq!(sums, [7.0, 14.0, 13.0, 11.0]);
    }

    #[test]
    fn it_is_the_variance_that_drawing_blocks_comes_to() {
        let parts = parts(200, 0.5, 1);
        let mean = ratio(&parts).unwrap();
        let values: Vec<f64> = parts.iter().map(|part| part.numerator - mean).collect();
        let length = block_length(&values);
        let mut random = ChaCha8Rng::seed_from_u64(2);
        let blocks = 200_usize.div_ceil(length);
        let means = (0..20_000).map(|_| {
            let drawn = (0..blocks).flat_map(|_| {
                let start = random.random_range(0..200);
                (0..length).map(move |offset| (start + offset) % 200)
            });
            drawn.map(|index| values[index]).sum::<f64>() / (blocks * length) as f64
        });
        let drawn_deviation = (means.map(|mean| mean * mean).sum::<f64>() / 20_000.0).sqrt();
        let freedoms = (200.0 / 199.0 * 200.0 / (200.0 - length as f64)).sqrt();
        let expected = t_quantile(200.0 / length as f64 - 1.0) * drawn_deviation * freedoms;
        let found = half_width(&parts).unwrap();
        assert!((found / expected - 1.0).abs() < 0.03, "{found} {expected}");
    }

    #[test]
    fn intervals_hold_the_truth_about_as_often_as_they_say() {
        for memory in [0.0, 0.5, 0.8] {
            let holds = |seed: &u64| {
                let parts = parts(300, memory, *seed);
                (ratio(&parts).unwrap() - 10.0).abs() <= half_width(&parts).unwrap()
            };
            let held = (0..400).filter(holds).count();
            assert!(held >= 380, "{held} of 400 at memory {memory}");
        }
    }

    #[test]
    fn differences_between_phases_are_no_noise() {
        let mut all = parts(100, 0.0, 1);
        let quiet = half_width(&all).unwrap();
        for part in &mut all[50..] {
            part.phase = 1;
            part.numerator += 100.0;
        }
        assert!(half_width(&all).unwrap() < quiet * 1.5);
    }

    #[test]
    fn few_intervals_say_nothing() {
        assert_eq!(half_width(&parts(8, 0.0, 1)), None);
        assert!(half_width(&parts(9, 0.0, 1)).is_some());
        assert_eq!(ratio(&[]), None);
    }
}
