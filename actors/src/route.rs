//! Which sink takes which part of what a reader delivers, after a restart.
//!
//! Sinks stand at different offsets. A batch is cut at those offsets, so that each piece lies wholly on one side of
//! each of them and the sinks never look at single records again.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BinaryArray, BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Int64Type};
use pulselake_ledger::PartitionPlan;
use pulselake_model::{DecodedBatch, EventColumns, RawBatch, schema};

/// What happens to one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Bronze does not have it yet.
    pub to_bronze: bool,
    /// The quarantine does not have its rejected records yet.
    pub to_quarantine: bool,
    /// The aggregator needs it (perhaps only to refill what it had).
    pub to_gold: bool,
    /// Another decoder has judged it: the offsets in quarantine decide what is invalid.
    pub quarantined_decides: bool,
}

/// Where the sinks of one partition stand.
#[derive(Clone, Debug)]
pub struct Routing {
    bronze_next: i64,
    quarantine_next: i64,
    gold_reads_from: i64,
    quarantined_decides_to: i64,
    settled_from: i64,
}

impl Routing {
    /// The routing that follows from a restart's plan.
    pub fn new(plan: &PartitionPlan) -> Self {
        let gold_reads_from = plan.refill_to.unwrap_or(plan.gold_from).max(plan.gold_from);
        let quarantined_decides_to = plan.quarantined_decides_to.unwrap_or(i64::MIN);
        let settled_from =
            plan.bronze_next.max(plan.quarantine_next).max(gold_reads_from).max(quarantined_decides_to);
        Self {
            bronze_next: plan.bronze_next,
            quarantine_next: plan.quarantine_next,
            gold_reads_from,
            quarantined_decides_to,
            settled_from,
        }
    }

    /// The route of a piece that begins at `first_offset` (as cut by [`Routing::cut`]).
    pub fn route(&self, first_offset: i64) -> Route {
        let to_bronze = first_offset >= self.bronze_next;
        let quarantined_decides = to_bronze && first_offset < self.quarantined_decides_to;
        Route {
            to_bronze,
            to_quarantine: first_offset >= self.quarantine_next || quarantined_decides,
            to_gold: first_offset >= self.gold_reads_from,
            quarantined_decides,
        }
    }

    /// Cuts a batch at the sinks' offsets. The common case, behind all of them, costs nothing.
    pub fn cut(&self, batch: RawBatch) -> Vec<RawBatch> {
        if batch.first_offset >= self.settled_from {
            return vec![batch];
        }
        let mut boundaries =
            [self.bronze_next, self.quarantine_next, self.gold_reads_from, self.quarantined_decides_to];
        boundaries.sort_unstable();
        let mut pieces = Vec::new();
        let mut rest = batch;
        for boundary in boundaries {
            if rest.first_offset < boundary && boundary < rest.next_offset {
                let (before, after) = split_at(rest, boundary);
                pieces.push(before);
                rest = after;
            }
        }
        pieces.push(rest);
        pieces
    }
}

fn split_at(mut batch: RawBatch, boundary: i64) -> (RawBatch, RawBatch) {
    let at = batch.records.partition_point(|record| record.offset < boundary);
    let records_after = batch.records.split_off(at);
    let bytes_at = records_after.first().map_or(batch.bytes.len(), |record| record.start);
    let bytes_after = batch.bytes.split_off(bytes_at);
    let mut after = RawBatch {
        partition: batch.partition,
        first_offset: boundary,
        next_offset: batch.next_offset,
        bytes: bytes_after,
        records: records_after,
    };
    for record in &mut after.records {
        record.start -= bytes_at;
    }
    batch.next_offset = boundary;
    (batch, after)
}

/// A piece after [`settle_by_quarantine`].
pub struct Settled {
    /// For the aggregator: `invalid` has a row for every rejected record, with its offset alone.
    pub batch: DecodedBatch,
    /// Rejected records that are not in quarantine yet.
    pub invalid_to_write: RecordBatch,
}

/// Lets the quarantine's contents decide a piece that another decoder has judged before (rule 5): what is in
/// quarantine stays out of bronze and gold; what is not there, and is rejected now, is written to quarantine.
pub fn settle_by_quarantine(batch: &DecodedBatch, quarantined: &HashSet<i64>) -> Settled {
    let keep: Vec<bool> = batch.columns.offset.iter().map(|offset| !quarantined.contains(offset)).collect();
    let offsets = batch.invalid.column_by_name("source_offset");
    let rejected_now: Vec<i64> =
        offsets.map_or_else(Vec::new, |column| column.as_primitive::<Int64Type>().values().to_vec());
    let not_there: Vec<bool> = rejected_now.iter().map(|offset| !quarantined.contains(offset)).collect();
    let mut rejected: Vec<i64> =
        batch.columns.offset.iter().copied().filter(|offset| quarantined.contains(offset)).collect();
    rejected.extend(rejected_now);
    rejected.sort_unstable();
    let columns = &batch.columns;
    let settled = DecodedBatch {
        events: keep_rows(&batch.events, &keep),
        columns: EventColumns {
            offset: keep_values(&columns.offset, &keep),
            event_timestamp_us: keep_values(&columns.event_timestamp_us, &keep),
            stream_time_us: keep_values(&columns.stream_time_us, &keep),
            event_type: keep_values(&columns.event_type, &keep),
            watch_time_ms: keep_values(&columns.watch_time_ms, &keep),
            event_id_hash: keep_values(&columns.event_id_hash, &keep),
        },
        invalid: rejected_rows(batch.partition, &rejected),
        ..batch.clone()
    };
    Settled { batch: settled, invalid_to_write: keep_rows(&batch.invalid, &not_there) }
}

/// Rows that say which offsets were rejected and nothing else: for the aggregator's counts, never to be written.
pub(crate) fn rejected_rows(partition: i32, offsets: &[i64]) -> RecordBatch {
    let fields = schema::invalid_events();
    let columns: Vec<ArrayRef> = fields
        .fields()
        .iter()
        .map(|field| -> ArrayRef {
            match (field.name().as_str(), field.data_type()) {
                ("source_offset", _) => Arc::new(Int64Array::from(offsets.to_vec())),
                ("source_partition", _) => Arc::new(Int32Array::from(vec![partition; offsets.len()])),
                (_, DataType::Utf8) => Arc::new(StringArray::from(vec![""; offsets.len()])),
                (_, DataType::Binary) => Arc::new(BinaryArray::from(vec![&b""[..]; offsets.len()])),
                _ => {
                    Arc::new(TimestampMicrosecondArray::from(vec![0; offsets.len()]).with_timezone("+00:00"))
                }
            }
        })
        .collect();
    // The columns are made from the schema's own types.
    RecordBatch::try_new(fields, columns)
        .unwrap_or_else(|error| unreachable!("rows of the quarantine's schema: {error}"))
}

fn keep_values<T: Copy>(values: &[T], keep: &[bool]) -> Vec<T> {
    values.iter().zip(keep).filter_map(|(value, kept)| kept.then_some(*value)).collect()
}

fn keep_rows(batch: &RecordBatch, keep: &[bool]) -> RecordBatch {
    // The mask has the batch's length by construction; a filter has no other way to fail.
    filter_record_batch(batch, &BooleanArray::from(keep.to_vec()))
        .unwrap_or_else(|error| unreachable!("filter of equal length: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(first: i64, next: i64) -> RawBatch {
        let mut batch = RawBatch::at(0, first);
        for offset in first..next {
            batch.push(offset, None, format!("value {offset}").as_bytes());
        }
        batch
    }

    fn routing() -> Routing {
        Routing::new(&PartitionPlan {
            read_from: 0,
            bronze_next: 6,
            quarantine_next: 8,
            gold_from: 3,
            ..PartitionPlan::default()
        })
    }

    #[test]
    fn pieces_lie_on_one_side_of_each_sink() {
        let pieces = routing().cut(raw(0, 10));
        assert_eq!(
            pieces.iter().map(|piece| (piece.first_offset, piece.next_offset)).collect::<Vec<_>>(),
            [(0, 3), (3, 6), (6, 8), (8, 10)]
        );
        for piece in &pieces {
            for record in &piece.records {
                assert_eq!(piece.value(record), format!("value {}", record.offset).as_bytes());
            }
        }
        let routes: Vec<Route> = pieces.iter().map(|piece| routing().route(piece.first_offset)).collect();
        assert_eq!(
            routes
                .iter()
                .map(|route| (route.to_gold, route.to_bronze, route.to_quarantine))
                .collect::<Vec<_>>(),
            [(false, false, false), (true, false, false), (true, true, false), (true, true, true)]
        );
    }

    #[test]
    fn a_boundary_in_a_gap_moves_positions_alone() {
        let mut batch = RawBatch::at(0, 0);
        batch.push(1, None, b"one");
        batch.push(9, None, b"nine");
        let pieces = routing().cut(batch);
        assert_eq!(pieces.iter().map(|piece| piece.records.len()).collect::<Vec<_>>(), [1, 0, 0, 1]);
        assert_eq!(
            pieces.last().map(|piece| piece.value(&piece.records[0]).to_vec()),
            Some(b"nine".to_vec())
        );
    }

    #[test]
    fn behind_all_sinks_nothing_is_cut() {
        assert_eq!(routing().cut(raw(8, 12)).len(), 1);
    }

    #[test]
    fn another_decoders_range_is_marked() {
        let plan = PartitionPlan {
            bronze_next: 6,
            quarantine_next: 8,
            quarantined_decides_to: Some(8),
            gold_from: 6,
            ..PartitionPlan::default()
        };
        let routing = Routing::new(&plan);
        assert!(routing.route(6).quarantined_decides && routing.route(6).to_quarantine);
        assert!(!routing.route(8).quarantined_decides);
    }

    #[test]
    fn what_is_in_quarantine_stays_there_and_what_is_rejected_now_goes_there() {
        let mut raw = RawBatch::at(0, 0);
        for (offset, id) in ["a", "b", ""].iter().enumerate() {
            let value = format!(
                r#"{{"event_id":"{id}","event_timestamp":1000,"video_id":"v","user_id":"u","event_type":"like","payload":{{}}}}"#
            );
            raw.push(offset as i64, None, value.as_bytes());
        }
        let settings = pulselake_decode::DecodeSettings { source_topic: "t".into(), ..Default::default() };
        let decoded = pulselake_decode::EventDecoder::new(settings).decode(&raw, 0);
        assert_eq!(decoded.columns.offset, [0, 1]);
        let settled = settle_by_quarantine(&decoded, &HashSet::from([1]));
        assert_eq!(settled.batch.columns.offset, [0]);
        assert_eq!(settled.batch.events.num_rows(), 1);
        assert_eq!(
            settled
                .batch
                .invalid
                .column_by_name("source_offset")
                .map(|column| column.as_primitive::<Int64Type>().values().to_vec()),
            Some(vec![1, 2])
        );
        assert_eq!(settled.invalid_to_write.num_rows(), 1);
    }
}
