//! What a dimension lacks of its history after a crash between their commits: derived from the history, and committed
//! before anything is read.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use futures::StreamExt;
use pulselake_cdc::{CatchUp, CdcError, Columns, VersionIndex, catch_up, catch_up_doubts};
use pulselake_ledger::{Advance, PartitionLedger};

use super::lookup::look_up;
use super::recovery::{RecoveredChanges, answered, catch_up_ranges};
use super::services::ChangeCommitters;
use super::stream::DimensionStream;
use crate::committer::delete_files;
use crate::heartbeat::StepClock;
use crate::messages::{CommitFiles, CommitRefused, GenerationKey};
use crate::recovery::{StartError, answer_timeout, offset_range};

/// Brings the dimension to where the history is.
pub(super) async fn catch_up_with_history(
    stream: &DimensionStream,
    committers: &ChangeCommitters,
    key: GenerationKey,
    columns: &Columns,
    index: &VersionIndex,
    recovered: &mut [RecoveredChanges],
) -> Result<(), StartError> {
    let ranges = catch_up_ranges(recovered);
    if ranges.is_empty() {
        return Ok(());
    }
    crate::failpoint::reach("upserter::catch_up");
    let mut rows = Vec::new();
    for (&partition, &(from, to)) in &ranges {
        rows.extend(read_range(stream, partition, from, to).await?);
    }
    let unfit =
        |error: CdcError| StartError::Dimension { entity: stream.entity.as_str(), reason: error.to_string() };
    let doubtful = catch_up_doubts(stream.entity, &rows, index).map_err(unfit)?;
    let clock = StepClock::new(answer_timeout(&stream.settings));
    let looked_up = match doubtful.is_empty() {
        true => Vec::new(),
        false => {
            let what = stream.history().full_name();
            answered(stream, what, look_up(stream, &clock, &doubtful)).await??
        }
    };
    let missing = catch_up(stream.entity, columns, &rows, index, &looked_up).map_err(unfit)?;
    let entries = caught_up_entries(recovered, &ranges, key.generation);
    commit(stream, committers, key, missing, &entries).await?;
    for found in recovered {
        if let Some(entry) = entries.get(&found.partition) {
            found.heads.dimension = PartitionLedger { seq: entry.seq + 1, ..entry.clone() };
        }
    }
    Ok(())
}

fn caught_up_entries(
    recovered: &[RecoveredChanges],
    ranges: &BTreeMap<i32, (i64, i64)>,
    generation: u64,
) -> BTreeMap<i32, PartitionLedger> {
    let behind = recovered.iter().filter(|found| ranges.contains_key(&found.partition));
    behind
        .map(|found| {
            let seq = found.heads.dimension.seq;
            (found.partition, PartitionLedger { seq, generation, ..found.heads.history.clone() })
        })
        .collect()
}

async fn read_range(
    stream: &DimensionStream,
    partition: i32,
    from: i64,
    to: i64,
) -> Result<Vec<RecordBatch>, StartError> {
    let filter = offset_range(stream.topic(), partition, from, to);
    let table = stream.history();
    let reading = stream.lake.scan(table, &[], Some(filter));
    let mut batches = answered(stream, table.full_name(), reading).await??;
    let mut rows = Vec::new();
    while let Some(batch) = answered(stream, table.full_name(), batches.next()).await? {
        rows.push(batch?);
    }
    Ok(rows)
}

async fn commit(
    stream: &DimensionStream,
    committers: &ChangeCommitters,
    key: GenerationKey,
    missing: CatchUp,
    entries: &BTreeMap<i32, PartitionLedger>,
) -> Result<(), StartError> {
    let (lake, table, options) = (&stream.lake, stream.table(), stream.writer_options);
    let writing = async {
        let files = lake.write_rows(table, &missing.upserts, options).await?;
        match lake.write_equality_deletes(table, &missing.deleted, options).await {
            Ok(deletes) => Ok((files, deletes)),
            Err(error) => {
                delete_files(lake, table, &files).await;
                Err(error)
            }
        }
    };
    let (files, deletes) = answered(stream, table.full_name(), writing).await??;
    let advances = entries.iter().map(|(&partition, entry)| Advance {
        topic: stream.topic().to_string(),
        partition,
        built_on_seq: entry.seq,
        entry: entry.clone(),
    });
    let request = CommitFiles { keys: vec![key], advances: advances.collect(), files, deletes };
    // The supervisor waits for this: a committer that tries for longer is left to it, and fences the next start at most.
    let committing = committers.dimension.send(request);
    match answered(stream, "the commit of what the dimension lacks", committing).await? {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(CommitRefused::Stop(reason))) => {
            Err(StartError::Dimension { entity: stream.entity.as_str(), reason })
        }
        Ok(Err(CommitRefused::Fenced(reason))) => Err(StartError::Runtime { reason }),
        Ok(Err(CommitRefused::Closed | CommitRefused::Lost)) | Err(_) => Err(StartError::Runtime {
            reason: "the commit of what the dimension lacks has ended".to_string(),
        }),
    }
}
