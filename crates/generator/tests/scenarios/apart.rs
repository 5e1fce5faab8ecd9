//! A scenario changes nothing outside of what it is about.

use std::collections::HashSet;

use pulselake_generator::{FIRST_FOCUS_VIDEO, GeneratorConfig, RecordKind, ScenarioKind};

use crate::support::{Seen, config, read};

const START_S: i64 = 60;
const END_S: i64 = 100;
/// Funnels that begin before the end have their last event 62 s later, and reach the log 240 s after that.
const QUIET_FROM_S: i64 = END_S + 62 + 240;
const BLOCKS: i64 = QUIET_FROM_S + 20;

fn with(kind: ScenarioKind) -> GeneratorConfig {
    // A cold start is a handful of views a minute: a strong one, so that there are some.
    let strength = if kind == ScenarioKind::ColdStartUnderExposed { 15.0 } else { 1.5 };
    let scenario = format!("{kind}:start_s={START_S},length_s={},strength={strength}", END_S - START_S);
    GeneratorConfig {
        rate_per_s: 100.0,
        invalid_ratio: 0.02,
        duplicate_ratio: 0.02,
        late_ratio: 0.02,
        ..config(&[&scenario])
    }
}

fn block(seen: &Seen) -> i64 {
    seen.record.offset >> 20
}

#[test]
fn the_log_is_the_same_before_a_scenario_and_when_it_is_over() {
    let plain = read(&GeneratorConfig { scenarios: Vec::new(), ..with(ScenarioKind::Duplicates) }, BLOCKS);
    let is_apart = |seen: &&Seen| !(START_S..QUIET_FROM_S).contains(&block(seen));
    for kind in ScenarioKind::ALL {
        let changed = read(&with(kind), BLOCKS);
        let (expected, found): (Vec<&Seen>, Vec<&Seen>) =
            (plain.iter().filter(is_apart).collect(), changed.iter().filter(is_apart).collect());
        assert!(expected == found, "{kind} acts outside of its interval");
        assert_eq!(plain == changed, kind == ScenarioKind::InventoryDrought, "{kind} acts on its own log");
    }
}

#[test]
fn what_comes_on_top_leaves_the_ordinary_records_as_they_are() {
    let plain = read(&GeneratorConfig { scenarios: Vec::new(), ..with(ScenarioKind::Duplicates) }, BLOCKS);
    let on_top = |kind: ScenarioKind| {
        kind.has_focus() || matches!(kind, ScenarioKind::InvalidPayloadBurst | ScenarioKind::Duplicates)
    };
    for kind in ScenarioKind::ALL.into_iter().filter(|&kind| on_top(kind)) {
        let changed = read(&with(kind), BLOCKS);
        let identity = |seen: &Seen| (seen.partition, seen.record.record_time_ms, seen.value.clone());
        let found: HashSet<_> = changed.iter().map(identity).collect();
        assert!(plain.iter().all(|seen| found.contains(&identity(seen))), "{kind}");
        let added = changed.len() - plain.len();
        let explained = changed.iter().filter(|seen| match kind {
            ScenarioKind::InvalidPayloadBurst => matches!(seen.record.kind, RecordKind::Malformed(_)),
            ScenarioKind::Duplicates => seen.record.kind == RecordKind::Retry,
            _ => seen.record.video >= FIRST_FOCUS_VIDEO,
        });
        let before = plain.iter().filter(|seen| match kind {
            ScenarioKind::InvalidPayloadBurst => matches!(seen.record.kind, RecordKind::Malformed(_)),
            ScenarioKind::Duplicates => seen.record.kind == RecordKind::Retry,
            _ => false,
        });
        assert_eq!(explained.count() - before.count(), added, "{kind}");
        assert!(added > 0, "{kind}");
    }
}

#[test]
fn who_is_shown_what_does_not_depend_on_scenarios() {
    let story = |config: &GeneratorConfig| {
        let seen = read(config, 120);
        let first = seen.iter().filter(|one| one.record.kind != RecordKind::Retry);
        let ordinary = first.filter(|one| one.record.video < FIRST_FOCUS_VIDEO);
        ordinary
            .map(|one| {
                (one.record.user, one.record.video, one.record.event_type as u8, one.record.watch_time_ms)
            })
            .collect::<HashSet<_>>()
    };
    let plain = story(&config(&[]));
    let mixed =
        story(&config(&["viral_low_quality", "duplicates", "schema_drift", "clock_skew", "hot_partition"]));
    assert_eq!(plain, mixed);
}
