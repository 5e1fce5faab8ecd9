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
use super::sightings::{BRONZE, Figures, LogLine, Sighting, commit_times, lines_of, recovered_after_s};
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
    /// Faults that could not be made, that the run was too short for, or that left no trace in the engine's metrics and
    /// log; one line each. A run with any of these has not tested what its scenario says.
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
            if let Err(error) = self.carry_out_one(fault.kind, lasts_ms) {
                let name = fault.kind.name();
                let failure =
                    format!("fault {} of the file, of kind {name}, failed: {error:#}", begin.fault + 1);
                self.state.lock().failures.push(failure);
                break;
            }
        }
        self.state.lock().busy -= 1;
    }

    fn carry_out_one(&self, kind: FaultKind, lasts_ms: i64) -> anyhow::Result<()> {
        let from_ms = now_ms();
        let begun = self.context.begin(&kind)?;
        // It lasts as long as it should from the moment at which it has begun. When the run is over, so is the fault.
        if lasts_ms > 0 {
            self.wait_until(now_ms() + lasts_ms);
        }
        self.context.end(begun.deed)?;
        let to_ms = now_ms();
        self.state.lock().happened.push(Happened { kind, from_ms, to_ms, notes: begun.notes });
        Ok(())
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
    let mut report = FaultReport { outcomes: Vec::new(), findings: state.failures.clone() };
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
        if traces.is_empty() {
            report.findings.push(format!(
                "{} from {from_s:.1} s to {to_s:.1} s left no trace in the engine's metrics and log",
                kind.name()
            ));
        }
        let recovered_after_s = recovered_after_s(&commits, to_ms);
        let kind = kind.name().to_owned();
        report.outcomes.push(FaultOutcome { kind, from_s, to_s, recovered_after_s, evidence: traces });
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
mod tests {
    use super::*;
    use crate::load::faults::plan::Manner;

    fn happened(kind: FaultKind, from_ms: i64, to_ms: i64) -> Happened {
        Happened { kind, from_ms, to_ms, notes: Vec::new() }
    }

    fn line(at_ms: i64, event: &str) -> LogLine {
        let table = BRONZE.to_owned();
        LogLine {
            at_ms,
            event: event.to_owned(),
            table,
            rows: 1,
            detail: "x".to_owned(),
            ..LogLine::default()
        }
    }

    #[test]
    fn a_fault_without_a_trace_is_a_finding() {
        let outage = FaultKind::CatalogOutage(Manner::Refuse);
        let state = State { happened: vec![happened(outage, 11_000, 12_000)], ..State::default() };
        let lines: Vec<LogLine> = (0..100).map(|tenth| line(10_000 + tenth * 500, "commit_done")).collect();
        let told = report(&state, &lines, 10_000);
        let expected = FaultOutcome {
            kind: "catalog_outage".to_owned(),
            from_s: 1.0,
            to_s: 2.0,
            recovered_after_s: Some(0.5),
            evidence: Vec::new(),
        };
        assert_eq!(told.outcomes, [expected]);
        assert_eq!(
            told.findings,
            ["catalog_outage from 1.0 s to 2.0 s left no trace in the engine's metrics and log"]
        );
    }

    #[test]
    fn what_follows_the_next_fault_is_no_trace_of_this_one() {
        let kills = vec![
            happened(FaultKind::EngineKill, 10_000, 10_005),
            happened(FaultKind::EngineKill, 20_000, 20_005),
        ];
        let state = State { happened: kills, ..State::default() };
        let told = report(&state, &[line(20_500, "service_started")], 0);
        assert_eq!(told.outcomes[0].evidence, Vec::<String>::new());
        assert_eq!(told.outcomes[1].evidence, ["log event service_started, 1 times: x"]);
        assert_eq!(told.findings.len(), 1);
    }

    #[test]
    fn calm_is_what_lies_between_recovery_and_the_next_fault() {
        let all = [happened(FaultKind::EngineKill, 10, 20), happened(FaultKind::EngineKill, 50, 60)];
        assert_eq!(calm_from_ms(&all, 10, &[5, 30, 70]), i64::MIN);
        assert_eq!(calm_from_ms(&all, 50, &[5, 30, 70]), 30);
        assert_eq!(calm_from_ms(&all, 50, &[5, 70]), 50, "it had not recovered");
    }

    #[test]
    fn what_failed_is_a_finding() {
        let state = State { failures: vec!["no broker".to_owned()], ..State::default() };
        assert_eq!(report(&state, &[], 0).findings, ["no broker"]);
    }
}
