//! The commit of the stream: data files and the ledger in one atomic change, at most once per `commit_id`.
//!
//! On every base the guard judges the table's ancestry and decides by `seq` and `commit_id`; the rest is the commit
//! layer's.

use std::collections::HashMap;

use iceberg::TableIdent;
use iceberg::spec::{DataFile, TableMetadata};
use pulselake_commit::{
    ChangeKind, Guard, Judgement, Landing, Riders, RowDelta, TableChange, commit, value_beside,
};
use pulselake_ledger::{
    Advance, Decision, FenceReason, Ledger, LedgerError, PROPERTY, RESTATED_PROPERTY, ReplayLedger,
    apply_advances,
};
use pulselake_model::tables::LakeTable;
use pulselake_telemetry::events;

use crate::decision::decide_request;
use crate::lake::trusted_ledger;
use crate::{CommitError, Lake, LakeError, tables};

/// A commit that advances the ledger.
#[derive(Clone, Debug)]
pub struct LedgeredAppend {
    /// UUID v7, new for each piece of work and the same for all attempts at it.
    pub commit_id: String,
    /// Identity of the source.
    pub cluster_id: String,
    /// The decoder's version and the settings that decide validity.
    pub fingerprint: String,
    /// The partitions that move on, each with the `seq` it was built on.
    pub advances: Vec<Advance>,
    /// Data files to add; none for a change of the ledger alone.
    pub files: Vec<DataFile>,
    /// Equality delete files to add: with them the rows of earlier commits with these keys are gone, those in `files` stay.
    pub deletes: Vec<DataFile>,
    /// Quarantine replay: the topic and its entry as it should be afterwards. Its `seq` is one above the one that the
    /// replay was built on; its `commit_id` is set by the commit.
    pub replayed: Option<(String, ReplayLedger)>,
}

impl LedgeredAppend {
    fn kind(&self) -> ChangeKind {
        if self.deletes.is_empty() {
            return ChangeKind::Append { files: self.files.clone() };
        }
        let (data, deletes) = (self.files.clone(), self.deletes.clone());
        ChangeKind::RowDelta(RowDelta { data, deletes, ..RowDelta::default() })
    }

    /// The ledger after this commit on a table whose ledger is `head`.
    pub fn ledger_after(&self, head: Option<&Ledger>) -> Ledger {
        let mut ledger = match head {
            // A replay alone takes nothing from the stream: source and decoder of the stream stay as they are.
            Some(known) if self.advances.is_empty() => known.clone(),
            _ => apply_advances(head, &self.cluster_id, &self.fingerprint, &self.commit_id, &self.advances),
        };
        if let Some((topic, entry)) = &self.replayed {
            let committed = ReplayLedger { commit_id: self.commit_id.clone(), ..entry.clone() };
            ledger.replayed.insert(topic.clone(), committed);
        }
        ledger
    }
}

/// A commit that is in the table.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// Its snapshot; where an earlier attempt had landed, the table's current one.
    pub snapshot_id: i64,
    /// Whether an earlier attempt had landed already.
    pub already_there: bool,
    /// Attempts that lost against another commit.
    pub conflicts: u32,
    /// Attempts made, this one included.
    pub attempts: u32,
    /// The table's ledger after it.
    pub ledger: Ledger,
}

/// Lets a request pass on a base that it was built on.
struct LedgerGuard<'a> {
    table: LakeTable,
    request: &'a LedgeredAppend,
}

/// Why a request may not be committed.
enum Refusal {
    Fenced(FenceReason),
    Stopped(LakeError),
}

impl Guard for LedgerGuard<'_> {
    type Refusal = Refusal;

    fn judge(&self, base: &TableMetadata) -> Result<Judgement, Refusal> {
        tables::verify(self.table, base).map_err(Refusal::Stopped)?;
        let head = trusted_ledger(self.table, base).map_err(Refusal::Stopped)?;
        let request = self.request;
        match decide_request(head.as_ref(), &request.commit_id, &request.advances, request.replayed.as_ref())
        {
            Decision::AlreadyThere => Ok(Judgement::AlreadyThere),
            Decision::Fenced(reason) => Err(Refusal::Fenced(reason)),
            Decision::Commit => {
                let mut riders = ledger_riders(&request.ledger_after(head.as_ref()));
                riders.summary.extend(restated_rider(base));
                Ok(Judgement::Commit(riders))
            }
        }
    }

    fn outcome_unknown(&self, _table: &TableIdent, commit_id: &str, reason: &str) {
        events::commit_outcome_unknown(self.table, commit_id, reason);
    }
}

/// The ledger as property and in the summary.
pub(crate) fn ledger_riders(ledger: &Ledger) -> Riders {
    let carried = HashMap::from([(PROPERTY.to_string(), ledger.to_json())]);
    Riders { properties: carried.clone(), summary: carried }
}

/// What restatements have added to the table, for the summary of a commit on `base`; the ledger knows nothing of it.
pub(crate) fn restated_rider(base: &TableMetadata) -> Option<(String, String)> {
    let text = value_beside(base, PROPERTY, RESTATED_PROPERTY)?;
    Some((RESTATED_PROPERTY.to_string(), text.to_string()))
}

impl Lake {
    /// Commits `request`, at most once for its `commit_id`, however often it is called and whatever the answers were.
    ///
    /// Retries conflicts, locks and unknown outcomes until [`crate::CommitLimits::patience`] is spent. Cancelling the
    /// future leaves an unknown outcome.
    pub async fn append(&self, table: LakeTable, request: &LedgeredAppend) -> Result<Receipt, CommitError> {
        let change = TableChange { commit_id: request.commit_id.clone(), kind: request.kind() };
        let guard = LedgerGuard { table, request };
        let landed =
            commit(self.catalog().as_ref(), &tables::ident(table), &change, &guard, self.limits()).await;
        let name = || table.full_name().to_string();
        match landed {
            Ok(landing) => {
                let ledger = landed_ledger(&landing).map_err(|source| CommitError::Stopped {
                    source: LakeError::Ledger { table: name(), source },
                    files_may_be_deleted: false,
                })?;
                Ok(Receipt {
                    snapshot_id: landing.snapshot_id.unwrap_or_default(),
                    already_there: landing.already_there,
                    conflicts: landing.conflicts,
                    attempts: landing.attempts,
                    // A table with the commit has a ledger: the guard has read the same text, or written it.
                    ledger: ledger.unwrap_or_else(|| request.ledger_after(None)),
                })
            }
            Err(failure) => {
                Err(CommitError::of_failure(table, failure, |refusal, files_may_be_deleted| match refusal {
                    Refusal::Fenced(reason) => {
                        CommitError::Fenced { table: name(), reason, files_may_be_deleted }
                    }
                    Refusal::Stopped(source) => CommitError::Stopped { source, files_may_be_deleted },
                }))
            }
        }
    }
}

/// The ledger in the property of the table as it landed.
fn landed_ledger(landing: &Landing) -> Result<Option<Ledger>, LedgerError> {
    landing.table.metadata().properties().get(PROPERTY).map(|text| Ledger::parse(text)).transpose()
}
