//! A catalog and a store whose answers come late, twice or never, and requests that arrive when nobody waits for them
//! any more: needs `--features failpoints`.
#![allow(clippy::unwrap_used)]

#[path = "common/armed.rs"]
mod armed;
mod common;

use std::time::Duration;

use armed::{Armed, turn};
use common::*;
use pulselake_commit::CatalogError;
use pulselake_lake::failpoint::{MOMENTS, REQUESTS};
use pulselake_lake::{CommitError, CommitLimits, Lake, LakeError, LedgeredAppend, OpenMode};

const SWAP: &str = "lake::catalog_swap";
/// What becomes visible to others with one request.
const PUBLISHED: [&str; 3] = ["lake::store_data", "lake::store_manifest", "lake::store_metadata"];

fn hasty(lake: &Lake) -> Lake {
    lake.clone().with_commit_limits(CommitLimits { patience: Duration::ZERO, ..Default::default() })
}

async fn wait_for_seq(lake: &Lake, wanted: i64) {
    for _ in 0..2_000 {
        if seq(lake, 0).await == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("seq is {}, not {wanted}", seq(lake, 0).await);
}

/// The rows as a process sees them that has parsed nothing before: every file that the table names must be there.
async fn offsets_of_another_process(place: &Place) -> Vec<(i32, i64)> {
    offsets(&Lake::open(&place.settings(), OpenMode::MustExist).await.unwrap()).await
}

#[tokio::test]
async fn a_late_answer_is_waited_for() {
    let _turn = turn().await;
    let place = Place::new();
    let lake = place.lake().await;
    let request = work(&lake, 0, 0, 0, 10).await;
    let armed = Armed::with(SWAP, "1*return(late:200)");
    let receipt = lake.append(BRONZE, &request).await.unwrap();
    drop(armed);
    assert_eq!((receipt.already_there, receipt.attempts), (false, 1));
    assert_eq!(offsets_of_another_process(&place).await, expected(0, 0..10));
}

#[tokio::test]
async fn an_answer_that_is_too_late_is_looked_up() {
    let _turn = turn().await;
    let place = Place::new();
    let lake = place.lake().await;
    let request = work(&lake, 0, 0, 0, 10).await;
    let limits = CommitLimits { answer_timeout: Duration::from_millis(100), ..Default::default() };
    let armed = Armed::with(SWAP, "1*return(late:600000)");
    let receipt = lake.clone().with_commit_limits(limits).append(BRONZE, &request).await.unwrap();
    drop(armed);
    assert_eq!((receipt.already_there, receipt.attempts), (true, 2));
    assert_eq!(offsets_of_another_process(&place).await, expected(0, 0..10));
}

#[tokio::test]
async fn an_answer_beyond_the_time_of_a_commit_leaves_its_outcome_unknown() {
    let _turn = turn().await;
    let place = Place::new();
    let lake = place.lake().await;
    let request = work(&lake, 0, 0, 0, 10).await;
    let limits = CommitLimits {
        patience: Duration::ZERO,
        answer_timeout: Duration::from_millis(100),
        ..Default::default()
    };
    let armed = Armed::with(SWAP, "1*return(late:600000)");
    let unknown = lake.clone().with_commit_limits(limits).append(BRONZE, &request).await.unwrap_err();
    drop(armed);
    let CommitError::OutcomeUnknown {
        source: LakeError::Catalog(CatalogError::NoAnswer { waited_ms: 100, .. }),
        ..
    } = &unknown
    else {
        panic!("{unknown}");
    };
    assert!(!unknown.files_may_be_deleted());
    assert!(lake.append(BRONZE, &request).await.unwrap().already_there);
    assert_eq!(offsets_of_another_process(&place).await, expected(0, 0..10));
}

#[tokio::test]
async fn a_request_that_lands_after_it_was_given_up_is_found() {
    let _turn = turn().await;
    let place = Place::new();
    let lake = place.lake().await;
    let request = work(&lake, 0, 0, 0, 10).await;
    let armed = Armed::with(SWAP, "1*return(zombie:200)");
    let unknown = hasty(&lake).append(BRONZE, &request).await.unwrap_err();
    drop(armed);
    assert!(matches!(unknown, CommitError::OutcomeUnknown { .. }), "{unknown}");
    assert!(!unknown.files_may_be_deleted());
    wait_for_seq(&lake, 1).await;
    assert!(lake.append(BRONZE, &request).await.unwrap().already_there);
    assert_eq!(offsets_of_another_process(&place).await, expected(0, 0..10));
}

/// The owner that follows read the ledger before the request landed: it is fenced, and its own files are nobody's.
#[tokio::test]
async fn a_request_that_lands_behind_its_successors_back_fences_the_successor() {
    let _turn = turn().await;
    let place = Place::new();
    let lake = place.lake().await;
    let old = work(&lake, 0, 0, 0, 10).await;
    let armed = Armed::with(SWAP, "1*return(zombie:200)");
    hasty(&lake).append(BRONZE, &old).await.unwrap_err();
    drop(armed);
    let successor = work(&lake, 0, 0, 0, 15).await;
    wait_for_seq(&lake, 1).await;
    let fenced = lake.append(BRONZE, &successor).await.unwrap_err();
    assert!(matches!(fenced, CommitError::Fenced { .. }) && fenced.files_may_be_deleted(), "{fenced}");
    commit(&lake, 0, 1, 10, 15).await;
    assert_eq!(offsets_of_another_process(&place).await, expected(0, 0..15));
}

#[tokio::test]
async fn a_request_that_arrives_after_its_successors_commit_changes_nothing() {
    let _turn = turn().await;
    let place = Place::new();
    let lake = place.lake().await;
    let old = work(&lake, 0, 0, 0, 10).await;
    let armed = Armed::with(SWAP, "1*return(zombie:700)");
    hasty(&lake).append(BRONZE, &old).await.unwrap_err();
    drop(armed);
    let receipt = commit(&lake, 0, 0, 0, 15).await;
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    let now = lake.load(BRONZE).await.unwrap();
    assert_eq!(now.metadata().current_snapshot_id(), Some(receipt.snapshot_id));
    assert!(matches!(lake.append(BRONZE, &old).await.unwrap_err(), CommitError::Fenced { .. }));
    assert_eq!(offsets_of_another_process(&place).await, expected(0, 0..15));
}

/// Whichever of the two is faster.
#[tokio::test]
async fn a_late_request_races_its_own_repetition() {
    let _turn = turn().await;
    let place = Place::new();
    let lake = place.lake().await;
    let mut already_there = 0;
    for round in 0..24 {
        let first = round * 10;
        let request = work(&lake, 0, round, first, first + 10).await;
        let armed = Armed::with(SWAP, &format!("1*return(zombie:{round})"));
        let receipt = lake.append(BRONZE, &request).await.unwrap();
        drop(armed);
        already_there += usize::from(receipt.already_there);
        assert_eq!(seq(&lake, 0).await, round + 1);
    }
    println!("the late request was faster {already_there} times of 24");
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(offsets_of_another_process(&place).await, expected(0, 0..240));
}

/// The second answer says conflict, but the first request has landed: its files are the table's.
#[tokio::test]
async fn a_swap_that_is_delivered_twice_is_done_once() {
    let _turn = turn().await;
    let place = Place::new();
    let lake = place.lake().await;
    let request = work(&lake, 0, 0, 0, 10).await;
    let armed = Armed::with(SWAP, "1*return(twice)");
    let receipt = lake.append(BRONZE, &request).await.unwrap();
    drop(armed);
    assert_eq!((receipt.already_there, receipt.attempts, receipt.conflicts), (false, 1, 0));
    assert_eq!(offsets_of_another_process(&place).await, expected(0, 0..10));
    assert_eq!(seq(&lake, 0).await, 1);
}

#[tokio::test]
async fn a_swap_that_is_delivered_again_below_anothers_commit_keeps_its_files() {
    let _turn = turn().await;
    let place = Place::new();
    let lake = place.lake().await;
    let request = work(&lake, 0, 0, 0, 10).await;
    let armed = Armed::with(SWAP, "1*return(twice:1000)->off");
    let ours = lake.clone();
    let landing = tokio::spawn(async move { ours.append(BRONZE, &request).await });
    let other = Lake::open(&place.settings(), OpenMode::MustExist).await.unwrap();
    wait_for_seq(&other, 1).await;
    commit(&other, 0, 1, 10, 20).await;
    landing.await.unwrap().unwrap();
    drop(armed);
    assert_eq!(offsets_of_another_process(&place).await, expected(0, 0..20));
    assert_eq!(seq(&other, 0).await, 2);
}

/// Work that goes on until it is in the table, as the committer and a restarted writer do.
async fn insist(lake: &Lake, built_on_seq: i64, first: i64) -> u32 {
    let mut failures = 0;
    let mut request: Option<LedgeredAppend> = None;
    loop {
        let asked = match request.take() {
            Some(again) => again,
            None => match try_work(lake, 0, built_on_seq, first, first + 10).await {
                Ok(fresh) => fresh,
                Err(error) => {
                    assert!(error.is_transient(), "{error}");
                    failures += 1;
                    continue;
                }
            },
        };
        match lake.append(BRONZE, &asked).await {
            Ok(_) => return failures,
            Err(error) => {
                assert!(matches!(error, CommitError::Failed { .. }), "{error}");
                failures += 1;
                request = Some(asked);
            }
        }
        assert!(failures < 10);
    }
}

#[tokio::test]
async fn a_store_that_fails_or_deceives_costs_a_repetition_at_most() {
    let _turn = turn().await;
    let place = Place::new();
    let lake = place.lake().await;
    let points = PUBLISHED.iter().chain(&["lake::store_write"]);
    let manners = [("return", 1), ("return(unknown)", 1), ("return(zombie:30)", 1), ("return(late:30)", 0)];
    let mut built_on_seq = 0;
    for point in points {
        for (manner, failures) in manners {
            let armed = Armed::with(point, &format!("1*{manner}"));
            let failed = insist(&lake, built_on_seq, built_on_seq * 10).await;
            drop(armed);
            assert_eq!(failed, failures, "{point} {manner}");
            built_on_seq += 1;
        }
        let armed = Armed::with(point, "1*return(twice)");
        insist(&lake, built_on_seq, built_on_seq * 10).await;
        drop(armed);
        built_on_seq += 1;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(offsets_of_another_process(&place).await, expected(0, 0..built_on_seq * 10));
    assert!(place.files(BRONZE, ".tmp").is_empty());
}

/// Nobody but the writer knows the names of its files: those whose answer was lost must not stay.
#[tokio::test]
async fn a_data_file_whose_answer_was_lost_is_deleted() {
    let _turn = turn().await;
    for manner in ["return(unknown)", "return"] {
        let place = Place::new();
        let lake = place.lake().await;
        let armed = Armed::with("lake::store_data", &format!("1*{manner}"));
        let failed = try_work(&lake, 0, 0, 0, 10).await;
        drop(armed);
        assert!(failed.is_err(), "{manner}");
        assert!(place.files(BRONZE, ".parquet").is_empty() && place.files(BRONZE, ".tmp").is_empty());
    }
}

#[tokio::test]
async fn a_catalog_that_fails_to_read_is_asked_again() {
    let _turn = turn().await;
    let place = Place::new();
    let lake = place.lake().await;
    let request = work(&lake, 0, 0, 0, 10).await;
    let armed = Armed::with("lake::catalog_read", "1*return->1*return(late:50)->1*return(unknown)->off");
    let receipt = lake.append(BRONZE, &request).await.unwrap();
    drop(armed);
    assert_eq!(receipt.attempts, 2);
    assert_eq!(offsets_of_another_process(&place).await, expected(0, 0..10));
}

/// A name in the list that no code passes would let a test of all of them pass without testing anything.
#[tokio::test]
async fn every_listed_point_is_passed_by_a_commit() {
    let _turn = turn().await;
    for point in MOMENTS.into_iter().chain(REQUESTS) {
        let place = Place::new();
        let lake = place.lake().await;
        let passed = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let seen = passed.clone();
        let armed = Armed::with(point, "off");
        fail::cfg_callback(point, move || seen.store(true, std::sync::atomic::Ordering::Relaxed)).unwrap();
        commit(&lake, 0, 0, 0, 10).await;
        drop(armed);
        assert!(passed.load(std::sync::atomic::Ordering::Relaxed), "{point}");
    }
}
