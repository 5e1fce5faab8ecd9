//! What counts as a trace of a fault, and what does not.

use super::*;
use crate::load::faults::plan::{Brownout, Delay, Leave, Manner};

/// The fault lasts from 10 s to 15 s; its aftermath is looked at until 25 s.
fn scene<'a>(kind: FaultKind, sightings: &'a [Sighting], lines: &'a [LogLine]) -> Scene<'a> {
    Scene { kind, from_ms: 10_000, to_ms: 15_000, until_ms: 25_000, calm_from_ms: 0, sightings, lines }
}

fn commits(times: impl IntoIterator<Item = i64>, duration_ms: u64) -> Vec<LogLine> {
    let commit = |at_ms| LogLine {
        at_ms,
        event: "commit_done".to_owned(),
        rows: 1,
        duration_ms,
        ..LogLine::default()
    };
    times.into_iter().map(commit).collect()
}

fn line(at_ms: i64, event: &str, target: &str) -> LogLine {
    let (event, target) = (event.to_owned(), target.to_owned());
    LogLine { at_ms, event, target, is_warning: true, detail: "because".to_owned(), ..LogLine::default() }
}

/// One each half second from 0 to 25 s.
fn sightings(figures: impl Fn(i64) -> Figures) -> Vec<Sighting> {
    (0..=50).map(|half| Sighting { at_ms: half * 500, process: 0, figures: figures(half * 500) }).collect()
}

fn each_second(from_s: i64, to_s: i64) -> impl Iterator<Item = i64> {
    (from_s..=to_s).map(|second| second * 1_000)
}

const OUTAGE: FaultKind = FaultKind::CatalogOutage(Manner::Refuse);

#[test]
fn an_engine_that_notices_nothing_leaves_no_evidence() {
    let mut lines = commits(each_second(0, 25), 20);
    // Neither its own maintenance nor an engine that waits for others is anybody's fault.
    lines.extend([line(12_000, "maintenance_done", ""), line(13_000, "waiting_for_partitions", "")]);
    let steady = sightings(|at_ms| Figures {
        source_records: at_ms as f64,
        assigned_partitions: 4.0,
        ..Figures::default()
    });
    let brownout = Brownout { reset_ratio: 0.1, ..Brownout::default() };
    for kind in [
        FaultKind::EngineKill,
        FaultKind::EnginePause,
        FaultKind::BrokerRestart,
        FaultKind::BrokerPause,
        OUTAGE,
        FaultKind::CatalogSlow(Delay { latency_ms: 100, latency_jitter_ms: 0 }),
        FaultKind::StoreOutage(Manner::Reset),
        FaultKind::StoreBrownout(brownout),
        FaultKind::PartitionGrowth { partitions: 8 },
        FaultKind::Rebalance { leave: Leave::Terminate },
        FaultKind::Compaction,
    ] {
        assert_eq!(evidence(&scene(kind, &steady, &lines)), Vec::<String>::new(), "{kind:?}");
    }
}

#[test]
fn a_pause_of_commits_is_told_with_the_longest_one_before() {
    let lines = commits(each_second(0, 10).chain(each_second(16, 25)), 20);
    for kind in [OUTAGE, FaultKind::EnginePause, FaultKind::StoreOutage(Manner::Reset)] {
        let found = evidence(&scene(kind, &[], &lines));
        assert_eq!(found, ["no log event commit_done for 6.0 s, 1.0 s before"], "{kind:?}");
    }
    // An engine that commits each four seconds may have noticed nothing.
    let rare = commits([1_000, 5_000, 9_000, 14_500, 18_500, 22_500], 20);
    assert_eq!(evidence(&scene(OUTAGE, &[], &rare)), Vec::<String>::new());
    // Neither does one that pauses long after the fault.
    let late = commits(each_second(0, 16).chain([24_000]), 20);
    assert_eq!(evidence(&scene(OUTAGE, &[], &late)), Vec::<String>::new());
}

#[test]
fn log_events_count_from_the_fault_to_the_end_of_its_aftermath() {
    let mut lines = commits(each_second(0, 25), 20);
    lines.extend([
        line(9_000, "commit_retry", ""),
        line(12_000, "commit_retry", ""),
        line(16_000, "commit_retry", ""),
    ]);
    lines.push(line(26_000, "generation_killed", ""));
    assert_eq!(evidence(&scene(OUTAGE, &[], &lines)), ["log event commit_retry, 2 times: because"]);
    let start = [line(15_200, "service_started", "")];
    assert_eq!(evidence(&scene(FaultKind::EngineKill, &[], &start)).len(), 1);
    let handed_out = [line(11_000, "rebalanced", "")];
    assert_eq!(evidence(&scene(FaultKind::Rebalance { leave: Leave::Kill }, &[], &handed_out)).len(), 1);
    assert_eq!(evidence(&scene(OUTAGE, &[], &handed_out)), Vec::<String>::new());
}

#[test]
fn a_broker_shows_in_what_the_client_says_and_in_what_is_read() {
    let said = [line(11_000, "", "librdkafka"), line(12_000, "", "pulselake_lake::writer")];
    let stands_still = |at_ms: i64| if at_ms <= 10_000 { at_ms } else { 10_000.max(at_ms - 4_000) };
    let seen =
        sightings(|at_ms| Figures { source_records: stands_still(at_ms) as f64, ..Figures::default() });
    let found = evidence(&scene(FaultKind::BrokerPause, &seen, &said));
    let expected = [
        "log warning of librdkafka, 1 times: because",
        "pulselake_source_records_total stood still for 4.5 s, 0.5 s before",
    ];
    assert_eq!(found, expected);
}

#[test]
fn slow_commits_are_compared_with_those_before() {
    let slow = FaultKind::CatalogSlow(Delay { latency_ms: 100, latency_jitter_ms: 0 });
    let mut lines = commits(each_second(0, 10), 20);
    lines.extend(commits([12_000, 14_000, 15_300], 600));
    lines.extend(commits([17_000], 20));
    assert_eq!(evidence(&scene(slow, &[], &lines)), ["commit_done took 600 ms on average, 20 ms before"]);
    // A little slower is what commits are.
    let mut lines = commits(each_second(0, 10), 20);
    lines.extend(commits([12_000, 14_000], 35));
    assert_eq!(evidence(&scene(slow, &[], &lines)), Vec::<String>::new());
}

#[test]
fn counters_grow_and_begin_anew_with_a_new_process() {
    let at = |at_ms, process, commit_fences| Sighting {
        at_ms,
        process,
        figures: Figures { commit_fences, ..Figures::default() },
    };
    let told = |sightings: &[Sighting]| evidence(&scene(OUTAGE, sightings, &[]));
    let grown = told(&[at(9_000, 0, 5.0), at(12_000, 0, 6.0), at(20_000, 1, 3.0), at(26_000, 1, 9.0)]);
    assert_eq!(grown, ["pulselake_commit_fences_total grew by 4"]);
    assert_eq!(told(&[at(9_000, 0, 5.0), at(12_000, 0, 5.0)]), Vec::<String>::new());
    assert_eq!(told(&[at(12_000, 0, 5.0)]), Vec::<String>::new(), "nobody knows when it grew");
}

#[test]
fn partitions_that_come_and_go_are_told_in_their_order() {
    let count = |at_ms: i64| if (12_000..18_000).contains(&at_ms) { 2.0 } else { 4.0 };
    let seen = sightings(|at_ms| Figures { assigned_partitions: count(at_ms), ..Figures::default() });
    let found = evidence(&scene(FaultKind::Rebalance { leave: Leave::Kill }, &seen, &[]));
    assert_eq!(found, ["pulselake_assigned_partitions: 4, then 2, then 4"]);
    let found = evidence(&scene(FaultKind::PartitionGrowth { partitions: 8 }, &seen, &[]));
    assert_eq!(found.len(), 1);
}

/// The pause of an earlier fault is no measure of what is ordinary.
#[test]
fn what_came_before_the_engine_had_recovered_is_not_compared() {
    let lines = commits([1_000, 8_000, 8_500, 9_000, 9_500, 16_000, 17_000], 20);
    let of = |calm_from_ms| evidence(&Scene { calm_from_ms, ..scene(OUTAGE, &[], &lines) });
    assert_eq!(of(0), Vec::<String>::new());
    assert_eq!(of(8_000), ["no log event commit_done for 6.0 s, 0.5 s before"]);
}
