//! Axes: from values to places on the paper, and the round values that are written beside them.

use super::numbers::short;

/// How values are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spacing {
    /// Even, from zero.
    Linear,
    /// By powers of ten: where the slow tail is many times the middle, both can be read.
    Logarithmic,
}

/// One axis: a range of values on a range of places.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Axis {
    spacing: Spacing,
    lowest: f64,
    highest: f64,
    from_place: f64,
    to_place: f64,
}

/// Values and labels beside an axis.
pub(crate) type Ticks = Vec<(f64, String)>;

impl Axis {
    /// An axis that holds all of `values` (what is not finite, and on a logarithmic axis what is not positive, is left out
    /// of the count) and ends at round values. Places are SVG units: `from_place` is where the lowest value stands.
    pub(crate) fn of_values(
        spacing: Spacing,
        values: impl Iterator<Item = f64>,
        from_place: f64,
        to_place: f64,
    ) -> Self {
        let counted =
            values.filter(|value| value.is_finite() && (spacing == Spacing::Linear || *value > 0.0));
        let (smallest, largest) = counted
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        let (lowest, highest) = match spacing {
            _ if smallest > largest => (if spacing == Spacing::Linear { 0.0 } else { 0.1 }, 1.0),
            Spacing::Linear if largest <= 0.0 => (0.0, 1.0),
            Spacing::Linear => {
                let step = round_step(largest, 4);
                (0.0, (largest / step).ceil() * step)
            }
            Spacing::Logarithmic => (rounded_down(smallest), rounded_up(largest)),
        };
        // One value alone still needs room around it.
        let highest = if highest > lowest { highest } else { lowest * 2.0 };
        Self { spacing, lowest, highest, from_place, to_place }
    }

    /// The axis of time: exactly from 0 to `length_s`.
    pub(crate) fn of_time(length_s: f64, from_place: f64, to_place: f64) -> Self {
        let highest = if length_s > 0.0 { length_s } else { 1.0 };
        Self { spacing: Spacing::Linear, lowest: 0.0, highest, from_place, to_place }
    }

    /// Where a value stands; what lies outside stands at the edge.
    pub(crate) fn place(&self, value: f64) -> f64 {
        let value = value.clamp(self.lowest, self.highest);
        let part = match self.spacing {
            Spacing::Linear => (value - self.lowest) / (self.highest - self.lowest),
            Spacing::Logarithmic => (value / self.lowest).log10() / (self.highest / self.lowest).log10(),
        };
        self.from_place + part * (self.to_place - self.from_place)
    }

    /// About five round values with their labels.
    pub(crate) fn ticks(&self) -> Ticks {
        let values = match self.spacing {
            Spacing::Linear => multiples(round_step(self.highest, 4), self.highest),
            Spacing::Logarithmic => self.logarithmic_ticks(),
        };
        values.into_iter().map(|value| (value, short(value))).collect()
    }

    fn logarithmic_ticks(&self) -> Vec<f64> {
        let decades = (self.highest / self.lowest).log10();
        // Over many decades 2 and 5 would crowd.
        let digits: &[f64] = if decades <= 2.5 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let from = self.lowest.log10().floor() as i32;
        let to = self.highest.log10().ceil() as i32;
        let all = (from..=to).flat_map(|power| digits.iter().map(move |digit| digit * 10_f64.powi(power)));
        // 1e-9: the edges are such values themselves, and no float is exact.
        all.filter(|value| *value >= self.lowest * (1.0 - 1e-9) && *value <= self.highest * (1.0 + 1e-9))
            .collect()
    }

    /// Round times with labels: seconds, minutes or hours, by the length.
    pub(crate) fn time_ticks(&self, about: usize) -> Ticks {
        const STEPS_S: [f64; 16] = [
            1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0,
            21600.0, 86400.0,
        ];
        // Two minutes and more are told in minutes.
        let shortest_s = if self.highest >= 120.0 { 60.0 } else { 1.0 };
        let fits = |step: &f64| *step >= shortest_s && self.highest / step <= about as f64;
        let step = STEPS_S.into_iter().find(fits).unwrap_or(86400.0 * 7.0);
        let (unit_s, unit) = match step {
            _ if step >= 3600.0 => (3600.0, "h"),
            _ if step >= 60.0 => (60.0, "min"),
            _ => (1.0, "s"),
        };
        let times = multiples(step, self.highest).into_iter();
        times.map(|time| (time, format!("{} {unit}", short(time / unit_s)))).collect()
    }
}

/// 0, step, 2 step … up to `highest`.
fn multiples(step: f64, highest: f64) -> Vec<f64> {
    let count = (highest / step * (1.0 + 1e-9)).floor() as usize;
    (0..=count).map(|index| index as f64 * step).collect()
}

/// 1, 2 or 5 times a power of ten, so that `about` of them reach up to `largest`.
fn round_step(largest: f64, about: usize) -> f64 {
    let raw = largest / about as f64;
    let power = 10_f64.powf(raw.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].into_iter().map(|digit| digit * power);
    // Something within [power, 10 power) is at most 10 power.
    steps.into_iter().find(|step| *step >= raw * (1.0 - 1e-9)).unwrap_or(raw)
}

fn rounded_down(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let digit = [5.0, 2.0, 1.0].into_iter().find(|digit| digit * power <= value * (1.0 + 1e-9));
    digit.unwrap_or(1.0) * power
}

fn rounded_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let digit = [1.0, 2.0, 5.0, 10.0].into_iter().find(|digit| digit * power >= value * (1.0 - 1e-9));
    digit.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values_of(ticks: &Ticks) -> Vec<f64> {
        ticks.iter().map(|(value, _)| *value).collect()
    }

    #[test]
    fn a_linear_axis_begins_at_zero_and_ends_round() {
        let axis = Axis::of_values(Spacing::Linear, [3.0, 870.0].into_iter(), 200.0, 0.0);
        assert_eq!(values_of(&axis.ticks()), [0.0, 500.0, 1000.0]);
        assert_eq!((axis.place(0.0), axis.place(1000.0), axis.place(500.0)), (200.0, 0.0, 100.0));
    }

    #[test]
    fn a_logarithmic_axis_has_round_edges() {
        let axis = Axis::of_values(Spacing::Logarithmic, [0.12, 3.4, 0.0].into_iter(), 100.0, 0.0);
        let labels: Vec<String> = axis.ticks().into_iter().map(|(_, label)| label).collect();
        assert_eq!(labels, ["0.1", "0.2", "0.5", "1", "2", "5"]);
        assert_eq!(axis.place(0.0), 100.0, "what has no logarithm stands at the edge");
    }

    #[test]
    fn time_is_labelled_in_units_that_fit() {
        let labels = |length_s: f64| {
            let ticks = Axis::of_time(length_s, 0.0, 100.0).time_ticks(6);
            ticks.into_iter().map(|(_, label)| label).collect::<Vec<_>>()
        };
        assert_eq!(labels(25.0), ["0 s", "5 s", "10 s", "15 s", "20 s", "25 s"]);
        assert_eq!(labels(300.0), ["0 min", "1 min", "2 min", "3 min", "4 min", "5 min"]);
        assert_eq!(labels(4.0 * 3600.0), ["0 h", "1 h", "2 h", "3 h", "4 h"]);
    }

    #[test]
    fn no_values_still_make_an_axis() {
        for spacing in [Spacing::Linear, Spacing::Logarithmic] {
            for values in [vec![], vec![0.0], vec![7.0], vec![f64::NAN]] {
                let axis = Axis::of_values(spacing, values.into_iter(), 0.0, 10.0);
                assert!(axis.place(7.0).is_finite() && !axis.ticks().is_empty());
            }
        }
    }

    proptest! {
        #[test]
        fn every_value_has_a_place_and_the_order_is_kept(
            low in 1e-6..1e9_f64, factor in 1.0..1e6_f64, is_linear: bool,
        ) {
            let spacing = if is_linear { Spacing::Linear } else { Spacing::Logarithmic };
            let axis = Axis::of_values(spacing, [low, low * factor].into_iter(), 0.0, 100.0);
            let (first, second) = (axis.place(low), axis.place(low * factor));
            prop_assert!((0.0..=100.0).contains(&first) && (first..=100.0).contains(&second));
            let ticks = axis.ticks();
            prop_assert!((1..=12).contains(&ticks.len()), "{ticks:?}");
            prop_assert!(ticks.windows(2).all(|pair| pair[0].1 != pair[1].1), "{ticks:?}");
        }
    }
}
