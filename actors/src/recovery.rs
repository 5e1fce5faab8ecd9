//! Reads the ledgers and the source's bounds, and plans how each partition of a shard goes on.

use std::any::Any;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, Int64Array, RecordBatch};
use futures::StreamExt;
use iceberg::expr::{Predicate, Reference};
use iceberg::spec::Datum;
use pulselake_lake::{CommitAction, CommitError, Lake, LakeError, TableView};
use pulselake_ledger::{
    Ledger, LedgerHeads, PartitionLedger, PartitionPlan, RecoveryStop, SourceBounds, SourceFacts,
    plan_identity, plan_partition,
};
use pulselake_model::GoldPosition;
use pulselake_model::tables::LakeTable;
use pulselake_source::{ErrorAction, Source, SourceError};

use crate::bronze_writer::BronzeHeads;
use crate::pipeline::Pipeline;
use crate::refill::Refill;
use crate::settings::PipelineSettings;

/// Why a shard can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The ledger and the source don't fit: stop.
    #[error(transparent)]
    Recovery(#[from] RecoveryStop),
    /// The tables.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The source.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A thread or task of the runtime ended.
    #[error("cannot start the shard: {reason}")]
    Runtime {
        /// What the runtime said.
        reason: String,
    },
    /// Somebody who was asked does not answer.
    #[error("{what} has had no answer for {} ms, trying again", .waited.as_millis())]
    NoAnswer {
        /// What was asked for.
        what: &'static str,
        /// For how long.
        waited: Duration,
    },
    /// A dimension's table or rows are not what this build can go on with.
    #[error("dimension {entity}: {reason}")]
    Dimension {
        /// Which one.
        entity: &'static str,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// A dimension's columns could not be changed.
    #[error(transparent)]
    Evolve(Box<CommitError>),
    /// Preparing the start panicked: an error of the program, or tables that it does not understand.
    #[error("preparing the start panicked: {reason}")]
    Panicked {
        /// The panic's message.
        reason: String,
    },
}

impl From<CommitError> for StartError {
    fn from(error: CommitError) -> Self {
        Self::Evolve(Box::new(error))
    }
}

impl StartError {
    /// Whether it counts as a crash: tried again, as often as the restart budget allows.
    pub fn is_crash(&self) -> bool {
        matches!(self, Self::Panicked { .. })
    }

    /// Whether it may work later without anybody's hand.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Recovery(_) | Self::Dimension { .. } => false,
            Self::Evolve(error) => error.action() != CommitAction::Stop,
            Self::Lake(error) => error.is_transient(),
            Self::Source(error) => error.action() != ErrorAction::Stop,
            Self::Runtime { .. } | Self::NoAnswer { .. } => true,
            Self::Panicked { .. } => false,
        }
    }
}

/// How one partition goes on, with everything its actors start from.
pub struct RecoveredPartition {
    /// Source partition.
    pub partition: i32,
    /// Offsets.
    pub plan: PartitionPlan,
    /// Ledger entries of the bronze tables.
    pub heads: BronzeHeads,
    /// Ledger entry of gold.
    pub gold: PartitionLedger,
    /// Position that the aggregator resumes from; `None` for a partition that gold has never seen.
    pub resume: Option<GoldPosition>,
    /// Offsets in quarantine, where they decide.
    pub quarantined: HashSet<i64>,
    /// What the aggregator gets out of bronze before the reader's batches.
    pub(crate) refill: Option<Refill>,
    /// End of the partition when the plan was made.
    pub end: i64,
}

/// The three ledgers as they are in the tables now.
pub struct Ledgers {
    quarantine: Option<Ledger>,
    bronze: Option<Ledger>,
    gold: Option<Ledger>,
    /// Gold as its ledger was read from it.
    gold_view: TableView,
}

impl Ledgers {
    /// Reads them, the quarantine last: it commits first, so that it is never seen behind bronze although another
    /// owner may still be committing.
    pub async fn read(pipeline: &Pipeline) -> Result<Self, LakeError> {
        crate::failpoint::reach_store("recovery::ledgers").await;
        let gold_view = pipeline.lake.view(LakeTable::VideoStats1Min).await?;
        let gold = gold_view.ledger()?;
        let bronze = pipeline.lake.ledger(LakeTable::RawEvents).await?;
        let quarantine = pipeline.lake.ledger(LakeTable::InvalidEventsContent).await?;
        Ok(Self { quarantine, bronze, gold, gold_view })
    }

    /// Gold as it is where a run begins that is planned on these ledgers.
    pub(crate) fn gold_view(&self) -> &TableView {
        &self.gold_view
    }

    fn all(&self) -> [(&'static str, Option<&Ledger>); 3] {
        [
            (LakeTable::InvalidEventsContent.full_name(), self.quarantine.as_ref()),
            (LakeTable::RawEvents.full_name(), self.bronze.as_ref()),
            (LakeTable::VideoStats1Min.full_name(), self.gold.as_ref()),
        ]
    }

    fn heads(&self, topic: &str, partition: i32) -> LedgerHeads<'_> {
        LedgerHeads {
            quarantine: self.quarantine.as_ref().and_then(|ledger| ledger.partition(topic, partition)),
            bronze: self.bronze.as_ref().and_then(|ledger| ledger.partition(topic, partition)),
            gold: self.gold.as_ref().and_then(|ledger| ledger.partition(topic, partition)),
        }
    }

    /// The highest generation that any entry of these partitions names.
    pub fn newest_generation(&self, topic: &str, partitions: &[i32]) -> u64 {
        let generations = self.all().into_iter().flat_map(|(_, ledger)| {
            partitions
                .iter()
                .filter_map(move |&partition| Some(ledger?.partition(topic, partition)?.generation))
        });
        generations.max().unwrap_or(0)
    }
}

/// How many heartbeat time-outs a store may take for one answer while a run starts.
const ANSWER_TIMEOUTS: u32 = 3;

/// Waits for one answer of a store, but not for ever.
pub(crate) async fn answered<T>(
    pipeline: &Pipeline,
    what: &'static str,
    answer: impl Future<Output = T>,
) -> Result<T, StartError> {
    within(answer_timeout(&pipeline.settings), what, answer).await
}

/// How long a store may take for one answer while a run starts.
pub(crate) fn answer_timeout(settings: &PipelineSettings) -> Duration {
    settings.heartbeat_timeout * ANSWER_TIMEOUTS
}

/// Waits for one answer, `waited` at most.
pub(crate) async fn within<T>(
    waited: Duration,
    what: &'static str,
    answer: impl Future<Output = T>,
) -> Result<T, StartError> {
    let outcome = tokio::time::timeout(waited, answer).await;
    outcome.map_err(|_| StartError::NoAnswer { what, waited })
}

/// What a panic said.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".to_owned())
}

/// Rows of a table. However long all of it takes: each batch has to come in time, so that much to read is not taken for
/// a store that does not answer, again and again.
pub(crate) async fn read_all(
    lake: &Lake,
    waited: Duration,
    failpoint: &'static str,
    table: LakeTable,
    columns: &[&str],
    filter: Predicate,
) -> Result<Vec<RecordBatch>, StartError> {
    let what = table.full_name();
    let scan = async {
        crate::failpoint::reach_store(failpoint).await;
        lake.scan(table, columns, Some(filter)).await
    };
    let mut stream = within(waited, what, scan).await??;
    let mut batches = Vec::new();
    while let Some(batch) = within(waited, what, stream.next()).await? {
        batches.push(batch?);
    }
    Ok(batches)
}

/// Plans every partition of a shard.
pub async fn recover(
    pipeline: &Pipeline,
    ledgers: &Ledgers,
    partitions: &[i32],
) -> Result<Vec<RecoveredPartition>, StartError> {
    crate::failpoint::reach("recovery::plan");
    let identity = pipeline.source.identity();
    plan_identity(&ledgers.all(), &identity.topic, &identity.cluster_id)?;
    let fingerprint = pipeline.decode.fingerprint();
    let bounds = read_bounds(&pipeline.source, partitions).await?;
    let mut recovered = Vec::new();
    for &partition in partitions {
        let heads = ledgers.heads(&identity.topic, partition);
        let facts = SourceFacts {
            bounds: bounds[&partition],
            fingerprint: &fingerprint,
            continue_on_data_loss: pipeline.settings.continue_on_data_loss,
        };
        let plan = plan_partition(partition, heads, facts)?;
        let quarantined = match plan.quarantined_decides_to {
            Some(to) => {
                let waited = answer_timeout(&pipeline.settings);
                let place = (identity.topic.as_str(), partition);
                let quarantine = LakeTable::InvalidEventsContent;
                let range = (plan.bronze_next, to);
                quarantined_offsets(&pipeline.lake, waited, quarantine, place, range).await?
            }
            None => HashSet::new(),
        };
        let refill = plan.refill_to.map(|to| Refill {
            partition,
            from: plan.gold_from,
            to,
            low: bounds[&partition].low,
        });
        recovered.push(RecoveredPartition {
            partition,
            heads: BronzeHeads {
                bronze: PartitionLedger {
                    fingerprint_from: plan.fingerprint_from,
                    ..heads.bronze.cloned().unwrap_or_default()
                },
                quarantine: heads.quarantine.cloned().unwrap_or_default(),
            },
            gold: heads.gold.cloned().unwrap_or_default(),
            resume: heads.gold.map(gold_position),
            plan,
            quarantined,
            refill,
            end: bounds[&partition].high,
        });
    }
    Ok(recovered)
}

/// The offsets that can be read of each partition.
pub(crate) async fn read_bounds(
    source: &Arc<dyn Source>,
    partitions: &[i32],
) -> Result<BTreeMap<i32, SourceBounds>, StartError> {
    let (source, partitions) = (source.clone(), partitions.to_vec());
    let read = move || {
        let mut all = BTreeMap::new();
        for partition in partitions {
            let bounds = source.bounds(partition)?;
            all.insert(partition, SourceBounds { low: bounds.low, high: bounds.high });
        }
        Ok::<_, SourceError>(all)
    };
    let outcome = tokio::task::spawn_blocking(read).await;
    Ok(outcome.map_err(|error| StartError::Runtime { reason: error.to_string() })??)
}

/// Gold's ledger entry as the aggregator's position.
pub(crate) fn gold_position(entry: &PartitionLedger) -> GoldPosition {
    GoldPosition {
        next: entry.next,
        closed_through_us: entry.closed_through,
        replay_from: entry.replay_from,
        replay_stream_time_us: entry.replay_stream_time,
        watermark_us: entry.watermark,
        records: entry.counts.records,
        quarantined: entry.counts.quarantined,
        duplicates: entry.counts.duplicates,
        late: entry.counts.late,
        dropped: entry.counts.dropped,
        open: entry.counts.open,
        gaps: entry.counts.gaps,
    }
}

/// Rows of one source partition with offsets in `[from, to)`.
pub(crate) fn offset_range(topic: &str, partition: i32, from: i64, to: i64) -> Predicate {
    Reference::new("source_topic")
        .equal_to(Datum::string(topic))
        .and(Reference::new("source_partition").equal_to(Datum::int(partition)))
        .and(Reference::new("source_offset").greater_than_or_equal_to(Datum::long(from)))
        .and(Reference::new("source_offset").less_than(Datum::long(to)))
}

/// Offsets of `[from, to)` of a topic's partition that are in `quarantine`.
pub(crate) async fn quarantined_offsets(
    lake: &Lake,
    waited: Duration,
    quarantine: LakeTable,
    (topic, partition): (&str, i32),
    (from, to): (i64, i64),
) -> Result<HashSet<i64>, StartError> {
    let filter = offset_range(topic, partition, from, to);
    let failpoint = "recovery::quarantined";
    let batches = read_all(lake, waited, failpoint, quarantine, &["source_offset"], filter).await?;
    let mut offsets = HashSet::new();
    for batch in &batches {
        if let Some(column) = batch.column(0).as_any().downcast_ref::<Int64Array>() {
            offsets.extend(
                (0..column.len()).map(|row| column.value(row)).filter(|offset| (from..to).contains(offset)),
            );
        }
    }
    Ok(offsets)
}
