//! Whether runs can be compared at all: the same scenario in the same form, the same settings, the same machine, and the
//! same company on it.

use clap::ValueEnum;
use serde::Serialize;

use super::Sides;
use crate::load::outcome::{PhaseOutcome, RunOutcome};
use crate::load::series::Step;

/// In what runs differ that should be the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    /// Another scenario, form or transport, or one run given twice: never to be passed over.
    #[value(skip)]
    Scenario,
    /// What the engine was told beyond its defaults.
    Settings,
    /// Cores, processor or memory.
    Machine,
    /// How much of the machine other processes used.
    Company,
}

/// Why the runs can't be compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Obstacle {
    /// In what they differ.
    pub difference: Difference,
    /// A sentence that names both values and the run.
    pub text: String,
}

/// Other processes may use so much more of the machine in one run than in another.
const MOST_DIFFERENCE_OF_COMPANY: f64 = 0.15;
/// A phase may be so much longer or have so many more events.
const PHASE_TOLERANCE: f64 = 0.02;

/// Everything that stands against a comparison; each run is held against the first one of A.
pub(crate) fn obstacles(sides: Sides<'_>) -> Vec<Obstacle> {
    let runs = sides.named_runs();
    let Some(((first_name, first), rest)) = runs.split_first() else { return Vec::new() };
    let mut obstacles = Vec::new();
    for (name, run) in rest {
        let pairs = [
            (Difference::Scenario, "the scenario", first.scenario.clone(), run.scenario.clone()),
            (Difference::Scenario, "the form", form(first), form(run)),
            (
                Difference::Scenario,
                "where the events come from",
                first.transport.clone(),
                run.transport.clone(),
            ),
            (Difference::Settings, "the settings", settings(first), settings(run)),
            (Difference::Machine, "the machine", machine(first), machine(run)),
        ];
        let different = pairs.into_iter().filter(|(.., one, other)| one != other);
        obstacles.extend(different.map(|(difference, what, one, other)| Obstacle {
            difference,
            text: format!("{what} differs: {one} in {first_name}, {other} in {name}"),
        }));
    }
    obstacles.extend(same_run_twice(&runs));
    obstacles.extend(bad_company(&runs));
    obstacles
}

fn form(run: &RunOutcome) -> String {
    if run.is_short { "short" } else { "full length" }.to_owned()
}

fn settings(run: &RunOutcome) -> String {
    let mut settings = run.settings.clone();
    settings.sort();
    if settings.is_empty() { "none beyond the defaults".to_owned() } else { settings.join(" ") }
}

fn machine(run: &RunOutcome) -> String {
    let machine = &run.machine;
    format!("{} cores, {:?}, {} MiB", machine.cores, machine.cpu_model, machine.memory_mib)
}

/// Copies of a run on one side would make it look as if there were no noise.
fn same_run_twice(runs: &[(String, &RunOutcome)]) -> Vec<Obstacle> {
    let is_same_side = |one: &str, other: &str| one.chars().next() == other.chars().next();
    let mut found = Vec::new();
    for (index, (name, run)) in runs.iter().enumerate() {
        for (other_name, other) in &runs[..index] {
            if is_same_side(name, other_name) && run == other {
                let text = format!("{name} is the same run as {other_name}: each run counts once a side");
                found.push(Obstacle { difference: Difference::Scenario, text });
            }
        }
    }
    found
}

fn bad_company(runs: &[(String, &RunOutcome)]) -> Option<Obstacle> {
    let shares = runs.iter().filter_map(|(name, run)| Some((name, others_share(run)?)));
    let by_share = |a: &(&String, f64), b: &(&String, f64)| a.1.total_cmp(&b.1);
    let quietest = shares.clone().min_by(by_share)?;
    let loudest = shares.max_by(by_share)?;
    (loudest.1 - quietest.1 > MOST_DIFFERENCE_OF_COMPANY).then(|| Obstacle {
        difference: Difference::Company,
        text: format!(
            "the company differs: processes other than the engine used {:.0} % of the machine in {}, {:.0} % in {}",
            quietest.1 * 100.0,
            quietest.0,
            loudest.1 * 100.0,
            loudest.0
        ),
    })
}

/// What part of the machine's CPU time processes other than the engine used.
fn others_share(run: &RunOutcome) -> Option<f64> {
    let last = run.samples.last()?;
    let capacity_s = run.machine.cores as f64 * last.at_s;
    (capacity_s > 0.0).then(|| (run.machine.machine_cpu_s - last.engine_cpu_s).max(0.0) / capacity_s)
}

/// In what the load over time differs between any two of the runs, in a sentence: then figures that follow from it are
/// not comparable, while others (such as the highest sustainable rate, which is searched by other phases each time) are.
pub(crate) fn difference_of_load(sides: Sides<'_>) -> Option<String> {
    let runs = sides.named_runs();
    let ((first_name, first), rest) = runs.split_first()?;
    rest.iter().find_map(|(name, run)| {
        let what = difference_of_phases(&first.phases, &run.phases)?;
        Some(format!("the phases of {first_name} and {name} differ: {what}"))
    })
}

fn difference_of_phases(a: &[PhaseOutcome], b: &[PhaseOutcome]) -> Option<String> {
    if a.len() != b.len() {
        return Some(format!("{} and {} of them", a.len(), b.len()));
    }
    a.iter().zip(b).find_map(|(one, other)| {
        let (length, other_length) = (one.to_s - one.from_s, other.to_s - other.from_s);
        // A second and a half: what starting and stopping a fault may take more or less.
        let is_as_long = (length - other_length).abs() <= (PHASE_TOLERANCE * length).max(1.5);
        let (events, other_events) = (one.events as f64, other.events as f64);
        let is_same = one.name == other.name && one.kind == other.kind;
        if !is_same {
            return Some(format!("{} ({}) and {} ({})", one.name, one.kind, other.name, other.kind));
        }
        if !is_as_long {
            return Some(format!("{} lasted {length:.0} s and {other_length:.0} s", one.name));
        }
        let rates = (events / length, other_events / other_length);
        let is_same_rate = (rates.0 - rates.1).abs() <= PHASE_TOLERANCE * rates.0.abs();
        (!is_same_rate).then(|| format!("{} had {:.0} and {:.0} events a second", one.name, rates.0, rates.1))
    })
}

/// What should be known beside the figures.
pub(crate) fn notes(sides: Sides<'_>) -> Vec<String> {
    let runs = sides.named_runs();
    let mut notes = Vec::new();
    for (name, run) in &runs {
        let load = run.machine.load_before[0];
        if load > run.machine.cores as f64 {
            notes.push(format!(
                "the machine was busy before {name}: load {load:.1} on {} cores",
                run.machine.cores
            ));
        }
        let missed: Vec<&str> =
            run.limits.iter().filter(|limit| !limit.met).map(|limit| limit.name.as_str()).collect();
        if !missed.is_empty() {
            notes.push(format!("{name} missed its limits {}", missed.join(", ")));
        }
        let behind =
            run.samples.last().map_or(0, |last| last.intended_events.saturating_sub(last.sent_events));
        if behind > 0 && steps_behind(run) {
            notes.push(format!("{name} did not send what it meant to: {behind} events were left at its end"));
        }
    }
    notes
}

/// More than a second's worth of events was never sent: the harness itself was the limit.
fn steps_behind(run: &RunOutcome) -> bool {
    let Some(last) = run.samples.windows(2).last() else { return false };
    let step = Step { phase: 0, before: &last[0], after: &last[1] };
    let sent_a_step = step.after.intended_events.saturating_sub(step.before.intended_events);
    last[1].intended_events.saturating_sub(last[1].sent_events) > sent_a_step
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::example;

    fn found(a: &RunOutcome, b: &RunOutcome) -> Vec<Difference> {
        let (a, b) = (std::slice::from_ref(a), std::slice::from_ref(b));
        obstacles(Sides { a, b }).into_iter().map(|obstacle| obstacle.difference).collect()
    }

    fn changed(change: impl Fn(&mut RunOutcome)) -> RunOutcome {
        let mut run = example::steady(2);
        change(&mut run);
        run
    }

    #[test]
    fn runs_of_the_same_scenario_are_comparable_whatever_the_engine_is() {
        let other = changed(|run| run.engine_version = "pulselake 9".to_owned());
        assert_eq!(found(&example::steady(1), &other), []);
    }

    #[test]
    fn each_difference_is_named() {
        let a = example::steady(1);
        for (run, difference) in [
            (changed(|run| run.scenario = "soak".to_owned()), Difference::Scenario),
            (changed(|run| run.is_short = true), Difference::Scenario),
            (changed(|run| run.transport = "embedded".to_owned()), Difference::Scenario),
            (changed(|run| run.settings.clear()), Difference::Settings),
            (changed(|run| run.machine.cores = 8), Difference::Machine),
            (changed(|run| run.machine.machine_cpu_s += 300.0), Difference::Company),
        ] {
            assert_eq!(found(&a, &run), [difference]);
        }
    }

    #[test]
    fn a_run_counts_once_a_side() {
        let (a, b) = (example::steady(1), example::steady(2));
        let twice = [a.clone(), a.clone()];
        let obstacles_of = |a: &[RunOutcome], b: &[RunOutcome]| obstacles(Sides { a, b }).len();
        assert_eq!(obstacles_of(&twice, std::slice::from_ref(&b)), 1);
        assert_eq!(obstacles_of(std::slice::from_ref(&a), &twice[..1]), 0, "against itself it may be held");
    }

    #[test]
    fn phases_may_differ_a_little() {
        let difference = |change: &dyn Fn(&mut PhaseOutcome)| {
            let run = changed(|run| change(&mut run.phases[1]));
            difference_of_phases(&example::steady(1).phases, &run.phases)
        };
        assert_eq!(difference(&|phase| phase.to_s += 1.0), None);
        assert!(difference(&|phase| phase.to_s += 20.0).unwrap().contains("270 s and 290 s"));
        assert!(difference(&|phase| phase.events *= 2).unwrap().contains("10000 and 20000 events a second"));
        assert!(difference(&|phase| phase.kind = "spike".to_owned()).unwrap().contains("spike"));
    }

    #[test]
    fn a_harness_that_fell_behind_is_told() {
        let a = example::steady(1);
        let b = changed(|run| run.samples.iter_mut().for_each(|sample| sample.sent_events /= 2));
        let sides = Sides { a: std::slice::from_ref(&a), b: std::slice::from_ref(&b) };
        let notes = notes(sides);
        assert!(notes.len() == 1 && notes[0].contains("B did not send"), "{notes:?}");
    }
}
