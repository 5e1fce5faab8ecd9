//! Carries a plan out beside a run: each target has a thread that begins and ends its faults in time, and another thread
//! looks at the engine's metrics meanwhile. In the end it says what happened, how it showed, and when the engine had
//! recovered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use parking_lot::{Condvar, Mutex};

use super::context::FaultContext;
use super::evidence::{Scene, evidence};
use super::plan::{FaultKind, FaultPlan, Target};
use super::schedule::{Action, Step, schedule};
use super::sightings::{BRONZE, Figures, LogLine, Sighting, commit_times, lines_of};
use crate::load::outcome::FaultOutcome;
use crate::load::run::fleet::EngineNumber;

/// How often the engine's metrics are looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// How long the aftermath of a fault is looked at, where no other fault begins before.
const AFTERMATH_MS: i64 = 30_000;

/// Faults under way. Dropping it ends those that have begun, and begins no more.
pub(crate) struct FaultRun {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    watcher: Option<JoinHandle<()>>,
    started_ms: i64,
    planned: usize,
}

/// What happened, and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct FaultReport {
    /// In the order of their beginnings.
    pub(crate) outcomes: Vec<FaultOutcome>,
    /// Faults that could not be made, or that the run was too short for; one line each. A run with any of these has not
    /// tested what its scenario says, and neither has one with a fault that left no trace: an outcome without evidence.
    pub(crate) findings: Vec<String>,
}

struct Shared {
    plan: FaultPlan,
    context: FaultContext,
    state: Mutex<State>,
    /// Told when the run is over.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_over: bool,
    happened: Vec<Happened>,
    failures: Vec<String>,
    /// Faults that did not last as long as they should; one line each.
    cut_short: Vec<String>,
    sightings: Vec<Sighting>,
    /// Threads of targets that still have something to do.
    busy: usize,
}

/// A fault that was made.
struct Happened {
    kind: FaultKind,
    from_ms: i64,
    to_ms: i64,
    notes: Vec<String>,
}

/// How long a fault was there, from the moment at which it had begun.
enum Lasted {
    /// As its plan says.
    Whole,
    /// So many milliseconds: then the run was over.
    For(i64),
}

impl FaultRun {
    /// Begins: the first event is, or was, meant for `started_ms` (milliseconds since the epoch), and an engine runs.
    ///
    /// # Errors
    /// When faults of one target overlap, or something is not there that the plan needs.
    pub(crate) fn start(
        plan: &FaultPlan,
        seed: u64,
        started_ms: i64,
        context: FaultContext,
    ) -> anyhow::Result<Self> {
        context.check(plan)?;
        let mut by_target: BTreeMap<Target, Vec<Action>> = BTreeMap::new();
        for action in schedule(plan, seed)? {
            by_target.entry(plan.faults[action.fault].kind.target()).or_default().push(action);
        }
        let state = Mutex::new(State { busy: by_target.len(), ..State::default() });
        let shared = Arc::new(Shared { plan: plan.clone(), context, state, changed: Condvar::new() });
        let planned = plan.faults.iter().map(|fault| fault.count as usize).sum();
        let mut run = Self { shared, threads: Vec::new(), watcher: None, started_ms, planned };
        for (target, actions) in by_target {
            let shared = run.shared.clone();
            let work = move || shared.carry_out(&actions, started_ms);
            run.threads.push(spawn(&format!("faults of {target:?}"), work)?);
        }
        if planned > 0 {
            let shared = run.shared.clone();
            run.watcher = Some(spawn("faults' watcher", move || shared.watch())?);
        }
        Ok(run)
    }

    /// Whether every fault of the plan is over, or one has failed.
    pub(crate) fn is_over(&self) -> bool {
        let state = self.shared.state.lock();
        state.busy == 0 || !state.failures.is_empty()
    }

    /// The first fault that could not be made.
    #[cfg(test)]
    pub(crate) fn failure(&self) -> Option<String> {
        self.shared.state.lock().failures.first().cloned()
    }

    /// Ends what is under way, and tells everything. To be called while the engines of the run are still there, when
    /// the tables have caught up: what the engine does after the last fault belongs to it.
    ///
    /// # Errors
    /// When an engine's log can't be read.
    pub(crate) fn finish(mut self) -> anyhow::Result<FaultReport> {
        self.stop();
        let fleet = &self.shared.context.fleet;
        let mut lines = Vec::new();
        for process in 0..fleet.started() {
            let log = fleet.log(EngineNumber(process)).context("the faults' traces can't be looked for")?;
            lines.extend(lines_of(&log, process));
        }
        lines.sort_by_key(|line| line.at_ms);
        let mut state = self.shared.state.lock();
        state.happened.sort_by_key(|happened| happened.from_ms);
        let mut report = report(&state, &lines, self.started_ms);
        let missed = self.planned.saturating_sub(state.happened.len());
        if missed > 0 && state.failures.is_empty() {
            report
                .findings
                .push(format!("{missed} of {} faults were not made: the run was over before", self.planned));
        }
        Ok(report)
    }

    fn stop(&mut self) {
        self.shared.state.lock().is_over = true;
        self.shared.changed.notify_all();
        for thread in self.threads.drain(..).chain(self.watcher.take()) {
            if thread.join().is_err() {
                self.shared.state.lock().failures.push("a thread of the faults has panicked".to_owned());
            }
        }
    }
}

impl Drop for FaultRun {
    fn drop(&mut self) {
        self.stop();
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> anyhow::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).context("can't start a thread for faults")
}

impl Shared {
    /// One target's faults, one after the other.
    fn carry_out(&self, actions: &[Action], started_ms: i64) {
        for pair in actions.chunks(2) {
            let [begin, end] = pair else { continue };
            debug_assert!(begin.step == Step::Begin && end.step == Step::End);
            if !self.wait_until(started_ms + millis(begin.at_ms)) {
                break;
            }
            let fault = &self.plan.faults[begin.fault];
            let lasts_ms = millis(end.at_ms - begin.at_ms);
            let name = format!("fault {} of the file, of kind {},", begin.fault + 1, fault.kind.name());
            match self.carry_out_one(fault.kind, lasts_ms) {
                Ok(Lasted::Whole) => {}
                Ok(Lasted::For(ms)) => {
                    let (lasted_s, planned_s) = (ms as f64 / 1e3, lasts_ms as f64 / 1e3);
                    let line = format!(
                        "{name} was cut short after {lasted_s:.1} s of {planned_s:.1} s: the run was over"
                    );
                    self.state.lock().cut_short.push(line);
                }
                Err(error) => {
                    self.state.lock().failures.push(format!("{name} failed: {error:#}"));
                    break;
                }
            }
        }
        self.state.lock().busy -= 1;
    }

    fn carry_out_one(&self, kind: FaultKind, lasts_ms: i64) -> anyhow::Result<Lasted> {
        let from_ms = now_ms();
        let begun = self.context.begin(&kind)?;
        // It lasts as long as it should from the moment at which it has begun. When the run is over, so is the fault.
        let begun_ms = now_ms();
        let is_whole = lasts_ms == 0 || self.wait_until(begun_ms + lasts_ms);
        let lasted = if is_whole { Lasted::Whole } else { Lasted::For(now_ms() - begun_ms) };
        self.context.end(begun.deed)?;
        let to_ms = now_ms();
        self.state.lock().happened.push(Happened { kind, from_ms, to_ms, notes: begun.notes });
        Ok(lasted)
    }

    /// Waits for a moment; `false` when the run is over before.
    fn wait_until(&self, at_ms: i64) -> bool {
        let mut state = self.state.lock();
        while !state.is_over {
            let Ok(left_ms) = u64::try_from(at_ms - now_ms()) else { return true };
            if left_ms == 0 {
                return true;
            }
            self.changed.wait_for(&mut state, Duration::from_millis(left_ms));
        }
        false
    }

    /// Looks at the metrics of the engine that faults act on, until the run is over.
    fn watch(&self) {
        loop {
            let next_ms = now_ms() + millis(LOOK_AGAIN.as_millis() as u64);
            // While none runs, or it does not answer, there is nothing to see.
            if let Ok(engine) = self.context.victim()
                && let Some(metrics) = self.context.fleet.metrics(engine)
            {
                let sighting =
                    Sighting { at_ms: now_ms(), process: engine.0, figures: Figures::of(&metrics) };
                self.state.lock().sightings.push(sighting);
            }
            if !self.wait_until(next_ms) {
                return;
            }
        }
    }
}

/// What became of faults in the order of their beginnings.
fn report(state: &State, lines: &[LogLine], started_ms: i64) -> FaultReport {
    let commits = commit_times(lines, BRONZE);
    let findings = [state.failures.as_slice(), &state.cut_short].concat();
    let mut report = FaultReport { outcomes: Vec::new(), findings };
    for happened in &state.happened {
        let Happened { kind, from_ms, to_ms, .. } = *happened;
        let next = state
            .happened
            .iter()
            .map(|other| other.from_ms)
            .find(|other_ms| *other_ms >= to_ms.max(from_ms + 1));
        let until_ms = next.unwrap_or(i64::MAX).min(to_ms + AFTERMATH_MS);
        let calm_from_ms = calm_from_ms(&state.happened, from_ms, &commits);
        let scene =
            Scene { kind, from_ms, to_ms, until_ms, calm_from_ms, sightings: &state.sightings, lines };
        let mut traces = happened.notes.clone();
        traces.extend(evidence(&scene));
        let (from_s, to_s) = (since_s(from_ms, started_ms), since_s(to_ms, started_ms));
        let kind = kind.name().to_owned();
        // What a reader saw, the run knows (`run/recovery.rs`).
        let outcome = FaultOutcome { kind, from_s, to_s, recovered_after_s: None, evidence: traces };
        report.outcomes.push(outcome);
    }
    report
}

/// Since when the engine had recovered from what was before a fault; the fault's beginning when it had not.
fn calm_from_ms(all: &[Happened], from_ms: i64, commits: &[i64]) -> i64 {
    let earlier = all.iter().filter(|other| other.from_ms < from_ms);
    let Some(last_ms) = earlier.map(|other| other.to_ms).max() else { return i64::MIN };
    let next = commits.partition_point(|at_ms| *at_ms <= last_ms);
    commits.get(next).copied().unwrap_or(from_ms).min(from_ms)
}

fn since_s(at_ms: i64, started_ms: i64) -> f64 {
    (at_ms - started_ms) as f64 / 1e3
}

fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

/// Of times within a run.
fn millis(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
