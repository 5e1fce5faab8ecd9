//! Many at once: nothing acknowledged is lost, nothing is doubled, nothing is left behind.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use iceberg::table::Table;
use iceberg::{NamespaceIdent, TableCreation, TableIdent, TableRequirement, TableUpdate};
use parking_lot::Mutex;
use pulselake_commit::catalog::SwapBounds;
use pulselake_commit::{
    Catalog, CatalogError, ChangeKind, CommitFailure, CommitLimits, Rewrite, RowDelta, Swap, Unguarded,
    commit,
};

use crate::support::{Kind, Stage, change, files, look};

const WRITERS: usize = 8;
const COMMITS_EACH: usize = 50;

fn endings(kind: Kind) -> &'static str {
    // A REST catalog keeps its own metadata files as long as it likes.
    if kind == Kind::Rest { ".avro" } else { "" }
}

/// Answers the first question for the table with what it was before.
#[derive(Debug)]
struct Stale {
    inner: Arc<dyn Catalog>,
    old: Mutex<Option<Table>>,
}

#[async_trait]
impl Catalog for Stale {
    fn describe(&self) -> String {
        self.inner.describe()
    }
    async fn load(&self, table: &TableIdent) -> Result<Option<Table>, CatalogError> {
        let old = self.old.lock().take();
        if old.is_some() { Ok(old) } else { self.inner.load(table).await }
    }
    fn last_known(&self, table: &TableIdent) -> Option<Table> {
        self.inner.last_known(table)
    }
    async fn create_namespace(&self, namespace: &NamespaceIdent) -> Result<(), CatalogError> {
        self.inner.create_namespace(namespace).await
    }
    async fn create_table(
        &self,
        namespace: &NamespaceIdent,
        creation: TableCreation,
    ) -> Result<bool, CatalogError> {
        self.inner.create_table(namespace, creation).await
    }
    async fn list_tables(&self) -> Result<Vec<TableIdent>, CatalogError> {
        self.inner.list_tables().await
    }
    async fn swap(
        &self,
        base: &Table,
        requirements: Vec<TableRequirement>,
        updates: Vec<TableUpdate>,
        bounds: SwapBounds,
    ) -> Swap {
        self.inner.swap(base, requirements, updates, bounds).await
    }
}

pub async fn a_stale_base_loses_and_is_tried_again(kind: Kind) {
    let stage = Stage::new(kind).await;
    stage.append("a", &[1]).await;
    let old = stage.load().await;
    let late = files::data(&old, "a", &[3]).await;
    stage.append("a", &[2]).await;
    let stale = Stale { inner: stage.catalog.clone(), old: Mutex::new(Some(old)) };
    let work = change(ChangeKind::Append { files: vec![late] });
    let landing = commit(&stale, &stage.table, &work, &Unguarded, &stage.limits).await.unwrap();
    assert_eq!((landing.attempts, landing.conflicts, landing.already_there), (2, 1, false));
    assert_eq!(landing.snapshot_id, landing.table.metadata().current_snapshot_id());
    assert_eq!(stage.ids().await, [1, 2, 3]);
    look::assert_nothing_left_behind(&stage.load().await, endings(kind)).await;
}

/// An earlier call of the same change ended without an answer; its request is carried out between this call's look at the
/// table and its swap.
pub async fn a_race_that_was_lost_to_oneself_is_won(kind: Kind) {
    let stage = Stage::new(kind).await;
    stage.append("a", &[1]).await;
    let old = stage.load().await;
    let work = change(ChangeKind::Append { files: vec![files::data(&old, "a", &[2]).await] });
    let first = commit(&*stage.catalog, &stage.table, &work, &Unguarded, &stage.limits).await.unwrap();
    let stale = Stale { inner: stage.catalog.clone(), old: Mutex::new(Some(old)) };
    let second = commit(&stale, &stage.table, &work, &Unguarded, &stage.limits).await.unwrap();
    assert_eq!((second.attempts, second.already_there), (1, true));
    assert_eq!(second.snapshot_id, first.snapshot_id);
    assert_eq!(stage.ids().await, [1, 2]);
    look::assert_nothing_left_behind(&stage.load().await, endings(kind)).await;
}

pub async fn everything_that_was_acknowledged_is_there_once(kind: Kind) {
    let stage = Arc::new(Stage::new(kind).await);
    let handles = [stage.catalog.clone(), stage.place.catalog().await];
    let limits =
        CommitLimits { patience: Duration::from_secs(300), manifests_to_merge: 60, ..Default::default() };
    let base = stage.load().await;
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let (catalog, table, base) = (handles[writer % 2].clone(), stage.table.clone(), base.clone());
        writers.push(tokio::spawn(async move {
            let mut acknowledged = Vec::new();
            for number in 0..COMMITS_EACH {
                let id = (writer * COMMITS_EACH + number) as i64;
                let file = files::data(&base, ["a", "b"][writer % 2], &[id]).await;
                let path = file.file_path().to_string();
                let work = change(ChangeKind::Append { files: vec![file] });
                let landing = commit(&*catalog, &table, &work, &Unguarded, &limits).await.unwrap();
                assert!(!landing.already_there);
                acknowledged.push((work.commit_id, landing.snapshot_id.unwrap(), path, landing.conflicts));
            }
            acknowledged
        }));
    }
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.extend(writer.await.unwrap());
    }
    assert_eq!(acknowledged.len(), WRITERS * COMMITS_EACH);
    assert!(
        acknowledged.iter().any(|(_, _, _, conflicts)| *conflicts > 0),
        "no race was lost: nothing was shown"
    );

    let table = stage.place.catalog().await.load_existing(&stage.table).await.unwrap();
    let expected: HashSet<String> = acknowledged.iter().map(|(id, ..)| id.clone()).collect();
    assert_eq!(look::commit_ids(&table), expected);
    for (commit_id, snapshot_id, ..) in &acknowledged {
        let snapshot = table.metadata().snapshot_by_id(*snapshot_id).unwrap();
        assert_eq!(&snapshot.summary().additional_properties[pulselake_commit::COMMIT_ID], commit_id);
    }
    let live: BTreeSet<String> = look::live(&table).await.into_keys().collect();
    assert_eq!(live, acknowledged.iter().map(|(_, _, path, _)| path.clone()).collect());
    let summary = table.metadata().current_snapshot().unwrap().summary();
    assert_eq!(summary.additional_properties["total-records"], (WRITERS * COMMITS_EACH).to_string());
    look::assert_nothing_left_behind(&table, endings(kind)).await;
}

/// One writer appends, one deletes by key, one rewrites: whatever order they get, each id that was not deleted is there
/// once.
pub async fn rewrites_and_deletes_race(kind: Kind) {
    const ROUNDS: i64 = 12;
    let stage = Arc::new(Stage::new(kind).await);
    stage.append("a", &[0]).await;
    let appending = {
        let stage = stage.clone();
        tokio::spawn(async move {
            for id in 1..=ROUNDS {
                stage.append("a", &[id]).await;
            }
        })
    };
    let deleting = {
        let stage = stage.clone();
        tokio::spawn(async move {
            for number in 1..=ROUNDS {
                // Rows of the past alone: each is there, and not deleted before.
                let table = stage.load().await;
                let deletes = vec![files::equality_delete(&table, "a", &[-number]).await];
                let data = vec![files::data(&table, "a", &[-number]).await];
                stage
                    .commit(ChangeKind::RowDelta(RowDelta { data, deletes, must_exist: HashSet::new() }))
                    .await;
            }
        })
    };
    let rewriting = {
        let stage = stage.clone();
        tokio::spawn(async move {
            let mut landed = 0;
            while landed < 4 {
                landed += usize::from(compact(&stage).await);
            }
        })
    };
    for task in [appending, deleting, rewriting] {
        task.await.unwrap();
    }
    let expected: Vec<i64> = (-ROUNDS..=ROUNDS).collect();
    assert_eq!(stage.ids().await, expected);
    look::assert_nothing_left_behind(&stage.load().await, endings(kind)).await;
}

/// Puts all rows into one file. False if others were in the way.
async fn compact(stage: &Stage) -> bool {
    let table = stage.load().await;
    let rows = look::ids(&table).await;
    let rewrite = Rewrite {
        planned_sequence_number: table.metadata().last_sequence_number(),
        remove: look::live(&table).await.into_keys().collect(),
        partitions: HashSet::from([(table.metadata().default_partition_spec_id(), files::partition("a"))]),
        seen_in: HashSet::new(),
        add: vec![files::data(&table, "a", &rows).await],
    };
    match stage.try_commit(ChangeKind::Rewrite(rewrite)).await {
        Ok(_) => true,
        Err(CommitFailure::Conflict { .. }) => false,
        Err(other) => panic!("{other:?}"),
    }
}
