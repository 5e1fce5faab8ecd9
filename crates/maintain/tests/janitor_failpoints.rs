//! A janitor and an erasure that break off, or do not know whether they did it: needs `--features failpoints`.
#![allow(clippy::unwrap_used)]

#[path = "../../lake/tests/common/armed.rs"]
mod armed;
mod small_lake;

use std::collections::HashSet;
use std::time::Duration;

use armed::{Armed, turn};
use iceberg::TableIdent;
use iceberg::spec::Struct;
use pulselake_commit::CommitLimits;
use pulselake_maintain::erase::erase;
use pulselake_maintain::janitor::{
    AFTER_EXPIRE, BEFORE_EXPIRE, ExpireReport, Expiring, Lease, LeaseSettings, MaintainError, WHILE_DELETING,
    expire, sweep,
};
use small_lake::numbers::{HOUR, at_once, keeping, used_lake};
use small_lake::people::{USER, at_once as erase_at_once, events, events_table, texts, user};
use small_lake::{SmallLake, expected_on_disk, needed_by_snapshots, silent};

/// Gives up at the first doubt.
fn impatient(lake: &SmallLake) -> CommitLimits {
    CommitLimits { patience: Duration::ZERO, ..lake.limits }
}

/// Expires all but one snapshot while `point` does `action`.
async fn expire_armed(
    lake: &SmallLake,
    table: &TableIdent,
    point: &'static str,
    action: &str,
) -> Result<ExpireReport, MaintainError> {
    let limits = impatient(lake);
    let mut lease =
        Lease::take(&lake.catalog, table, &limits, LeaseSettings::default(), "test").await.unwrap();
    let needed = HashSet::new();
    let which = Expiring::ByAge { rules: keeping(1), needed: &needed };
    let armed = Armed::with(point, action);
    let outcome = expire(&lake.catalog, &lake.warehouse, table, &limits, which, &mut lease, silent()).await;
    drop(armed);
    lease.release().await.unwrap();
    outcome
}

/// Nothing that is needed is gone, and the next runs leave exactly what is needed.
async fn assert_recovers(lake: &SmallLake, table: &TableIdent) {
    let loaded = lake.load(table).await;
    assert!(needed_by_snapshots(&loaded).await.is_subset(&lake.on_disk(table)));
    assert_eq!(lake.rows(&loaded, None).await, 84);
    lake.grow_old(table, 2 * HOUR);
    sweep(lake.tools(), table, &at_once(1, HOUR), "test", false, silent()).await.unwrap();
    assert_eq!(lake.on_disk(table), expected_on_disk(&lake.load(table).await).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expiry_that_breaks_off_leaves_orphans_at_worst() {
    let _turn = turn().await;
    for (point, expires) in [(BEFORE_EXPIRE, false), (AFTER_EXPIRE, true), (WHILE_DELETING, true)] {
        let (lake, table) = used_lake().await;
        let before = lake.load(&table).await.metadata().snapshots().len();
        let outcome = expire_armed(&lake, &table, point, "1*return").await;
        assert!(matches!(outcome, Err(MaintainError::Injected { point: at }) if at == point), "{outcome:?}");
        let after = lake.load(&table).await.metadata().snapshots().len();
        assert_eq!(after < before, expires, "{point}: {before} {after}");
        assert_recovers(&lake, &table).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_unknown_expiry_nothing_is_deleted() {
    let _turn = turn().await;
    for point in ["lake::before_catalog_swap", "lake::after_catalog_swap"] {
        let (lake, table) = used_lake().await;
        let parquet =
            |lake: &SmallLake| lake.on_disk(&table).iter().filter(|file| file.ends_with(".parquet")).count();
        let before = parquet(&lake);
        let outcome = expire_armed(&lake, &table, point, "1*return(unknown)").await;
        assert!(matches!(outcome, Err(MaintainError::OutcomeUnknown { .. })), "{outcome:?}");
        assert_eq!(parquet(&lake), before, "{point}");
        assert_recovers(&lake, &table).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expiry_with_patience_finds_out() {
    let _turn = turn().await;
    for point in ["lake::before_catalog_swap", "lake::after_catalog_swap"] {
        let (lake, table) = used_lake().await;
        let mut lease =
            Lease::take(&lake.catalog, &table, &lake.limits, LeaseSettings::default(), "test").await.unwrap();
        let needed = HashSet::new();
        let which = Expiring::ByAge { rules: keeping(1), needed: &needed };
        let armed = Armed::with(point, "1*return(unknown)");
        let (catalog, store) = (&lake.catalog, &lake.warehouse);
        let report = expire(catalog, store, &table, &lake.limits, which, &mut lease, silent()).await.unwrap();
        drop(armed);
        assert!(report.snapshots > 5 && report.deleted.files > 5, "{point}: {report:?}");
        lease.release().await.unwrap();
        assert_recovers(&lake, &table).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_with_a_lost_answer_keeps_its_files_and_is_finished_by_the_next() {
    let _turn = turn().await;
    let mut lake = SmallLake::new().await;
    lake.limits = impatient(&lake);
    let table = events_table(&lake).await;
    lake.append(&table, Struct::empty(), events(&[USER, "u_1", USER], 0, 0, "{}")).await;
    // The first swap is the lease's, the second the rewrite's.
    let armed = Armed::with("lake::after_catalog_swap", "1*off->1*return(unknown)");
    let report = erase(lake.tools(), &user(), &erase_at_once(), "test", false, silent()).await.unwrap();
    drop(armed);
    assert!(!report.is_complete() && report.failed.len() == 1, "{report:?}");
    let loaded = lake.load(&table).await;
    assert!(needed_by_snapshots(&loaded).await.is_subset(&lake.on_disk(&table)));
    assert_eq!(texts(&lake, &table, "user_id").await, ["u_1"], "it had landed");
    let again = erase(lake.tools(), &user(), &erase_at_once(), "test", false, silent()).await.unwrap();
    assert!(again.is_complete() && again.tables[0].snapshots_holding == 0, "{again:?}");
    let erased = pulselake_maintain::erase::erased_so_far(lake.load(&table).await.metadata()).unwrap();
    assert_eq!(erased["content_events"]["0"], 2, "counted once");
}
