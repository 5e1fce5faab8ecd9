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
    COMMIT_ID, Catalog, CatalogError, ChangeKind, CommitFailure, CommitLimits, Rewrite, RowDelta, Swap,
    Unguarded, commit,
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
pub struct Stale {
    pub inner: Arc<dyn Catalog>,
    pub old: Mutex<Option<Table>>,
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

/// What the catalog said yes to.
struct Acknowledged {
    commit_id: String,
    snapshot_id: i64,
    file: String,
    conflicts: u32,
    needed: BTreeSet<String>,
}

async fn append_many(
    catalog: Arc<dyn Catalog>,
    base: Table,
    ids: std::ops::Range<usize>,
    limits: CommitLimits,
) -> Vec<Acknowledged> {
    let mut acknowledged = Vec::new();
    for id in ids {
        let file = files::data(&base, ["a", "b"][id % 2], &[id as i64]).await;
        let path = file.file_path().to_string();
        let work = change(ChangeKind::Append { files: vec![file] });
        let landing = commit(&*catalog, base.identifier(), &work, &Unguarded, &limits).await.unwrap();
        assert!(!landing.already_there);
        let snapshot_id = landing.snapshot_id.unwrap();
        let snapshot = landing.table.metadata().snapshot_by_id(snapshot_id).unwrap();
        assert_eq!(snapshot.summary().additional_properties[COMMIT_ID], work.commit_id);
        acknowledged.push(Acknowledged {
            commit_id: work.commit_id,
            snapshot_id,
            file: path,
            conflicts: landing.conflicts,
            needed: look::needed_by(&landing.table, snapshot_id).await,
        });
    }
    acknowledged
}

pub async fn everything_that_was_acknowledged_is_there_once(kind: Kind) {
    const ALL: usize = WRITERS * COMMITS_EACH;
    let stage = Stage::new(kind).await;
    let handles = [stage.catalog.clone(), stage.place.catalog().await];
    // Few snapshots, or most of the time goes into writing them down.
    let limits = CommitLimits {
        patience: Duration::from_secs(300),
        max_snapshots: 60,
        manifests_to_merge: 20,
        ..stage.limits
    };
    let base = stage.load().await;
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let ids = writer * COMMITS_EACH..(writer + 1) * COMMITS_EACH;
            tokio::spawn(append_many(handles[writer % 2].clone(), base.clone(), ids, limits))
        })
        .collect();
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.extend(writer.await.unwrap());
    }
    assert!(acknowledged.iter().any(|one| one.conflicts > 0), "no race was lost: nothing was shown");

    let table = stage.place.catalog().await.load_existing(&stage.table).await.unwrap();
    // Each snapshot ever made has a number of its own: a doubled commit would have taken one more.
    assert_eq!(table.metadata().last_sequence_number(), ALL as i64);
    let snapshot_ids: HashSet<i64> = acknowledged.iter().map(|one| one.snapshot_id).collect();
    assert_eq!(snapshot_ids.len(), ALL);
    let commit_ids: HashSet<String> = acknowledged.iter().map(|one| one.commit_id.clone()).collect();
    assert!(look::commit_ids(&table).is_subset(&commit_ids));
    let live = look::live(&table).await;
    let files: BTreeSet<&String> = acknowledged.iter().map(|one| &one.file).collect();
    assert_eq!(live.keys().collect::<BTreeSet<_>>(), files);
    let numbers: BTreeSet<i64> = live.values().map(|file| file.sequence_number).collect();
    assert_eq!(numbers, (1..=ALL as i64).collect());
    let summary = table.metadata().current_snapshot().unwrap().summary();
    assert_eq!(summary.additional_properties["total-records"], ALL.to_string());
    let needed_once: BTreeSet<String> = acknowledged.iter().flat_map(|one| one.needed.clone()).collect();
    look::assert_nothing_left_beside(&table, endings(kind), &needed_once).await;
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
