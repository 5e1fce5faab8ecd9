//! The audit of dimensions: quarantine, history and dimension of one entity against each other and their ledgers.
//!
//! | check | holds when |
//! |---|---|
//! | `ledger.trusted`, `ledger.same_source` | as for events |
//! | `quarantine.rows`, `quarantine.offsets_distinct` | rows = its ledger's quarantined, no offset twice |
//! | `history.records` | different offsets = records − quarantined − tombstones − duplicates |
//! | `history.offsets_consumed` | every offset in [first, next) |
//! | `history.apart_from_quarantine` | no offset in both tables |
//! | `history.versions_distinct` | no version (key, order, hash) twice: validities of a key neither overlap nor leave a gap |
//! | `history.valid_from` | `valid_from` is `source_ts_ms` |
//! | `dimension.keys_distinct` | no key twice |
//! | `dimension.current` | the rows are the last versions of the history up to the dimension's offsets, deletions left out |
//!
//! The dimension is loaded first: a history that is loaded later has all that the dimension has applied, and what it has
//! beyond that is left out by its offsets.

mod checks;
mod content;
mod evidence;

use anyhow::Context;
use futures::TryStreamExt;
use pulselake_lake::{Lake, TableView};
use pulselake_maintain::erase::ERASED_PROPERTY;
use pulselake_model::Entity;
use pulselake_model::tables::LakeTable;

use checks::all_checks;
use content::ContentHasher;
use evidence::{ChangeEvidence, Collector};

use super::checks::untrusted;
use super::report::{AuditedSnapshot, Check};
use super::rows::Rows;

/// The three ledgers of an entity.
#[derive(Debug, Default)]
pub(super) struct ChangeLedgers {
    pub(super) quarantine: Option<pulselake_ledger::Ledger>,
    pub(super) history: Option<pulselake_ledger::Ledger>,
    pub(super) dimension: Option<pulselake_ledger::Ledger>,
}

/// Makes every check of an entity; none where its tables are not there.
///
/// # Errors
/// When the tables can't be read.
pub(super) async fn audit(lake: &Lake, entity: Entity) -> anyhow::Result<(Vec<AuditedSnapshot>, Vec<Check>)> {
    let [quarantine, history, dimension] = LakeTable::of_changes(entity);
    let known = lake.existing_tables().await?;
    if ![quarantine, history, dimension].iter().all(|table| known.contains(table)) {
        return Ok((Vec::new(), Vec::new()));
    }
    let dimension = lake.view(dimension).await?;
    let history = lake.view(history).await?;
    let quarantine = lake.view(quarantine).await?;
    let views = [&quarantine, &history, &dimension];
    let snapshots = views
        .map(|view| AuditedSnapshot { table: view.table().full_name(), snapshot_id: view.snapshot_id() });
    let failures: Vec<Check> = views
        .into_iter()
        .filter_map(|view| view.ledger().err().map(|error| untrusted(view.table(), &error.to_string())))
        .flatten()
        .collect();
    if !failures.is_empty() {
        return Ok((snapshots.to_vec(), failures));
    }
    let ledgers = ChangeLedgers {
        quarantine: quarantine.ledger()?,
        history: history.ledger()?,
        dimension: dimension.ledger()?,
    };
    let is_erased = views.iter().any(|view| view.property(ERASED_PROPERTY).is_some());
    let evidence = gather(entity, &quarantine, &history, &dimension, &ledgers).await?;
    Ok((snapshots.to_vec(), all_checks(entity, &ledgers, &evidence, is_erased)))
}

async fn gather(
    entity: Entity,
    quarantine: &TableView,
    history: &TableView,
    dimension: &TableView,
    ledgers: &ChangeLedgers,
) -> anyhow::Result<ChangeEvidence> {
    let mut collector = Collector::new(ledgers);
    let offsets = ["source_topic", "source_partition", "source_offset"];
    let mut batches = quarantine.read(&offsets).await?;
    while let Some(batch) = batches.try_next().await? {
        let rows = Rows(&batch);
        let (topics, partitions, offsets) =
            (rows.text("source_topic")?, rows.int("source_partition")?, rows.long("source_offset")?);
        for row in 0..rows.len() {
            collector.quarantine_row(topics.value(row), partitions.value(row), offsets.value(row));
        }
    }
    let mut batches = dimension.read(&[]).await?;
    let mut hasher = None;
    while let Some(batch) = batches.try_next().await? {
        let hasher = match &mut hasher {
            Some(known) => known,
            none => none.insert(ContentHasher::of_dimension(&batch.schema())?),
        };
        let hashes = hasher.hashes(&batch)?;
        let keys = Rows(&batch).text(entity.key_column())?;
        for (row, hash) in hashes.into_iter().enumerate() {
            collector.dimension_row(keys.value(row), hash);
        }
    }
    let mut batches = history.read(&[]).await?;
    while let Some(batch) = batches.try_next().await? {
        // Without a row of the dimension there is nothing to compare contents with.
        let hashes = hasher.as_mut().map(|known| known.hashes(&batch)).transpose()?;
        let versions = pulselake_cdc::history_versions(entity, &batch)
            .with_context(|| format!("table {}", history.table().full_name()))?;
        let rows = Rows(&batch);
        let (topics, partitions, offsets) =
            (rows.text("source_topic")?, rows.int("source_partition")?, rows.long("source_offset")?);
        let (operations, starts) = (rows.text("op")?, rows.timestamp("valid_from")?);
        for (row, version) in versions.iter().enumerate() {
            collector.history_row(&evidence::HistoryRow {
                topic: topics.value(row),
                partition: partitions.value(row),
                offset: offsets.value(row),
                version,
                valid_from_us: starts.value(row),
                is_deletion: operations.value(row) == "d",
                content_hash: hashes.as_ref().map_or(0, |found| found[row]),
            });
        }
    }
    Ok(collector.finish())
}
