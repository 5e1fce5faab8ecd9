//! Velocity that small samples can't make shout.
//!
//! The contract's velocity, (likes + 5·shares) / max(impressions, 100), takes a video with 100 impressions at its word: one
//! lucky share among them and it leads the list. The shrunken velocity is the posterior mean of the video's rate R/I under
//! a Gamma–Poisson model: reactions come as a Poisson process with rate θ per impression, and θ has a Gamma prior with the
//! catalogue's mean rate μ and the weight of m impressions, so that
//!
//! ```text
//! E[θ | R, I] = (R + m·μ) / (I + m)
//! ```
//!
//! With few impressions that is about μ, with many the video's own rate. It is the empirical Bayes estimate of rates of
//! Clayton and Kaldor, *Empirical Bayes Estimates of Age-Standardized Relative Risks for Use in Disease Mapping*,
//! Biometrics 43 (1987), with μ from the catalogue and m fixed. A share counts as five likes here too, which makes R vary
//! more than a Poisson number does: the mean stays right, and m is chosen a little larger than it had to be.

use pulselake_model::{EventType, WindowCounters};

/// Weight of the prior (m), in impressions: as many as velocity's divisor has at least.
pub const PRIOR_IMPRESSIONS: f64 = 100.0;

/// A share counts as so many likes (DOMAIN.md 4).
const SHARE_WEIGHT: i64 = 5;

/// likes + 5·shares: the numerator of velocity.
pub fn weighted_reactions(sums: &WindowCounters) -> i64 {
    sums.by_type[EventType::Like as usize] + SHARE_WEIGHT * sums.by_type[EventType::Share as usize]
}

/// (R + m·μ) / (I + m): R `weighted_reactions` and I `impressions` of the video, μ `catalogue_rate`, the weighted reactions
/// per impression of all videos.
pub fn shrunken_velocity(weighted_reactions: f64, impressions: f64, catalogue_rate: f64) -> f64 {
    (weighted_reactions + PRIOR_IMPRESSIONS * catalogue_rate) / (impressions + PRIOR_IMPRESSIONS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_lucky_share_does_not_lead() {
        let lucky = shrunken_velocity(5.0, 3.0, 0.1);
        let steady = shrunken_velocity(400.0, 2_000.0, 0.1);
        assert!(lucky < steady, "{lucky} of 3 impressions before {steady} of 2,000");
    }

    #[test]
    fn without_impressions_a_video_has_the_catalogues_rate() {
        assert_eq!(shrunken_velocity(0.0, 0.0, 0.25), 0.25);
    }

    #[test]
    fn golden_values() {
        for (reactions, impressions, rate, expected) in
            [(10.0, 100.0, 0.0, 0.05), (10.0, 100.0, 0.1, 0.1), (30.0, 200.0, 0.3, 0.2)]
        {
            assert_eq!(shrunken_velocity(reactions, impressions, rate), expected);
        }
    }

    proptest! {
        #[test]
        fn it_lies_between_the_catalogues_rate_and_the_videos_own(
            reactions in 0_u32..10_000,
            impressions in 1_u32..10_000,
            rate in 0.0_f64..5.0,
        ) {
            let own = f64::from(reactions) / f64::from(impressions);
            let shrunken = shrunken_velocity(f64::from(reactions), f64::from(impressions), rate);
            prop_assert!((own.min(rate) - 1e-9..=own.max(rate) + 1e-9).contains(&shrunken));
        }

        #[test]
        fn more_reactions_never_rank_a_video_lower(
            reactions in 0_u32..10_000,
            impressions in 0_u32..10_000,
            rate in 0.0_f64..5.0,
        ) {
            let of = |count: u32| shrunken_velocity(f64::from(count), f64::from(impressions), rate);
            prop_assert!(of(reactions) < of(reactions + 1));
        }
    }
}
