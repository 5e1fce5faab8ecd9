//! Compaction and expiry without a pause.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use iceberg::TableIdent;
use pulselake_commit::Catalog;
use pulselake_maintain::compaction::{
    Compaction, CompactionError, CompactionReport, TablePolicy, compact_table,
};
use pulselake_maintain::janitor::{Expiring, Lease, LeaseSettings, RetentionRules, expire};

use crate::any_lake::AnyLake;
use crate::checker::Watch;

/// Between two runs: maintenance never rests, but somebody else must be able to commit.
const PAUSE: Duration = Duration::from_millis(50);
/// More than appear while the watch looks away.
const SNAPSHOTS_TO_KEEP: usize = 40;

#[derive(Debug, Default)]
pub struct Compacted {
    pub runs: u64,
    pub groups: u64,
    pub rows_deleted: u64,
    pub conflicts: u64,
    pub lost_races: u64,
    /// Runs that gave up against the writer's commits.
    pub contended: u64,
}

#[derive(Debug, Default)]
pub struct Expired {
    pub snapshots: u64,
    pub files: u64,
}

/// Files so small that there is always something to do.
fn compaction() -> Compaction {
    let policy = TablePolicy { target_file_bytes: 64 << 10, ..TablePolicy::dimension("id") };
    Compaction::new(policy)
}

pub async fn compact_once(lake: &AnyLake, table: &TableIdent) -> CompactionReport {
    compact_table(lake.catalog.as_ref(), table, &compaction()).await.unwrap()
}

pub async fn compact_until(lake: Arc<AnyLake>, table: TableIdent, stop: Arc<AtomicBool>) -> Compacted {
    let catalog = lake.another_handle().await;
    let mut done = Compacted::default();
    while !stop.load(Ordering::SeqCst) {
        match compact_table(catalog.as_ref(), &table, &compaction()).await {
            Ok(report) => {
                done.groups += report.groups;
                done.rows_deleted += report.rows_deleted;
                done.conflicts += report.conflicts;
                done.lost_races += report.lost_races;
            }
            Err(CompactionError::Contended { .. }) => done.contended += 1,
            Err(error) => panic!("{error}"),
        }
        done.runs += 1;
        tokio::time::sleep(PAUSE).await;
    }
    done
}

pub async fn expire_until(
    lake: Arc<AnyLake>,
    table: TableIdent,
    watch: Arc<Watch>,
    stop: Arc<AtomicBool>,
) -> Expired {
    let catalog = lake.another_handle().await;
    let mut done = Expired::default();
    while !stop.load(Ordering::SeqCst) {
        expire_some(&lake, catalog.as_ref(), &table, &watch, &mut done).await;
        tokio::time::sleep(PAUSE * 20).await;
    }
    done
}

async fn expire_some(
    lake: &AnyLake,
    catalog: &dyn Catalog,
    table: &TableIdent,
    watch: &Watch,
    done: &mut Expired,
) {
    let settings = LeaseSettings::default();
    let mut lease = Lease::take(catalog, table, &lake.limits, settings, "the test").await.unwrap();
    let needed = watch.unread();
    let rules = RetentionRules { max_age_ms: -1, min_snapshots: SNAPSHOTS_TO_KEEP };
    let which = Expiring::ByAge { rules, needed: &needed };
    let report =
        expire(catalog, &lake.warehouse, table, &lake.limits, which, &mut lease, &|_| {}).await.unwrap();
    lease.release().await.unwrap();
    done.snapshots += report.snapshots;
    done.files += report.deleted.files;
}
