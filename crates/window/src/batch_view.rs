//! The few parts of a decoded batch that the windows read, checked before anything is changed.

use arrow::array::{Array, Int64Array, RecordBatch, StringArray};
use pulselake_model::{DecodedBatch, EventColumns};

use crate::ApplyError;
use crate::deltas::CountedEvent;
use crate::time::window_start_us;

/// A batch whose parts are known to agree with one another.
pub(crate) struct BatchView<'a> {
    pub(crate) columns: &'a EventColumns,
    pub(crate) video_ids: &'a StringArray,
    invalid_offsets: Option<&'a Int64Array>,
    first_offset: i64,
    next_offset: i64,
}

/// How many offsets of a batch, from some offset on, held what.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct OffsetCounts {
    pub(crate) records: u64,
    pub(crate) quarantined: u64,
    pub(crate) gaps: u64,
}

impl<'a> BatchView<'a> {
    /// Checks the batch.
    ///
    /// # Errors
    /// [`ApplyError::Malformed`] when lengths, counts, columns or offsets contradict one another.
    pub(crate) fn new(batch: &'a DecodedBatch) -> Result<Self, ApplyError> {
        Self::read(batch).map_err(|problem| ApplyError::Malformed {
            partition: batch.partition,
            first_offset: batch.first_offset,
            problem,
        })
    }

    fn read(batch: &'a DecodedBatch) -> Result<Self, String> {
        let columns = &batch.columns;
        let rows = columns.offset.len();
        let lengths = [
            ("events", batch.events.num_rows()),
            ("event_timestamp_us", columns.event_timestamp_us.len()),
            ("stream_time_us", columns.stream_time_us.len()),
            ("event_type", columns.event_type.len()),
            ("watch_time_ms", columns.watch_time_ms.len()),
            ("event_id_hash", columns.event_id_hash.len()),
        ];
        if let Some((name, length)) = lengths.into_iter().find(|(_, length)| *length != rows) {
            return Err(format!("{rows} offsets but {length} values of {name}"));
        }
        let invalid_rows = batch.invalid.num_rows();
        if batch.record_count != (rows + invalid_rows) as u64 {
            return Err(format!(
                "record_count is {} but there are {rows} valid and {invalid_rows} rejected records",
                batch.record_count
            ));
        }
        let span =
            batch.next_offset.checked_sub(batch.first_offset).and_then(|span| u64::try_from(span).ok());
        if span.is_none_or(|span| span < batch.record_count) {
            return Err(format!(
                "{} records do not fit into offsets {} to {}",
                batch.record_count, batch.first_offset, batch.next_offset
            ));
        }
        let video_ids = column::<StringArray>(&batch.events, "video_id")?;
        let invalid_offsets = match invalid_rows {
            0 => None,
            _ => Some(column::<Int64Array>(&batch.invalid, "source_offset")?),
        };
        let within = batch.first_offset..batch.next_offset;
        let rejected = invalid_offsets.map_or(&[][..], |offsets| &offsets.values()[..]);
        for (kind, offsets) in [("valid", &columns.offset[..]), ("rejected", rejected)] {
            if !offsets.is_sorted_by(|one, other| one < other) {
                return Err(format!("offsets of {kind} records do not rise"));
            }
            let ends = offsets.first().into_iter().chain(offsets.last());
            if let Some(outside) = ends.into_iter().find(|offset| !within.contains(offset)) {
                return Err(format!(
                    "offset {outside} of a {kind} record is not in {} to {}",
                    within.start, within.end
                ));
            }
        }
        let (first_offset, next_offset) = (batch.first_offset, batch.next_offset);
        Ok(Self { columns, video_ids, invalid_offsets, first_offset, next_offset })
    }

    /// A row as the windows count it.
    pub(crate) fn event(&self, row: usize) -> CountedEvent {
        CountedEvent {
            row,
            minute_start_us: window_start_us(self.columns.event_timestamp_us[row]),
            event_type: self.columns.event_type[row],
            watch_time_ms: self.columns.watch_time_ms[row],
        }
    }

    /// What the offsets at or after `from` held.
    pub(crate) fn counts_from(&self, from: i64) -> OffsetCounts {
        let start = from.clamp(self.first_offset, self.next_offset);
        let at_or_after = |offsets: &[i64]| (offsets.len() - offsets.partition_point(|o| *o < start)) as u64;
        let quarantined = self.invalid_offsets.map_or(0, |offsets| at_or_after(offsets.values()));
        let records = at_or_after(&self.columns.offset) + quarantined;
        // `new` found every record inside the range and the offsets rising, so this can't be negative.
        let gaps = self.next_offset.abs_diff(start).saturating_sub(records);
        OffsetCounts { records, quarantined, gaps }
    }
}

fn column<'a, A: Array + 'static>(batch: &'a RecordBatch, name: &str) -> Result<&'a A, String> {
    let found = batch.column_by_name(name).ok_or_else(|| format!("column {name} is missing"))?;
    let array = found
        .as_any()
        .downcast_ref::<A>()
        .ok_or_else(|| format!("column {name} is {}", found.data_type()))?;
    if array.null_count() > 0 {
        return Err(format!("column {name} has {} nulls", array.null_count()));
    }
    Ok(array)
}
