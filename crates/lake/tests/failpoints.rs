//! Outcomes that a test decides: needs `--features failpoints`.
#![allow(clippy::unwrap_used)]

#[path = "common/armed.rs"]
mod armed;
mod common;

use armed::{Armed, turn};
use common::*;
use pulselake_lake::{CommitAction, CommitError, CommitLimits, TableWriter, WriterOptions};

#[tokio::test]
async fn a_swap_whose_answer_was_lost_is_found_in_the_table() {
    let _turn = turn().await;
    let place = Place::new();
    let lake = place.lake().await;
    let request = work(&lake, 0, 0, 0, 10).await;
    let armed = Armed::with("lake::after_catalog_swap", "1*return(unknown)");
    let receipt = lake.append(BRONZE, &request).await.unwrap();
    drop(armed);
    assert_eq!((receipt.already_there, receipt.attempts), (true, 2));
    assert_eq!(offsets(&lake).await, expected(0, 0..10));
    assert_eq!(seq(&lake, 0).await, 1);
}

#[tokio::test]
async fn a_swap_that_was_lost_before_it_happened_is_done_again() {
    let _turn = turn().await;
    let place = Place::new();
    let lake = place.lake().await;
    let request = work(&lake, 0, 0, 0, 10).await;
    let armed = Armed::with("lake::before_catalog_swap", "1*return(unknown)");
    let receipt = lake.append(BRONZE, &request).await.unwrap();
    drop(armed);
    assert_eq!((receipt.already_there, receipt.attempts), (false, 2));
    assert_eq!(offsets(&lake).await, expected(0, 0..10));
    // The first attempt's metadata stays: at that moment nobody could know.
    assert_eq!(place.files(BRONZE, ".metadata.json").len(), 3);
}

#[tokio::test]
async fn an_outcome_that_stays_unknown_keeps_every_file() {
    let _turn = turn().await;
    let place = Place::new();
    let lake = place.lake().await;
    let request = work(&lake, 0, 0, 0, 10).await;
    let hasty = lake
        .clone()
        .with_commit_limits(CommitLimits { patience: std::time::Duration::ZERO, ..Default::default() });
    let armed = Armed::with("lake::after_catalog_swap", "return(unknown)");
    let unknown = hasty.append(BRONZE, &request).await.unwrap_err();
    drop(armed);
    assert!(matches!(unknown, CommitError::OutcomeUnknown { .. }), "{unknown}");
    assert_eq!((unknown.action(), unknown.files_may_be_deleted()), (CommitAction::RestartGeneration, false));
    // It had landed: asking again finds it, and its files are there.
    assert!(lake.append(BRONZE, &request).await.unwrap().already_there);
    assert_eq!(offsets(&lake).await, expected(0, 0..10));
}

#[tokio::test]
async fn fenced_after_an_unknown_outcome_keeps_the_files() {
    let _turn = turn().await;
    let place = Place::new();
    let lake = place.lake().await;
    let request = work(&lake, 0, 0, 0, 10).await;
    let hasty = lake
        .clone()
        .with_commit_limits(CommitLimits { patience: std::time::Duration::ZERO, ..Default::default() });
    let armed = Armed::with("lake::after_catalog_swap", "1*return(unknown)");
    let unknown = hasty.append(BRONZE, &request).await.unwrap_err();
    drop(armed);
    assert!(matches!(unknown, CommitError::OutcomeUnknown { .. }), "{unknown}");
    // It had landed. Another owner goes on before anybody asks again.
    let next = commit(&lake, 0, 1, 10, 20).await;
    let fenced = lake.append(BRONZE, &request).await.unwrap_err();
    assert!(matches!(fenced, CommitError::Fenced { .. }), "{fenced}");
    assert!(!fenced.files_may_be_deleted(), "the files of a commit that landed were given up");
    assert_eq!(offsets(&lake).await, expected(0, 0..20));
    assert_eq!(next.ledger.partition("content_events", 0).unwrap().seq, 2);
}

#[tokio::test]
async fn a_call_that_saw_nothing_gives_no_file_up() {
    let _turn = turn().await;
    let place = Place::new();
    let lake = place.lake().await;
    let request = work(&lake, 0, 0, 0, 10).await;
    lake.append(BRONZE, &request).await.unwrap();
    let metadata = place.table_directory(BRONZE).join("metadata");
    std::fs::rename(&metadata, place.path().join("elsewhere")).unwrap();
    // A process of its own, which has not parsed the metadata yet.
    let other =
        pulselake_lake::Lake::open(&place.settings(), pulselake_lake::OpenMode::MustExist).await.unwrap();
    let failed = other.append(BRONZE, &request).await.unwrap_err();
    assert!(matches!(failed, CommitError::Failed { .. }) && !failed.files_may_be_deleted(), "{failed}");
    std::fs::rename(place.path().join("elsewhere"), &metadata).unwrap();
    assert!(other.append(BRONZE, &request).await.unwrap().already_there);
}

#[tokio::test]
async fn failures_of_known_outcome_take_their_files_back() {
    let _turn = turn().await;
    for point in ["lake::before_metadata_write", "lake::after_metadata_write", "lake::before_catalog_swap"] {
        let place = Place::new();
        let lake = place.lake().await;
        let request = work(&lake, 0, 0, 0, 10).await;
        let armed = Armed::with(point, "1*return(error)");
        let failed = lake.append(BRONZE, &request).await.unwrap_err();
        drop(armed);
        assert!(matches!(failed, CommitError::Failed { .. }) && failed.files_may_be_deleted(), "{failed}");
        assert_eq!(place.files(BRONZE, ".metadata.json").len(), 1, "{point}");
        assert_eq!(place.files(BRONZE, ".avro").len(), 0, "{point}");
        assert_eq!(place.files(BRONZE, ".parquet").len(), 1, "the data files are the caller's");
        assert!(!lake.append(BRONZE, &request).await.unwrap().already_there);
    }
}

#[tokio::test]
async fn a_failed_close_takes_its_files_back() {
    let _turn = turn().await;
    for point in ["lake::before_parquet_close", "lake::after_parquet_close"] {
        let place = Place::new();
        let lake = place.lake().await;
        let mut writer = TableWriter::new(&lake, BRONZE, WriterOptions::default()).await.unwrap();
        writer.write(&rows(0, 0..10, 0)).await.unwrap();
        let armed = Armed::with(point, "1*return(error)");
        let failed = writer.close().await;
        drop(armed);
        assert!(failed.is_err(), "{point}");
        if place.table_directory(BRONZE).join("data").exists() {
            assert!(place.files(BRONZE, ".parquet").is_empty() && place.files(BRONZE, ".tmp").is_empty());
        }
    }
}
