//! One day of a table, or all of it, in the place of what was there: for the tables that batch jobs make.
//!
//! What it promises:
//! - Readers see the part as it was or as it is now, never a mixture: the rows are written as files, and one commit
//!   exchanges what is live in the partition for them. A run that is killed before leaves files that nothing refers to.
//! - Of several that replace the same part at once, the last commit wins, whole.
//! - What others do to the part meanwhile (compaction, an erasure) makes the exchange be planned anew, never the rows
//!   be written again.
//! - Memory is bounded whatever the number of rows.

use std::collections::HashSet;
use std::time::Instant;

use arrow::array::RecordBatch;
use chrono::NaiveDate;
use futures::{Stream, StreamExt};
use iceberg::spec::{DataFile, Struct, TableMetadata};
use iceberg::table::Table;
use pulselake_commit::{
    ChangeKind, CommitFailure, Guard, Judgement, Landing, OverwritePartitions, Riders, TableChange, back_off,
    commit,
};
use pulselake_model::tables::LakeTable;
use pulselake_read::{PartitionPredicate, plan_table_without_statistics};

use crate::day_rows::{day_number, day_of_number};
use crate::failpoint;
use crate::landed::snapshot_of;
use crate::upsert::{Moved, Refusal};
use crate::writer::layout::FileLayout;
use crate::writer::{PartitionKey, Partitioner};
use crate::{CommitError, Lake, LakeError, TableWriter, WriterOptions, tables};

/// Failpoint: all rows are written into whole files, nothing was asked of the catalog.
pub const BEFORE_REPLACE_COMMIT: &str = "batch::before_replace_commit";

/// What is exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplacedPart {
    /// The partition of one day (UTC), of a table that is partitioned by day or date.
    Day(NaiveDate),
    /// All rows, of a table without partitions.
    Whole,
    /// The same, but only while the table's current snapshot is this one (`None`: it has none yet): for who has read the
    /// rows to make the new ones of them.
    WholeOf(Option<i64>),
}

/// A part that was exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// Rows that it has now.
    pub rows: u64,
    /// Files that they are in.
    pub files: u64,
    /// The commit's snapshot; where there was nothing before and now, the table's current one.
    pub snapshot_id: Option<i64>,
}

/// A part that was not exchanged, or of which nobody knows. `E` is the error of the rows' source.
#[derive(Debug, thiserror::Error)]
pub enum ReplaceError<E: std::error::Error + 'static> {
    /// The rows ended in an error. Nothing was exchanged.
    #[error(transparent)]
    Rows(E),
    /// The table is not any more what [`ReplacedPart::WholeOf`] names. Nothing was exchanged.
    #[error(transparent)]
    Moved(#[from] Moved),
    /// Writing or committing them.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl Lake {
    /// Puts `rows` in the place of all that is in `part` of a table that a batch job makes ([`LakeTable::is_replaced`]);
    /// columns are matched by name, a missing optional one is NULL. No rows empty the part.
    ///
    /// Lost races and lost answers are made good until [`crate::CommitLimits::patience`] is spent. Files of a commit that
    /// certainly did not land are deleted; so are those written so far when the future is dropped before.
    ///
    /// # Errors
    /// [`LakeError::BadBatch`] inside [`CommitError::Failed`] for a table that no batch job makes, a part that it does not
    /// have, a row of another part, and a batch that does not fit the table; [`ReplaceError::Rows`] where the stream fails.
    pub async fn replace_partition<E: std::error::Error + 'static>(
        &self,
        table: LakeTable,
        part: ReplacedPart,
        rows: impl Stream<Item = Result<RecordBatch, E>> + Send,
    ) -> Result<Replaced, ReplaceError<E>> {
        let failed = |source| CommitError::Failed {
            table: table.full_name().to_string(),
            source,
            files_may_be_deleted: true,
        };
        let partition = partition_of(table, part).map_err(failed)?;
        let loaded = self.load(table).await.map_err(failed)?;
        // Made before the first file: the commit's age is that of its files.
        let commit_id = uuid::Uuid::now_v7().to_string();
        let layout = FileLayout::of_rows(table, loaded.metadata()).map_err(failed)?;
        let mut writer =
            TableWriter::with_layout(self, &loaded, layout, WriterOptions::default()).map_err(failed)?;
        if let Err(error) = write_stream(&mut writer, table, part, rows).await {
            writer.abort().await;
            return Err(match error {
                Unwritten::Rows(source) => ReplaceError::Rows(source),
                Unwritten::Lake(source) => failed(source).into(),
            });
        }
        let count = writer.rows();
        let files = writer.close().await.map_err(failed)?;
        let planned_on = match part {
            ReplacedPart::WholeOf(snapshot_id) => Some(snapshot_id),
            ReplacedPart::Day(_) | ReplacedPart::Whole => None,
        };
        let exchange = Exchange { lake: self, table, partition, commit_id, planned_on, files: &files };
        let error = match exchange.land().await {
            Ok(snapshot_id) => return Ok(Replaced { rows: count, files: files.len() as u64, snapshot_id }),
            Err(error) => error,
        };
        if error.files_may_be_deleted() {
            self.discard_files(table, &files).await;
        }
        Err(match error {
            NotLanded::Commit(source) => source.into(),
            NotLanded::Moved { moved, .. } => moved.into(),
        })
    }
}

/// The partition's values; refuses what the table does not have.
fn partition_of(table: LakeTable, part: ReplacedPart) -> Result<Struct, LakeError> {
    let bad = |reason: &str| LakeError::BadBatch {
        table: table.full_name().to_string(),
        reason: reason.to_string(),
    };
    if !table.is_replaced() {
        return Err(bad("its partitions are not replaced: no batch job makes it"));
    }
    let is_partitioned = !tables::partition_fields(table).is_empty();
    let time = match part {
        ReplacedPart::Day(date) if is_partitioned => day_number(date),
        ReplacedPart::Whole | ReplacedPart::WholeOf(_) if !is_partitioned => 0,
        ReplacedPart::Day(_) => return Err(bad("it is not partitioned by day: replace the whole of it")),
        _ => return Err(bad("it is partitioned by day: replace one day")),
    };
    Ok(Partitioner::new(table)?.tuple(PartitionKey { time, bucket: 0 }))
}

enum Unwritten<E> {
    Rows(E),
    Lake(LakeError),
}

async fn write_stream<E>(
    writer: &mut TableWriter,
    table: LakeTable,
    part: ReplacedPart,
    rows: impl Stream<Item = Result<RecordBatch, E>> + Send,
) -> Result<(), Unwritten<E>> {
    let mut rows = std::pin::pin!(rows);
    while let Some(batch) = rows.next().await {
        let batch = batch.map_err(Unwritten::Rows)?;
        writer.write_in_portions(&batch).await.map_err(Unwritten::Lake)?;
        refuse_others(writer, table, part).map_err(Unwritten::Lake)?;
    }
    Ok(())
}

/// Refuses rows of other days than the one that is replaced.
fn refuse_others(writer: &TableWriter, table: LakeTable, part: ReplacedPart) -> Result<(), LakeError> {
    let ReplacedPart::Day(date) = part else { return Ok(()) };
    let wanted = day_number(date);
    let Some(&other) = writer.time_partitions().iter().find(|day| **day != wanted) else { return Ok(()) };
    let found = day_of_number(other).map_or_else(|| format!("day {other}"), |day| day.to_string());
    let reason =
        format!("a row of {found} among those that replace {date}: the job's query has to leave it out");
    Err(LakeError::BadBatch { table: table.full_name().to_string(), reason })
}

/// Lets a change pass that has not landed yet, on a table that this build knows.
struct OnceGuard<'a> {
    table: LakeTable,
    commit_id: &'a str,
    /// The only snapshot that it may land on, where there is one.
    planned_on: Option<Option<i64>>,
}

impl Guard for OnceGuard<'_> {
    type Refusal = Refusal;

    fn judge(&self, base: &TableMetadata) -> Result<Judgement, Refusal> {
        tables::verify(self.table, base).map_err(Refusal::Stopped)?;
        // Of an attempt whose answer was lost: what was planned anew since must not come on top of it.
        if snapshot_of(base, self.commit_id).is_some() {
            return Ok(Judgement::AlreadyThere);
        }
        let found = base.current_snapshot_id();
        match self.planned_on {
            Some(planned_on) if planned_on != found => {
                Err(Refusal::Moved(Moved { table: self.table.full_name(), planned_on, found }))
            }
            _ => Ok(Judgement::Commit(Riders::default())),
        }
    }

    fn outcome_unknown(&self, _table: &iceberg::TableIdent, commit_id: &str, reason: &str) {
        pulselake_telemetry::events::commit_outcome_unknown(self.table, commit_id, reason);
    }
}

/// Files that take the place of what is in a partition.
struct Exchange<'a> {
    lake: &'a Lake,
    table: LakeTable,
    partition: Struct,
    commit_id: String,
    planned_on: Option<Option<i64>>,
    files: &'a [DataFile],
}

/// An exchange that is not confirmed.
enum NotLanded {
    Commit(CommitError),
    Moved { moved: Moved, files_may_be_deleted: bool },
}

impl NotLanded {
    fn files_may_be_deleted(&self) -> bool {
        match self {
            Self::Commit(error) => error.files_may_be_deleted(),
            Self::Moved { files_may_be_deleted, .. } => *files_may_be_deleted,
        }
    }
}

impl From<CommitError> for NotLanded {
    fn from(error: CommitError) -> Self {
        Self::Commit(error)
    }
}

impl Exchange<'_> {
    /// Commits, on what is in the partition at that moment; returns the snapshot.
    async fn land(&self) -> Result<Option<i64>, NotLanded> {
        if failpoint::reach(BEFORE_REPLACE_COMMIT).await.is_some() {
            return Err(self.failed(LakeError::Injected { point: BEFORE_REPLACE_COMMIT }, true));
        }
        let deadline = Instant::now() + self.lake.limits().patience;
        let mut may_delete = true;
        let mut round = 0;
        loop {
            let base = self.lake.load(self.table).await.map_err(|error| self.failed(error, may_delete))?;
            let replaced = self.live_files(&base).await.map_err(|error| self.failed(error, may_delete))?;
            let current = base.metadata().current_snapshot_id();
            let is_as_planned = self.planned_on.is_none_or(|planned_on| planned_on == current);
            if self.files.is_empty() && replaced.is_empty() && is_as_planned {
                return Ok(current);
            }
            let failure = match self.attempt(replaced).await {
                Ok(landing) => {
                    let own = snapshot_of(landing.table.metadata(), &self.commit_id);
                    return Ok(own.or(landing.snapshot_id));
                }
                Err(failure) => failure,
            };
            // A later attempt that certainly did not land says nothing of an earlier one that may have.
            may_delete &= failure.files_may_be_deleted();
            match &failure {
                CommitFailure::Conflict { conflict, .. } if Instant::now() < deadline => {
                    tracing::info!(table = self.table.full_name(), %conflict, "a replacement is planned anew");
                }
                _ => return Err(self.given_up(failure, may_delete)),
            }
            round += 1;
            back_off(round).await;
        }
    }

    async fn attempt(&self, replaced: HashSet<String>) -> Result<Landing, CommitFailure<Refusal>> {
        let partitions = HashSet::from([self.partition.clone()]);
        let overwrite = OverwritePartitions { partitions, replaced, add: self.files.to_vec() };
        let change = TableChange {
            commit_id: self.commit_id.clone(),
            kind: ChangeKind::OverwritePartitions(overwrite),
        };
        let guard = OnceGuard { table: self.table, commit_id: &self.commit_id, planned_on: self.planned_on };
        let ident = tables::ident(self.table);
        commit(self.lake.catalog().as_ref(), &ident, &change, &guard, self.lake.limits()).await
    }

    /// Every file, of data and of deletes, that is live in the partition.
    async fn live_files(&self, base: &Table) -> Result<HashSet<String>, LakeError> {
        let plan = plan_table_without_statistics(base, None, &PartitionPredicate::all()).await?;
        let current_spec = base.metadata().default_partition_spec_id();
        let data = plan.files.iter().map(|planned| &planned.data);
        let mut found = HashSet::new();
        for entry in data.chain(plan.deletes.iter().map(AsRef::as_ref)) {
            if entry.spec_id != current_spec {
                // Its rows may be of any day: nobody could say whether they are replaced.
                let detail = format!("{} is of an earlier partition spec", entry.file().file_path());
                let table = self.table.full_name().to_string();
                return Err(LakeError::OtherShape { table, what: "partition spec", detail });
            }
            if *entry.file().partition() == self.partition {
                found.insert(entry.file().file_path().to_string());
            }
        }
        Ok(found)
    }

    fn failed(&self, source: LakeError, files_may_be_deleted: bool) -> NotLanded {
        let table = self.table.full_name().to_string();
        CommitError::Failed { table, source, files_may_be_deleted }.into()
    }

    fn given_up(&self, failure: CommitFailure<Refusal>, may_delete: bool) -> NotLanded {
        let error = CommitError::of_failure(self.table, failure, |refusal, _| match refusal {
            Refusal::Moved(moved) => NotLanded::Moved { moved, files_may_be_deleted: may_delete },
            Refusal::Stopped(source) => {
                CommitError::Stopped { source, files_may_be_deleted: may_delete }.into()
            }
        });
        match error {
            NotLanded::Commit(CommitError::Failed { table, source, .. }) => {
                CommitError::Failed { table, source, files_may_be_deleted: may_delete }.into()
            }
            other => other,
        }
    }
}
