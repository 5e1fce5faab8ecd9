//! The way of a flush of changes into the tables: what is asked first, the files, and the three commits.
//!
//! New columns come first, so that what the quarantine says of types holds. Then quarantine, history, dimension: whatever
//! the history has passed is in quarantine if it belongs there, and the dimension never knows more than the history.

use std::collections::BTreeMap;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int32Type;
use iceberg::spec::DataFile;
use pulselake_cdc::{Columns, Flush, FlushedPosition, Upserter};
use pulselake_lake::{LakeError, TableWriter};
use pulselake_ledger::{Advance, LastSeen, PartitionLedger};
use pulselake_model::ColumnChange;
use pulselake_model::tables::LakeTable;
use pulselake_telemetry::events;

use super::lookup::look_up;
use super::recovery::answered;
use super::services::ChangeCommitters;
use super::stream::DimensionStream;
use crate::committer::delete_files;
use crate::flush_commit::send;
use crate::heartbeat::StepClock;
use crate::messages::{CommitFiles, CommitRefused, Committed, GenerationKey};
use crate::recovery::StartError;
use crate::sabotage::changes_to_write;

/// One partition's ledger entries in the three tables.
#[derive(Clone, Debug, Default)]
pub(super) struct ChangeHeads {
    /// `bronze.invalid_events_cdc_*`.
    pub(super) quarantine: PartitionLedger,
    /// `dims.dim_*_history`.
    pub(super) history: PartitionLedger,
    /// `dims.dim_*`.
    pub(super) dimension: PartitionLedger,
}

/// An upserter whose next flush can be written.
pub(super) struct Settled {
    pub(super) upserter: Box<Upserter>,
    /// Keys that were looked up in the history.
    pub(super) looked_up_keys: u64,
    /// Columns that were added or widened.
    pub(super) changed_columns: u64,
}

/// Places what memory can't place, and gives the tables the columns that the source has gained.
pub(super) async fn settle(
    stream: &DimensionStream,
    clock: &StepClock,
    mut upserter: Box<Upserter>,
) -> Result<Settled, StartError> {
    clock.time(crate::failpoint::reach_store("upserter::settle")).await;
    let doubtful = upserter.doubtful_keys();
    if !doubtful.is_empty() {
        let versions = look_up(stream, clock, &doubtful).await?;
        upserter.settle(versions);
    }
    let changes = upserter.schema_changes();
    if !changes.is_empty() {
        clock.time(evolve(stream, &changes)).await?;
        let columns = clock.time(read_columns(stream)).await?;
        upserter.adopt(columns);
    }
    Ok(Settled { upserter, looked_up_keys: doubtful.len() as u64, changed_columns: changes.len() as u64 })
}

async fn evolve(stream: &DimensionStream, changes: &[ColumnChange]) -> Result<(), StartError> {
    for table in [stream.history(), stream.table()] {
        stream.lake.evolve(table, changes).await?;
        crate::failpoint::reach("upserter::evolved");
    }
    let described: Vec<String> = changes.iter().map(ToString::to_string).collect();
    events::dimension_evolved(stream.entity, &described);
    Ok(())
}

/// The columns of the two tables as they are now.
pub(super) async fn read_columns(stream: &DimensionStream) -> Result<Columns, StartError> {
    let history = stream.lake.table_schema(stream.history()).await?;
    let dimension = stream.lake.table_schema(stream.table()).await?;
    Columns::new(stream.entity, &history, &dimension)
        .map_err(|error| StartError::Dimension { entity: stream.entity.as_str(), reason: error.to_string() })
}

/// The entries after a flush; each `seq` stays the one that the entry was built on.
pub(super) fn flushed_heads(
    heads: &BTreeMap<i32, ChangeHeads>,
    flush: &Flush,
    lost: &BTreeMap<i32, u64>,
    generation: u64,
) -> BTreeMap<i32, ChangeHeads> {
    let rejected = rows_by_partition(&flush.invalid);
    let after = flush.positions.iter().map(|(&partition, position)| {
        let head = heads.get(&partition).cloned().unwrap_or_default();
        let lost_here = lost.get(&partition).copied().unwrap_or(0);
        let quarantine_rows = rejected.get(&partition).copied().unwrap_or(0);
        (partition, flushed_head(&head, position, quarantine_rows, lost_here, generation))
    });
    after.collect()
}

fn rows_by_partition(invalid: &RecordBatch) -> BTreeMap<i32, u64> {
    let mut rows = BTreeMap::new();
    let partitions =
        invalid.column_by_name("source_partition").and_then(|column| column.as_primitive_opt::<Int32Type>());
    for &partition in partitions.iter().flat_map(|column| column.values()) {
        *rows.entry(partition).or_default() += 1;
    }
    rows
}

fn flushed_head(
    head: &ChangeHeads,
    position: &FlushedPosition,
    quarantine_rows: u64,
    lost: u64,
    generation: u64,
) -> ChangeHeads {
    let mut history = head.history.clone();
    history.next = position.next;
    history.replay_from = position.next;
    history.generation = generation;
    let last = position.last.map(|last| LastSeen {
        offset: last.offset,
        timestamp: last.timestamp_ms,
        hash: last.hash,
    });
    history.last = last.or(head.history.last);
    history.counts.records += position.records;
    history.counts.quarantined += position.quarantined;
    history.counts.tombstones += position.tombstones;
    history.counts.duplicates += position.duplicates;
    history.counts.late += position.late;
    history.counts.gaps += position.gaps;
    history.counts.lost += lost;
    let dimension = PartitionLedger { seq: head.dimension.seq, ..history.clone() };
    // After a crash between the first two commits the quarantine is ahead, and has these rows already.
    let quarantined = head.quarantine.counts.quarantined + quarantine_rows;
    let mut quarantine =
        if head.quarantine.next > history.next { head.quarantine.clone() } else { history.clone() };
    quarantine.seq = head.quarantine.seq;
    quarantine.generation = generation;
    quarantine.fingerprint_from = history.fingerprint_from;
    quarantine.counts.quarantined = quarantined;
    ChangeHeads { quarantine, history, dimension }
}

/// The entries after the commits of a flush: with raised `seq` where the table was committed to.
pub(super) fn landed_heads(
    before: &BTreeMap<i32, ChangeHeads>,
    after: BTreeMap<i32, ChangeHeads>,
) -> BTreeMap<i32, ChangeHeads> {
    let landed = after.into_iter().map(|(partition, mut heads)| {
        heads.history.seq += 1;
        heads.dimension.seq += 1;
        let known = before.get(&partition).map(|found| found.quarantine.clone()).unwrap_or_default();
        if heads.quarantine.counts.quarantined > known.counts.quarantined {
            heads.quarantine.seq += 1;
        } else {
            heads.quarantine = known;
        }
        (partition, heads)
    });
    landed.collect()
}

/// Why a flush did not land.
pub(super) enum FlushFailure {
    /// Its files could not be written; none of them is left.
    Unwritten(LakeError),
    /// Its files were not written in time: some of them may be left, for the janitor.
    Unanswered(StartError),
    /// A table refused it.
    Refused(CommitRefused),
}

impl From<CommitRefused> for FlushFailure {
    fn from(refused: CommitRefused) -> Self {
        Self::Refused(refused)
    }
}

/// Files of one flush, written and not yet committed.
struct Written {
    invalid: Vec<DataFile>,
    history: Vec<DataFile>,
    upserts: Vec<DataFile>,
    deletes: Vec<DataFile>,
}

/// Writes the files of a flush and commits the three tables. On a refusal what nobody has asked for yet is deleted.
/// `after` becomes the heads with raised `seq`.
pub(super) async fn commit_flush(
    stream: &DimensionStream,
    committers: &ChangeCommitters,
    key: GenerationKey,
    flush: &Flush,
    before: &BTreeMap<i32, ChangeHeads>,
    after: &BTreeMap<i32, ChangeHeads>,
) -> Result<Committed, FlushFailure> {
    // Nobody's heartbeat is withheld on the committers' thread: without a limit a store that never answers would be
    // waited for without end.
    let written = answered(stream, "writing the files of a flush", write_files(stream, flush)).await;
    let written = written.map_err(FlushFailure::Unanswered)?;
    let Written { invalid, history, upserts, deletes } = written.map_err(FlushFailure::Unwritten)?;
    let topic = stream.topic();
    let advances = |entry: fn(&ChangeHeads) -> &PartitionLedger, wanted: &dyn Fn(i32) -> bool| {
        let entries = after.iter().filter(|(partition, _)| wanted(**partition));
        entries.map(|(&partition, heads)| advance(topic, partition, entry(heads))).collect::<Vec<_>>()
    };
    let keys = vec![key];
    let has_rejected = |partition: i32| {
        let rows = |heads: Option<&ChangeHeads>| heads.map_or(0, |found| found.quarantine.counts.quarantined);
        rows(after.get(&partition)) > rows(before.get(&partition))
    };
    let rejected = advances(|heads| &heads.quarantine, &has_rejected);
    if !rejected.is_empty() {
        let request =
            CommitFiles { keys: keys.clone(), advances: rejected, files: invalid, deletes: Vec::new() };
        if let Err(refused) = send(&committers.quarantine, request).await {
            delete_files(&stream.lake, stream.history(), &history).await;
            delete_files(&stream.lake, stream.table(), &[upserts, deletes].concat()).await;
            return Err(refused.into());
        }
    }
    crate::failpoint::reach("upserter::between_quarantine_and_history");
    let every = |_: i32| true;
    let versions = advances(|heads| &heads.history, &every);
    let request = CommitFiles { keys: keys.clone(), advances: versions, files: history, deletes: Vec::new() };
    if let Err(refused) = send(&committers.history, request).await {
        delete_files(&stream.lake, stream.table(), &[upserts, deletes].concat()).await;
        return Err(refused.into());
    }
    crate::failpoint::reach("upserter::between_history_and_dimension");
    let present = advances(|heads| &heads.dimension, &every);
    let request = CommitFiles { keys, advances: present, files: upserts, deletes };
    Ok(send(&committers.dimension, request).await?)
}

fn advance(topic: &str, partition: i32, entry: &PartitionLedger) -> Advance {
    Advance { topic: topic.to_string(), partition, built_on_seq: entry.seq, entry: entry.clone() }
}

async fn write_files(stream: &DimensionStream, flush: &Flush) -> Result<Written, LakeError> {
    crate::failpoint::reach_store("upserter::write").await;
    let (lake, options) = (&stream.lake, stream.writer_options);
    let mut written: Vec<(LakeTable, Vec<DataFile>)> = Vec::new();
    let outcome = async {
        written.push((stream.quarantine(), write_invalid(stream, flush).await?));
        for (table, rows) in [(stream.history(), &flush.history), (stream.table(), &flush.upserts)] {
            let rows = changes_to_write(table, rows);
            written.push((table, lake.write_rows(table, &rows, options).await?));
        }
        let deletes = lake.write_equality_deletes(stream.table(), &flush.deleted, options).await?;
        written.push((stream.table(), deletes));
        Ok(())
    };
    if let Err(error) = outcome.await {
        for (table, files) in &written {
            delete_files(lake, *table, files).await;
        }
        return Err(error);
    }
    let mut files = written.into_iter().map(|(_, files)| files);
    let mut next = || files.next().unwrap_or_default();
    Ok(Written { invalid: next(), history: next(), upserts: next(), deletes: next() })
}

async fn write_invalid(stream: &DimensionStream, flush: &Flush) -> Result<Vec<DataFile>, LakeError> {
    if flush.invalid.num_rows() == 0 {
        return Ok(Vec::new());
    }
    let mut writer = TableWriter::new(&stream.lake, stream.quarantine(), stream.writer_options).await?;
    writer.write(&flush.invalid).await?;
    writer.close().await
}
