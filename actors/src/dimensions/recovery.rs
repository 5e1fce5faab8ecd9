//! What a run of a stream of changes starts from: ledgers, plans, the tables' columns, and the last version of each key.

use std::collections::{BTreeMap, HashSet};
use std::time::Instant;

use futures::StreamExt;
use pulselake_cdc::{Columns, VERSION_COLUMNS, VersionIndex};
use pulselake_lake::LakeError;
use pulselake_ledger::{
    ChangeHeads as LedgerEntries, ChangePlan, ChangeTables, Ledger, PartitionLedger, SourceFacts,
    plan_changes, plan_identity,
};
use pulselake_telemetry::events;

use super::flush::{ChangeHeads, read_columns};
use super::stream::DimensionStream;
use crate::recovery::{StartError, answer_timeout, quarantined_offsets, read_bounds, within};

/// How one partition goes on.
pub(super) struct RecoveredChanges {
    /// Source partition.
    pub(super) partition: i32,
    /// Offsets.
    pub(super) plan: ChangePlan,
    /// Ledger entries.
    pub(super) heads: ChangeHeads,
    /// Offsets in quarantine, where they decide.
    pub(super) quarantined: HashSet<i64>,
    /// End of the partition when the plan was made.
    pub(super) end: i64,
}

/// The three ledgers as they are in the tables now.
pub(super) struct ChangeLedgers {
    quarantine: Option<Ledger>,
    history: Option<Ledger>,
    dimension: Option<Ledger>,
}

impl ChangeLedgers {
    /// Reads them, the one that commits first last: no table is seen behind one that commits after it.
    pub(super) async fn read(stream: &DimensionStream) -> Result<Self, LakeError> {
        crate::failpoint::reach_store("upserter::ledgers").await;
        let dimension = stream.lake.ledger(stream.table()).await?;
        let history = stream.lake.ledger(stream.history()).await?;
        let quarantine = stream.lake.ledger(stream.quarantine()).await?;
        Ok(Self { quarantine, history, dimension })
    }

    fn all(&self) -> [Option<&Ledger>; 3] {
        [self.quarantine.as_ref(), self.history.as_ref(), self.dimension.as_ref()]
    }

    /// The highest generation that any entry of these partitions names.
    pub(super) fn newest_generation(&self, topic: &str, partitions: &[i32]) -> u64 {
        let entries = self.all().into_iter().flatten().flat_map(|ledger| {
            partitions.iter().filter_map(move |&partition| ledger.partition(topic, partition))
        });
        entries.map(|entry| entry.generation).max().unwrap_or(0)
    }
}

/// Waits for one answer of a store, but not for ever.
pub(super) async fn answered<T>(
    stream: &DimensionStream,
    what: &'static str,
    answer: impl Future<Output = T>,
) -> Result<T, StartError> {
    within(answer_timeout(&stream.settings), what, answer).await
}

/// Plans every partition.
pub(super) async fn recover(
    stream: &DimensionStream,
    ledgers: &ChangeLedgers,
    partitions: &[i32],
) -> Result<Vec<RecoveredChanges>, StartError> {
    crate::failpoint::reach("upserter::plan");
    let identity = stream.source.identity();
    let tables = ChangeTables {
        quarantine: stream.quarantine().full_name(),
        history: stream.history().full_name(),
        dimension: stream.table().full_name(),
    };
    let [quarantine, history, dimension] = ledgers.all();
    let named = [(tables.quarantine, quarantine), (tables.history, history), (tables.dimension, dimension)];
    plan_identity(&named, &identity.topic, &identity.cluster_id)?;
    let fingerprint = stream.cdc.fingerprint();
    let bounds = read_bounds(&stream.source, partitions).await?;
    let mut recovered = Vec::new();
    for &partition in partitions {
        let entry = |ledger: Option<&Ledger>| -> Option<PartitionLedger> {
            ledger.and_then(|found| found.partition(&identity.topic, partition)).cloned()
        };
        let (quarantine, history, dimension) = (entry(quarantine), entry(history), entry(dimension));
        let entries = LedgerEntries {
            quarantine: quarantine.as_ref(),
            history: history.as_ref(),
            dimension: dimension.as_ref(),
        };
        let facts = SourceFacts {
            bounds: bounds[&partition],
            fingerprint: &fingerprint,
            continue_on_data_loss: stream.settings.continue_on_data_loss,
        };
        let plan = plan_changes(partition, tables, entries, facts)?;
        let quarantined = match plan.reading.quarantined_decides_to {
            Some(to) => {
                let waited = answer_timeout(&stream.settings);
                let place = (identity.topic.as_str(), partition);
                let range = (plan.reading.bronze_next, to);
                quarantined_offsets(&stream.lake, waited, stream.quarantine(), place, range).await?
            }
            None => HashSet::new(),
        };
        let history = PartitionLedger {
            fingerprint_from: plan.reading.fingerprint_from,
            ..history.unwrap_or_default()
        };
        recovered.push(RecoveredChanges {
            partition,
            heads: ChangeHeads {
                quarantine: quarantine.unwrap_or_default(),
                history,
                dimension: dimension.unwrap_or_default(),
            },
            quarantined,
            end: bounds[&partition].high,
            plan,
        });
    }
    Ok(recovered)
}

/// The tables' columns, made the same where a crash came between two evolutions.
pub(super) async fn columns(stream: &DimensionStream) -> Result<Columns, StartError> {
    let columns = answered(stream, "reading the dimension's columns", read_columns(stream)).await??;
    let missing = columns.changes_to_align();
    if missing.history.is_empty() && missing.dimension.is_empty() {
        return Ok(columns);
    }
    for (table, changes) in [(stream.history(), &missing.history), (stream.table(), &missing.dimension)] {
        answered(stream, table.full_name(), stream.lake.evolve(table, changes)).await??;
    }
    answered(stream, "reading the dimension's columns", read_columns(stream)).await?
}

/// Reads the last version of each key out of the history.
pub(super) async fn load_index(stream: &DimensionStream) -> Result<VersionIndex, StartError> {
    let started = Instant::now();
    let key_column = stream.entity.key_column();
    let columns: Vec<&str> = std::iter::once(key_column).chain(VERSION_COLUMNS).collect();
    let reading = async {
        crate::failpoint::reach_store("upserter::load_index").await;
        stream.lake.read(stream.history(), &columns).await
    };
    let mut batches = answered(stream, stream.history().full_name(), reading).await??;
    let mut index = VersionIndex::new(stream.cdc.max_index_keys);
    while let Some(batch) = answered(stream, stream.history().full_name(), batches.next()).await? {
        index.load(stream.entity, &batch?).map_err(|error| StartError::Dimension {
            entity: stream.entity.as_str(),
            reason: error.to_string(),
        })?;
    }
    events::versions_loaded(stream.entity, index.len(), index.memory_bytes(), started.elapsed());
    Ok(index)
}

/// Offsets, per partition, of the history that the dimension has not applied.
pub(super) fn catch_up_ranges(recovered: &[RecoveredChanges]) -> BTreeMap<i32, (i64, i64)> {
    recovered.iter().filter_map(|found| Some((found.partition, found.plan.catch_up?))).collect()
}
