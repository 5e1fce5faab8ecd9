//! First half of a replay: what the decoder accepts now goes from the quarantine into bronze.

use std::collections::BTreeMap;

use anyhow::Result;
use arrow::array::{Array, RecordBatch};
use chrono::Utc;
use futures::TryStreamExt;
use iceberg::expr::Reference;
use iceberg::spec::Datum;
use pulselake_decode::EventDecoder;
use pulselake_lake::{Lake, TableWriter};
use pulselake_ledger::{Ledger, OffsetRanges, ReplayLedger};
use pulselake_model::tables::LakeTable;
use pulselake_model::{ErrorCode, RawBatch};

use super::{ReplayReport, ReplaySettings, commit, replayed_of, replayed_with};
use crate::inspect::quarantine::ROWS_WITH_VALUES;
use crate::inspect::read::Views;
use crate::inspect::rows::Rows;

const COLUMNS: [&str; 5] =
    ["raw_value", "source_partition", "source_offset", "error_code", "record_timestamp"];

/// Judges the quarantine's records, and commits those that are valid now unless it is a dry run.
pub(super) async fn take(
    lake: &Lake,
    settings: &ReplaySettings,
    views: &Views,
    head: &Ledger,
    report: &mut ReplayReport,
) -> Result<()> {
    let topic = report.topic.clone();
    let before = replayed_of(Some(head), &topic);
    let mut judge = Judge::new(settings, head, &before);
    let mut writer = match report.dry_run {
        true => None,
        false => Some(TableWriter::new(lake, LakeTable::RawEvents, settings.writer).await?),
    };
    let filter = Reference::new("source_topic").equal_to(Datum::string(&topic));
    let mut batches = views.quarantine.scan(&COLUMNS, Some(filter), Some(ROWS_WITH_VALUES)).await?;
    while let Some(batch) = batches.try_next().await? {
        for accepted in judge.accept(&Rows(&batch), report)? {
            if let Some(open) = &mut writer {
                open.write(&accepted).await?;
            }
        }
    }
    let Some(written) = writer.filter(|_| !judge.taken.is_empty()) else { return Ok(()) };
    let files = written.close().await?;
    let after = replayed_with(&before, &judge.taken);
    commit(lake, LakeTable::RawEvents, head, files, (topic, after)).await?;
    Ok(())
}

/// Decides on the quarantine's records, batch by batch.
struct Judge<'a> {
    decoder: EventDecoder,
    head: &'a Ledger,
    before: &'a ReplayLedger,
    topic: &'a str,
    ingested_at_us: i64,
    looked_at: BTreeMap<i32, OffsetRanges>,
    taken: BTreeMap<i32, OffsetRanges>,
}

impl<'a> Judge<'a> {
    fn new(settings: &'a ReplaySettings, head: &'a Ledger, before: &'a ReplayLedger) -> Self {
        Self {
            decoder: EventDecoder::new(settings.decode.clone()),
            head,
            before,
            topic: &settings.decode.source_topic,
            ingested_at_us: Utc::now().timestamp_micros(),
            looked_at: BTreeMap::new(),
            taken: BTreeMap::new(),
        }
    }

    /// The bronze rows that come out of a batch of the quarantine.
    fn accept(&mut self, rows: &Rows<'_>, report: &mut ReplayReport) -> Result<Vec<RecordBatch>> {
        let (partitions, offsets) = (rows.int("source_partition")?, rows.long("source_offset")?);
        let (values, times) = (rows.bytes("raw_value")?, rows.timestamp("record_timestamp")?);
        let codes = rows.text("error_code")?;
        let mut candidates: BTreeMap<i32, Vec<(i64, usize)>> = BTreeMap::new();
        for row in 0..rows.len() {
            let (partition, offset) = (partitions.value(row), offsets.value(row));
            if self.is_candidate(partition, offset, report) {
                candidates.entry(partition).or_default().push((offset, row));
            }
        }
        let mut accepted = Vec::new();
        for (partition, mut candidates) in candidates {
            candidates.sort_unstable();
            let mut raw = RawBatch::at(partition, candidates[0].0);
            for &(offset, row) in &candidates {
                let timestamp_ms = times.is_valid(row).then(|| times.value(row).div_euclid(1_000));
                raw.push(offset, timestamp_ms, values.value(row));
            }
            let decoded = self.decoder.decode(&raw, self.ingested_at_us);
            for (code, &count) in ErrorCode::ALL.into_iter().zip(&decoded.invalid_by_code) {
                if count > 0 {
                    *report.still_rejected.entry(code.as_str().to_owned()).or_default() += count;
                }
            }
            if decoded.columns.offset.is_empty() {
                continue;
            }
            let taken = self.taken.entry(partition).or_default();
            for &offset in &decoded.columns.offset {
                taken.insert(offset);
            }
            for &(_, row) in candidates.iter().filter(|(offset, _)| taken.contains(*offset)) {
                *report.taken.entry(codes.value(row).to_owned()).or_default() += 1;
            }
            accepted.push(decoded.events);
        }
        Ok(accepted)
    }

    fn is_candidate(&mut self, partition: i32, offset: i64, report: &mut ReplayReport) -> bool {
        // A row that is there twice is the audit's business; it is one record.
        if !self.looked_at.entry(partition).or_default().insert(offset) {
            return false;
        }
        report.in_quarantine += 1;
        if self.before.offsets.get(&partition).is_some_and(|offsets| offsets.contains(offset)) {
            report.taken_before += 1;
            return false;
        }
        // Bronze may still get it from the stream, judged anew.
        let next = self.head.partition(self.topic, partition).map_or(0, |entry| entry.next);
        if offset >= next {
            report.ahead_of_bronze += 1;
            return false;
        }
        true
    }
}
