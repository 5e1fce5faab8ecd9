//! Refills the aggregator out of bronze where the source can't give the records any more (rule 12), or where
//! another decoder has judged them.
//!
//! Bronze has no record timestamps, so stream time runs on event time alone here. That can close a window early,
//! which makes its late events corrections; the sums stay the truth.

use std::collections::HashSet;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch, sort_to_indices, take_record_batch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use pulselake_lake::LakeError;
use pulselake_ledger::PartitionPlan;
use pulselake_model::tables::LakeTable;
use pulselake_model::{DecodedBatch, ErrorCode, EventColumns, EventType, GoldPosition, schema};
use pulselake_telemetry::events;

use crate::pipeline::Pipeline;
use crate::recovery::{StartError, answer_timeout, offset_range, quarantined_offsets, read_all};
use crate::route::rejected_rows;

/// Columns of bronze that the aggregator needs.
const COLUMNS: [&str; 6] =
    ["event_id", "event_timestamp", "video_id", "event_type", "payload_json", "source_offset"];

/// What a partition's aggregator gets out of bronze before the reader's batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refill {
    /// Source partition.
    pub partition: i32,
    /// First offset.
    pub from: i64,
    /// Behind the last offset that bronze has of it.
    pub to: i64,
    /// First offset that the source still has: from `to` to here nobody has anything.
    pub low: i64,
}

impl Refill {
    /// The offset ranges to read one after the other: few enough that dense ones fit into memory and sparse ones are
    /// not asked for record by record.
    pub(crate) fn slices(&self) -> Vec<(i64, i64)> {
        let step = ((self.to - self.from) / 64).clamp(1 << 16, 1 << 20);
        let mut slices = Vec::new();
        let mut from = self.from;
        while from < self.to {
            let to = self.to.min(from + step);
            slices.push((from, to));
            from = to;
        }
        slices
    }

    /// The bare step to what the source still has, if retention has left one.
    pub(crate) fn gap(&self) -> Option<DecodedBatch> {
        let nothing = || RecordBatch::new_empty(schema::bronze_events());
        (self.to < self.low).then(|| decoded(self.partition, self.to, self.low, nothing(), &[]))
    }

    /// Everything that bronze and quarantine have of `[from, to)`, as the decoder would have given it.
    pub(crate) async fn read(
        &self,
        pipeline: &Pipeline,
        from: i64,
        to: i64,
    ) -> Result<DecodedBatch, StartError> {
        let filter = offset_range(&pipeline.source.identity().topic, self.partition, from, to);
        let (lake, waited) = (&pipeline.lake, answer_timeout(&pipeline.settings));
        let bronze = LakeTable::RawEvents;
        let found = read_all(lake, waited, "recovery::refill", bronze, &COLUMNS, filter).await?;
        let place = (pipeline.source.identity().topic.as_str(), self.partition);
        let quarantine = LakeTable::InvalidEventsContent;
        let quarantined = quarantined_offsets(lake, waited, quarantine, place, (from, to)).await?;
        let streamed = without_offsets(&sorted_by_offset(&found)?, &quarantined)?;
        let unknown = unknown_types(self.partition, &streamed);
        let events = without_offsets(&streamed, &unknown)?;
        let mut rejected: Vec<i64> = quarantined.into_iter().chain(unknown).collect();
        rejected.sort_unstable();
        Ok(decoded(self.partition, from, to, events, &rejected))
    }
}

/// What retention took from gold, ledger and plan together. The windows count it as a gap when they step over it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LostToGold {
    /// By the ledger that the run starts from.
    before: u64,
    /// Of this run, before `behind`.
    now: u64,
    /// First offset behind it.
    behind: i64,
}

impl LostToGold {
    /// `before` is what gold's ledger has counted already.
    pub fn new(plan: &PartitionPlan, before: u64) -> Self {
        // Gold loses only what bronze has lost too: bronze goes on behind it.
        Self { before, now: plan.gold_lost, behind: plan.bronze_next }
    }

    /// The cumulative count at a flushed position, whose gaps are then those alone that never held a record.
    pub fn settle(&self, position: &mut GoldPosition) -> u64 {
        if position.next < self.behind {
            return self.before;
        }
        position.gaps = position.gaps.saturating_sub(self.now);
        self.before + self.now
    }
}

/// The rows that the stream took. What is in quarantine too came by `quarantine replay`, which has given it to gold:
/// for the stream it is a rejected record.
fn without_offsets(events: &RecordBatch, rejected: &HashSet<i64>) -> Result<RecordBatch, LakeError> {
    let Some(offsets) = events.column_by_name("source_offset").filter(|_| !rejected.is_empty()) else {
        return Ok(events.clone());
    };
    let offsets = offsets.as_primitive::<Int64Type>().values();
    let keep: BooleanArray = offsets.iter().map(|offset| Some(!rejected.contains(offset))).collect();
    filter_record_batch(events, &keep).map_err(|error| bad_bronze(&error))
}

/// The offsets of types that a newer version has written: for this one's decoder they would be rejected records.
fn unknown_types(partition: i32, streamed: &RecordBatch) -> HashSet<i64> {
    let (Some(types), Some(offsets)) =
        (streamed.column_by_name("event_type"), streamed.column_by_name("source_offset"))
    else {
        return HashSet::new();
    };
    let (types, offsets) = (types.as_string::<i32>(), offsets.as_primitive::<Int64Type>());
    let unknown: Vec<usize> =
        (0..streamed.num_rows()).filter(|&row| EventType::parse(types.value(row)).is_none()).collect();
    if let Some(&first) = unknown.first() {
        events::unknown_event_types(partition, unknown.len(), types.value(first));
    }
    unknown.into_iter().map(|row| offsets.value(row)).collect()
}

fn bad_bronze(error: &arrow::error::ArrowError) -> LakeError {
    LakeError::BadBatch { table: LakeTable::RawEvents.full_name().to_string(), reason: error.to_string() }
}

fn sorted_by_offset(found: &[RecordBatch]) -> Result<RecordBatch, LakeError> {
    let Some(first) = found.first() else { return Ok(RecordBatch::new_empty(schema::bronze_events())) };
    let all = concat_batches(&first.schema(), found).map_err(|error| bad_bronze(&error))?;
    let offsets = all.column_by_name("source_offset").ok_or_else(|| LakeError::BadBatch {
        table: LakeTable::RawEvents.full_name().to_string(),
        reason: "no column source_offset".to_string(),
    })?;
    let order = sort_to_indices(offsets, None, None).map_err(|error| bad_bronze(&error))?;
    take_record_batch(&all, &order).map_err(|error| bad_bronze(&error))
}

/// Bronze rows in the form that the decoder gives.
pub(crate) fn decoded(
    partition: i32,
    from: i64,
    to: i64,
    events: RecordBatch,
    rejected: &[i64],
) -> DecodedBatch {
    let mut columns = EventColumns::default();
    if events.num_rows() > 0 {
        let text = |name: &str| events.column_by_name(name).map(|column| column.as_string::<i32>().clone());
        let offsets =
            events.column_by_name("source_offset").map(|column| column.as_primitive::<Int64Type>().clone());
        let times = events
            .column_by_name("event_timestamp")
            .map(|column| column.as_primitive::<TimestampMicrosecondType>().clone());
        if let (Some(ids), Some(types), Some(payloads), Some(offsets), Some(times)) =
            (text("event_id"), text("event_type"), text("payload_json"), offsets, times)
        {
            for row in 0..events.num_rows() {
                // Others were sorted out before ([`unknown_types`]).
                let Some(event_type) = EventType::parse(types.value(row)) else { continue };
                columns.offset.push(offsets.value(row));
                columns.event_timestamp_us.push(times.value(row));
                columns.stream_time_us.push(times.value(row));
                columns.event_type.push(event_type);
                columns.watch_time_ms.push(pulselake_decode::watch_time_ms(payloads.value(row)));
                columns.event_id_hash.push(pulselake_decode::event_id_hash(ids.value(row)));
            }
        }
    }
    DecodedBatch {
        partition,
        first_offset: from,
        next_offset: to,
        record_count: (events.num_rows() + rejected.len()) as u64,
        events,
        columns,
        invalid: rejected_rows(partition, rejected),
        invalid_by_code: [0; ErrorCode::COUNT],
        last: None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use arrow::datatypes::{DataType, Field, Schema};
    use pulselake_decode::{DecodeSettings, EventDecoder};
    use pulselake_model::RawBatch;

    use super::*;

    #[test]
    fn what_entered_by_replay_is_a_rejected_record_for_the_stream() {
        let mut raw = RawBatch::at(0, 0);
        for offset in 0..4 {
            let value = format!(
                r#"{{"event_id":"e{offset}","event_timestamp":1000,"video_id":"v","user_id":"u","event_type":"like","payload":{{}}}}"#
            );
            raw.push(offset, None, value.as_bytes());
        }
        let bronze = EventDecoder::new(DecodeSettings::default()).decode(&raw, 0).events;
        let quarantined = HashSet::from([1, 7]);
        let streamed = without_offsets(&bronze, &quarantined).unwrap();
        let batch = decoded(0, 0, 8, streamed, &[1, 7]);
        assert_eq!((batch.columns.offset, batch.record_count), (vec![0, 2, 3], 5));
        assert_eq!(without_offsets(&bronze, &HashSet::new()).unwrap().num_rows(), 4);
    }

    #[test]
    fn what_a_newer_version_wrote_is_rejected_and_nothing_else() {
        let schema = Arc::new(Schema::new(vec![
            Field::new("event_type", DataType::Utf8, false),
            Field::new("source_offset", DataType::Int64, false),
        ]));
        let rows = |types: &[&str]| {
            let offsets = Int64Array::from_iter_values(10..10 + types.len() as i64);
            let columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from(types.to_vec())), Arc::new(offsets)];
            RecordBatch::try_new(schema.clone(), columns).unwrap()
        };
        let streamed = rows(&["like", "rewatch", "skip", ""]);
        let rejected = unknown_types(0, &streamed);
        let known = without_offsets(&streamed, &rejected).unwrap();
        let left = known.column(1).as_primitive::<Int64Type>().values().to_vec();
        assert_eq!((left, rejected), (vec![10, 12], HashSet::from([11, 13])));
        let all = rows(&["like", "skip"]);
        let none = unknown_types(0, &all);
        assert_eq!((without_offsets(&all, &none).unwrap().num_rows(), none), (2, HashSet::new()));
    }

    #[test]
    fn what_retention_took_is_lost_and_no_gap_once_it_is_passed() {
        let plan = PartitionPlan { bronze_next: 520, gold_lost: 20, ..PartitionPlan::default() };
        let lost = LostToGold::new(&plan, 3);
        let mut before = GoldPosition { next: 500, gaps: 7, ..GoldPosition::default() };
        assert_eq!((lost.settle(&mut before), before.gaps), (3, 7));
        let mut behind = GoldPosition { next: 520, gaps: 27, ..GoldPosition::default() };
        assert_eq!((lost.settle(&mut behind), behind.gaps), (23, 7));
    }

    #[test]
    fn slices_cover_the_range_once() {
        for (from, to) in [(0, 1), (5, 5), (100, 1_000_000), (0, 1 << 30)] {
            let refill = Refill { partition: 0, from, to, low: 0 };
            let slices = refill.slices();
            let covered: i64 = slices.iter().map(|(start, end)| end - start).sum();
            assert_eq!(covered, to - from);
            assert!(slices.windows(2).all(|pair| pair[0].1 == pair[1].0));
        }
    }
}
