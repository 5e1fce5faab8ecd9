//! Commits one group, and decides what becomes of its files where it did not land.

use std::collections::HashSet;

use iceberg::TableIdent;
use iceberg::spec::{DataFile, TableMetadata};
use iceberg::table::Table;
use pulselake_commit::failpoint::{self, Injected};
use pulselake_commit::{
    Catalog, CatalogError, ChangeKind, CommitFailure, Guard, Judgement, Landing, Rewrite, TableChange, commit,
};
use pulselake_read::{LiveEntry, PlannedFile, TablePlan};

use super::budget::Budget;
use super::error::CompactionError;
use super::output::delete_quietly;
use super::planner::Group;
use crate::{CarryLedger, CarryRefusal, FOLDED_PROPERTY};

/// Failpoint: the rows of a group are written, its last file is not closed.
pub const BEFORE_OUTPUT_CLOSE: &str = "maintain::before_output_close";
/// Failpoint: a group's files are whole, nothing was asked of the catalog.
pub const BEFORE_COMMIT: &str = "maintain::before_commit";
/// Failpoint: a group is in the table.
pub const AFTER_COMMIT: &str = "maintain::after_commit";

/// What became of a change.
pub(crate) enum Outcome {
    /// It is in the table.
    Landed(Box<Landing>),
    /// It has to be planned anew: why.
    PlanAnew(String),
}

/// Carries the ledger, marks a table whose rows were folded, and sees to it that the files lie in the partitions of
/// today: a commit writes them down under the base's partition spec.
struct GroupGuard {
    planned_spec_id: i32,
    has_folded: bool,
}

enum GroupRefusal {
    Carry(CarryRefusal),
    SpecChanged,
}

impl Guard for GroupGuard {
    type Refusal = GroupRefusal;

    fn judge(&self, base: &TableMetadata) -> Result<Judgement, GroupRefusal> {
        if base.default_partition_spec_id() != self.planned_spec_id {
            return Err(GroupRefusal::SpecChanged);
        }
        let mut judgement = CarryLedger.judge(base).map_err(GroupRefusal::Carry)?;
        if let Judgement::Commit(riders) = &mut judgement
            && self.has_folded
            && !base.properties().contains_key(FOLDED_PROPERTY)
        {
            riders.properties.insert(FOLDED_PROPERTY.to_string(), "true".to_string());
        }
        Ok(judgement)
    }
}

/// The change that exchanges a group for `added`.
pub(crate) fn group_change(plan: &TablePlan, group: &Group, added: Vec<DataFile>) -> TableChange {
    let data: Vec<&PlannedFile> = group.files.iter().map(|&index| &plan.files[index]).collect();
    let deletes = group.drop_deletes.iter().map(|&index| plan.deletes[index].as_ref());
    let all: Vec<&LiveEntry> = data.iter().map(|file| &file.data).chain(deletes).collect();
    let rewrite = Rewrite {
        planned_sequence_number: plan.sequence_number,
        remove: all.iter().map(|entry| entry.file().file_path().to_string()).collect(),
        partitions: data
            .iter()
            .map(|file| (file.data.spec_id, file.data.file().partition().clone()))
            .collect::<HashSet<_>>(),
        seen_in: all.iter().map(|entry| entry.manifest.to_string()).collect(),
        add: added,
    };
    change(ChangeKind::Rewrite(rewrite))
}

/// A change under a new id.
pub(crate) fn change(kind: ChangeKind) -> TableChange {
    TableChange { commit_id: uuid::Uuid::now_v7().to_string(), kind }
}

/// Commits a change. `has_folded`: whether it leaves fewer rows than it takes, with the same sums. Its data files are deleted where it certainly did not land, and kept where nobody knows.
pub(crate) async fn commit_change(
    catalog: &dyn Catalog,
    ident: &TableIdent,
    table: &Table,
    change: &TableChange,
    has_folded: bool,
    budget: &Budget,
) -> Result<Outcome, CompactionError> {
    let name = ident.to_string();
    let guard = GroupGuard { planned_spec_id: table.metadata().default_partition_spec_id(), has_folded };
    let result = match failpoint::reach(BEFORE_COMMIT).await {
        None => commit(catalog, ident, change, &guard, &budget.commit).await,
        Some(injected) => Err(injected_failure(injected, BEFORE_COMMIT)),
    };
    let failure = match result {
        Ok(landing) => {
            if failpoint::reach(AFTER_COMMIT).await.is_some() {
                return Err(CompactionError::Injected { point: AFTER_COMMIT });
            }
            return Ok(Outcome::Landed(Box::new(landing)));
        }
        Err(failure) => failure,
    };
    if failure.files_may_be_deleted() {
        let (added, _) = change.kind.added_data();
        delete_quietly(table.file_io(), added.iter().map(DataFile::file_path)).await;
    }
    match failure {
        CommitFailure::Conflict { conflict, .. } => Ok(Outcome::PlanAnew(conflict.to_string())),
        CommitFailure::Refused { refusal: GroupRefusal::SpecChanged, .. } => {
            Ok(Outcome::PlanAnew("the table got another partition spec".to_string()))
        }
        CommitFailure::Refused { refusal: GroupRefusal::Carry(refusal), .. } => {
            Err(CompactionError::Refused { table: name, refusal })
        }
        CommitFailure::Failed { source, .. } => Err(source.into()),
        CommitFailure::OutcomeUnknown { source } => {
            Err(CompactionError::OutcomeUnknown { table: name, source: Box::new(source) })
        }
    }
}

fn injected_failure<R>(injected: Injected, point: &'static str) -> CommitFailure<R> {
    let source = CatalogError::Injected { point };
    match injected {
        Injected::Error => CommitFailure::Failed { source, files_may_be_deleted: true },
        Injected::Unknown => CommitFailure::OutcomeUnknown { source },
    }
}
