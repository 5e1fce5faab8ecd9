//! The hours of the day: how much more than its mean an audience watches at a moment.

const HOURS: usize = 24;
const MS_PER_HOUR: f64 = 3_600_000.0;
const MS_PER_DAY: i64 = 86_400_000;

/// Impressions per hour of the day (UTC) in the real sample, in proportion to their mean (docs/generator.md). Most of
/// its users live eight hours ahead of UTC: their evening is the peak, their night the trough at 20:00.
const SAMPLE: [f64; HOURS] = [
    0.811, 0.963, 1.087, 1.249, 1.638, 1.448, 1.008, 0.981, 1.210, 1.459, 1.521, 1.516, 1.456, 1.602, 1.701,
    1.353, 0.830, 0.444, 0.228, 0.141, 0.120, 0.157, 0.405, 0.672,
];

/// A factor on the rate with a mean of 1 over a day.
pub(crate) struct DayCurve {
    /// How much of the sample's curve is used, 0 to 1.
    strength: f64,
    /// The log's start, ms since the epoch.
    start_ms: i64,
    mean: f64,
}

impl DayCurve {
    pub(crate) fn new(strength: f64, start_ms: i64) -> Self {
        Self { strength, start_ms, mean: SAMPLE.iter().sum::<f64>() / HOURS as f64 }
    }

    /// The factor at this time since the log's start. Straight lines lead from the middle of each hour to the next.
    pub(crate) fn factor(&self, at_ms_since_start: i64) -> f64 {
        let ms_of_day = (self.start_ms + at_ms_since_start).rem_euclid(MS_PER_DAY);
        let from_first_middle = ms_of_day as f64 / MS_PER_HOUR + HOURS as f64 - 0.5;
        let hour = from_first_middle as usize;
        let (here, next) = (SAMPLE[hour % HOURS], SAMPLE[(hour + 1) % HOURS]);
        let sample = (here + (next - here) * (from_first_middle - hour as f64)) / self.mean;
        1.0 + self.strength * (sample - 1.0)
    }

    /// The largest factor of a day.
    pub(crate) fn most(&self) -> f64 {
        let peak = SAMPLE.iter().fold(0.0, |most: f64, &value| most.max(value)) / self.mean;
        1.0 + self.strength * (peak - 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_over_a_day_is_one_and_the_peak_is_in_the_evening() {
        for (strength, start_ms) in [(1.0, 0), (0.5, 1_767_225_600_123), (0.0, 7)] {
            let curve = DayCurve::new(strength, start_ms);
            let factors: Vec<f64> = (0..1_440).map(|minute| curve.factor(minute * 60_000)).collect();
            let mean = factors.iter().sum::<f64>() / 1_440.0;
            assert!((mean - 1.0).abs() < 1e-3, "{strength}: {mean}");
            assert!(factors.iter().all(|&factor| factor > 0.0 && factor <= curve.most() + 1e-9));
        }
        let whole = DayCurve::new(1.0, 0);
        assert!(whole.factor(14 * 3_600_000 + 1_800_000) > 1.69 && whole.factor(20 * 3_600_000) < 0.14);
    }
}
