//! Rows for tables that no stream feeds.

use arrow::array::RecordBatch;
use pulselake_commit::{ChangeKind, TableChange, commit};
use pulselake_model::tables::LakeTable;

use crate::shape_guard::ShapeGuard;
use crate::{CommitError, Lake, LakeError, TableWriter, WriterOptions, tables};

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
        let change = TableChange {
            commit_id: uuid::Uuid::now_v7().to_string(),
            kind: ChangeKind::Append { files: files.clone() },
        };
        let (ident, guard) = (tables::ident(table), ShapeGuard { table });
        let landed = commit(self.catalog().as_ref(), &ident, &change, &guard, self.limits()).await;
        let failure = match landed {
            Ok(landing) => return Ok(landing.snapshot_id),
            Err(failure) => failure,
        };
        let error = CommitError::of_failure(table, failure, |source, files_may_be_deleted| {
            CommitError::Stopped { source, files_may_be_deleted }
        });
        if error.files_may_be_deleted() {
            self.discard_files(table, &files).await;
        }
        Err(error)
    }
}
