//! Rows for tables that no stream feeds.

use arrow::array::RecordBatch;
use pulselake_commit::{ChangeKind, Guard, TableChange, commit};
use pulselake_model::tables::LakeTable;

use crate::landed::snapshot_of;
use crate::shape_guard::ShapeGuard;
use crate::upsert::{Refusal, SnapshotGuard};
use crate::{CommitError, Lake, LakeError, TableWriter, UpsertError, WriterOptions, tables};

impl Lake {
    /// Appends the rows of `batch` in one commit, to a table without a ledger; columns are matched by name. Nothing tells
    /// two calls with the same rows apart: whoever may call twice looks first whether they are there. Returns the snapshot;
    /// `None` for a batch without rows, which commits nothing.
    ///
    /// # Errors
    /// [`LakeError::BadBatch`] inside [`CommitError::Failed`] for a table with a ledger. Files of a commit that certainly
    /// did not land are deleted.
    pub async fn append_rows(
        &self,
        table: LakeTable,
        batch: &RecordBatch,
    ) -> Result<Option<i64>, CommitError> {
        let Some(change) = self.appended(table, batch).await? else { return Ok(None) };
        let guard = ShapeGuard { table };
        self.land_append(table, &change, &guard, |source, files_may_be_deleted| CommitError::Stopped {
            source,
            files_may_be_deleted,
        })
        .await
    }

    /// The same, made only while the table's current snapshot is `planned_on` (`None`: it has none yet): for who has looked
    /// in the table whether the rows are there.
    ///
    /// # Errors
    /// [`UpsertError::Moved`] where another commit was faster; the others as [`Lake::append_rows`].
    pub async fn append_rows_on(
        &self,
        table: LakeTable,
        batch: &RecordBatch,
        planned_on: Option<i64>,
    ) -> Result<Option<i64>, UpsertError> {
        let Some(change) = self.appended(table, batch).await? else { return Ok(None) };
        let guard = SnapshotGuard { table, commit_id: &change.commit_id, planned_on };
        self.land_append(table, &change, &guard, Refusal::into_error).await
    }

    /// The rows in files, and the change that adds them; `None` for no rows.
    async fn appended(
        &self,
        table: LakeTable,
        batch: &RecordBatch,
    ) -> Result<Option<TableChange>, CommitError> {
        let name = || table.full_name().to_string();
        let failed = |source| CommitError::Failed { table: name(), source, files_may_be_deleted: true };
        if table.has_ledger() {
            let reason = "a stream feeds it: rows without a ledger would be in no account".to_string();
            return Err(failed(LakeError::BadBatch { table: name(), reason }));
        }
        if batch.num_rows() == 0 {
            return Ok(None);
        }
        let mut writer = TableWriter::new(self, table, WriterOptions::default()).await.map_err(failed)?;
        if let Err(error) = writer.write(batch).await {
            writer.abort().await;
            return Err(failed(error));
        }
        let files = writer.close().await.map_err(failed)?;
        let commit_id = uuid::Uuid::now_v7().to_string();
        Ok(Some(TableChange { commit_id, kind: ChangeKind::Append { files } }))
    }

    /// Commits files that are added; returns the snapshot that has them first. `refused` is the error of the guard's refusal.
    pub(crate) async fn land_append<G: Guard, E: From<CommitError>>(
        &self,
        table: LakeTable,
        change: &TableChange,
        guard: &G,
        refused: impl FnOnce(G::Refusal, bool) -> E,
    ) -> Result<Option<i64>, E> {
        let ident = tables::ident(table);
        let failure = match commit(self.catalog().as_ref(), &ident, change, guard, self.limits()).await {
            // After a lost answer others may have committed on top of it.
            Ok(landing) => {
                let own = snapshot_of(landing.table.metadata(), &change.commit_id);
                return Ok(own.or(landing.snapshot_id));
            }
            Err(failure) => failure,
        };
        if failure.files_may_be_deleted() {
            let (files, _) = change.kind.added_data();
            self.discard_files(table, files).await;
        }
        Err(CommitError::of_failure(table, failure, refused))
    }
}
