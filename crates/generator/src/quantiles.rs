//! Random amounts by a table of quantiles: the inverse of a distribution, sampled at 4,097 points.
//!
//! Drawing is one look-up and one integer interpolation, fast and the same on every machine. A distribution measured
//! on real data is such a table as well: hand its quantiles over.

const CELL_BITS: u32 = 12;
const CELLS: usize = 1 << CELL_BITS;
/// Unbounded tails end where this share of the probability is left: a straight last cell up to here has nearly the
/// mean that the exponential's true tail has.
const TAIL: f64 = 1.0 / 32_768.0;

/// A distribution of whole numbers (milliseconds, or a fixed-point factor).
#[derive(Clone, Debug)]
pub(crate) struct QuantileTable {
    points: Box<[u32]>,
}

impl QuantileTable {
    /// The table of `quantile`, which maps a probability strictly between 0 and 1 to a value.
    pub(crate) fn from_quantiles(quantile: impl Fn(f64) -> f64) -> Self {
        let points = (0..=CELLS)
            .map(|cell| {
                let probability = (cell as f64 / CELLS as f64).clamp(TAIL, 1.0 - TAIL);
                // `as` saturates: a quantile beyond u32 is its end.
                quantile(probability).round() as u32
            })
            .collect();
        Self { points }
    }

    /// The distribution whose quantiles at equal steps of the probability, from 0 to 1, are these: a measured one.
    pub(crate) fn measured(quantiles: &[f64]) -> Self {
        let steps = quantiles.len().saturating_sub(1) as f64;
        Self::from_quantiles(|probability| {
            let place = probability * steps;
            let below = place as usize;
            let at = |index: usize| quantiles.get(index).or(quantiles.last()).copied().unwrap_or_default();
            at(below) + (at(below + 1) - at(below)) * (place - below as f64)
        })
    }

    /// Evenly spread from `least` to `most`.
    pub(crate) fn uniform(least: u32, most: u32) -> Self {
        Self::from_quantiles(|probability| f64::from(least) + f64::from(most - least) * probability)
    }

    /// Log-normal with this median and this sigma of the logarithm, cut to `least..=most`.
    pub(crate) fn log_normal(median: f64, sigma: f64, least: f64, most: f64) -> Self {
        Self::from_quantiles(|probability| {
            (median * libm::exp(sigma * normal_quantile(probability))).clamp(least, most)
        })
    }

    /// Exponential with mean `scale`.
    pub(crate) fn exponential(scale: f64) -> Self {
        Self::from_quantiles(|probability| -scale * libm::log1p(-probability))
    }

    /// The value for 32 uniform bits.
    pub(crate) fn at(&self, bits: u32) -> u32 {
        let cell = (bits >> (32 - CELL_BITS)) as usize;
        let within = u64::from(bits & (u32::MAX >> CELL_BITS));
        let (low, high) = (self.points[cell], self.points[cell + 1]);
        let rise = (u64::from(high.saturating_sub(low)) * within) >> (32 - CELL_BITS);
        // The rise is at most high − low: the sum fits.
        low + rise as u32
    }

    /// The mean of what [`Self::at`] gives for uniform bits.
    pub(crate) fn mean(&self) -> f64 {
        let inner: f64 = self.points[1..CELLS].iter().map(|&point| f64::from(point)).sum();
        (inner + (f64::from(self.points[0]) + f64::from(self.points[CELLS])) / 2.0) / CELLS as f64
    }

    /// The mean of the square of what [`Self::at`] gives for uniform bits.
    pub(crate) fn mean_square(&self) -> f64 {
        let cells = self.points.windows(2).map(|ends| {
            let (low, high) = (f64::from(ends[0]), f64::from(ends[1]));
            (low * low + low * high + high * high) / 3.0
        });
        cells.sum::<f64>() / CELLS as f64
    }

    /// The largest value that it can give.
    #[cfg(test)]
    pub(crate) fn most(&self) -> u32 {
        self.points[CELLS]
    }
}

/// Inverse of the standard normal distribution (Acklam's rational approximation, relative error below 1.2e-9).
fn normal_quantile(probability: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969_683_028_665_376e1,
        2.209_460_984_245_205e2,
        -2.759_285_104_469_687e2,
        1.383_577_518_672_69e2,
        -3.066_479_806_614_716e1,
        2.506_628_277_459_239,
    ];
    const B: [f64; 5] = [
        -5.447_609_879_822_406e1,
        1.615_858_368_580_409e2,
        -1.556_989_798_598_866e2,
        6.680_131_188_771_972e1,
        -1.328_068_155_288_572e1,
    ];
    const C: [f64; 6] = [
        -7.784_894_002_430_293e-3,
        -3.223_964_580_411_365e-1,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 4] =
        [7.784_695_709_041_462e-3, 3.224_671_290_700_398e-1, 2.445_134_137_142_996, 3.754_408_661_907_416];
    const CENTRE_FROM: f64 = 0.024_25;

    let polynomial = |factors: &[f64], x: f64| factors.iter().fold(0.0, |sum, factor| sum * x + factor);
    if probability > 1.0 - CENTRE_FROM {
        return -normal_quantile(1.0 - probability);
    }
    if probability < CENTRE_FROM {
        let depth = libm::sqrt(-2.0 * libm::log(probability));
        return polynomial(&C, depth) / (polynomial(&D, depth) * depth + 1.0);
    }
    let offset = probability - 0.5;
    let square = offset * offset;
    polynomial(&A, square) * offset / (polynomial(&B, square) * square + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_quantiles_are_the_known_ones() {
        for (probability, expected) in
            [(0.5, 0.0), (0.841_344_746, 1.0), (0.975, 1.959_964), (0.001, -3.090_232)]
        {
            assert!((normal_quantile(probability) - expected).abs() < 1e-6, "{probability}");
        }
    }

    #[test]
    fn the_mean_is_that_of_the_distribution() {
        let exponential = QuantileTable::exponential(100_000.0).mean();
        assert!((exponential / 100_000.0 - 1.0).abs() < 1e-3, "{exponential}");
        // exp(sigma² / 2) times the median.
        let log_normal = QuantileTable::log_normal(10_000.0, 0.5, 0.0, 1e9).mean();
        assert!((log_normal / 11_331.5 - 1.0).abs() < 1e-3, "{log_normal}");
    }

    #[test]
    fn the_second_moment_is_that_of_the_distribution() {
        let uniform = QuantileTable::uniform(0, 60_000).mean_square();
        assert!((uniform / 1.2e9 - 1.0).abs() < 1e-3, "{uniform}");
        let exponential = QuantileTable::exponential(100_000.0).mean_square();
        assert!((exponential / 2e10 - 1.0).abs() < 0.01, "{exponential}");
    }

    #[test]
    fn measured_quantiles_come_back() {
        let table = QuantileTable::measured(&[0.0, 100.0, 1_000.0]);
        for (bits, expected) in [(0, 0), (1 << 30, 50), (1 << 31, 100), (3 << 30, 550)] {
            assert_eq!(table.at(bits), expected);
        }
    }

    #[test]
    fn draws_rise_with_their_bits_and_stay_inside() {
        let table = QuantileTable::log_normal(60.0, 0.9, 5.0, 2_000.0);
        let draws: Vec<u32> = (0..=u32::MAX).step_by(1 << 14).map(|bits| table.at(bits)).collect();
        assert!(draws.is_sorted());
        assert!(draws[0] >= 5 && table.at(u32::MAX) <= table.most() && table.most() <= 2_000);
    }
}
