//! A table of numbers, and what happens to it: appends and rewrites.

#![allow(dead_code, clippy::unwrap_used)]

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array};
use iceberg::TableIdent;
use iceberg::spec::{PrimitiveType, Struct};
use pulselake_commit::{Catalog, ChangeKind, CommitFailure, CommitLimits, Rewrite, commit};
use pulselake_maintain::CarryLedger;
use pulselake_maintain::janitor::{OrphanSettings, RetentionRules, SweepSettings};
use pulselake_read::{PartitionPredicate, plan_table};

use super::{SmallLake, change, write_data};

pub const HOUR: Duration = Duration::from_secs(3600);

pub fn numbers(count: i64) -> Vec<ArrayRef> {
    vec![Arc::new(Int64Array::from_iter_values(0..count))]
}

pub async fn numbers_table(lake: &SmallLake) -> TableIdent {
    lake.create("numbers", &[("n", PrimitiveType::Long)], &[]).await
}

/// Puts the rows of all live files into one, without a look at the rows: `rows` numbers.
pub async fn rewrite_all(catalog: &dyn Catalog, limits: &CommitLimits, table: &TableIdent) -> bool {
    let base = catalog.load_existing(table).await.unwrap();
    let plan = plan_table(&base, None, &PartitionPredicate::all()).await.unwrap();
    let rows: u64 = plan.files.iter().map(|planned| planned.data.file().record_count()).sum();
    let merged = write_data(&base, Struct::empty(), numbers(rows as i64)).await;
    let rewrite = Rewrite {
        planned_sequence_number: plan.sequence_number,
        remove: plan.files.iter().map(|planned| planned.data.file().file_path().to_string()).collect(),
        partitions: HashSet::from([(0, Struct::empty())]),
        seen_in: HashSet::new(),
        add: vec![merged.clone()],
    };
    match commit(catalog, table, &change(ChangeKind::Rewrite(rewrite)), &CarryLedger, limits).await {
        Ok(_) => true,
        Err(failure) => {
            let has_lost = matches!(failure, CommitFailure::Conflict { .. } | CommitFailure::Failed { .. });
            assert!(has_lost && failure.files_may_be_deleted(), "{failure:?}");
            base.file_io().delete(merged.file_path()).await.unwrap();
            false
        }
    }
}

pub fn keeping(min_snapshots: usize) -> RetentionRules {
    RetentionRules { max_age_ms: -1, min_snapshots }
}

pub fn at_once(min_snapshots: usize, safety_age: Duration) -> SweepSettings {
    SweepSettings {
        retention: keeping(min_snapshots),
        orphans: Some(OrphanSettings { safety_age }),
        ..SweepSettings::default()
    }
}

/// A lake whose table had eight appends and two rewrites.
pub async fn used_lake() -> (SmallLake, TableIdent) {
    let lake = SmallLake::new().await;
    let table = numbers_table(&lake).await;
    for round in 0..2 {
        for _ in 0..4 {
            lake.append(&table, Struct::empty(), numbers(10 + round)).await;
        }
        assert!(rewrite_all(&lake.catalog, &lake.limits, &table).await);
    }
    (lake, table)
}
