//! Quarantine replay: rejected records that are valid by now enter bronze and gold, each exactly once (ADR 0006).
//!
//! Two commits, each of which carries the offsets it has taken in the table's own ledger and is fenced by the number
//! of replays before it: first bronze, then gold. Gold takes whatever bronze has by replay and gold has not, so a
//! run that ended between the two is completed by the next one. The engine may run meanwhile: its commits carry the
//! replay's part of the ledger along.

mod bronze;
mod dedup;
mod gold;

use std::collections::BTreeMap;

use anyhow::anyhow;
use iceberg::spec::DataFile;
use pulselake_decode::DecodeSettings;
use pulselake_lake::{CommitError, Lake, LedgeredAppend, Receipt, WriterOptions};
use pulselake_ledger::{Ledger, OffsetRanges, ReplayLedger};
use pulselake_model::tables::LakeTable;
use serde::Serialize;
use uuid::Uuid;

use super::read::Views;

/// What decides a replay.
#[derive(Clone, Debug)]
pub(crate) struct ReplaySettings {
    /// What is valid now; its topic is the one replayed.
    pub(crate) decode: DecodeSettings,
    /// Event time within which the same event_id is a duplicate (µs); 0 turns that off.
    pub(crate) dedup_horizon_us: i64,
    /// How files are written.
    pub(crate) writer: WriterOptions,
}

/// What a replay did, or would do. The JSON is for programs: add fields, never rename.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct ReplayReport {
    /// Whether nothing was written.
    pub(crate) dry_run: bool,
    /// Source topic.
    pub(crate) topic: String,
    /// Rejected records looked at.
    pub(crate) in_quarantine: u64,
    /// Of these, taken in by an earlier replay.
    pub(crate) taken_before: u64,
    /// Of these, taken in by this one, by the code they were rejected with.
    pub(crate) taken: BTreeMap<String, u64>,
    /// Of these, still not valid, by the code that they would be rejected with now.
    pub(crate) still_rejected: BTreeMap<String, u64>,
    /// Of these, not looked at: bronze has not passed them yet.
    pub(crate) ahead_of_bronze: u64,
    /// What gold took; `None` where there was nothing for it.
    pub(crate) gold: Option<GoldReport>,
}

/// Gold's part of a replay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct GoldReport {
    /// Records that came from bronze.
    pub(crate) records: u64,
    /// Of these, left over by an earlier replay that had not reached gold.
    pub(crate) left_over: u64,
    /// Of these, not counted because their event_id was there already.
    pub(crate) duplicates: u64,
    /// Correction rows.
    pub(crate) rows: u64,
    /// Their revision.
    pub(crate) revision: i32,
}

impl ReplayReport {
    /// Records that this replay takes into bronze.
    pub(crate) fn taken_records(&self) -> u64 {
        self.taken.values().sum()
    }
}

/// Replays the quarantine of the settings' topic. With `dry_run` only says what would be taken in.
///
/// # Errors
/// When the tables can't be read or written, a ledger can't be trusted, or another replay is at work. Whatever was
/// committed until then stays right: run it again.
pub(crate) async fn replay(
    lake: &Lake,
    settings: &ReplaySettings,
    dry_run: bool,
) -> anyhow::Result<ReplayReport> {
    let views = Views::load(lake).await?;
    let ledgers = views.ledgers()?;
    let mut report =
        ReplayReport { dry_run, topic: settings.decode.source_topic.clone(), ..ReplayReport::default() };
    let Some(head) = &ledgers.bronze else { return Ok(report) };
    let left_over = outstanding(head, ledgers.gold.as_ref(), &report.topic);
    let left_over = left_over.values().map(OffsetRanges::len).sum();
    bronze::take(lake, settings, &views, head, &mut report).await?;
    if dry_run {
        let records = left_over + report.taken_records();
        report.gold = (records > 0).then(|| GoldReport { records, left_over, ..GoldReport::default() });
        return Ok(report);
    }
    report.gold = gold::take(lake, settings).await?;
    if let Some(gold) = &mut report.gold {
        gold.left_over = left_over;
    }
    Ok(report)
}

/// Offsets that are in bronze by replay and not in gold.
fn outstanding(bronze: &Ledger, gold: Option<&Ledger>, topic: &str) -> BTreeMap<i32, OffsetRanges> {
    let in_gold = replayed_of(gold, topic).offsets;
    let in_bronze = replayed_of(Some(bronze), topic).offsets;
    let missing = in_bronze.into_iter().map(|(partition, offsets)| {
        let has = in_gold.get(&partition).cloned().unwrap_or_default();
        (partition, offsets.iter().filter(|&offset| !has.contains(offset)).collect::<OffsetRanges>())
    });
    missing.filter(|(_, offsets)| !offsets.is_empty()).collect()
}

/// The topic's part of a ledger that is about replays.
fn replayed_of(ledger: Option<&Ledger>, topic: &str) -> ReplayLedger {
    ledger.and_then(|known| known.replayed.get(topic)).cloned().unwrap_or_default()
}

/// The entry after a replay that adds `offsets`; its `seq` is one higher.
fn replayed_with(before: &ReplayLedger, offsets: &BTreeMap<i32, OffsetRanges>) -> ReplayLedger {
    let mut after = ReplayLedger { seq: before.seq + 1, commit_id: String::new(), ..before.clone() };
    for (&partition, added) in offsets {
        let all = after.offsets.entry(partition).or_default();
        for offset in added.iter() {
            all.insert(offset);
        }
    }
    after
}

/// Commits files together with the topic's replay entry.
async fn commit(
    lake: &Lake,
    table: LakeTable,
    identity: &Ledger,
    files: Vec<DataFile>,
    replayed: (String, ReplayLedger),
) -> anyhow::Result<Receipt> {
    let request = LedgeredAppend {
        commit_id: Uuid::now_v7().to_string(),
        cluster_id: identity.cluster_id.clone(),
        fingerprint: identity.fingerprint.clone(),
        advances: Vec::new(),
        files,
        deletes: Vec::new(),
        replayed: Some(replayed),
    };
    let error = match lake.append(table, &request).await {
        Ok(receipt) => return Ok(receipt),
        Err(error) => error,
    };
    if error.files_may_be_deleted() {
        for file in &request.files {
            if let Err(cause) = lake.delete_file(table, file.file_path()).await {
                tracing::warn!(file = file.file_path(), %cause, "could not delete a file of a refused commit");
            }
        }
    }
    let advice = match &error {
        CommitError::Fenced { .. } => "another replay has committed meanwhile: run it again",
        CommitError::OutcomeUnknown { .. } => "run it again: the ledger tells what was taken in",
        CommitError::Stopped { .. } | CommitError::Failed { .. } => "nothing was taken into this table",
    };
    Err(anyhow!(error).context(format!("replay into {}: {advice}", table.full_name())))
}

#[cfg(test)]
mod tests;
