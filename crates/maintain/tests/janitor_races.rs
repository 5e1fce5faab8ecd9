//! Races of the janitor: maintainers among themselves, and with writers and readers.

#![allow(clippy::unwrap_used)]

mod small_lake;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::Utc;
use futures::TryStreamExt;
use iceberg::TableIdent;
use iceberg::spec::Struct;
use iceberg::table::Table;
use pulselake_commit::{Catalog, ChangeKind, CommitFailure, CommitLimits, Unguarded, commit};
use pulselake_maintain::janitor::young::assert_young_enough;
use pulselake_maintain::janitor::{
    Expiring, Lease, LeaseRefusal, LeaseSettings, MaintainError, expire, present_lease, sweep,
};
use small_lake::numbers::{HOUR, at_once, keeping, numbers, numbers_table, rewrite_all, used_lake};
use small_lake::{SmallLake, change, expected_on_disk, needed_by_snapshots, silent, write_data};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_four_maintainers_one_at_a_time_has_the_lease() {
    let lake = Arc::new(SmallLake::new().await);
    let table = numbers_table(&lake).await;
    let (inside, turns) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let deadline = Instant::now() + Duration::from_secs(90);
    let contenders: Vec<_> = (0..4)
        .map(|number| {
            let (lake, table) = (lake.clone(), table.clone());
            let (inside, turns) = (inside.clone(), turns.clone());
            tokio::spawn(async move {
                let catalog = lake.second_catalog().await;
                let who = format!("contender {number}");
                let mut mine = 0;
                while mine < 3 {
                    assert!(Instant::now() < deadline, "{who} had {mine} turns");
                    let taken =
                        Lease::take(&catalog, &table, &lake.limits, LeaseSettings::default(), &who).await;
                    match taken {
                        Ok(lease) => {
                            assert!(!inside.swap(true, Ordering::SeqCst), "two holders");
                            tokio::time::sleep(Duration::from_millis(5)).await;
                            let loaded = catalog.load_existing(&table).await.unwrap();
                            let present = present_lease(loaded.metadata()).unwrap().unwrap();
                            assert_eq!(present.holder, lease.record().holder);
                            inside.store(false, Ordering::SeqCst);
                            lease.release().await.unwrap();
                            mine += 1;
                            turns.fetch_add(1, Ordering::SeqCst);
                        }
                        Err(MaintainError::Lease(LeaseRefusal::Held { .. })) => {
                            tokio::time::sleep(Duration::from_millis(3)).await;
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        })
        .collect();
    for contender in contenders {
        contender.await.unwrap();
    }
    assert_eq!(turns.load(Ordering::SeqCst), 12);
    assert_eq!(present_lease(lake.load(&table).await.metadata()).unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_ran_out_is_taken_over_and_its_holder_can_not_commit() {
    let (lake, table) = used_lake().await;
    let settings = LeaseSettings { duration: Duration::from_millis(1), clock_skew: Duration::ZERO };
    let long = LeaseSettings::default();
    let mut first = Lease::take(&lake.catalog, &table, &lake.limits, settings, "first").await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    let second = loop {
        match Lease::take(
            &lake.catalog,
            &table,
            &lake.limits,
            LeaseSettings { clock_skew: Duration::ZERO, ..long },
            "second",
        )
        .await
        {
            Ok(lease) => break lease,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
    };
    let before = lake.on_disk(&table).len();
    let needed = HashSet::new();
    let which = Expiring::ByAge { rules: keeping(1), needed: &needed };
    let outcome =
        expire(&lake.catalog, &lake.warehouse, &table, &lake.limits, which, &mut first, silent()).await;
    assert!(matches!(outcome, Err(MaintainError::Lease(LeaseRefusal::Lost { .. }))), "{outcome:?}");
    assert_eq!(lake.on_disk(&table).len(), before);
    // Giving back what another has changes nothing.
    first.release().await.unwrap();
    let present = present_lease(lake.load(&table).await.metadata()).unwrap().unwrap();
    assert_eq!(present.holder, second.record().holder);
}

/// Writers append, rewrite, and die with files written; a janitor with tiny ages runs all the time; a reader reads.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_janitor_with_tiny_ages_hurts_neither_writers_nor_readers() {
    const SAFETY_AGE: Duration = Duration::from_secs(8);
    let lake = Arc::new(SmallLake::new().await);
    let table = numbers_table(&lake).await;
    lake.append(&table, Struct::empty(), numbers(1)).await;
    let stop = Arc::new(AtomicBool::new(false));
    let rows = Arc::new(AtomicU64::new(1));

    let mut tasks = Vec::new();
    for _ in 0..2 {
        let (lake, table, stop, rows) = (lake.clone(), table.clone(), stop.clone(), rows.clone());
        tasks.push(tokio::spawn(async move { write_until(&lake, &table, SAFETY_AGE, &stop, &rows).await }));
    }
    {
        let (lake, table, stop) = (lake.clone(), table.clone(), stop.clone());
        tasks.push(tokio::spawn(async move {
            let catalog = lake.second_catalog().await;
            while !stop.load(Ordering::Relaxed) {
                rewrite_all(&catalog, &brief(&lake), &table).await;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }));
    }
    {
        let (lake, table, stop) = (lake.clone(), table.clone(), stop.clone());
        tasks.push(tokio::spawn(async move { read_until(&lake, &table, &stop).await }));
    }

    let settings = at_once(2, SAFETY_AGE);
    let (mut expired_files, mut orphans) = (0, 0);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(14) || orphans == 0 {
        assert!(begun.elapsed() < Duration::from_secs(90), "no orphan was found");
        let report = sweep(lake.tools(), &table, &settings, "janitor", false, silent()).await.unwrap();
        expired_files += report.expire.deleted.files;
        orphans += report.orphans.deleted.files;
        // Nothing else deletes what snapshots need.
        let loaded = lake.load(&table).await;
        let needed = needed_by_snapshots(&loaded).await;
        let there = lake.on_disk(&table);
        let dangling: Vec<_> = needed.difference(&there).collect();
        assert!(dangling.is_empty(), "{dangling:?}");
    }
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
    assert!(expired_files > 0);
    let loaded = lake.load(&table).await;
    assert_eq!(lake.rows(&loaded, None).await, rows.load(Ordering::Relaxed));

    lake.grow_old(&table, HOUR);
    sweep(lake.tools(), &table, &at_once(2, HOUR / 2), "janitor", false, silent()).await.unwrap();
    assert_eq!(lake.on_disk(&table), expected_on_disk(&lake.load(&table).await).await);
}

/// Bounds by which a commit is over well within half the safety age.
fn brief(lake: &SmallLake) -> CommitLimits {
    CommitLimits { patience: Duration::from_secs(2), ..lake.limits }
}

/// Appends ten rows at a time, by the protocol; every third time "dies" before the commit.
async fn write_until(
    lake: &SmallLake,
    table: &TableIdent,
    safety_age: Duration,
    stop: &AtomicBool,
    rows: &AtomicU64,
) {
    let catalog = lake.second_catalog().await;
    let mut turn = 0;
    while !stop.load(Ordering::Relaxed) {
        turn += 1;
        let begun_ms = Utc::now().timestamp_millis();
        let base = catalog.load_existing(table).await.unwrap();
        let file = write_data(&base, Struct::empty(), numbers(10)).await;
        let is_allowed =
            assert_young_enough(begun_ms, Utc::now().timestamp_millis(), safety_age.as_millis() as i64);
        if turn % 3 == 0 || is_allowed.is_err() {
            continue;
        }
        let append = change(ChangeKind::Append { files: vec![file] });
        match commit(&catalog, table, &append, &Unguarded, &brief(lake)).await {
            Ok(_) => rows.fetch_add(10, Ordering::Relaxed),
            Err(CommitFailure::Failed { .. }) => 0,
            Err(failure) => panic!("{failure:?}"),
        };
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

/// Reads current snapshots; a read may only fail when its snapshot has expired meanwhile.
async fn read_until(lake: &SmallLake, table: &TableIdent, stop: &AtomicBool) {
    let catalog = lake.second_catalog().await;
    let mut reads = 0;
    while !stop.load(Ordering::Relaxed) {
        let loaded = catalog.load_existing(table).await.unwrap();
        let snapshot_id = loaded.metadata().current_snapshot_id().unwrap();
        match read_all(&loaded, snapshot_id).await {
            Ok(()) => reads += 1,
            Err(error) => {
                let now = catalog.load_existing(table).await.unwrap();
                assert!(now.metadata().snapshot_by_id(snapshot_id).is_none(), "{error}");
            }
        }
    }
    assert!(reads > 0);
}

async fn read_all(table: &Table, snapshot_id: i64) -> Result<(), String> {
    let batches = pulselake_read::read_table(table, Some(snapshot_id), None)
        .await
        .map_err(|error| error.to_string())?;
    let batches: Vec<_> = batches.try_collect().await.map_err(|error| error.to_string())?;
    let rows: usize = batches.iter().map(arrow::array::RecordBatch::num_rows).sum();
    // One row, and tens: no file is read twice or left out.
    if rows % 10 == 1 { Ok(()) } else { panic!("{rows} rows") }
}
