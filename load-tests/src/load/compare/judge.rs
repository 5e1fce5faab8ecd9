//! The verdict over one figure: is the difference between two sides more than noise, and big enough to matter?
//!
//! Each side's value has bounds. With several runs a side they come from the runs' spread (Student's t over the variance
//! that both sides have together); two or three runs may agree by chance, so with fewer than three a side they are never
//! narrower than what the runs' own intervals say; with one run a side these alone count. The bounds of the difference follow from both sides' by MOVER (Zou and Donner, "Construction of
//! confidence intervals about effect measures", Statistics in Medicine 27, 2008). A difference is called when these bounds
//! leave zero out **and** it is bigger than the floor of its kind.

use serde::Serialize;

use super::figures::Measured;
use super::noise::t_quantile;
use crate::load::figure_name::{Better, FigureKind};

/// What is said of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// B is better than A by more than noise.
    Better,
    /// B is worse than A by more than noise.
    Worse,
    /// No difference that noise would not make, or none that matters.
    WithinNoise,
    /// Nothing can be said; the row says why.
    NotComparable,
}

/// A difference and what it was held against.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Judgement {
    pub(crate) a: f64,
    pub(crate) b: f64,
    /// A difference up to this may be noise; `None` where nothing says how much noise there is.
    pub(crate) noise: Option<f64>,
    /// A difference up to this is not called, however little noise there is.
    pub(crate) floor: f64,
    pub(crate) verdict: Verdict,
}

/// Differences that do not matter, as a part of A's value and in the figure's unit: below these, one build of the same
/// source differs from the next, and the harness reads no finer (it looks at tables every 50 ms).
fn floors(name: &str, kind: FigureKind) -> (f64, f64) {
    match kind {
        FigureKind::Rate => (0.02, 0.0),
        // One commit interval more or less is chance.
        FigureKind::Seconds if name.contains("recovery") || name.contains("drain") => (0.10, 0.5),
        FigureKind::Seconds | FigureKind::CostPerMillion => (0.05, 0.05),
        FigureKind::Milliseconds => (0.05, 5.0),
        FigureKind::Mebibytes => (0.05, 8.0),
        FigureKind::Bytes => (0.05, f64::from(8 << 20)),
        FigureKind::Records => (0.10, 100.0),
        FigureKind::Files => (0.10, 5.0),
        FigureKind::Cores => (0.05, 0.02),
        FigureKind::Unknown => (0.05, 0.0),
    }
}

/// One run a side says nothing about how runs differ from each other, so the relative floor is so many times as high.
const FLOOR_OF_SINGLE_RUNS: f64 = 2.0;
/// Where nothing at all is known about noise, only differences of more than this part of A's value are called.
const FLOOR_WITHOUT_NOISE: f64 = 0.25;

/// Degrees of freedom of three runs a side. From there on their spread alone counts: what differs within a run may be the
/// scenario's (a fault in the middle of a phase), and is the same in every run.
const ENOUGH_RUNS: usize = 4;

/// Whether one run a side says nothing about a figure: extremes, growths, and what goes up and down all the time, seen at
/// one moment, come out anew each time.
pub(crate) fn needs_several_runs(name: &str, a: &[Measured], b: &[Measured]) -> bool {
    const UNSTEADY: [&str; 5] = ["max", "worst", "growth", "end", "last"];
    let is_momentary = matches!(FigureKind::of(name), FigureKind::Files | FigureKind::Records);
    let is_unsteady = is_momentary || name.split('_').any(|word| UNSTEADY.contains(&word));
    is_unsteady && side_bounds(a, b).is_none()
}

/// Judges a figure; each side has one value a run, at least one. The direction of `kind` must be known for a verdict other
/// than "not comparable".
pub(crate) fn judge(name: &str, a: &[Measured], b: &[Measured]) -> Judgement {
    let kind = FigureKind::of(name);
    let (value_a, value_b) = (mean(a), mean(b));
    let bounds = side_bounds(a, b);
    let (relative, absolute) = floors(name, kind);
    let is_single = a.len() == 1 && b.len() == 1;
    let relative = match bounds {
        None => FLOOR_WITHOUT_NOISE,
        Some(_) if is_single => relative * FLOOR_OF_SINGLE_RUNS,
        Some(_) => relative,
    };
    let floor = (relative * value_a.abs()).max(absolute);
    let noise = bounds.map(|(bounds_a, bounds_b)| noise_of_difference(value_a, bounds_a, value_b, bounds_b));
    let is_called = is_more_than(value_a, value_b, floor.max(noise.unwrap_or(0.0)));
    let verdict = match (kind.better(), is_called) {
        (Better::Unknown, _) => Verdict::NotComparable,
        _ if value_a.is_nan() || value_b.is_nan() => Verdict::NotComparable,
        (_, false) => Verdict::WithinNoise,
        (Better::Higher, true) if value_b > value_a => Verdict::Better,
        (Better::Lower, true) if value_b < value_a => Verdict::Better,
        _ => Verdict::Worse,
    };
    Judgement { a: value_a, b: value_b, noise, floor, verdict }
}

/// What never came is more than anything that did, and as much as itself.
fn is_more_than(a: f64, b: f64, threshold: f64) -> bool {
    match (a.is_infinite(), b.is_infinite()) {
        (false, false) => (b - a).abs() > threshold,
        (one, other) => one != other,
    }
}

fn mean(side: &[Measured]) -> f64 {
    side.iter().map(|measured| measured.value).sum::<f64>() / side.len() as f64
}

/// MOVER: how far the bounds of the difference reach towards zero.
fn noise_of_difference(a: f64, bounds_a: (f64, f64), b: f64, bounds_b: (f64, f64)) -> f64 {
    let (towards_b, towards_a) =
        if b >= a { (bounds_a.1 - a, b - bounds_b.0) } else { (a - bounds_a.0, bounds_b.1 - b) };
    towards_b.hypot(towards_a)
}

type Bounds = (f64, f64);

/// The bounds of both sides' means; `None` where nothing says anything about noise.
fn side_bounds(a: &[Measured], b: &[Measured]) -> Option<(Bounds, Bounds)> {
    let between = spread_between_runs(a, b);
    let bounds = |side: &[Measured]| {
        let value = mean(side);
        let root = (side.len() as f64).sqrt();
        let between = between.map(|spread| spread / root);
        let within = own_distances(side).map(|(below, above)| (below / root, above / root));
        let (below, above) = match (between, within) {
            (None, within) => within?,
            (Some(between), None) => (between, between),
            (Some(between), Some(_)) if degrees_of_freedom(a, b) >= ENOUGH_RUNS => (between, between),
            (Some(between), Some((below, above))) => (between.max(below), between.max(above)),
        };
        Some((value - below, value + above))
    };
    Some((bounds(a)?, bounds(b)?))
}

/// Runs beyond one a side.
fn degrees_of_freedom(a: &[Measured], b: &[Measured]) -> usize {
    (a.len() + b.len()).saturating_sub(2)
}

/// Half of the interval of one run's value by how runs of the same side differ; `None` with one run a side.
fn spread_between_runs(a: &[Measured], b: &[Measured]) -> Option<f64> {
    if degrees_of_freedom(a, b) == 0 {
        return None;
    }
    let freedom = degrees_of_freedom(a, b) as f64;
    let squares = |side: &[Measured]| {
        let middle = mean(side);
        side.iter().map(|measured| (measured.value - middle).powi(2)).sum::<f64>()
    };
    let deviation = ((squares(a) + squares(b)) / freedom).sqrt();
    // Of a value that never came there is no spread; the verdict over it needs none.
    deviation.is_finite().then(|| t_quantile(freedom) * deviation)
}

/// Mean distances of the runs' own bounds from their values; `None` if one run has none.
fn own_distances(side: &[Measured]) -> Option<(f64, f64)> {
    let mut total = (0.0, 0.0);
    for measured in side {
        let (low, high) = measured.bounds?;
        total = (total.0 + measured.value - low, total.1 + high - measured.value);
    }
    let count = side.len() as f64;
    Some((total.0 / count, total.1 / count))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn with_bounds(value: f64, half: f64) -> Measured {
        Measured { value, bounds: Some((value - half, value + half)), depends_on_phases: true }
    }

    fn alone(value: f64) -> Measured {
        Measured { value, bounds: None, depends_on_phases: false }
    }

    fn verdict(name: &str, a: &[Measured], b: &[Measured]) -> Verdict {
        judge(name, a, b).verdict
    }

    #[test]
    fn a_difference_must_exceed_noise_and_floor() {
        let a = [with_bounds(10.0, 0.3)];
        for (b, half, expected) in [
            (12.0, 0.4, Verdict::Worse),
            (8.0, 0.4, Verdict::Better),
            (12.0, 3.0, Verdict::WithinNoise),
            (10.9, 0.1, Verdict::WithinNoise),
        ] {
            assert_eq!(verdict("bronze_p95_s", &a, &[with_bounds(b, half)]), expected, "{b} ± {half}");
        }
        let noise = judge("bronze_p95_s", &a, &[with_bounds(12.0, 0.4)]).noise.unwrap();
        assert!((noise - 0.5).abs() < 1e-9, "{noise}");
    }

    #[test]
    fn of_rates_more_is_better() {
        let (a, b) = ([with_bounds(1000.0, 1.0)], [with_bounds(1200.0, 1.0)]);
        assert_eq!(verdict("committed_per_s", &a, &b), Verdict::Better);
        assert_eq!(verdict("committed_per_s", &b, &a), Verdict::Worse);
        assert_eq!(verdict("restarts", &a, &b), Verdict::NotComparable);
    }

    #[test]
    fn without_noise_only_big_differences_are_called() {
        assert_eq!(verdict("sustainable_per_s", &[alone(1000.0)], &[alone(800.0)]), Verdict::WithinNoise);
        assert_eq!(verdict("sustainable_per_s", &[alone(1000.0)], &[alone(700.0)]), Verdict::Worse);
    }

    #[test]
    fn what_comes_out_anew_each_time_needs_several_runs() {
        let (one, several) = ([alone(5.0)], [alone(5.0), alone(6.0)]);
        for name in ["bronze_max_s", "lag_growth_records", "live_files"] {
            assert!(
                needs_several_runs(name, &one, &one) && !needs_several_runs(name, &several, &one),
                "{name}"
            );
            assert!(!needs_several_runs(name, &[with_bounds(5.0, 1.0)], &[with_bounds(5.0, 1.0)]), "{name}");
        }
        assert!(!needs_several_runs("sustainable_rate_per_s", &one, &one));
    }

    #[test]
    fn the_spread_of_runs_decides_where_there_are_several() {
        let a = [1000.0, 1010.0, 990.0].map(alone);
        assert_eq!(verdict("sustainable_per_s", &a, &[900.0, 905.0, 895.0].map(alone)), Verdict::Worse);
        assert_eq!(
            verdict("sustainable_per_s", &a, &[900.0, 1100.0, 700.0].map(alone)),
            Verdict::WithinNoise
        );
        // One run against three: their spread counts for it too.
        assert_eq!(verdict("sustainable_per_s", &a, &[alone(700.0)]), Verdict::Worse);
    }

    #[test]
    fn two_runs_that_agree_by_chance_have_still_the_noise_of_their_intervals() {
        let runs = |value: f64, count: usize| vec![with_bounds(value, 5.0); count];
        assert_eq!(verdict("bronze_p95_s", &runs(10.0, 2), &runs(12.0, 2)), Verdict::WithinNoise);
        assert_eq!(verdict("bronze_p95_s", &runs(10.0, 3), &runs(12.0, 3)), Verdict::Worse);
    }

    #[test]
    fn what_never_came_is_worse_than_anything_that_did() {
        let (came, never) = ([with_bounds(2.0, 0.1)], [alone(f64::INFINITY)]);
        assert_eq!(verdict("kill_recovery_s", &came, &never), Verdict::Worse);
        assert_eq!(verdict("kill_recovery_s", &never, &came), Verdict::Better);
        assert_eq!(verdict("kill_recovery_s", &never, &never), Verdict::WithinNoise);
        assert_eq!(verdict("kill_recovery_s", &came, &[alone(f64::NAN)]), Verdict::NotComparable);
    }

    proptest! {
        #[test]
        fn exchanging_the_sides_exchanges_the_verdict_unless_the_floor_lies_between(
            a in 1.0..1e3_f64, factor in 0.3..3.0_f64, half in 0.0..0.5_f64,
        ) {
            let b = a * factor;
            let (side_a, side_b) = ([with_bounds(a, a * half)], [with_bounds(b, b * half)]);
            let (there, back) = (verdict("bronze_p95_s", &side_a, &side_b), verdict("bronze_p95_s", &side_b, &side_a));
            let opposite = match there {
                Verdict::Better => Verdict::Worse,
                Verdict::Worse => Verdict::Better,
                other => other,
            };
            // The floor is a part of the first side's value, so near to it the two ways may differ.
            let is_near_floor = (0.85..1.18).contains(&factor) || (b - a).abs() < 0.06;
            prop_assert!(back == opposite || is_near_floor, "{there:?} {back:?}");
        }
    }
}
