//! The points in a build for tests.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch, UInt64Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::Int64Type;
use parking_lot::Mutex;
use pulselake_model::tables::LakeTable;
use pulselake_model::{DecodedBatch, EventColumns, GoldFlush, GoldRow, RawBatch};

use crate::messages::WriteBatch;

/// The argument that a test has given a point; `None` where it is not armed.
fn argument(point: &'static str) -> Option<String> {
    fail::fail_point!(point, |argument: Option<String>| argument);
    None
}

/// The armed offset of this partition.
fn offset_at(point: &'static str, partition: i32) -> Option<i64> {
    let text = argument(point)?;
    let (wanted, offset) = text.split_once(':').unwrap_or_else(|| malformed(point, &text));
    let parsed = wanted.parse::<i32>().ok().zip(offset.parse::<i64>().ok());
    let (wanted, offset) = parsed.unwrap_or_else(|| malformed(point, &text));
    (wanted == partition).then_some(offset)
}

/// The index of the armed window's row among these.
fn row_at(point: &'static str, partition: i32, rows: &[GoldRow]) -> Option<usize> {
    let text = argument(point)?;
    let parts: Vec<&str> = text.splitn(3, ':').collect();
    let [wanted, start_ms, video_id] = parts[..] else { malformed(point, &text) };
    let parsed = wanted.parse::<i32>().ok().zip(start_ms.parse::<i64>().ok());
    let (wanted, start_ms) = parsed.unwrap_or_else(|| malformed(point, &text));
    let is_it = |row: &GoldRow| {
        row.video_id == video_id && row.window_start_us == start_ms * 1_000 && !row.is_correction
    };
    if wanted == partition { rows.iter().position(is_it) } else { None }
}

/// A test that arms a point wrongly must not pass because nothing goes wrong.
fn malformed(point: &str, text: &str) -> ! {
    panic!("{point} does not understand its argument {text:?}")
}

/// What a reader has delivered, before it is decoded.
pub(crate) fn polled(mut batch: RawBatch) -> RawBatch {
    if let Some(offset) = offset_at("sabotage::lose_record", batch.partition) {
        batch.records.retain(|record| record.offset != offset);
    }
    batch
}

/// What a bronze writer receives, before it is counted.
pub(crate) fn received(mut batch: WriteBatch) -> WriteBatch {
    let offset = offset_at("sabotage::drop_before_bronze", batch.partition);
    let Some(at) = offset.and_then(|wanted| index_of(&batch.events, wanted)) else { return batch };
    batch.events = without(&batch.events, at);
    batch.stream_time_us.remove(at);
    batch
}

/// What goes into a table's files, after it was counted.
pub(crate) fn rows_to_write(table: LakeTable, partition: i32, rows: &RecordBatch) -> Cow<'_, RecordBatch> {
    let at = |point| offset_at(point, partition).and_then(|offset| index_of(rows, offset));
    let altered = match table {
        LakeTable::RawEvents => {
            let dropped = at("sabotage::drop_from_bronze").map(|row| without(rows, row));
            dropped.or_else(|| {
                at("sabotage::double_in_bronze").map(|row| take(rows, (0..=row).chain(row..rows.num_rows())))
            })
        }
        LakeTable::InvalidEventsContent => at("sabotage::drop_from_quarantine").map(|row| without(rows, row)),
        LakeTable::VideoStats1Min
        | LakeTable::InvalidChanges(_)
        | LakeTable::DimensionHistory(_)
        | LakeTable::Dimension(_)
        | LakeTable::ExpectedActions
        | LakeTable::RunManifest
        | LakeTable::ActionQueue
        | LakeTable::RuleBaselines
        | LakeTable::PayloadFields
        | LakeTable::EngagementFacts
        | LakeTable::BatchVideoDaily
        | LakeTable::BatchQualityDaily
        | LakeTable::SessionHealthDaily
        | LakeTable::CreatorRetentionWeekly
        | LakeTable::BatchReconciliation
        | LakeTable::BatchRuns => None,
    };
    altered.map_or(Cow::Borrowed(rows), Cow::Owned)
}

/// What a flush of changes writes into the files of a dimension or its history, after it was counted.
pub(crate) fn changes_to_write(table: LakeTable, rows: &RecordBatch) -> Cow<'_, RecordBatch> {
    let at = |point| argument(point).and_then(|key| row_of_key(rows, &key));
    let altered = match table {
        LakeTable::DimensionHistory(_) => {
            let dropped = at("sabotage::drop_version").map(|row| without(rows, row));
            dropped.or_else(|| {
                at("sabotage::double_version").map(|row| take(rows, (0..=row).chain(row..rows.num_rows())))
            })
        }
        LakeTable::Dimension(_) => at("sabotage::drop_upsert").map(|row| without(rows, row)),
        _ => None,
    };
    altered.map_or(Cow::Borrowed(rows), Cow::Owned)
}

/// The first row with this value in the first column, which is the key.
fn row_of_key(rows: &RecordBatch, key: &str) -> Option<usize> {
    let keys = rows.columns().first()?.as_string_opt::<i32>()?;
    keys.iter().position(|found| found == Some(key))
}

/// What an aggregator receives.
pub(crate) fn aggregated(batch: Arc<DecodedBatch>) -> Arc<DecodedBatch> {
    /// The last id of each partition's batch before this one.
    static LAST_IDS: Mutex<BTreeMap<i32, u128>> = Mutex::new(BTreeMap::new());
    let before = {
        let mut last_ids = LAST_IDS.lock();
        let before = last_ids.get(&batch.partition).copied().unwrap_or_default();
        last_ids.extend(batch.columns.event_id_hash.last().map(|&last| (batch.partition, last)));
        before
    };
    let at = |point| {
        let offset = offset_at(point, batch.partition)?;
        batch.columns.offset.binary_search(&offset).ok()
    };
    if let Some(row) = at("sabotage::drop_before_gold") {
        let kept = (0..batch.events.num_rows()).filter(|&index| index != row).collect();
        let record_count = batch.record_count - 1;
        return Arc::new(DecodedBatch { record_count, ..with_rows(&batch, kept) });
    }
    if let Some(row) = at("sabotage::double_before_gold") {
        let rows = batch.events.num_rows();
        // A batch of one event has no neighbour: the panic makes the run read it again in another batch.
        let neighbour = if row + 1 < rows { row + 1 } else { row.checked_sub(1).expect("a neighbour") };
        let mut doubled = with_rows(&batch, replacing(rows, neighbour, row));
        doubled.columns.offset = batch.columns.offset.clone();
        doubled.columns.event_id_hash = batch.columns.event_id_hash.clone();
        return Arc::new(doubled);
    }
    if let Some(row) = at("sabotage::false_duplicate") {
        let mut mistaken = (*batch).clone();
        mistaken.columns.event_id_hash[row] =
            if row == 0 { before } else { batch.columns.event_id_hash[row - 1] };
        return Arc::new(mistaken);
    }
    if let Some(row) = at("sabotage::forget_id") {
        let mut forgotten = (*batch).clone();
        forgotten.columns.event_id_hash[row] = !batch.columns.event_id_hash[row];
        return Arc::new(forgotten);
    }
    batch
}

/// What an aggregator hands over for gold.
pub(crate) fn flushed(partition: i32, flush: &mut GoldFlush) {
    static EMITTED: Mutex<Option<(i32, GoldRow)>> = Mutex::new(None);
    let mut emitted = EMITTED.lock();
    flush.rows.extend(emitted.take_if(|(owner, _)| *owner == partition).map(|(_, row)| row));
    if let Some(at) = row_at("sabotage::emit_window_again", partition, &flush.rows) {
        *emitted = Some((partition, flush.rows[at].clone()));
    }
    if let Some(at) = row_at("sabotage::emit_window_twice", partition, &flush.rows) {
        flush.rows.push(flush.rows[at].clone());
    }
    let counts = [("sabotage::drop_from_window", -1), ("sabotage::double_in_window", 1)];
    for (point, difference) in counts {
        let Some(at) = row_at(point, partition, &flush.rows) else { continue };
        let counted = flush.rows[at].counters.by_type.iter_mut().find(|count| **count > 0);
        *counted.unwrap_or_else(|| malformed(point, "a window without events")) += difference;
    }
    let watch_times = [("sabotage::shorten_watch_time", -1), ("sabotage::lengthen_watch_time", 1)];
    for (point, difference_ms) in watch_times {
        if let Some(at) = row_at(point, partition, &flush.rows) {
            flush.rows[at].counters.watch_time_sum_ms += difference_ms;
        }
    }
}

fn index_of(rows: &RecordBatch, offset: i64) -> Option<usize> {
    let offsets = rows.column_by_name("source_offset")?.as_primitive::<Int64Type>();
    offsets.values().binary_search(&offset).ok()
}

fn without(rows: &RecordBatch, row: usize) -> RecordBatch {
    take(rows, (0..rows.num_rows()).filter(|&index| index != row))
}

fn take(rows: &RecordBatch, indices: impl Iterator<Item = usize>) -> RecordBatch {
    let indices = UInt64Array::from_iter_values(indices.map(|index| index as u64));
    take_record_batch(rows, &indices)
        .unwrap_or_else(|error| unreachable!("rows chosen within the batch: {error}"))
}

/// Every index, with that of `other` in place of `row`.
fn replacing(rows: usize, row: usize, other: usize) -> Vec<usize> {
    (0..rows).map(|index| if index == row { other } else { index }).collect()
}

fn with_rows(batch: &DecodedBatch, indices: Vec<usize>) -> DecodedBatch {
    fn chosen<T: Copy>(values: &[T], indices: &[usize]) -> Vec<T> {
        indices.iter().map(|&index| values[index]).collect()
    }
    let columns = &batch.columns;
    DecodedBatch {
        columns: EventColumns {
            offset: chosen(&columns.offset, &indices),
            event_timestamp_us: chosen(&columns.event_timestamp_us, &indices),
            stream_time_us: chosen(&columns.stream_time_us, &indices),
            event_type: chosen(&columns.event_type, &indices),
            watch_time_ms: chosen(&columns.watch_time_ms, &indices),
            event_id_hash: chosen(&columns.event_id_hash, &indices),
        },
        events: take(&batch.events, indices.into_iter()),
        ..batch.clone()
    }
}
