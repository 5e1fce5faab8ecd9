//! Rows of a table with a key, in the place of those that have the same keys: for tables that no stream feeds.
//!
//! Whoever replaces rows has read them before. So such a commit names the snapshot that it was planned on, and lands on that
//! one alone: it is never rebased. Where the table has moved on, the caller reads and decides again.

use arrow::array::{Array, AsArray, RecordBatch};
use iceberg::spec::{DataFile, TableMetadata};
use pulselake_commit::{ChangeKind, Guard, Judgement, Riders, RowDelta, TableChange, commit};
use pulselake_model::tables::LakeTable;

use crate::landed::snapshot_of;
use crate::{CommitError, Lake, LakeError, WriterOptions, tables};

/// An upsert that is in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upserted {
    /// The table's snapshot with it; `None` for a batch without rows, which commits nothing.
    pub snapshot_id: Option<i64>,
    /// Whether the snapshot is the upsert's own. False where an answer was lost and the upsert was found in the table, on
    /// which others may have committed since.
    pub is_own_snapshot: bool,
    /// Attempts made.
    pub attempts: u32,
}

/// The table is not any more what a change was planned on. Nothing of the change is in the table, nor can be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("table {table} has moved on from snapshot {planned_on:?} to {found:?}: read it again, and plan anew")]
pub struct Moved {
    /// `namespace.name`.
    pub table: &'static str,
    /// What it was planned on.
    pub planned_on: Option<i64>,
    /// What is there.
    pub found: Option<i64>,
}

/// An upsert, or an append on one snapshot, that was not confirmed.
#[derive(Debug, thiserror::Error)]
pub enum UpsertError {
    /// Another commit was faster.
    #[error(transparent)]
    Moved(#[from] Moved),
    /// Anything else.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// Lets a change pass on one snapshot alone.
pub(crate) struct SnapshotGuard<'a> {
    /// Which table it is.
    pub(crate) table: LakeTable,
    /// The change's.
    pub(crate) commit_id: &'a str,
    /// The snapshot.
    pub(crate) planned_on: Option<i64>,
}

/// Why a change may not be committed.
pub(crate) enum Refusal {
    Moved(Moved),
    Stopped(LakeError),
}

impl Refusal {
    pub(crate) fn into_error(self, files_may_be_deleted: bool) -> UpsertError {
        match self {
            Self::Moved(moved) => moved.into(),
            Self::Stopped(source) => CommitError::Stopped { source, files_may_be_deleted }.into(),
        }
    }
}

impl Guard for SnapshotGuard<'_> {
    type Refusal = Refusal;

    fn judge(&self, base: &TableMetadata) -> Result<Judgement, Refusal> {
        tables::verify(self.table, base).map_err(Refusal::Stopped)?;
        let found = base.current_snapshot_id();
        if found == self.planned_on {
            return Ok(Judgement::Commit(Riders::default()));
        }
        // After a lost answer the table may have moved by this very change.
        match snapshot_of(base, self.commit_id) {
            Some(_) => Ok(Judgement::AlreadyThere),
            None => {
                let (table, planned_on) = (self.table.full_name(), self.planned_on);
                Err(Refusal::Moved(Moved { table, planned_on, found }))
            }
        }
    }

    fn outcome_unknown(&self, _table: &iceberg::TableIdent, commit_id: &str, reason: &str) {
        pulselake_telemetry::events::commit_outcome_unknown(self.table, commit_id, reason);
    }
}

impl Lake {
    /// Puts the rows of `batch` into a table with a key, in the place of the rows that have their keys now; columns are
    /// matched by name. Equality deletes and rows are one commit, and that is made only while the table's current snapshot is
    /// `planned_on` (`None`: it has none yet).
    ///
    /// Lost answers are looked up until [`crate::CommitLimits::patience`] is spent. Files of a commit that certainly did not
    /// land are deleted.
    ///
    /// # Errors
    /// [`UpsertError::Moved`] where another commit was faster; [`LakeError::BadBatch`] for a table without a key or with a
    /// ledger, and for a batch that does not fit it or has a key twice.
    pub async fn upsert_rows(
        &self,
        table: LakeTable,
        batch: &RecordBatch,
        planned_on: Option<i64>,
    ) -> Result<Upserted, UpsertError> {
        let name = || table.full_name().to_string();
        let failed = |source| CommitError::Failed { table: name(), source, files_may_be_deleted: true };
        let keys = keys_of(table, batch).map_err(failed)?;
        if keys.is_empty() {
            return Ok(Upserted { snapshot_id: planned_on, is_own_snapshot: false, attempts: 0 });
        }
        let options = WriterOptions::default();
        let data = self.write_rows(table, batch, options).await.map_err(failed)?;
        let deletes = match self.write_equality_deletes(table, &keys, options).await {
            Ok(written) => written,
            Err(error) => {
                self.discard_files(table, &data).await;
                return Err(failed(error).into());
            }
        };
        let files: Vec<DataFile> = data.iter().chain(&deletes).cloned().collect();
        let commit_id = uuid::Uuid::now_v7().to_string();
        let change = TableChange {
            commit_id: commit_id.clone(),
            kind: ChangeKind::RowDelta(RowDelta { data, deletes, ..RowDelta::default() }),
        };
        let guard = SnapshotGuard { table, commit_id: &commit_id, planned_on };
        let ident = tables::ident(table);
        let failure = match commit(self.catalog().as_ref(), &ident, &change, &guard, self.limits()).await {
            Ok(landing) => {
                return Ok(Upserted {
                    snapshot_id: landing.snapshot_id,
                    is_own_snapshot: !landing.already_there,
                    attempts: landing.attempts,
                });
            }
            Err(failure) => failure,
        };
        if failure.files_may_be_deleted() {
            self.discard_files(table, &files).await;
        }
        Err(CommitError::of_failure(table, failure, Refusal::into_error))
    }
}

/// The keys of the rows, each once.
fn keys_of(table: LakeTable, batch: &RecordBatch) -> Result<Vec<String>, LakeError> {
    let bad = |reason: String| LakeError::BadBatch { table: table.full_name().to_string(), reason };
    if table.has_ledger() {
        return Err(bad("a stream feeds it: rows without a ledger would be in no account".to_string()));
    }
    let name = table.key_column().ok_or_else(|| bad("it has no key, rows are only appended".to_string()))?;
    let column = batch.column_by_name(name).and_then(|found| found.as_string_opt::<i32>());
    let column = column.ok_or_else(|| bad(format!("there is no text column {name} in the batch")))?;
    if column.null_count() > 0 {
        return Err(bad(format!("{} nulls in its key {name}", column.null_count())));
    }
    let mut keys: Vec<String> = column.iter().flatten().map(str::to_owned).collect();
    keys.sort_unstable();
    if let Some(twice) = keys.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(bad(format!("its key {} is in two rows of the batch", twice[0])));
    }
    Ok(keys)
}
