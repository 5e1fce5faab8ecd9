//! What a bronze writer has received since its last flush: open Parquet files and the offset ranges they stand for.

use std::collections::BTreeMap;

use arrow::array::{Array, Int64Array, RecordBatch};
use iceberg::spec::DataFile;
use pulselake_lake::{Lake, LakeError, TableWriter, WriterOptions, prefix_within_partition_cap};
use pulselake_ledger::LastSeen;
use pulselake_model::tables::LakeTable;
use pulselake_telemetry::events;

use crate::messages::WriteBatch;
use crate::sabotage;

/// What one flush adds to one partition's ledger entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlushedRange {
    /// Position after it.
    pub next: i64,
    /// The last record whose identity is known.
    pub last: Option<LastSeen>,
    /// Records, valid and rejected.
    pub records: u64,
    /// Of these, rejected.
    pub quarantined: u64,
    /// Offsets without a record.
    pub gaps: u64,
    /// Records that retention removed unread.
    pub lost: u64,
    /// Rows written to the quarantine: fewer than `quarantined` where it was ahead.
    pub quarantine_rows: u64,
    /// Smallest and largest stream time (µs).
    pub stream_time_span_us: Option<(i64, i64)>,
}

impl FlushedRange {
    /// Adds the batch that follows.
    pub fn extend(&mut self, batch: &WriteBatch) {
        let records = batch.events.num_rows() as u64 + batch.rejected_offsets.len() as u64;
        self.next = batch.next;
        self.last = batch.last.or(self.last);
        self.records += records;
        self.quarantined += batch.rejected_offsets.len() as u64;
        self.gaps += ((batch.next - batch.first) as u64).saturating_sub(records);
        self.lost += batch.lost;
        self.quarantine_rows += batch.invalid.num_rows() as u64;
        for &stream_time_us in &batch.stream_time_us {
            let (oldest, newest) = self.stream_time_span_us.unwrap_or((stream_time_us, stream_time_us));
            self.stream_time_span_us = Some((oldest.min(stream_time_us), newest.max(stream_time_us)));
        }
    }
}

/// Files and ranges since the last flush.
pub struct OpenFlush {
    events: TableWriter,
    invalid: TableWriter,
    /// Per source partition.
    pub ranges: BTreeMap<i32, FlushedRange>,
}

/// Closed files, ready to be committed.
pub struct ClosedFlush {
    /// Files of `bronze.raw_events`.
    pub events: Vec<DataFile>,
    /// Files of the quarantine.
    pub invalid: Vec<DataFile>,
}

impl OpenFlush {
    /// Nothing yet.
    pub async fn new(lake: &Lake, options: WriterOptions) -> Result<Self, LakeError> {
        Ok(Self {
            events: TableWriter::new(lake, LakeTable::RawEvents, options).await?,
            invalid: TableWriter::new(lake, LakeTable::InvalidEventsContent, options).await?,
            ranges: BTreeMap::new(),
        })
    }

    /// How many leading rows of `events` fit without touching more than `cap` hour partitions in all.
    ///
    /// At least one, when nothing is open yet: a commit can't touch fewer than one partition.
    pub fn rows_that_fit(&self, events: &RecordBatch, cap: usize) -> usize {
        prefix_within_partition_cap(events, self.events.time_partitions(), cap.max(1))
    }

    /// Writes a batch whose rows fit.
    pub async fn write(&mut self, batch: &WriteBatch) -> Result<(), LakeError> {
        self.ranges.entry(batch.partition).or_default().extend(batch);
        let events = sabotage::rows_to_write(LakeTable::RawEvents, batch.partition, &batch.events);
        if events.num_rows() > 0 {
            self.events.write(&events).await?;
        }
        let invalid =
            sabotage::rows_to_write(LakeTable::InvalidEventsContent, batch.partition, &batch.invalid);
        if invalid.num_rows() > 0 {
            self.invalid.write(&invalid).await?;
        }
        Ok(())
    }

    /// Whether nothing has been received.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Bytes that are buffered or written.
    pub fn buffered_bytes(&self) -> usize {
        self.events.buffered_bytes() + self.invalid.buffered_bytes()
    }

    /// Closes every file. On an error none of them is left: a full disk is not filled further by each new try.
    pub async fn close(self, lake: &Lake) -> Result<ClosedFlush, LakeError> {
        let invalid = self.invalid.close().await?;
        let events = match self.events.close().await {
            Ok(events) => events,
            Err(error) => {
                let table = LakeTable::InvalidEventsContent;
                for file in &invalid {
                    if let Err(reason) = lake.delete_file(table, file.file_path()).await {
                        events::orphan_left(table, file.file_path(), &reason.to_string());
                    }
                }
                return Err(error);
            }
        };
        Ok(ClosedFlush { events, invalid })
    }
}

/// Cuts a batch before its event row `row`: the first part stands for every record before that event's offset.
pub fn split_at_row(batch: WriteBatch, row: usize) -> (WriteBatch, WriteBatch) {
    let offsets = offsets_of(&batch.events);
    let boundary = offsets[row];
    let invalid_rows = offsets_of(&batch.invalid).partition_point(|&offset| offset < boundary);
    let rejected = batch.rejected_offsets.partition_point(|&offset| offset < boundary);
    let mut before = batch;
    let after = WriteBatch {
        partition: before.partition,
        first: boundary,
        next: before.next,
        events: before.events.slice(row, before.events.num_rows() - row),
        stream_time_us: before.stream_time_us.split_off(row),
        invalid: before.invalid.slice(invalid_rows, before.invalid.num_rows() - invalid_rows),
        rejected_offsets: before.rejected_offsets.split_off(rejected),
        last: before.last,
        lost: 0,
    };
    before.next = boundary;
    before.events = before.events.slice(0, row);
    before.invalid = before.invalid.slice(0, invalid_rows);
    before.last = None;
    (before, after)
}

fn offsets_of(batch: &RecordBatch) -> Vec<i64> {
    let column =
        batch.column_by_name("source_offset").and_then(|column| column.as_any().downcast_ref::<Int64Array>());
    // Both schemas have this column by contract (model::schema).
    column.map_or_else(Vec::new, |offsets| (0..offsets.len()).map(|row| offsets.value(row)).collect())
}

#[cfg(test)]
mod tests {
    use pulselake_decode::{DecodeSettings, EventDecoder};
    use pulselake_model::RawBatch;

    use super::*;

    fn batch() -> WriteBatch {
        let mut raw = RawBatch::at(3, 10);
        for offset in [10, 11, 13, 14] {
            let good = format!(
                r#"{{"event_id":"e{offset}","event_timestamp":1000,"video_id":"v","user_id":"u","event_type":"like","payload":{{}}}}"#
            );
            let value = if offset == 11 || offset == 14 { "bad" } else { good.as_str() };
            raw.push(offset, None, value.as_bytes());
        }
        raw.next_offset = 16;
        let settings = DecodeSettings { source_topic: "t".into(), ..DecodeSettings::default() };
        let decoded = EventDecoder::new(settings).decode(&raw, 0);
        assert_eq!(decoded.columns.offset, [10, 13]);
        WriteBatch {
            partition: 3,
            first: 10,
            next: 16,
            stream_time_us: decoded.columns.stream_time_us.clone(),
            events: decoded.events,
            invalid: decoded.invalid,
            rejected_offsets: vec![11, 14],
            last: Some(LastSeen { offset: 14, timestamp: -1, hash: 1 }),
            lost: 2,
        }
    }

    #[test]
    fn a_range_counts_records_rejected_ones_and_gaps() {
        let mut range = FlushedRange::default();
        range.extend(&batch());
        assert_eq!((range.next, range.records, range.quarantined, range.gaps, range.lost), (16, 4, 2, 2, 2));
        assert_eq!((range.quarantine_rows, range.last.map(|last| last.offset)), (2, Some(14)));
    }

    #[test]
    fn the_two_parts_of_a_cut_batch_add_up_to_the_whole() {
        let mut whole = FlushedRange::default();
        whole.extend(&batch());
        let (before, after) = split_at_row(batch(), 1);
        assert_eq!((before.next, after.first), (13, 13));
        assert_eq!(
            (before.events.num_rows(), before.invalid.num_rows(), before.rejected_offsets.as_slice()),
            (1, 1, [11].as_slice())
        );
        let mut parts = FlushedRange::default();
        parts.extend(&before);
        assert_eq!(parts.next, 13);
        parts.extend(&after);
        assert_eq!(parts, whole);
    }
}
