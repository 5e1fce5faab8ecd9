//! Makes the ledger of the current snapshot the table's truth again, after somebody rolled the table back: rule 2.

use std::time::Instant;

use iceberg::spec::TableMetadata;
use pulselake_ledger::{Ledger, LedgerError, PROPERTY, rewound};
use pulselake_model::tables::HotTable;

use crate::append::back_off;
use crate::lake::nearest_ledger;
use crate::landing::Landed;
use crate::snapshot::Content;
use crate::{CommitError, Lake, LakeError};

/// What a rewind did.
#[derive(Clone, Debug)]
pub struct RewindReport {
    /// The ledger that the property had; `None` where it was missing or unreadable.
    pub from: Option<Ledger>,
    /// The ledger that the table has now; `None` where no snapshot carries one.
    pub to: Option<Ledger>,
    /// The snapshot (without files) that carries the change; `None` where there was nothing to do.
    pub snapshot_id: Option<i64>,
}

impl Lake {
    /// Makes the nearest ledger of the current snapshot's ancestry the table property, as a snapshot without files. Its
    /// `seq` rise above all that the table ever had, so that whoever was at work before stays fenced.
    /// Does nothing where they agree, or where no snapshot has a ledger.
    pub async fn rewind(&self, table: HotTable) -> Result<RewindReport, CommitError> {
        let name = table.full_name().to_string();
        let failed =
            |source| CommitError::Failed { table: name.clone(), source, files_may_be_deleted: false };
        let deadline = Instant::now() + self.limits().patience;
        let mut conflicts = 0;
        loop {
            let base = self.load(table).await.map_err(failed)?;
            let property = base.metadata().properties().get(PROPERTY).map(String::as_str);
            let parsed = property.map(Ledger::parse);
            if let Some(Err(source @ LedgerError::NewerVersion { .. })) = parsed {
                return Err(failed(LakeError::Ledger { table: name.clone(), source }));
            }
            let from = parsed.and_then(Result::ok);
            let Some(text) = nearest_ledger(base.metadata()) else {
                return Ok(RewindReport { to: from.clone(), from, snapshot_id: None });
            };
            let found = Ledger::parse(text)
                .map_err(|source| failed(LakeError::Ledger { table: name.clone(), source }))?;
            if from.as_ref() == Some(&found) {
                return Ok(RewindReport { from, to: Some(found), snapshot_id: None });
            }
            let known = ledgers_of_snapshots(base.metadata());
            let to = rewound(&found, known.iter().chain(&from));
            let commit_id = uuid::Uuid::now_v7().to_string();
            let content = Content { files: &[], ledger: to.to_json(), commit_id: &commit_id };
            match self.attempt(table, &base, content, deadline).await {
                (snapshot_id, Landed::Yes) => {
                    return Ok(RewindReport { from, to: Some(to), snapshot_id: Some(snapshot_id) });
                }
                (_, Landed::No(source)) => return Err(failed(source)),
                (_, Landed::Unknown(source)) => {
                    return Err(CommitError::OutcomeUnknown { table: name.clone(), source });
                }
                (_, Landed::Conflict) => conflicts += 1,
            }
            if Instant::now() >= deadline {
                return Err(failed(LakeError::Contended {
                    table: name.clone(),
                    attempts: conflicts,
                    conflicts,
                    waited_ms: self.limits().patience.as_millis() as u64,
                    reason: "another commit was faster".to_string(),
                }));
            }
            back_off(conflicts).await;
        }
    }
}

/// Every ledger that a snapshot still carries, rolled away ones too; one that can't be read gave out no `seq` that
/// this build could meet.
fn ledgers_of_snapshots(metadata: &TableMetadata) -> Vec<Ledger> {
    let texts =
        metadata.snapshots().filter_map(|snapshot| snapshot.summary().additional_properties.get(PROPERTY));
    texts.filter_map(|text| Ledger::parse(text).ok()).collect()
}
