//! The way of a bronze flush's closed files into the two tables: the quarantine's commit first, then bronze's.

use actix::prelude::*;
use pulselake_lake::Lake;
use pulselake_ledger::Advance;
use pulselake_model::tables::LakeTable;

use crate::bronze_open::ClosedFlush;
use crate::committer::{Committer, delete_files};
use crate::messages::{CommitFiles, CommitRefused, Committed, GenerationKey};

/// Whose flush it is, and who commits it.
pub(crate) struct FlushCommit {
    pub(crate) key: GenerationKey,
    pub(crate) lake: Lake,
    pub(crate) quarantine: Addr<Committer>,
    pub(crate) bronze: Addr<Committer>,
}

impl FlushCommit {
    /// Commits both tables. Where the quarantine refuses, bronze's files are deleted: nobody has asked for them yet.
    pub(crate) async fn run(
        self,
        closed: ClosedFlush,
        quarantine_advances: Vec<Advance>,
        bronze_advances: Vec<Advance>,
    ) -> Result<Committed, CommitRefused> {
        crate::failpoint::reach("writer::before_commit");
        let keys = vec![self.key];
        if !quarantine_advances.is_empty() {
            let request = CommitFiles {
                keys: keys.clone(),
                advances: quarantine_advances,
                files: closed.invalid,
                deletes: Vec::new(),
            };
            if let Err(refused) = send(&self.quarantine, request).await {
                delete_files(&self.lake, LakeTable::RawEvents, &closed.events).await;
                return Err(refused);
            }
        }
        crate::failpoint::reach("writer::between_quarantine_and_bronze");
        send(
            &self.bronze,
            CommitFiles { keys, advances: bronze_advances, files: closed.events, deletes: Vec::new() },
        )
        .await
    }
}

/// Asks a committer, and waits for what became of it.
pub(crate) async fn send(
    committer: &Addr<Committer>,
    request: CommitFiles,
) -> Result<Committed, CommitRefused> {
    // A mailbox error means that the committer died; its own guard reports that, and the generation ends.
    committer.send(request).await.unwrap_or(Err(CommitRefused::Closed))
}
