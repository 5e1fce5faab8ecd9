//! Who exchanges a day while others are at work on it, and what becomes of one that is cut off: needs `--features failpoints`.
#![allow(clippy::unwrap_used)]

#[path = "common/armed.rs"]
mod armed;
mod cold_parts;
mod common;
mod restate_parts;

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use armed::{Armed, turn};
use cold_parts::*;
use common::Place;
use fail::FailScenario;
use pulselake_lake::{
    BEFORE_REPLACE_COMMIT, CommitError, CommitLimits, Lake, LakeError, LakeSettings, OpenMode, ReplaceError,
    Replaced, RestateError,
};
use pulselake_maintain::compaction::{Compaction, TablePolicy, compact_table};
use pulselake_model::cold;

/// A step of every commit of an SQL catalog, after its base was loaded and judged.
const ON_A_BASE: &str = "lake::before_metadata_write";

type Work = Box<dyn FnOnce(Lake) -> std::pin::Pin<Box<dyn Future<Output = ()>>> + Send>;

/// Does the works, one each time that a commit is about to land: in another process's place, with a lake of its own.
struct Competitors {
    scenario: Option<FailScenario<'static>>,
    done: Arc<AtomicUsize>,
}

impl Competitors {
    fn at(settings: LakeSettings, works: Vec<Work>) -> Self {
        let scenario = Some(FailScenario::setup());
        let done = Arc::new(AtomicUsize::new(0));
        let counter = done.clone();
        let waiting = Mutex::new(works);
        let is_at_work = AtomicUsize::new(0);
        fail::cfg_callback(ON_A_BASE, move || {
            // Their own commits pass here too.
            if is_at_work.fetch_add(1, Ordering::SeqCst) == 0 {
                let next = {
                    let mut works = waiting.lock().unwrap();
                    (!works.is_empty()).then(|| works.remove(0))
                };
                if let Some(work) = next {
                    let settings = settings.clone();
                    let competing = std::thread::spawn(move || {
                        let runtime = tokio::runtime::Builder::new_multi_thread()
                            .worker_threads(1)
                            .enable_all()
                            .build();
                        runtime.unwrap().block_on(async {
                            work(Lake::open(&settings, OpenMode::MustExist).await.unwrap()).await;
                        });
                    });
                    competing.join().unwrap();
                    counter.fetch_add(1, Ordering::SeqCst);
                }
            }
            is_at_work.fetch_sub(1, Ordering::SeqCst);
        })
        .unwrap();
        Self { scenario, done }
    }
}

impl Drop for Competitors {
    fn drop(&mut self) {
        if let Some(scenario) = self.scenario.take() {
            scenario.teardown();
        }
    }
}

fn compacts_facts() -> Work {
    Box::new(|lake| {
        Box::pin(async move {
            let policy = TablePolicy { min_input_files: 2, ..TablePolicy::plain() };
            let ident = pulselake_lake::table_ident(FACTS);
            let report =
                compact_table(lake.catalog().as_ref(), &ident, &Compaction::new(policy)).await.unwrap();
            assert!(!report.planned.is_empty(), "there was nothing to compact");
        })
    })
}

fn replaces(number: u32, range: std::ops::Range<i64>) -> Work {
    Box::new(move |lake| {
        Box::pin(async move {
            replace(&lake, number, range).await.unwrap();
        })
    })
}

async fn replace(
    lake: &Lake,
    number: u32,
    range: std::ops::Range<i64>,
) -> Result<Replaced, ReplaceError<std::convert::Infallible>> {
    let rows = rows_of(&cold::engagement_facts(), day(number), range);
    lake.replace_partition(FACTS, part(number), stream_of(vec![rows])).await
}

/// A day of several small files: each of another writer, as compaction finds them.
async fn scattered(place: &Place) -> Lake {
    let lake = open(place).await;
    let rows = |range| rows_of(&cold::engagement_facts(), day(6), range);
    for range in [0..3, 3..6, 6..9] {
        lake.append_rows(FACTS, &rows(range)).await.unwrap();
    }
    lake
}

async fn offsets(lake: &Lake) -> Vec<i64> {
    numbers(lake, FACTS, "source_offset").await
}

/// Files that the current snapshot leads to, and those that are there.
async fn live_and_present(lake: &Lake, place: &Place) -> (u64, Vec<PathBuf>) {
    let days = lake.view(FACTS).await.unwrap().rows_by_day().await.unwrap();
    (days.values().map(|found| found.files).sum(), place.files(FACTS, ".parquet"))
}

#[tokio::test(flavor = "multi_thread")]
async fn compaction_of_the_day_between_plan_and_commit_is_planned_around() {
    let _turn = turn().await;
    let place = Place::new();
    let lake = scattered(&place).await;
    let competitors = Competitors::at(place.settings(), vec![compacts_facts()]);
    let replaced = replace(&lake, 6, 100..102).await.unwrap();
    assert_eq!(competitors.done.load(Ordering::SeqCst), 1);
    drop(competitors);
    assert_eq!(offsets(&lake).await, [100, 101], "compacted rows came back");
    let (live, present) = live_and_present(&lake, &place).await;
    // Three files, the compacted one, and the new one: written once, whatever it took to commit it.
    assert_eq!((live, present.len()), (1, 5));
    let current = lake.load(FACTS).await.unwrap().metadata().current_snapshot_id();
    assert_eq!(replaced.snapshot_id, current);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_replace_a_day_the_last_commit_wins_whole() {
    let _turn = turn().await;
    let place = Place::new();
    let lake = open(&place).await;
    replace(&lake, 6, 0..5).await.unwrap();
    // Another of the same day, then one of its neighbour, each just before this one's attempt.
    let works = vec![replaces(6, 50..57), replaces(7, 70..72), replaces(6, 60..61)];
    let competitors = Competitors::at(place.settings(), works);
    replace(&lake, 6, 100..102).await.unwrap();
    assert_eq!(competitors.done.load(Ordering::SeqCst), 3);
    drop(competitors);
    assert_eq!(offsets(&lake).await, [70, 71, 100, 101]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_gives_up_takes_its_files_along() {
    let _turn = turn().await;
    let place = Place::new();
    let lake = open(&place).await;
    replace(&lake, 6, 0..5).await.unwrap();
    let hasty = lake
        .clone()
        .with_commit_limits(CommitLimits { patience: std::time::Duration::ZERO, ..Default::default() });
    let competitors = Competitors::at(place.settings(), vec![replaces(6, 50..57)]);
    let failed = replace(&hasty, 6, 100..102).await.unwrap_err();
    drop(competitors);
    assert!(matches!(&failed, ReplaceError::Commit(CommitError::Failed { .. })), "{failed}");
    assert_eq!(offsets(&lake).await, (50..57).collect::<Vec<_>>());
    assert_eq!(place.files(FACTS, ".parquet").len(), 2);
}

#[tokio::test]
async fn an_exchange_whose_answer_was_lost_is_made_once() {
    let _turn = turn().await;
    for (point, action) in [
        ("lake::after_catalog_swap", "1*return(unknown)"),
        ("lake::before_catalog_swap", "1*return(unknown)"),
        ("lake::catalog_swap", "1*return(unknown)"),
        ("lake::catalog_swap", "1*return(twice)"),
    ] {
        let place = Place::new();
        let lake = open(&place).await;
        replace(&lake, 6, 0..5).await.unwrap();
        let armed = Armed::with(point, action);
        let replaced = replace(&lake, 6, 100..102).await.unwrap();
        drop(armed);
        assert_eq!(offsets(&lake).await, [100, 101], "{point} {action}");
        assert_eq!(snapshots(&lake, FACTS).await, 2, "{point} {action}");
        let current = lake.load(FACTS).await.unwrap().metadata().current_snapshot_id();
        assert_eq!(replaced.snapshot_id, current, "{point} {action}");
    }
}

#[tokio::test]
async fn an_outcome_that_stays_unknown_keeps_the_files() {
    let _turn = turn().await;
    let place = Place::new();
    let lake = open(&place).await;
    let hasty = lake
        .clone()
        .with_commit_limits(CommitLimits { patience: std::time::Duration::ZERO, ..Default::default() });
    let armed = Armed::with("lake::after_catalog_swap", "return(unknown)");
    let unknown = replace(&hasty, 6, 0..5).await.unwrap_err();
    drop(armed);
    assert!(matches!(&unknown, ReplaceError::Commit(CommitError::OutcomeUnknown { .. })), "{unknown}");
    assert_eq!(offsets(&lake).await, [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn what_fails_between_files_and_commit_leaves_the_day_as_it_was() {
    let _turn = turn().await;
    for point in [
        "lake::before_parquet_close",
        "lake::after_parquet_close",
        BEFORE_REPLACE_COMMIT,
        "lake::before_metadata_write",
        "lake::after_metadata_write",
        "lake::before_catalog_swap",
    ] {
        let place = Place::new();
        let lake = open(&place).await;
        replace(&lake, 6, 0..5).await.unwrap();
        let armed = Armed::with(point, "1*return(error)");
        let failed = replace(&lake, 6, 100..102).await.unwrap_err();
        drop(armed);
        assert!(matches!(&failed, ReplaceError::Commit(CommitError::Failed { .. })), "{point}: {failed}");
        if point == BEFORE_REPLACE_COMMIT {
            let ReplaceError::Commit(CommitError::Failed { source, .. }) = &failed else { unreachable!() };
            assert!(matches!(source, LakeError::Injected { .. }), "{source}");
        }
        assert_eq!(offsets(&lake).await, [0, 1, 2, 3, 4], "{point}");
        assert_eq!(place.files(FACTS, ".parquet").len(), 1, "{point}");
        replace(&lake, 6, 100..102).await.unwrap();
        assert_eq!(offsets(&lake).await, [100, 101], "{point}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restatement_is_added_once_whatever_the_answers_are_and_whoever_is_faster() {
    let _turn = turn().await;
    for (point, action) in [
        ("lake::after_catalog_swap", "1*return(unknown)"),
        ("lake::before_catalog_swap", "1*return(unknown)"),
        ("lake::catalog_swap", "1*return(twice)"),
    ] {
        let place = Place::new();
        let lake = place.lake().await;
        restate_parts::stream_commit(&lake, 0, &[("v_1", 0, 5)]).await;
        let base = restate_parts::begin(&lake).await.unwrap();
        let armed = Armed::with(point, action);
        let done = restate_parts::restate(&lake, &base, &[("v_1", 0, -2)]).await.unwrap();
        drop(armed);
        let current = lake.load(restate_parts::GOLD).await.unwrap().metadata().current_snapshot_id();
        assert_eq!(done.snapshot_id, current, "{point} {action}");
        assert_eq!(restate_parts::gold(&lake).await.1, [("v_1".to_string(), 0, 1, -2)], "{point} {action}");
        assert_eq!(restate_parts::restated(&lake).await.number, 1, "{point} {action}");
    }

    // The stream commits just before it, then another restatement of the same differences.
    let place = Place::new();
    let lake = place.lake().await;
    restate_parts::stream_commit(&lake, 0, &[("v_1", 0, 5)]).await;
    let base = restate_parts::begin(&lake).await.unwrap();
    let streams: Work = Box::new(|lake| {
        Box::pin(async move {
            restate_parts::stream_commit(&lake, 1, &[("v_1", 0, 100)]).await;
        })
    });
    let restates: Work = Box::new(|lake| {
        Box::pin(async move {
            let base = restate_parts::begin(&lake).await.unwrap();
            restate_parts::restate(&lake, &base, &[("v_1", 0, -2)]).await.unwrap();
        })
    });
    let competitors = Competitors::at(place.settings(), vec![streams, restates]);
    let moved = restate_parts::restate(&lake, &base, &[("v_1", 0, -2)]).await.unwrap_err();
    assert_eq!(competitors.done.load(Ordering::SeqCst), 2);
    drop(competitors);
    assert!(matches!(&moved, RestateError::Moved { .. }), "{moved}");
    assert_eq!(restate_parts::gold(&lake).await.0, restate_parts::sums_of(&[("v_1", 0, 103)]));
    assert_eq!(place.files(restate_parts::GOLD, ".parquet").len(), 3);
}

/// Set for the process that the next test starts: where its lake is, and at which point it is to be killed.
const CHILD: &str = "PULSELAKE_TEST_REPLACE_IN";

#[tokio::test]
async fn a_killed_replacement_is_never_seen_in_part() {
    let _turn = turn().await;
    if let Ok(directory) = std::env::var(CHILD) {
        assert!(pulselake_lake::failpoint::arm_from_environment());
        let settings = LakeSettings {
            catalog_uri: format!("sqlite://{directory}/catalog.db"),
            warehouse: format!("file://{directory}/warehouse"),
            fsync: false,
            ..LakeSettings::new("", "")
        };
        let lake = Lake::open(&settings, OpenMode::MustExist).await.unwrap();
        replace(&lake, 6, 100..102).await.unwrap();
        panic!("it was to be killed");
    }
    for (point, has_landed) in [
        ("lake::before_parquet_close", false),
        (BEFORE_REPLACE_COMMIT, false),
        ("lake::before_catalog_swap", false),
        ("lake::after_catalog_swap", true),
    ] {
        let place = Place::new();
        let lake = open(&place).await;
        replace(&lake, 6, 0..5).await.unwrap();
        let killed = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_killed_replacement_is_never_seen_in_part", "--nocapture"])
            .env(CHILD, place.path())
            .env("FAILPOINTS", format!("{point}=return(abort)"))
            .output()
            .unwrap();
        use std::os::unix::process::ExitStatusExt;
        assert_eq!(killed.status.signal(), Some(6), "{point}: {}", String::from_utf8_lossy(&killed.stderr));
        let expected = if has_landed { vec![100, 101] } else { vec![0, 1, 2, 3, 4] };
        assert_eq!(offsets(&lake).await, expected, "{point}");
        replace(&lake, 6, 100..102).await.unwrap();
        assert_eq!(offsets(&lake).await, [100, 101], "{point}");
    }
}
