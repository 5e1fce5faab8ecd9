//! Two runs of one scenario, or several a side: which figures are worse, better, or not further apart than noise makes
//! them. The same reports always give the same answer: nothing is drawn at random.
//!
//! # Method
//! - **Noise within a run**: from its intervals (warm-up left out). Sums and means: the variance of the circular block
//!   bootstrap over intervals, with blocks as long as Politis and White's rule says ([`noise`], [`block_length`]);
//!   percentiles: Woodruff's interval on top of that ([`percentile`]).
//! - **Noise between runs**: with several runs a side, from their spread by Student's t; with fewer than three a side never
//!   below the noise within.
//! - **The difference**: its 99 % bounds by MOVER. It is called when these leave zero out and it is bigger than the floor of
//!   its kind of figure; floors are twice as high with one run a side, and 25 % where nothing is known of noise ([`judge`]).
//! - Runs of different scenarios, settings, machines or in different company are not compared ([`comparable`]).
//!
//! # Layout
//! `figures` finds a run's figures; `command` is the command, `text` its table.

mod block_length;
mod command;
mod comparable;
mod figures;
mod judge;
mod noise;
mod percentile;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

pub use self::command::{CompareArgs, main};
pub use self::comparable::{Difference, Obstacle};
pub use self::judge::Verdict;

use self::figures::{Measured, figures_of};
use self::judge::{judge, needs_several_runs};
use super::figure_name::{Better, FigureKind};
use super::outcome::RunOutcome;

/// Exit code when something is worse.
const EXIT_WORSE: u8 = 3;
/// Exit code when nothing could be compared.
const EXIT_NOT_COMPARABLE: u8 = 1;

/// What a comparison came to; `Display` is its table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The scenario, its form and where its events come from.
    pub subject: String,
    /// How many runs of which engine.
    pub side_a: String,
    /// The other side.
    pub side_b: String,
    /// Why the runs can't be compared; then no row is judged.
    pub obstacles: Vec<Obstacle>,
    /// What should be known beside the figures.
    pub notes: Vec<String>,
    /// One for each figure of either side.
    pub rows: Vec<Row>,
    /// The audit passed in all runs of A, and not in all of B.
    pub is_audit_worse: bool,
    /// How it was judged, in a sentence.
    pub method: String,
}

/// One figure of both sides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Such as `bronze_p95_s`.
    pub name: String,
    /// Such as `s`; empty where the name has none.
    pub unit: &'static str,
    /// Mean of A's runs. `null` in JSON where it is missing, or never came to an end.
    pub a: Option<f64>,
    /// Mean of B's runs.
    pub b: Option<f64>,
    /// A difference up to this may be noise; `None` where nothing says how much noise there is.
    pub noise: Option<f64>,
    /// A difference up to this is not called, however little noise there is.
    pub floor: f64,
    /// What follows.
    pub verdict: Verdict,
    /// Why it is not comparable, or what weakens the verdict; may be empty.
    pub reason: String,
}

/// The runs of both sides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sides<'a> {
    a: &'a [RunOutcome],
    b: &'a [RunOutcome],
}

impl<'a> Sides<'a> {
    /// All runs with their names: `A`, or `A1`, `A2` … where there are several.
    fn named_runs(self) -> Vec<(String, &'a RunOutcome)> {
        let named = |side: &'static str, runs: &'a [RunOutcome]| {
            let is_alone = runs.len() == 1;
            let name = move |index: usize| {
                if is_alone { side.to_owned() } else { format!("{side}{}", index + 1) }
            };
            runs.iter().enumerate().map(move |(index, run)| (name(index), run))
        };
        named("A", self.a).chain(named("B", self.b)).collect()
    }
}

impl Comparison {
    /// 0: nothing is worse. 3: something is, or the audit. 1: the runs or all of their figures are not comparable.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let is_any = |verdict| self.rows.iter().any(|row| row.verdict == verdict);
        if !self.obstacles.is_empty() {
            return EXIT_NOT_COMPARABLE;
        }
        if self.is_audit_worse || is_any(Verdict::Worse) {
            return EXIT_WORSE;
        }
        if is_any(Verdict::Better) || is_any(Verdict::WithinNoise) { 0 } else { EXIT_NOT_COMPARABLE }
    }
}

/// Compares one run with another.
#[must_use]
pub fn compare(a: &RunOutcome, b: &RunOutcome) -> Comparison {
    compare_sides(std::slice::from_ref(a), std::slice::from_ref(b), &[])
}

/// Compares the runs of one side with those of the other; `despite` are differences to be passed over. A side without runs
/// leaves every figure not comparable.
#[must_use]
pub fn compare_sides(a: &[RunOutcome], b: &[RunOutcome], despite: &[Difference]) -> Comparison {
    let sides = Sides { a, b };
    let is_passed_over = |difference| difference != Difference::Scenario && despite.contains(&difference);
    let (passed_over, obstacles): (Vec<_>, Vec<_>) =
        comparable::obstacles(sides).into_iter().partition(|obstacle| is_passed_over(obstacle.difference));
    let mut notes: Vec<String> = passed_over.into_iter().map(|obstacle| obstacle.text).collect();
    notes.extend(comparable::notes(sides));
    let load = comparable::difference_of_load(sides);
    notes.extend(load.clone());
    let is_comparable = obstacles.is_empty();
    let passes = |side: &[RunOutcome]| side.iter().all(|run| run.audit.passed);
    Comparison {
        subject: a.first().or(b.first()).map(subject).unwrap_or_default(),
        side_a: side_text(a),
        side_b: side_text(b),
        obstacles,
        notes,
        rows: rows(sides, is_comparable, load.is_some()),
        is_audit_worse: passes(a) && !passes(b),
        method: method(sides),
    }
}

fn subject(run: &RunOutcome) -> String {
    let form = if run.is_short { "short form" } else { "full length" };
    format!("{}, {form}, events from {}", run.scenario, run.transport)
}

fn side_text(runs: &[RunOutcome]) -> String {
    let versions: BTreeSet<&str> = runs.iter().map(|run| run.engine_version.as_str()).collect();
    let versions: Vec<&str> = versions.into_iter().collect();
    let count = if runs.len() == 1 { "1 run".to_owned() } else { format!("{} runs", runs.len()) };
    let failed = runs.iter().filter(|run| !run.passed).count();
    let failed = if failed == 0 { String::new() } else { format!(", {failed} failed") };
    format!("{count}, {}{failed}", versions.join(" and "))
}

fn method(sides: Sides<'_>) -> String {
    let noise = if sides.a.len() == 1 && sides.b.len() == 1 {
        "of the runs' own intervals; how much runs differ from each other is not known: give three or more a side"
    } else {
        "between runs, and of their own intervals"
    };
    format!(
        "A difference is called beyond the 99 % bounds of noise ({noise}) and beyond the floor of its kind."
    )
}

fn rows(sides: Sides<'_>, is_comparable: bool, has_other_load: bool) -> Vec<Row> {
    let figures = |runs: &[RunOutcome]| runs.iter().map(figures_of).collect::<Vec<_>>();
    let (a, b) = (figures(sides.a), figures(sides.b));
    let names: BTreeSet<&String> = a.iter().chain(&b).flat_map(BTreeMap::keys).collect();
    names.into_iter().map(|name| row(name, &a, &b, is_comparable, has_other_load)).collect()
}

type Figures = BTreeMap<String, Measured>;

fn row(name: &str, a: &[Figures], b: &[Figures], is_comparable: bool, has_other_load: bool) -> Row {
    let of_all = |runs: &[Figures]| runs.iter().map(|run| run.get(name).copied()).collect::<Option<Vec<_>>>();
    let (values_a, values_b) = (of_all(a).unwrap_or_default(), of_all(b).unwrap_or_default());
    let missing = [("A", &values_a), ("B", &values_b)].into_iter().find(|(_, values)| values.is_empty());
    let mean = |values: &[Measured]| {
        let sum: f64 = values.iter().map(|measured| measured.value).sum();
        (!values.is_empty()).then(|| sum / values.len() as f64)
    };
    let depends_on_phases = values_a.iter().chain(&values_b).any(|measured| measured.depends_on_phases);
    let kind = FigureKind::of(name);
    let obstacle = match missing {
        Some((side, _)) => Some(format!("missing in {side}")),
        None if !is_comparable => Some(String::new()),
        None if has_other_load && depends_on_phases => Some("the phases differ".to_owned()),
        None if kind.better() == Better::Unknown => {
            Some("the name does not say which way is better".to_owned())
        }
        None if needs_several_runs(name, &values_a, &values_b) => {
            Some("one run a side says nothing about it".to_owned())
        }
        None => None,
    };
    let unjudged = |reason: String| Row {
        name: name.to_owned(),
        unit: kind.unit(),
        a: mean(&values_a),
        b: mean(&values_b),
        noise: None,
        floor: 0.0,
        verdict: Verdict::NotComparable,
        reason,
    };
    if let Some(reason) = obstacle {
        return unjudged(reason);
    }
    let judgement = judge(name, &values_a, &values_b);
    let reason = match (judgement.verdict, judgement.noise) {
        (Verdict::NotComparable, _) => "not measured".to_owned(),
        (_, None) => "noise unknown".to_owned(),
        _ => String::new(),
    };
    Row { noise: judgement.noise, floor: judgement.floor, verdict: judgement.verdict, ..unjudged(reason) }
}

#[cfg(test)]
mod tests;
