//! The figures of a run that are compared, each with the noise that the run itself shows.

use std::collections::BTreeMap;

use super::noise::{Part, half_width, ratio};
use super::percentile;
use crate::load::outcome::{LatencyOutcome, Percentiles, RunOutcome};
use crate::load::report::PATHS;
use crate::load::series::{Step, measured_phase_at, measured_steps};

/// A figure of one run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Measured {
    /// Infinite: what was waited for never came.
    pub(crate) value: f64,
    /// Bounds of the value by the run's own intervals; `None` where these say nothing.
    pub(crate) bounds: Option<(f64, f64)>,
    /// Whether the figure follows from the load as it was over time, so that other phases make another figure.
    pub(crate) depends_on_phases: bool,
}

impl Measured {
    /// Another value, with bounds as far from it, relatively.
    fn with_value(self, value: f64) -> Self {
        let factor = value / self.value;
        let bounds = self.bounds.filter(|_| factor.is_finite());
        Self { value, bounds: bounds.map(|(low, high)| (low * factor, high * factor)), ..self }
    }
}

/// All figures of a run by their names. Of those that follow from intervals the run's own figure of the same name may have
/// been taken a little differently (with the end of the run in it): its value stands, with the relative noise of the
/// intervals.
pub(crate) fn figures_of(run: &RunOutcome) -> BTreeMap<String, Measured> {
    let mut figures = BTreeMap::new();
    for (path, latency) in &run.latencies {
        add_latency(&mut figures, run, path, latency);
    }
    add_samples(&mut figures, run);
    add_recoveries(&mut figures, run);
    for (name, value) in &run.figures {
        let alone = Measured { value: *value, bounds: None, depends_on_phases: false };
        figures
            .entry(name.clone())
            .and_modify(|of_intervals: &mut Measured| *of_intervals = of_intervals.with_value(*value))
            .or_insert(alone);
    }
    figures
}

fn add_latency(
    figures: &mut BTreeMap<String, Measured>,
    run: &RunOutcome,
    path: &str,
    latency: &LatencyOutcome,
) {
    if latency.whole.count == 0 {
        return;
    }
    let with_phase = latency.intervals.iter().filter_map(|interval| {
        let middle_s = interval.from_s + latency.interval_s / 2.0;
        Some((measured_phase_at(&run.phases, middle_s)?, interval))
    });
    let intervals: Vec<_> = with_phase.collect();
    // The name that the run's own figures and limits have for it.
    let short = PATHS.iter().find(|(known, ..)| *known == path).map(|(_, _, short)| *short);
    let prefix = short.map_or_else(|| format!("{path}_"), str::to_owned);
    let Percentiles { p50_s, p95_s, p99_s, .. } = latency.whole;
    for (name, share, value) in [("p50", 0.5, p50_s), ("p95", 0.95, p95_s), ("p99", 0.99, p99_s)] {
        let bounds = percentile::bounds(&intervals, share).map(|(low, high)| (value * low, value * high));
        figures.insert(format!("{prefix}{name}_s"), Measured { value, bounds, depends_on_phases: true });
    }
}

fn add_samples(figures: &mut BTreeMap<String, Measured>, run: &RunOutcome) {
    let steps = measured_steps(run);
    let mut add =
        |name: &str, numerator: &dyn Fn(&Step<'_>) -> f64, denominator: &dyn Fn(&Step<'_>) -> f64| {
            let parts: Vec<Part> = steps
                .iter()
                .map(|step| Part {
                    phase: step.phase,
                    numerator: numerator(step),
                    denominator: denominator(step),
                })
                .collect();
            if let Some(measured) = of_parts(&parts) {
                figures.insert(name.to_owned(), measured);
            }
        };
    add("committed_per_s", &|step| step.committed(), &|step| step.length_s());
    add("cpu_s_per_million", &|step| step.cpu_s(), &|step| step.committed() / 1e6);
    add("lag_committed_records_mean", &|step| step.after.lag_committed_records as f64, &|_| 1.0);
    add("live_files_mean", &|step| step.after.live_files as f64, &|_| 1.0);
    // Memory of no process is not memory.
    let is_there = |step: &Step<'_>| f64::from(u8::from(step.after.resident_mib > 0.0));
    add("resident_mib_mean", &|step| step.after.resident_mib, &is_there);
}

fn of_parts(parts: &[Part]) -> Option<Measured> {
    let value = ratio(parts)?;
    let bounds = half_width(parts).map(|half| (value - half, value + half));
    Some(Measured { value, bounds, depends_on_phases: true })
}

/// The mean recovery from each kind of fault.
fn add_recoveries(figures: &mut BTreeMap<String, Measured>, run: &RunOutcome) {
    let mut by_kind: BTreeMap<&str, Vec<Part>> = BTreeMap::new();
    for fault in &run.faults {
        let numerator = fault.recovered_after_s.unwrap_or(f64::INFINITY);
        by_kind.entry(&fault.kind).or_default().push(Part { phase: 0, numerator, denominator: 1.0 });
    }
    for (kind, parts) in by_kind {
        let never = Measured { value: f64::INFINITY, bounds: None, depends_on_phases: true };
        let all_recovered = parts.iter().all(|part| part.numerator.is_finite());
        let measured = if all_recovered { of_parts(&parts) } else { Some(never) };
        if let Some(measured) = measured {
            figures.insert(format!("{kind}_recovery_s_mean"), measured);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::example;

    #[test]
    fn figures_of_a_steady_run_know_their_noise() {
        let figures = figures_of(&example::steady(1));
        for name in ["bronze_p95_s", "cpu_s_per_million", "resident_mib_mean", "committed_per_s"] {
            let Measured { value, bounds, .. } = figures[name];
            let (low, high) = bounds.unwrap();
            assert!(low <= value && value <= high && high < value * 1.1, "{name}: {low} {value} {high}");
        }
        assert_eq!(figures["send_delay_max_s"].bounds, None);
    }

    #[test]
    fn a_figure_of_the_run_takes_the_noise_of_its_intervals() {
        let mut run = example::steady(1);
        let (low, high) = figures_of(&run)["cpu_s_per_million"].bounds.unwrap();
        let doubled = run.figures["cpu_s_per_million"] * 2.0;
        run.figures.insert("cpu_s_per_million".to_owned(), doubled);
        let found = figures_of(&run)["cpu_s_per_million"];
        let (low_of_doubled, high_of_doubled) = found.bounds.unwrap();
        assert_eq!(found.value, doubled);
        assert!((low_of_doubled / low - 2.0).abs() < 1e-9 && (high_of_doubled / high - 2.0).abs() < 1e-9);
    }

    #[test]
    fn the_warm_up_counts_for_nothing() {
        let quiet = example::steady(1);
        let mut loud = quiet.clone();
        for sample in loud.samples.iter_mut().filter(|sample| sample.at_s < 29.0) {
            sample.resident_mib = 9_999.0;
        }
        assert_eq!(figures_of(&quiet)["resident_mib_mean"], figures_of(&loud)["resident_mib_mean"]);
    }

    #[test]
    fn a_fault_without_recovery_never_recovers() {
        let mut run = example::with_faults(1);
        assert_eq!(figures_of(&run)["engine_kill_recovery_s_mean"].value, 2.3);
        run.faults[0].recovered_after_s = None;
        assert_eq!(figures_of(&run)["engine_kill_recovery_s_mean"].value, f64::INFINITY);
    }

    #[test]
    fn a_run_in_which_nothing_was_seen_has_no_figures() {
        assert!(figures_of(&example::empty()).is_empty());
    }
}
