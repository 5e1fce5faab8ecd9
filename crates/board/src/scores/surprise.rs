//! How surprising a video's newest minutes are against its own past.
//!
//! The plays of the last three full minutes are compared with the rate of plays before them, an exponentially decayed mean
//! (half-life ten minutes) of the up to 26 minutes before. Both are Poisson counts: n plays in K = 3 minutes against x₀
//! plays in an exposure of W minutes, with d = K/W. The square root makes their spread constant, which is Anscombe's
//! transform (*The Transformation of Poisson, Binomial and Negative-Binomial Data*, Biometrika 35, 1948), and the difference
//! over its standard deviation is Huffman's two-sample statistic (*An Improved Approximate Two-Sample Poisson Test*,
//! Applied Statistics 33, 1984):
//!
//! ```text
//! z = 2·(√(n + 3/8) − √(d·(x₀ + 3/8))) / √(1 + d)
//! ```
//!
//! With weights wᵢ the decayed mean has the variance of a plain one over W = (Σw)²/Σw² minutes, so x₀ = W·Σwx/Σw.
//!
//! The past begins with the first of the 30 minutes in which the video has an event: before it nobody knows whether it was
//! there, and a video without a past can't surprise. Nor can a handful of plays: three where one was usual are z = 1.5, a thousand are z = 57.
//! That 3/8 and the √(1 + d) are what keeps small samples quiet.

use std::sync::LazyLock;

/// Newest full minutes that are judged (K).
pub const RECENT_MINUTES: usize = 3;

/// Minutes before these that make the base rate, at most.
pub const BASE_MINUTES: usize = 26;

/// A minute counts half as much as one that is so many minutes younger.
pub const HALF_LIFE_MINUTES: f64 = 10.0;

/// Anscombe's constant.
const CONTINUITY: f64 = 0.375;

/// Weights of the base minutes, youngest first, and their running sums: `[n]` is of the first n.
struct Weights {
    of_minute: [f64; BASE_MINUTES],
    sum: [f64; BASE_MINUTES + 1],
    sum_of_squares: [f64; BASE_MINUTES + 1],
}

static WEIGHTS: LazyLock<Weights> = LazyLock::new(|| {
    let of_minute = std::array::from_fn(|index| (-(index as f64) / HALF_LIFE_MINUTES).exp2());
    let running = |part: fn(f64) -> f64| {
        let mut sums = [0.0; BASE_MINUTES + 1];
        for index in 0..BASE_MINUTES {
            sums[index + 1] = sums[index] + part(of_minute[index]);
        }
        sums
    };
    Weights { of_minute, sum: running(|weight| weight), sum_of_squares: running(|weight| weight * weight) }
});

/// The surprise of a video in standard deviations; negative where it has become quieter than it was.
///
/// `plays` are counts with their age in minutes: 0 is the current minute, which is not full and does not count. Ages may
/// repeat and come in any order. `known_minutes` is how many full minutes the video has been known for: the age of its first
/// minute. 0.0 where these do not reach behind the newest three.
pub fn surprise_z(plays: impl IntoIterator<Item = (usize, i64)>, known_minutes: usize) -> f64 {
    let base_minutes = known_minutes.saturating_sub(RECENT_MINUTES).min(BASE_MINUTES);
    if base_minutes == 0 {
        return 0.0;
    }
    let (mut recent, mut weighted) = (0.0, 0.0);
    for (age, count) in plays {
        match age {
            0 => {}
            1..=RECENT_MINUTES => recent += count as f64,
            _ if age - RECENT_MINUTES <= base_minutes => {
                weighted += WEIGHTS.of_minute[age - RECENT_MINUTES - 1] * count as f64;
            }
            _ => {}
        }
    }
    let weights = WEIGHTS.sum[base_minutes];
    let exposure = weights * weights / WEIGHTS.sum_of_squares[base_minutes];
    let base_plays = exposure * weighted / weights;
    let share = RECENT_MINUTES as f64 / exposure;
    let root = |plays: f64| plays.max(0.0).sqrt();
    2.0 * (root(recent + CONTINUITY) - root(share * (base_plays + CONTINUITY))) / (1.0 + share).sqrt()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `before` plays a minute, and `recent` in each of the newest three.
    fn steady_then(before: i64, recent: i64, known_minutes: usize) -> f64 {
        let plays = (1..=known_minutes).map(|age| (age, if age <= RECENT_MINUTES { recent } else { before }));
        surprise_z(plays, known_minutes)
    }

    #[test]
    fn a_steady_video_does_not_surprise() {
        for rate in [1, 10, 1_000] {
            assert!(steady_then(rate, rate, 29).abs() < 0.3, "{rate}: {}", steady_then(rate, rate, 29));
        }
    }

    #[test]
    fn the_same_ratio_surprises_more_when_more_is_behind_it() {
        let (few, many) = (steady_then(1, 3, 29), steady_then(100, 300, 29));
        assert!((2.0..4.0).contains(&few), "{few}");
        assert!(many > 20.0, "{many}");
    }

    #[test]
    fn a_video_without_a_past_can_not_surprise() {
        assert_eq!(surprise_z([(0, 1_000), (1, 1_000), (3, 1_000)], 3), 0.0);
        assert_eq!(surprise_z([], 0), 0.0);
    }

    #[test]
    fn a_short_past_surprises_less_than_a_long_one() {
        let (short, long) = (steady_then(2, 20, 5), steady_then(2, 20, 29));
        assert!(0.0 < short && short < long, "{short} and {long}");
    }

    #[test]
    fn a_video_that_dies_down_is_a_negative_surprise() {
        assert!(steady_then(50, 0, 29) < -5.0);
    }

    #[test]
    fn the_current_minute_and_what_lies_before_the_past_do_not_count() {
        let plain = surprise_z([(1, 5), (4, 7)], 10);
        assert_eq!(surprise_z([(0, 99), (1, 5), (4, 7), (11, 99), (40, 99)], 10), plain);
    }

    #[test]
    fn golden_values() {
        // By hand: weights 1 and 2^-0.1 over two base minutes.
        let (w0, w1) = (1.0_f64, (-0.1_f64).exp2());
        let exposure = (w0 + w1).powi(2) / (w0 * w0 + w1 * w1);
        let base = exposure * (4.0 * w0 + 2.0 * w1) / (w0 + w1);
        let share = 3.0 / exposure;
        let expected = 2.0 * (30.375_f64.sqrt() - (share * (base + 0.375)).sqrt()) / (1.0 + share).sqrt();
        let z = surprise_z([(1, 10), (2, 10), (3, 10), (4, 4), (5, 2)], 5);
        assert!((z - expected).abs() < 1e-12, "{z} and {expected}");
        assert!((3.0..3.4).contains(&z), "{z}");
    }

    proptest! {
        #[test]
        fn more_recent_plays_surprise_more_and_more_past_ones_less(
            recent in 0_i64..1_000,
            before in 0_i64..1_000,
            known in 4_usize..60,
        ) {
            prop_assert!(steady_then(before, recent + 1, known) > steady_then(before, recent, known));
            prop_assert!(steady_then(before + 1, recent, known) < steady_then(before, recent, known));
        }
    }
}
