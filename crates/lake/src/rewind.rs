//! Makes the ledger of the current snapshot the table's truth again, after somebody rolled the table back: rule 2.

use iceberg::spec::TableMetadata;
use parking_lot::Mutex;
use pulselake_commit::{
    ChangeKind, CommitFailure, Guard, Judgement, TableChange, commit, nearest_summary_value,
};
use pulselake_ledger::{Ledger, LedgerError, PROPERTY, RESTATED_PROPERTY, Restated, rewound};
use pulselake_model::tables::LakeTable;

use crate::append::{ledger_riders, restated_rider};
use crate::{CommitError, Lake, LakeError, tables};

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

/// Works out, on each base, what the table's ledger has to be.
struct RewindGuard {
    table: LakeTable,
    /// What the last base was judged to need.
    plan: Mutex<Option<RewindReport>>,
}

impl Guard for RewindGuard {
    type Refusal = LakeError;

    fn judge(&self, base: &TableMetadata) -> Result<Judgement, LakeError> {
        let unreadable = |source| LakeError::Ledger { table: self.table.full_name().to_string(), source };
        let parsed = base.properties().get(PROPERTY).map(|text| Ledger::parse(text));
        if let Some(Err(source @ LedgerError::NewerVersion { .. })) = parsed {
            return Err(unreadable(source));
        }
        let from = parsed.and_then(Result::ok);
        let found = match nearest_summary_value(base, PROPERTY) {
            Some(text) => Some(Ledger::parse(text).map_err(unreadable)?),
            None => None,
        };
        let to = match &found {
            Some(ledger) if from.as_ref() != Some(ledger) => {
                let known = ledgers_of_snapshots(base);
                rewound(ledger, known.iter().chain(&from))
            }
            // They agree, or no snapshot has one.
            _ => {
                let to = found.or_else(|| from.clone());
                *self.plan.lock() = Some(RewindReport { from, to, snapshot_id: None });
                return Ok(Judgement::AlreadyThere);
            }
        };
        let mut riders = ledger_riders(&to);
        let restated = restated_rider(base);
        if base.properties().contains_key(RESTATED_PROPERTY) {
            // Restatements that were rolled away as well.
            let (key, text) = restated
                .clone()
                .unwrap_or_else(|| (RESTATED_PROPERTY.to_string(), Restated::default().to_json()));
            riders.properties.insert(key, text);
        }
        riders.summary.extend(restated);
        *self.plan.lock() = Some(RewindReport { from, to: Some(to), snapshot_id: None });
        Ok(Judgement::Commit(riders))
    }
}

impl Lake {
    /// Makes the nearest ledger of the current snapshot's ancestry the table property, as a snapshot without files. Its
    /// `seq` rise above all that the table ever had, so that whoever was at work before stays fenced.
    /// Does nothing where they agree, or where no snapshot has a ledger.
    pub async fn rewind(&self, table: LakeTable) -> Result<RewindReport, CommitError> {
        let name = table.full_name().to_string();
        let failed =
            |source| CommitError::Failed { table: name.clone(), source, files_may_be_deleted: false };
        // A table of another build is refused before anything is changed.
        self.load(table).await.map_err(failed)?;
        let change = TableChange {
            commit_id: uuid::Uuid::now_v7().to_string(),
            kind: ChangeKind::Append { files: Vec::new() },
        };
        let guard = RewindGuard { table, plan: Mutex::new(None) };
        let landed =
            commit(self.catalog().as_ref(), &tables::ident(table), &change, &guard, self.limits()).await;
        match landed {
            Ok(landing) => {
                let plan = guard.plan.into_inner();
                let report = plan.unwrap_or(RewindReport { from: None, to: None, snapshot_id: None });
                let made_one = !landing.already_there;
                Ok(RewindReport { snapshot_id: landing.snapshot_id.filter(|_| made_one), ..report })
            }
            Err(CommitFailure::OutcomeUnknown { source }) => {
                Err(CommitError::OutcomeUnknown { table: name.clone(), source: source.into() })
            }
            Err(CommitFailure::Refused { refusal, .. }) => Err(failed(refusal)),
            Err(CommitFailure::Conflict { conflict, .. }) => {
                Err(failed(LakeError::Conflict { table: name.clone(), conflict }))
            }
            Err(CommitFailure::Failed { source, .. }) => Err(failed(source.into())),
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
