//! From what happened to the outcome: the tables are compared with the truth, latencies and figures are worked out, limits
//! are judged.

use std::collections::BTreeMap;

use pulselake_model::tables::LakeTable;

use super::audit::findings::Findings;
use super::audit::read::Tables;
use super::audit::{changes, sums};
use super::course::Course;
use super::enough::{self, SentSoMuch};
use super::figures::{figures, limits};
use super::latencies::{LatencyCollector, RunTimes, add_changes, event_to_bronze, window_end_to_gold};
use super::recovery::readable_after_s;
use crate::load::outcome::{AuditOutcome, FORMAT, LatencyOutcome, Machine, PhaseOutcome, RunOutcome};
use crate::load::scenario::{PhaseKind, Scenario};
use crate::load::verdict::reasons_to_fail;
use crate::proc_fs;
use crate::statistics::rounded;

/// The engine's windows.watermark_delay_ms, where a scenario sets none.
const WATERMARK_DELAY_MS: i64 = 10_000;

/// What the machine was like before the run.
pub(crate) struct MachineBefore {
    pub(crate) load: [f64; 3],
    pub(crate) cpu_s: f64,
}

/// Puts the outcome together.
///
/// # Errors
/// When latencies can't be worked out.
pub(crate) fn conclude(
    scenario: &Scenario,
    is_short: bool,
    mut course: Course,
    before: &MachineBefore,
) -> anyhow::Result<RunOutcome> {
    let audit = audit(&course);
    let warm_up_s = course.setup.timetable.warm_up_s();
    let duration_s = course.phases.iter().map(|phase| phase.to_s).max().unwrap_or(0);
    let times = RunTimes { start_ms: course.setup.start_ms, warm_up_s, duration_s };
    let latencies = latencies(&course, times, watermark_delay_ms(&course.setup.settings))?;
    note_recoveries(&mut course);
    let doubts = doubts(scenario, is_short, &course, &latencies, warm_up_s);
    let figures = figures(&course, &latencies, warm_up_s);
    let limits = limits(&scenario.limits, &figures);
    let problems: Vec<String> = std::mem::take(&mut course.problems).into_iter().chain(doubts).collect();
    let mut outcome = RunOutcome {
        format: FORMAT,
        scenario: scenario.name.clone(),
        description: scenario.description.clone(),
        is_short,
        transport: if course.setup.brokers.is_some() { "kafka" } else { "embedded" }.to_owned(),
        started_ms: course.setup.start_ms,
        engine_version: course.setup.binary.version.clone(),
        settings: comparable(&course.setup.settings),
        scenario_file: scenario.text.clone(),
        notes: Vec::new(),
        machine: machine(before),
        phases: phases(&course),
        faults: course.faults.outcomes.clone(),
        samples: std::mem::take(&mut course.samples),
        latencies,
        figures,
        limits,
        audit,
        problems,
        passed: false,
    };
    outcome.passed = reasons_to_fail(&outcome).is_empty();
    Ok(outcome)
}

/// Settings without those that differ from run to run (where things happen to be, and when), and without secrets.
fn comparable(settings: &[String]) -> Vec<String> {
    let differs = ["generator.start_ms=", "lake.", "s3."];
    settings
        .iter()
        .filter(|setting| !differs.iter().any(|start| setting.starts_with(start)))
        .cloned()
        .collect()
}

fn watermark_delay_ms(settings: &[String]) -> i64 {
    let set = settings.iter().rev().find_map(|setting| setting.strip_prefix("windows.watermark_delay_ms="));
    set.and_then(|value| value.parse().ok()).unwrap_or(WATERMARK_DELAY_MS)
}

fn machine(before: &MachineBefore) -> Machine {
    Machine {
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        cpu_model: proc_fs::cpu_model(),
        memory_mib: proc_fs::memory_mib(),
        system: proc_fs::system(),
        load_before: before.load,
        load_after: proc_fs::load_average(),
        machine_cpu_s: rounded(proc_fs::machine_cpu_s() - before.cpu_s, 1),
    }
}

/// The phases, each try of a search as one of its own.
fn phases(course: &Course) -> Vec<PhaseOutcome> {
    let account = course.setup.feed.account().lock();
    let start_ms = course.setup.start_ms;
    let phase = |name: &str, kind: PhaseKind, from_s: u32, to_s: u32| {
        let by = |second: u32| account.intended_by(start_ms + i64::from(second) * 1_000);
        PhaseOutcome {
            name: name.to_owned(),
            kind: kind.as_str().to_owned(),
            from_s: from_s.into(),
            to_s: to_s.into(),
            events: by(to_s) - by(from_s),
        }
    };
    let mut phases = Vec::new();
    for planned in &course.phases {
        if planned.kind != PhaseKind::Search || course.probes.is_empty() {
            phases.push(phase(&planned.name, planned.kind, planned.from_s, planned.to_s));
            continue;
        }
        for probe in &course.probes {
            let result = probe.failure.as_deref().unwrap_or("sustained");
            let name = format!("{} records/s: {result}", probe.rate_per_s);
            phases.push(phase(&name, planned.kind, probe.from_s, probe.to_s));
        }
    }
    phases
}

/// When a reader was up to date again after each fault.
fn note_recoveries(course: &mut Course) {
    let account = course.setup.feed.account().lock();
    let (commits, topic, start_ms) = (&course.commits, &course.setup.topic, course.setup.start_ms);
    for fault in &mut course.faults.outcomes {
        fault.recovered_after_s = readable_after_s(commits, topic, &account.sent, start_ms, fault.to_s);
    }
}

/// Whether what was sent is what the scenario says: a sentence for each reason to think that it is not.
fn doubts(
    scenario: &Scenario,
    is_short: bool,
    course: &Course,
    latencies: &BTreeMap<String, LatencyOutcome>,
    warm_up_s: u32,
) -> Vec<String> {
    let account = course.setup.feed.account().lock();
    let sent = SentSoMuch {
        records: account.sent.count(),
        after_warm_up: account.sent.count_due_from(warm_up_s.saturating_mul(1_000)),
        seen: latencies.get("event_to_bronze").map_or(0, |latency| latency.whole.count),
        worst_delay_ms: course.setup.brokers.is_some().then_some(account.worst_delay_ms),
    };
    let mut doubts = enough::problems(scenario, &course.setup.timetable, is_short, sent);
    doubts.extend(account.promises.problems());
    doubts
}

fn latencies(
    course: &Course,
    times: RunTimes,
    watermark_delay_ms: i64,
) -> anyhow::Result<BTreeMap<String, LatencyOutcome>> {
    let account = course.setup.feed.account().lock();
    let (commits, topic, sent) = (&course.commits, &course.setup.topic, &account.sent);
    let bronze = event_to_bronze(commits, topic, sent, times)?;
    let (gold, missing) = window_end_to_gold(commits, topic, sent, times, watermark_delay_ms)?;
    let mut changes = LatencyCollector::new(times)?;
    for (of_entity, written) in course.setup.changes.iter().zip(&course.written) {
        let dimension = LakeTable::Dimension(of_entity.entity);
        let between = |partition, from, to| written.between(partition, from, to);
        add_changes(&mut changes, commits, dimension, &of_entity.topic, between)?;
    }
    let paths = [
        ("event_to_bronze", bronze),
        // A window that never came has no latency, and must not look like a good one.
        ("window_end_to_gold", gold.filter(|_| missing == 0)),
        ("change_to_dimension", changes.finish()?),
    ];
    Ok(paths.into_iter().filter_map(|(name, latency)| Some((name.to_owned(), latency?))).collect())
}

/// The tables against the truth, and `pulselake audit`. That something can't be read is a finding.
fn audit(course: &Course) -> AuditOutcome {
    let mut findings = Findings::default();
    let mut outcome = AuditOutcome::default();
    if let Err(error) = compare(course, &mut findings, &mut outcome) {
        findings.add(|| format!("the tables could not be compared with the truth: {error:#}"));
    }
    if let Err(error) = course.setup.binary.audit_with(&course.setup.place.direct_arguments()) {
        findings.add(|| format!("pulselake audit: {error:#}"));
    }
    outcome.passed = findings.is_empty();
    outcome.findings = findings.into_lines();
    outcome
}

fn compare(course: &Course, findings: &mut Findings, outcome: &mut AuditOutcome) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let account = course.setup.feed.account().lock();
    outcome.events = account.truth.events;
    outcome.promised = account.promises.counts();
    runtime.block_on(async {
        let tables = Tables::open(&course.setup.place.lake).await?;
        let (_, quarantined) = tables.check_offsets(&account.sent, findings).await?;
        outcome.quarantined = quarantined;
        let truth = sums::named(&account.truth.by_video_minute);
        let (video_minutes, _) = sums::compare(&truth, &tables.sums().await?, findings);
        outcome.video_minutes = video_minutes;
        for of_entity in &course.setup.changes {
            let found = tables.changes(of_entity.entity).await?;
            let truth = of_entity.truth()?;
            let key_text = |number| of_entity.key_text(number);
            changes::compare(of_entity.entity, &truth, key_text, &found, findings);
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_differ_from_run_to_run_are_left_out() {
        let settings = [
            "bronze.commit_interval_ms=500",
            "lake.catalog_uri=postgres://x",
            "generator.start_ms=9",
            "generator.seed=1",
        ];
        let settings = settings.map(str::to_owned);
        assert_eq!(comparable(&settings), ["bronze.commit_interval_ms=500", "generator.seed=1"]);
        assert_eq!(watermark_delay_ms(&settings), WATERMARK_DELAY_MS);
        let set = ["windows.watermark_delay_ms=100", "windows.watermark_delay_ms=200"].map(str::to_owned);
        assert_eq!(watermark_delay_ms(&set), 200);
    }
}
