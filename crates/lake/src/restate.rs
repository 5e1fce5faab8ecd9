//! Corrections of gold that come from no source: what a day's batch has counted, less what real time has.
//!
//! What it promises:
//! - Rows are added, none is changed: SUM over a video and a window is the truth afterwards as before. They have the
//!   partition [`pulselake_model::RESTATED_PARTITION`], and the number of the restatement as their revision.
//! - The ledger stays what it was, and the commit repeats it: the stream goes on, whoever owns it. What was added is
//!   accounted for beside it ([`Restated`]).
//! - Nothing is corrected twice: a restatement lands only while no other has landed since its differences were computed,
//!   and while gold has taken in the same replays of the quarantine. What the stream adds meanwhile is no difference.
//! - It refuses a day with windows that real time has not closed, and one whose replays are half done.

use arrow::array::RecordBatch;
use chrono::NaiveDate;
use futures::Stream;
use iceberg::spec::{DataFile, TableMetadata};
use pulselake_commit::{
    ChangeKind, Guard, Judgement, Riders, TableChange, nearest_summary_value, value_beside,
};
use pulselake_ledger::{Ledger, OffsetRanges, PROPERTY, RESTATED_PROPERTY, Restated};
use pulselake_model::tables::LakeTable;

use crate::lake::trusted_ledger;
use crate::landed::snapshot_of;
use crate::restate_rows::RestatementRows;
use crate::{CommitError, Lake, LakeError, TableView, TableWriter, WriterOptions, tables};

const GOLD: LakeTable = LakeTable::VideoStats1Min;
const DAY_US: i64 = 86_400_000_000;

/// What the differences of one day are computed on: gold at one moment. What gold has not taken in at that moment must be
/// left out of the batch's side: events at offsets from [`RestatementBase::ledger`]'s `next` on.
#[derive(Clone, Debug)]
pub struct RestatementBase {
    gold: TableView,
    ledger: Ledger,
    restated: Restated,
    revision: i32,
    date: NaiveDate,
}

impl RestatementBase {
    /// Gold as it is to be read.
    pub fn gold(&self) -> &TableView {
        &self.gold
    }

    /// What gold had consumed then.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The day (UTC).
    pub fn date(&self) -> NaiveDate {
        self.date
    }

    /// The revision that the rows will have.
    pub fn revision(&self) -> i32 {
        self.revision
    }
}

/// A restatement that is in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restatement {
    /// Rows that it added.
    pub rows: u64,
    /// Files that they are in.
    pub files: u64,
    /// Their revision.
    pub revision: i32,
    /// Its snapshot; `None` without a row: then nothing was committed.
    pub snapshot_id: Option<i64>,
}

/// A restatement that was not made, or of which nobody knows. `E` is the error of the rows' source.
#[derive(Debug, thiserror::Error)]
pub enum RestateError<E: std::error::Error + 'static> {
    /// The day can't be restated now.
    #[error("{date} can't be restated: {reason}")]
    Refused {
        /// The day.
        date: NaiveDate,
        /// Why, and what to do.
        reason: String,
    },
    /// What the differences were computed on has changed. Nothing of them is in the table, nor can be.
    #[error("gold has changed since the differences were computed ({what}): compute them again")]
    Moved {
        /// What changed it.
        what: &'static str,
    },
    /// The rows ended in an error. Nothing was added.
    #[error(transparent)]
    Rows(E),
    /// Reading, writing or committing.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl Lake {
    /// What the differences of `date` are to be computed on. Gold and bronze must be there.
    ///
    /// # Errors
    /// [`RestateError::Refused`] where gold has consumed nothing, has windows of the day that are not closed, or lacks
    /// replayed records that bronze has.
    pub async fn begin_restatement<E: std::error::Error + 'static>(
        &self,
        date: NaiveDate,
    ) -> Result<RestatementBase, RestateError<E>> {
        let refused = |reason: String| RestateError::Refused { date, reason };
        let gold = self.view(GOLD).await.map_err(failed)?;
        let Some(ledger) = gold.ledger().map_err(failed)? else {
            return Err(refused("real time has counted nothing yet".to_string()));
        };
        if let Some(partition) = open_partition(&ledger, date) {
            let reason = format!("{partition} has windows of it that are not closed; wait until they are");
            return Err(refused(reason));
        }
        // Later than gold's: it has what gold's refers to.
        let bronze = self.view(LakeTable::RawEvents).await.and_then(|view| view.ledger()).map_err(failed)?;
        if let Some(topic) = bronze.and_then(|bronze| half_replayed(&bronze, &ledger)) {
            let reason = format!(
                "records of {topic} were replayed into bronze and not yet into gold; run `pulselake quarantine replay` once more"
            );
            return Err(refused(reason));
        }
        let restated = restated_of(gold.loaded().metadata()).map_err(failed)?;
        let revision = restated
            .number
            .checked_add(1)
            .ok_or_else(|| refused("there are more restatements than revisions can number".to_string()))?;
        Ok(RestatementBase { gold, ledger, restated, revision, date })
    }

    /// Adds differences of a day to gold, in one commit: one row per video and window, with the columns `video_id`,
    /// `window_start` and the seven counts, which may be negative; columns are matched by name, further ones are left out.
    ///
    /// Lost races with the stream and with compaction are made good, and so are lost answers. Files of a commit that
    /// certainly did not land are deleted.
    ///
    /// # Errors
    /// [`RestateError::Moved`] where another restatement, or a replay of the quarantine, was faster;
    /// [`LakeError::BadBatch`] inside [`CommitError::Failed`] for rows of another day, and for a batch without one of the
    /// columns.
    pub async fn append_restatement<E: std::error::Error + 'static>(
        &self,
        base: &RestatementBase,
        rows: impl Stream<Item = Result<RecordBatch, E>> + Send,
    ) -> Result<Restatement, RestateError<E>> {
        // Made before the first file: the commit's age is that of its files.
        let commit_id = uuid::Uuid::now_v7().to_string();
        let mut writer = TableWriter::new(self, GOLD, WriterOptions::default()).await.map_err(failed)?;
        let mut taken = RestatementRows::new(base.date, base.revision);
        if let Err(error) = taken.write(&mut writer, rows).await {
            writer.abort().await;
            return Err(error);
        }
        let count = writer.rows();
        let files = writer.close().await.map_err(failed)?;
        let done = Restatement {
            rows: count,
            files: files.len() as u64,
            revision: base.revision,
            snapshot_id: None,
        };
        if count == 0 {
            return Ok(done);
        }
        let Some(restated) = taken.sums().and_then(|sums| base.restated.after(&sums)) else {
            self.discard_files(GOLD, &files).await;
            return Err(failed(bad_rows("its counts do not fit a sum".to_string())).into());
        };
        let snapshot_id = self.land_restatement(base, commit_id, &restated, files).await?;
        Ok(Restatement { snapshot_id, ..done })
    }

    async fn land_restatement<E: std::error::Error + 'static>(
        &self,
        base: &RestatementBase,
        commit_id: String,
        restated: &Restated,
        files: Vec<DataFile>,
    ) -> Result<Option<i64>, RestateError<E>> {
        let change = TableChange { commit_id, kind: ChangeKind::Append { files } };
        let guard = RestatementGuard { base, commit_id: &change.commit_id, restated };
        self.land_append(GOLD, &change, &guard, |refusal, files_may_be_deleted| match refusal {
            Refusal::Moved(what) => RestateError::Moved { what },
            Refusal::Stopped(source) => CommitError::Stopped { source, files_may_be_deleted }.into(),
        })
        .await
    }
}

pub(crate) fn failed(source: LakeError) -> CommitError {
    CommitError::Failed { table: GOLD.full_name().to_string(), source, files_may_be_deleted: true }
}

/// Rows that are no differences of the day.
pub(crate) fn bad_rows(reason: String) -> LakeError {
    LakeError::BadBatch { table: GOLD.full_name().to_string(), reason }
}

/// A partition that has windows of the day which are not closed. One without any open window has none of them either,
/// however long ago its last record came.
fn open_partition(ledger: &Ledger, date: NaiveDate) -> Option<String> {
    let end_us = (i64::from(crate::day_rows::day_number(date)) + 1).saturating_mul(DAY_US);
    ledger.topics.iter().find_map(|(topic, partitions)| {
        let open = partitions.iter().find(|(_, entry)| {
            entry.counts.open > 0 && entry.closed_through.is_none_or(|closed_us| closed_us < end_us)
        });
        open.map(|(partition, _)| format!("{topic}-{partition}"))
    })
}

/// A topic with records that bronze has by replay and gold has not.
fn half_replayed(bronze: &Ledger, gold: &Ledger) -> Option<String> {
    let in_gold = |topic: &String| gold.replayed.get(topic).map(|entry| &entry.offsets);
    let half = bronze.replayed.iter().find(|(topic, entry)| {
        let is_nothing = entry.offsets.values().all(OffsetRanges::is_empty);
        !is_nothing && in_gold(topic) != Some(&entry.offsets)
    });
    half.map(|(topic, _)| topic.clone())
}

/// What restatements have added to the table as it is.
pub(crate) fn restated_of(metadata: &TableMetadata) -> Result<Restated, LakeError> {
    Restated::of(value_beside(metadata, PROPERTY, RESTATED_PROPERTY)).map_err(|error| {
        let detail = format!("{RESTATED_PROPERTY} can't be read: {error}");
        LakeError::OtherShape { table: GOLD.full_name().to_string(), what: "property", detail }
    })
}

/// Lets a restatement pass while what it was computed on holds.
struct RestatementGuard<'a> {
    base: &'a RestatementBase,
    commit_id: &'a str,
    restated: &'a Restated,
}

/// Why a restatement may not be committed.
enum Refusal {
    Moved(&'static str),
    Stopped(LakeError),
}

impl Guard for RestatementGuard<'_> {
    type Refusal = Refusal;

    fn judge(&self, now: &TableMetadata) -> Result<Judgement, Refusal> {
        tables::verify(GOLD, now).map_err(Refusal::Stopped)?;
        if snapshot_of(now, self.commit_id).is_some() {
            return Ok(Judgement::AlreadyThere);
        }
        // Also refuses a table that was rolled back.
        let Some(ledger) = trusted_ledger(GOLD, now).map_err(Refusal::Stopped)? else {
            return Err(Refusal::Moved("its ledger is gone"));
        };
        if restated_of(now).map_err(Refusal::Stopped)? != self.base.restated {
            return Err(Refusal::Moved("another restatement"));
        }
        if ledger.replayed != self.base.ledger.replayed {
            return Err(Refusal::Moved("a replay of the quarantine"));
        }
        if has_gone_back(&self.base.ledger, &ledger) {
            return Err(Refusal::Moved("a rollback"));
        }
        let restated = (RESTATED_PROPERTY.to_string(), self.restated.to_json());
        // The text as it stands, not as this build would write it: rule 2 compares texts' meanings, people compare texts.
        let carried = nearest_summary_value(now, PROPERTY)
            .or_else(|| now.properties().get(PROPERTY).map(String::as_str))
            .map(|text| (PROPERTY.to_string(), text.to_string()));
        Ok(Judgement::Commit(Riders {
            properties: [restated.clone()].into(),
            summary: carried.into_iter().chain([restated]).collect(),
        }))
    }

    fn outcome_unknown(&self, _table: &iceberg::TableIdent, commit_id: &str, reason: &str) {
        pulselake_telemetry::events::commit_outcome_unknown(GOLD, commit_id, reason);
    }
}

/// Whether a partition of `then` is not at least as far in `now`: the table was rolled back, and rewound, in between.
fn has_gone_back(then: &Ledger, now: &Ledger) -> bool {
    then.topics.iter().any(|(topic, partitions)| {
        partitions.iter().any(|(partition, before)| {
            now.partition(topic, *partition).is_none_or(|entry| entry.next < before.next)
        })
    })
}

#[cfg(test)]
mod tests {
    use pulselake_ledger::{Counts, PartitionLedger};

    use super::*;

    fn ledger(entries: &[(i32, i64, Option<i64>, u64)]) -> Ledger {
        let mut ledger = Ledger::new("cluster", "decoder");
        for &(partition, next, closed_through, open) in entries {
            let counts = Counts { open, ..Counts::default() };
            let entry = PartitionLedger { next, closed_through, counts, ..PartitionLedger::default() };
            ledger.topics.entry("t".to_string()).or_default().insert(partition, entry);
        }
        ledger
    }

    #[test]
    fn a_day_is_open_while_a_partition_has_open_windows_before_its_end() {
        let date: NaiveDate = "1970-01-02".parse().unwrap();
        let end_us = 2 * DAY_US;
        for (entries, open) in [
            (vec![], None),
            (vec![(0, 5, Some(end_us), 3)], None),
            (vec![(0, 5, Some(end_us - 1), 0)], None),
            (vec![(0, 5, None, 0)], None),
            (vec![(0, 5, Some(end_us), 3), (1, 5, Some(end_us - 1), 1)], Some("t-1")),
            (vec![(0, 5, None, 1)], Some("t-0")),
        ] {
            assert_eq!(open_partition(&ledger(&entries), date).as_deref(), open, "{entries:?}");
        }
    }

    #[test]
    fn a_partition_that_stands_earlier_has_gone_back() {
        let then = ledger(&[(0, 5, None, 0), (1, 7, None, 0)]);
        for (now, expected) in [
            (vec![(0, 5, None, 0), (1, 7, None, 0)], false),
            (vec![(0, 6, None, 0), (1, 7, None, 0), (2, 1, None, 0)], false),
            (vec![(0, 5, None, 0), (1, 6, None, 0)], true),
            (vec![(1, 7, None, 0)], true),
        ] {
            assert_eq!(has_gone_back(&then, &ledger(&now)), expected, "{now:?}");
        }
    }
}
