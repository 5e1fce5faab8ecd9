//! What a plan that was carried out is told as.

use std::net::TcpStream;
use std::time::Instant;

use super::*;
use crate::arguments::RunArguments;
use crate::engine::EngineBinary;
use crate::load::faults::context::KafkaAccess;
use crate::load::faults::plan::{Fault, Leave, Manner};
use crate::load::faults::proxy::Proxy;
use crate::load::run::fleet::{Fleet, FleetPlan};
use crate::load::services::Guardian;

fn happened(kind: FaultKind, from_ms: i64, to_ms: i64) -> Happened {
    Happened { kind, from_ms, to_ms, notes: Vec::new() }
}

fn line(at_ms: i64, event: &str) -> LogLine {
    let table = BRONZE.to_owned();
    LogLine { at_ms, event: event.to_owned(), table, rows: 1, detail: "x".to_owned(), ..LogLine::default() }
}

#[test]
fn a_fault_without_a_trace_has_no_evidence() {
    let outage = FaultKind::CatalogOutage(Manner::Refuse);
    let state = State { happened: vec![happened(outage, 11_000, 12_000)], ..State::default() };
    let lines: Vec<LogLine> = (0..100).map(|tenth| line(10_000 + tenth * 500, "commit_done")).collect();
    let told = report(&state, &lines, 10_000);
    let expected = FaultOutcome {
        kind: "catalog_outage".to_owned(),
        from_s: 1.0,
        to_s: 2.0,
        recovered_after_s: None,
        evidence: Vec::new(),
    };
    assert_eq!(told.outcomes, [expected]);
    // It fails the run by itself; once is enough.
    assert_eq!(told.findings, Vec::<String>::new());
}

/// The engine's own maintenance is there with and without the fault.
#[test]
fn maintenance_shows_in_what_it_has_changed_alone() {
    let compaction = |notes: &[&str]| Happened {
        notes: notes.iter().map(|note| (*note).to_owned()).collect(),
        ..happened(FaultKind::Compaction, 10_000, 12_000)
    };
    let state =
        State { happened: vec![compaction(&[]), compaction(&["changed 1 tables"])], ..State::default() };
    let told = report(&state, &[line(11_000, "maintenance_done")], 0);
    assert_eq!(told.outcomes[0].evidence, Vec::<String>::new());
    assert_eq!(told.outcomes[1].evidence, ["changed 1 tables"]);
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
    assert_eq!(told.findings, Vec::<String>::new());
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

/// Engines whose program ends at once: it is none.
fn fleet(guardian: &Arc<Guardian>) -> Arc<Fleet> {
    Arc::new(Fleet::new(FleetPlan {
        binary: EngineBinary::at("/bin/cat".as_ref()).unwrap(),
        arguments: RunArguments::default(),
        directory: guardian.directory().to_owned(),
        guardian: guardian.clone(),
    }))
}

fn once(kind: FaultKind, at_s: f64, duration_s: f64) -> Fault {
    Fault { kind, at_s, duration_s, every_s: 0.0, count: 1, jitter_s: 0.0 }
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_engine_that_does_not_join_fails_the_fault_and_is_no_guest() {
    let guardian = Guardian::below(&std::env::temp_dir()).unwrap();
    let mut context = FaultContext::of_engines(fleet(&guardian), "catalog.db".as_ref());
    let (brokers, topic) = ("kafka.example.org:9092".to_owned(), "events".to_owned());
    context.kafka = Some(KafkaAccess { brokers, topic, broker: None, has_grown: Box::new(|_| {}) });
    let rebalance = once(FaultKind::Rebalance { leave: Leave::Terminate }, 0.0, 1.0);
    let run = FaultRun::start(&FaultPlan { faults: vec![rebalance] }, 1, now_ms(), context).unwrap();
    wait_until("the fault has failed", || run.is_over());
    let failure = run.failure().unwrap();
    assert!(failure.contains("that was to join the group did not: engine 0 is gone"), "{failure}");
    let context = &run.shared.context;
    assert_eq!((*context.guest.lock(), context.fleet.members()), (None, Vec::new()));
}

/// The run ends while its first fault is under way, and before its second one.
#[test]
fn a_fault_that_the_run_was_too_short_for_is_a_finding() {
    let guardian = Guardian::below(&std::env::temp_dir()).unwrap();
    let proxy = Arc::new(Proxy::before("127.0.0.1:9", 1).unwrap());
    let mut context = FaultContext::of_engines(fleet(&guardian), "catalog.db".as_ref());
    context.store = Some(proxy.clone());
    let outage = |at_s| once(FaultKind::StoreOutage(Manner::Refuse), at_s, 600.0);
    let plan = FaultPlan { faults: vec![outage(0.0), outage(700.0)] };
    let run = FaultRun::start(&plan, 1, now_ms(), context).unwrap();
    wait_until("the fault has begun", || TcpStream::connect(proxy.address()).is_err());
    let report = run.finish().unwrap();
    assert_eq!(report.outcomes.len(), 1);
    let [cut_short, missed] = report.findings.as_slice() else { panic!("{:?}", report.findings) };
    assert!(
        cut_short.starts_with("fault 1 of the file, of kind store_outage, was cut short after"),
        "{cut_short}"
    );
    assert!(cut_short.contains("of 600.0 s"), "{cut_short}");
    assert_eq!(missed, "1 of 2 faults were not made: the run was over before");
    assert!(TcpStream::connect(proxy.address()).is_ok(), "the fault was not ended");
}
