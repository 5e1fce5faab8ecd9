//! What follows from the samples of a run: rates, and which phase a moment belongs to. The report draws it, the comparison
//! compares it.

use super::outcome::{PhaseOutcome, RunOutcome, Sample};

/// The phase kind whose measurements count for nothing.
pub(crate) const WARM_UP: &str = "warm_up";

/// Means over at least this long: commits come every second or so, and the rate from one second to the next says more about
/// their rhythm than about the stream.
pub(crate) const RATE_WINDOW_S: f64 = 5.0;

/// How fast a quantity that only grows went at each sample: its growth over the last [`RATE_WINDOW_S`] (at the beginning
/// less), a second. `None` at the first sample, and where it fell, which a count does not do.
pub(crate) fn rates(samples: &[Sample], total: impl Fn(&Sample) -> f64) -> Vec<(f64, Option<f64>)> {
    let mut oldest = 0;
    let mut rates = Vec::with_capacity(samples.len());
    for (index, sample) in samples.iter().enumerate() {
        while oldest + 1 < index && samples[oldest + 1].at_s <= sample.at_s - RATE_WINDOW_S {
            oldest += 1;
        }
        let seconds = sample.at_s - samples[oldest].at_s;
        let growth = total(sample) - total(&samples[oldest]);
        rates.push((sample.at_s, (seconds > 0.0 && growth >= 0.0).then(|| growth / seconds)));
    }
    rates
}

/// The index of the phase at a moment (its beginning belongs to it, its end does not); `None` outside of all of them.
pub(crate) fn phase_at(phases: &[PhaseOutcome], at_s: f64) -> Option<usize> {
    phases.iter().position(|phase| phase.from_s <= at_s && at_s < phase.to_s)
}

/// Like [`phase_at`], but `None` in a warm-up too.
pub(crate) fn measured_phase_at(phases: &[PhaseOutcome], at_s: f64) -> Option<usize> {
    phase_at(phases, at_s).filter(|&index| phases[index].kind != WARM_UP)
}

/// What happened between one sample and the next, in a phase that counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Step<'a> {
    pub(crate) phase: usize,
    pub(crate) before: &'a Sample,
    pub(crate) after: &'a Sample,
}

impl Step<'_> {
    pub(crate) fn length_s(&self) -> f64 {
        self.after.at_s - self.before.at_s
    }

    pub(crate) fn committed(&self) -> f64 {
        self.after.committed_records as f64 - self.before.committed_records as f64
    }

    pub(crate) fn cpu_s(&self) -> f64 {
        self.after.engine_cpu_s - self.before.engine_cpu_s
    }
}

/// The steps of a run that lie in one phase from end to end, and not in a warm-up.
pub(crate) fn measured_steps(outcome: &RunOutcome) -> Vec<Step<'_>> {
    let steps = outcome.samples.windows(2).filter_map(|pair| {
        let phase = measured_phase_at(&outcome.phases, pair[0].at_s)?;
        let is_whole = pair[1].at_s <= outcome.phases[phase].to_s && pair[1].at_s > pair[0].at_s;
        is_whole.then_some(Step { phase, before: &pair[0], after: &pair[1] })
    });
    steps.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at_s: f64, committed_records: u64) -> Sample {
        Sample { at_s, committed_records, ..Sample::default() }
    }

    fn phase(kind: &str, from_s: f64, to_s: f64) -> PhaseOutcome {
        PhaseOutcome { name: kind.to_owned(), kind: kind.to_owned(), from_s, to_s, events: 0 }
    }

    #[test]
    fn a_rate_is_the_mean_over_its_window() {
        let samples: Vec<Sample> = (0..10).map(|second| sample(f64::from(second), 0)).collect();
        let with_a_burst: Vec<Sample> =
            samples.iter().map(|s| sample(s.at_s, if s.at_s >= 3.0 { 100 } else { 0 })).collect();
        let found = rates(&with_a_burst, |s| s.committed_records as f64);
        assert_eq!(found[0], (0.0, None));
        assert_eq!(found[2], (2.0, Some(0.0)));
        assert_eq!(found[3], (3.0, Some(100.0 / 3.0)), "at the beginning the window is shorter");
        assert_eq!(found[7], (7.0, Some(20.0)));
        assert_eq!(found[8], (8.0, Some(0.0)), "after the window it is forgotten");
    }

    #[test]
    fn a_count_that_falls_has_no_rate() {
        let found = rates(&[sample(0.0, 5), sample(1.0, 3)], |s| s.committed_records as f64);
        assert_eq!(found[1], (1.0, None));
    }

    #[test]
    fn a_moment_belongs_to_the_phase_that_begins_with_it() {
        let phases = [phase("warm_up", 0.0, 2.0), phase("steady", 2.0, 4.0)];
        assert_eq!(phase_at(&phases, 2.0), Some(1));
        assert_eq!(phase_at(&phases, 4.0), None);
        assert_eq!(measured_phase_at(&phases, 1.0), None);
        assert_eq!(measured_phase_at(&phases, 2.0), Some(1));
    }
}
