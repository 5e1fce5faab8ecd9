//! Deletes files in batches, counted, with a look at the lease between two of them.

use pulselake_commit::failpoint;
use serde::Serialize;

use super::error::MaintainError;
use super::lease::Lease;
use super::store::FileStore;
use super::{Phase, Progress, Step};

/// Files between two looks at the lease.
const BATCH: usize = 200;
/// The failpoint after each batch.
pub const WHILE_DELETING: &str = "maintain::while_deleting";

/// What was deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Deleted {
    /// Files that are gone.
    pub files: u64,
    /// Files that the store did not delete: orphans, which a later run removes.
    pub failed: u64,
    /// The store's words about the first of those.
    pub first_failure: Option<String>,
}

/// Deletes `files`, which nothing refers to. What fails is counted and left to the orphan pass.
pub(crate) async fn delete_files(
    store: &dyn FileStore,
    files: &[String],
    phase: Phase,
    lease: &mut Lease<'_>,
    progress: Progress<'_>,
) -> Result<Deleted, MaintainError> {
    let mut deleted = Deleted::default();
    let total = Some(files.len() as u64);
    progress(Step { phase, done: 0, total });
    for batch in files.chunks(BATCH) {
        lease.keep_alive().await?;
        let outcome = store.delete(batch.to_vec()).await;
        deleted.files += outcome.deleted;
        for reason in outcome.failed {
            tracing::warn!(%reason, "a file that nothing refers to could not be deleted");
            deleted.failed += 1;
            deleted.first_failure.get_or_insert(reason.to_string());
        }
        progress(Step { phase, done: deleted.files + deleted.failed, total });
        if failpoint::reach(WHILE_DELETING).await.is_some() {
            return Err(MaintainError::Injected { point: WHILE_DELETING });
        }
    }
    Ok(deleted)
}
