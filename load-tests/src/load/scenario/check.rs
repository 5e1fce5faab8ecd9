//! What does not fit together in a scenario. Each message names the key, its value and what is allowed.

use anyhow::{Context, bail, ensure};
use pulselake_generator::{Scenario as GeneratorScenario, ScenarioKind};

use super::figures::{FIGURES, figure};
use super::plan::{Timetable, generator_config};
use super::{CatalogKind, PhaseKind, Scenario, StoreKind};
use crate::load::faults::FaultKind;
use crate::load::faults::plan::{Fault, Target};

/// Any moment does: settings are judged, no log is read.
const SOME_START_MS: i64 = 1_767_225_600_000;
/// By then every partition that gets records regularly has got some.
const FIRST_SKEW_S: u32 = 5;
/// Some blocks more than anything is held back for.
const LONGEST_LEAD_S: u32 = 3_600;
/// A week.
const LONGEST_S: u32 = 604_800;

/// Checks a scenario as a whole.
///
/// # Errors
/// What is wrong first.
pub fn check(scenario: &Scenario) -> anyhow::Result<()> {
    let is_name = |name: &str| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    ensure!(is_name(&scenario.name), "name = {:?}: lower-case letters, digits and -", scenario.name);
    check_phases(scenario)?;
    check_load(scenario)?;
    check_faults(scenario)?;
    check_limits(scenario)
}

fn check_phases(scenario: &Scenario) -> anyhow::Result<()> {
    ensure!(!scenario.phases.is_empty(), "there are no [[phases]]: at least one is needed");
    let mut is_warming_up = true;
    for phase in &scenario.phases {
        let name = &phase.name;
        ensure!(phase.duration_s >= 1, "phase {name:?}: duration_s = 0 has to be at least 1");
        for (key, rate) in [("rate", Some(phase.rate)), ("rate_to", phase.rate_to)] {
            let Some(rate) = rate else { continue };
            ensure!(
                rate > 0.0 && rate <= 1e6,
                "phase {name:?}: {key} = {rate} has to be above 0 and at most 1e6 (times load.rate_per_s)"
            );
        }
        ensure!(
            phase.rate_to.is_some() == (phase.kind == PhaseKind::Ramp),
            "phase {name:?}: rate_to belongs to a phase of kind ramp, and a ramp needs it"
        );
        ensure!(
            is_warming_up || phase.kind != PhaseKind::WarmUp,
            "phase {name:?}: a warm_up has to come before all other phases"
        );
        is_warming_up &= phase.kind == PhaseKind::WarmUp;
    }
    ensure!(!is_warming_up, "there are only phases of kind warm_up: nothing would be measured");
    let duration_s = scenario.phases.iter().map(|phase| u64::from(phase.duration_s)).sum::<u64>();
    ensure!(duration_s <= LONGEST_S.into(), "the phases take {duration_s} s: at most {LONGEST_S}");
    let searches = scenario.phases.iter().filter(|phase| phase.kind == PhaseKind::Search).count();
    ensure!(searches <= 1, "there are {searches} phases of kind search: at most one");
    ensure!(
        searches == 1 || scenario.search.is_none(),
        "[search] says how a phase of kind search works, and there is none"
    );
    let Some(search) = scenario.search else { return Ok(()) };
    ensure!(
        search.from_per_s >= 1.0 && search.from_per_s <= search.to_per_s && search.to_per_s <= 1e8,
        "[search]: from_per_s = {} and to_per_s = {}: 1 to 1e8, in this order",
        search.from_per_s,
        search.to_per_s
    );
    ensure!(search.hold_s >= 6, "[search]: hold_s = {} has to be at least 6", search.hold_s);
    let precision = search.precision;
    ensure!((0.01..=1.0).contains(&precision), "[search]: precision = {precision}: 0.01 to 1");
    Ok(())
}

fn check_load(scenario: &Scenario) -> anyhow::Result<()> {
    let load = &scenario.load;
    ensure!(
        load.rate_per_s >= 1.0 && load.rate_per_s.fract() == 0.0,
        "load.rate_per_s = {} has to be a whole number of at least 1",
        load.rate_per_s
    );
    ensure!(
        load.cdc || load.changes_per_s.is_none(),
        "load.changes_per_s is the rate of changes: it needs load.cdc = true"
    );
    if let Some(lead_s) = load.lead_s {
        ensure!(
            (1..=LONGEST_LEAD_S).contains(&lead_s),
            "load.lead_s = {lead_s} has to be 1 to {LONGEST_LEAD_S}; without it a log begins with its first event"
        );
    }
    let duration_s = scenario.duration_s();
    if let Some(late) = load.scenarios.iter().find(|planned| planned.start_s >= duration_s) {
        bail!("{late} would never begin: the phases end at {duration_s} s");
    }
    let timetable = Timetable::of(scenario);
    for stretch in &timetable.stretches {
        generator_config(load, stretch, SOME_START_MS).validate().context("[load]")?;
    }
    // A partition's first record sets its watermark: one of a clock that is days behind would not be too late then.
    let has_skew = |scenario: &&GeneratorScenario| scenario.kind == ScenarioKind::ClockSkew;
    if let Some(skew) = load.scenarios.iter().find(has_skew) {
        ensure!(
            skew.start_s >= FIRST_SKEW_S && !scenario.faults.touches(Target::Topic),
            "{skew}: clock_skew has to begin at start_s={FIRST_SKEW_S} or later, and no topic may grow beside it: of a \
             partition's first records nobody knows whether they are too late"
        );
    }
    let repeats = load.duplicate_ratio > 0.0
        || load.scenarios.iter().any(|scenario| scenario.kind == ScenarioKind::Duplicates);
    // A repeated delivery whose first one was never sent, or went to another partition, would have to be counted.
    ensure!(
        !repeats
            || timetable.stretches.len() == 1
                && load.lead_s.is_none()
                && !scenario.faults.touches(Target::Topic),
        "duplicates need one rate and one number of partitions over all phases, and no load.lead_s: the truth would not be \
         exact"
    );
    Ok(())
}

fn check_faults(scenario: &Scenario) -> anyhow::Result<()> {
    let duration_s = f64::from(scenario.duration_s());
    for fault in &scenario.faults.faults {
        let kind = fault.kind.name();
        let last_s =
            fault.at_s + fault.every_s * f64::from(fault.count - 1) + fault.jitter_s + fault.duration_s;
        ensure!(
            last_s <= duration_s,
            "the last {kind} would end {last_s} s after the first event: the phases end at {duration_s} s"
        );
        match fault.kind {
            FaultKind::StoreOutage(_) | FaultKind::StoreBrownout(_) => ensure!(
                scenario.services.store == StoreKind::S3,
                "a fault of kind {kind} needs services.store = \"s3\""
            ),
            FaultKind::CatalogSlow(_) => ensure!(
                scenario.services.catalog != CatalogKind::Sqlite,
                "a fault of kind {kind} needs services.catalog = \"postgres\" or \"rest\""
            ),
            FaultKind::PartitionGrowth { partitions } => ensure!(
                partitions > scenario.load.partitions,
                "partitions = {partitions} of a partition_growth has to be more than load.partitions = {}",
                scenario.load.partitions
            ),
            _ => {}
        }
    }
    Ok(())
}

fn check_limits(scenario: &Scenario) -> anyhow::Result<()> {
    for (name, limit) in &scenario.limits {
        ensure!(
            figure(name).is_some(),
            "[limits]: {name} is no figure; there are {}",
            FIGURES.map(|figure| figure.name).join(", ")
        );
        ensure!(limit.is_finite(), "[limits]: {name} = {limit} has to be a number");
    }
    // A process that is new has little memory: a leak would look like memory given back.
    let warm_up_s = f64::from(Timetable::of(scenario).warm_up_s());
    let is_killed_later = |fault: &Fault| {
        let last_s = fault.at_s + fault.every_s * f64::from(fault.count - 1) + fault.jitter_s;
        matches!(fault.kind, FaultKind::EngineKill) && last_s + fault.duration_s > warm_up_s
    };
    ensure!(
        !scenario.limits.contains_key("resident_growth_mib")
            || !scenario.faults.faults.iter().any(is_killed_later),
        "[limits]: resident_growth_mib says nothing about an engine that is killed after the warm-up, which ends at \
         {warm_up_s} s: have each engine_kill before"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::file::parse;

    const FILE: &str = r#"
        name = "example"
        description = "d"
        [load]
        rate_per_s = 1000
        partitions = 4
        [[phases]]
        name = "w"
        kind = "warm_up"
        duration_s = 5
        [[phases]]
        name = "s"
        kind = "steady"
        duration_s = 30
        [limits]
        bronze_p95_s = 10
    "#;

    fn refusal(from: &str, to: &str) -> String {
        let text = FILE.replace(from, to);
        assert_ne!(text, FILE);
        format!("{:#}", parse(&text, false).unwrap_err())
    }

    #[test]
    fn what_does_not_fit_is_refused_with_what_is_allowed() {
        parse(FILE, false).unwrap();
        let fault = |text: &str| format!("partitions = 4\n[[faults]]\n{text}");
        for (from, to, expected) in [
            ("\"example\"", "\"Example 1\"", "lower-case letters"),
            ("duration_s = 30", "duration_s = 0", "at least 1"),
            ("duration_s = 30", "duration_s = 30\nrate = 0", "above 0"),
            ("duration_s = 30", "duration_s = 30\nrate_to = 2", "of kind ramp"),
            ("\"steady\"", "\"ramp\"", "a ramp needs it"),
            ("\"steady\"", "\"warm_up\"", "nothing would be measured"),
            (
                "\"warm_up\"\n        duration_s = 5",
                "\"steady\"\n        duration_s = 5\n[[phases]]\nname = \"x\"\nkind = \"warm_up\"\nduration_s = 1",
                "before all other",
            ),
            ("[limits]", "[search]\nhold_s = 9\n[limits]", "there is none"),
            ("rate_per_s = 1000", "rate_per_s = 0.5", "a whole number"),
            ("rate_per_s = 1000", "rate_per_s = 1000\nchanges_per_s = 5", "load.cdc = true"),
            ("rate_per_s = 1000", "rate_per_s = 1000\nvideos = 0", "videos"),
            ("partitions = 4", "partitions = 4\nscenarios = [\"clock_skew\"]", "start_s=5 or later"),
            ("rate_per_s = 1000", "rate_per_s = 1000\nlead_s = 0", "has to be 1 to 3600"),
            ("partitions = 4", "partitions = 4\nduplicate_ratio = 0.1\nlead_s = 9", "no load.lead_s"),
            (
                "partitions = 4",
                "partitions = 4\nscenarios = [\"late_events:start_s=35\"]",
                "would never begin: the phases end at 35 s",
            ),
            (
                "[limits]",
                "[[faults]]\nkind = \"engine_kill\"\nat_s = 6\n[limits]\nresident_growth_mib = 9",
                "killed after the warm-up, which ends at 5 s",
            ),
            ("duration_s = 30", "duration_s = 30\nrate = 2\n[load2]", "load2"),
            ("bronze_p95_s = 10", "bronze_p95_s = nan", "has to be a number"),
            ("bronze_p95_s = 10", "bronze_p96_s = 10", "there are bronze_p50_s"),
            ("partitions = 4", &fault("kind = \"engine_kill\"\nat_s = 36"), "the phases end at 35 s"),
            ("partitions = 4", &fault("kind = \"store_outage\"\nat_s = 6\nduration_s = 1"), "\"s3\""),
            (
                "partitions = 4",
                &fault("kind = \"catalog_slow\"\nat_s = 6\nduration_s = 1\nlatency_ms = 9"),
                "\"postgres\"",
            ),
            (
                "partitions = 4",
                &fault("kind = \"partition_growth\"\nat_s = 6\npartitions = 4"),
                "more than load.partitions",
            ),
        ] {
            let message = refusal(from, to);
            assert!(message.contains(expected), "{to:?}: {expected:?} is not in {message:?}");
        }
    }

    #[test]
    fn duplicates_need_one_rate() {
        let with_duplicates = FILE.replace("partitions = 4", "partitions = 4\nduplicate_ratio = 0.1");
        parse(&with_duplicates, false).unwrap();
        let two_rates = with_duplicates.replace("duration_s = 30", "duration_s = 30\nrate = 2");
        let message = format!("{:#}", parse(&two_rates, false).unwrap_err());
        assert!(message.contains("duplicates need one rate"), "{message}");
    }
}
