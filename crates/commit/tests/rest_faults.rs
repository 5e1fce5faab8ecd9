//! A REST catalog behind a bad network: the outcome of every commit is what the table says, whatever the answer was.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pulselake_commit::catalog::rest::RestFailure;
use pulselake_commit::{CatalogError, ChangeKind, CommitFailure, CommitLimits, Landing, Unguarded, commit};
use support::proxy::{Fault, Proxy};
use support::{Kind, Outcome, Place, Stage, change, files, look, service};

/// A table behind a proxy, with the row 1 in it.
async fn behind_a_proxy() -> (Stage, Proxy) {
    let proxy = Proxy::before(&service("PULSELAKE_TEST_REST")).await;
    let mut stage = Stage::new(Kind::Rest).await;
    stage.append("a", &[1]).await;
    stage.catalog = stage.place.catalog_at(&proxy.uri).await;
    (stage, proxy)
}

async fn append_two(stage: &Stage) -> Outcome {
    let file = files::data(&stage.load().await, "a", &[2]).await;
    stage.try_commit(ChangeKind::Append { files: vec![file] }).await
}

/// The row 2 is there, once, and nothing else has come.
async fn assert_landed_once(stage: &Stage, landing: &Landing) {
    let table = stage.place.catalog().await.load_existing(&stage.table).await.unwrap();
    assert_eq!(look::ids(&table).await, [1, 2]);
    assert_eq!(look::commit_ids(&table).len(), 2);
    assert_eq!(landing.snapshot_id, table.metadata().current_snapshot_id());
    assert_eq!(look::ids(&landing.table).await, [1, 2]);
}

async fn assert_did_not_land(stage: &Stage) {
    let table = stage.place.catalog().await.load_existing(&stage.table).await.unwrap();
    assert_eq!(look::ids(&table).await, [1]);
    look::assert_nothing_left_behind(&table, ".avro").await;
}

fn rest(error: &CatalogError) -> &RestFailure {
    match error {
        CatalogError::Rest { failure, .. } => failure,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
#[ignore = "needs a REST catalog: run through make test"]
async fn a_lost_race_is_run_again() {
    let (stage, proxy) = behind_a_proxy().await;
    proxy.expect([Fault::Refuse(409), Fault::Refuse(409)]);
    let landing = append_two(&stage).await.unwrap();
    assert_eq!((landing.attempts, landing.conflicts, landing.already_there), (3, 2, false));
    assert_landed_once(&stage, &landing).await;
    look::assert_nothing_left_behind(&stage.load().await, ".avro").await;
}

#[tokio::test]
#[ignore = "needs a REST catalog: run through make test"]
async fn an_error_without_effect_is_tried_again() {
    for status in [500, 502, 503, 504] {
        let (stage, proxy) = behind_a_proxy().await;
        proxy.expect([Fault::Refuse(status)]);
        let landing = append_two(&stage).await.unwrap();
        assert_eq!((landing.attempts, landing.conflicts, landing.already_there), (2, 0, false), "{status}");
        assert_landed_once(&stage, &landing).await;
    }
}

#[tokio::test]
#[ignore = "needs a REST catalog: run through make test"]
async fn what_happened_behind_a_bad_answer_is_found() {
    let faults = [500, 502, 503, 504].map(Fault::ApplyAndSay);
    for fault in faults.into_iter().chain([Fault::ApplyAndCut, Fault::ApplyAndRave, Fault::ApplyAndSilence]) {
        let (mut stage, proxy) = behind_a_proxy().await;
        stage.limits.answer_timeout = Duration::from_secs(2);
        proxy.expect([fault.clone()]);
        let landing = append_two(&stage).await.unwrap();
        assert_eq!((landing.attempts, landing.already_there), (2, true), "{fault:?}");
        assert_eq!(proxy.commits(), 1, "{fault:?}: it was not sent again");
        assert_landed_once(&stage, &landing).await;
    }
}

#[tokio::test]
#[ignore = "needs a REST catalog: run through make test"]
async fn a_commit_that_was_delivered_twice_is_there_once() {
    let (stage, proxy) = behind_a_proxy().await;
    proxy.expect([Fault::Twice]);
    let landing = append_two(&stage).await.unwrap();
    assert_eq!((landing.attempts, landing.already_there), (1, false));
    assert_landed_once(&stage, &landing).await;
}

#[tokio::test]
#[ignore = "needs a REST catalog: run through make test"]
async fn a_commit_that_arrives_after_its_successor_does_nothing() {
    let (mut stage, proxy) = behind_a_proxy().await;
    stage.limits.answer_timeout = Duration::from_millis(500);
    proxy.expect([Fault::Late(Duration::from_secs(3))]);
    let landing = append_two(&stage).await.unwrap();
    assert!(landing.attempts >= 2);
    assert_eq!(proxy.late_answers(1).await, [409]);
    assert_landed_once(&stage, &landing).await;
}

#[tokio::test]
#[ignore = "needs a REST catalog: run through make test"]
async fn a_refusal_is_certain_and_leaves_nothing() {
    for (status, advice) in [
        (400, "the proxy's words"),
        (401, "credential"),
        (403, "administrator"),
        (404, "words"),
        (422, "words"),
    ] {
        let (stage, proxy) = behind_a_proxy().await;
        proxy.expect([Fault::Refuse(status)]);
        match append_two(&stage).await {
            Err(CommitFailure::Failed { source, files_may_be_deleted: true }) => {
                assert!(!source.is_transient(), "{source}");
                let text = source.to_string();
                assert!(text.contains(&status.to_string()) && text.contains(advice), "{text}");
            }
            other => panic!("{status}: {other:?}"),
        }
        assert_eq!(proxy.commits(), 1);
        assert_did_not_land(&stage).await;
    }
}

#[tokio::test]
#[ignore = "needs a REST catalog: run through make test"]
async fn who_cannot_wait_is_told_what_is_known() {
    for (fault, is_known) in [
        (Fault::Refuse(409), true),
        (Fault::Refuse(429), true),
        (Fault::Refuse(500), false),
        (Fault::Refuse(503), false),
        (Fault::ApplyAndCut, false),
    ] {
        let (mut stage, proxy) = behind_a_proxy().await;
        stage.limits.patience = Duration::ZERO;
        proxy.expect([fault.clone()]);
        let outcome = append_two(&stage).await;
        match outcome {
            Err(CommitFailure::Failed { source, files_may_be_deleted: true }) if is_known => {
                assert!(source.is_transient(), "{fault:?}: {source}");
                assert_eq!(source.is_busy(), matches!(fault, Fault::Refuse(429)));
                assert_did_not_land(&stage).await;
            }
            Err(CommitFailure::OutcomeUnknown { source }) if !is_known => {
                assert!(rest(&source).may_have_happened(), "{fault:?}: {source}");
                // Whatever it was, what it wrote must be readable.
                let table = stage.place.catalog().await.load_existing(&stage.table).await.unwrap();
                let expected: &[i64] = if matches!(fault, Fault::ApplyAndCut) { &[1, 2] } else { &[1] };
                assert_eq!(look::ids(&table).await, expected, "{fault:?}");
            }
            other => panic!("{fault:?}: {other:?}"),
        }
    }
}

#[tokio::test]
#[ignore = "needs a REST catalog: run through make test"]
async fn a_busy_catalog_is_given_the_time_it_asks_for() {
    let (stage, proxy) = behind_a_proxy().await;
    proxy.expect([Fault::ComeBack(429, 1), Fault::ComeBack(429, 0)]);
    let begun = Instant::now();
    let landing = append_two(&stage).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!((landing.attempts, proxy.commits()), (1, 3));
    assert_landed_once(&stage, &landing).await;
}

#[tokio::test]
#[ignore = "needs a REST catalog: run through make test"]
async fn a_catalog_that_is_away_is_waited_for() {
    let (mut stage, proxy) = behind_a_proxy().await;
    let file = files::data(&stage.load().await, "a", &[2]).await;
    let address = proxy.uri.clone();
    drop(proxy);
    stage.limits.patience = Duration::ZERO;
    let unreachable = loop {
        // The proxy's task ends soon after it was told to.
        match stage.catalog.load(&stage.table).await {
            Err(error) if matches!(rest(&error), RestFailure::NotSent { .. }) => break error,
            _ => tokio::task::yield_now().await,
        }
    };
    assert!(unreachable.is_transient() && unreachable.to_string().contains(&address), "{unreachable}");
    match stage.try_commit(ChangeKind::Append { files: vec![file] }).await {
        Err(CommitFailure::Failed { source, .. }) => assert!(source.is_transient(), "{source}"),
        other => panic!("{other:?}"),
    }
    assert_did_not_land(&stage).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a REST catalog: run through make test"]
async fn in_a_storm_of_faults_nothing_is_lost_or_doubled() {
    const WRITERS: i64 = 4;
    const COMMITS_EACH: i64 = 8;
    let (mut stage, proxy) = behind_a_proxy().await;
    stage.limits = CommitLimits {
        patience: Duration::from_secs(120),
        answer_timeout: Duration::from_secs(1),
        ..CommitLimits::default()
    };
    let storm = [
        Fault::Pass,
        Fault::ApplyAndSay(503),
        Fault::Refuse(500),
        Fault::Twice,
        Fault::ApplyAndCut,
        Fault::Refuse(409),
        Fault::Late(Duration::from_millis(1_200)),
        Fault::ApplyAndSay(504),
        Fault::ComeBack(429, 0),
    ];
    proxy.expect(storm.iter().cycle().take(60).cloned());
    let stage = Arc::new(stage);
    let base = stage.load().await;
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let (stage, base) = (stage.clone(), base.clone());
        writers.push(tokio::spawn(async move {
            let mut acknowledged = HashMap::new();
            for number in 0..COMMITS_EACH {
                let id = 100 + writer * COMMITS_EACH + number;
                let work = change(ChangeKind::Append { files: vec![files::data(&base, "a", &[id]).await] });
                commit(&*stage.catalog, &stage.table, &work, &Unguarded, &stage.limits).await.unwrap();
                acknowledged.insert(work.commit_id, id);
            }
            acknowledged
        }));
    }
    let mut acknowledged = HashMap::new();
    for writer in writers {
        acknowledged.extend(writer.await.unwrap());
    }
    let table = stage.place.catalog().await.load_existing(&stage.table).await.unwrap();
    let landed = look::commit_ids(&table);
    assert_eq!(landed.len(), acknowledged.len() + 1);
    assert!(acknowledged.keys().cloned().collect::<HashSet<_>>().is_subset(&landed));
    let expected: Vec<i64> = [1].into_iter().chain(100..100 + WRITERS * COMMITS_EACH).collect();
    assert_eq!(look::ids(&table).await, expected);
}

#[tokio::test]
#[ignore = "needs a REST catalog: run through make test"]
async fn what_is_no_catalog_is_told() {
    let place = Place::new(Kind::Rest);
    let proxy = Proxy::before(&service("PULSELAKE_TEST_REST")).await;
    let mut settings = place.settings.clone();
    settings.uri = format!("{}/elsewhere", proxy.uri);
    let files = Arc::new(support::LocalFiles::default());
    let opened = pulselake_commit::catalog::open(&settings, true, files, iceberg::Runtime::current()).await;
    let error = opened.err().unwrap();
    assert!(!error.is_transient() && error.to_string().contains("/elsewhere"), "{error}");
}

#[tokio::test]
#[ignore = "needs a REST catalog: run through make test"]
async fn an_unchanged_table_is_not_sent_again() {
    let (stage, proxy) = behind_a_proxy().await;
    let first = stage.load().await;
    let again = stage.load().await;
    // The same memory, not an equal copy.
    assert!(
        std::ptr::eq(first.metadata(), again.metadata()),
        "the catalog offers ETags, and they were not used"
    );
    stage.append("a", &[2]).await;
    assert_eq!(look::ids(&stage.load().await).await, [1, 2]);
    assert_eq!(stage.catalog.last_known(&stage.table).unwrap().metadata(), stage.load().await.metadata());
    drop(proxy);
}
