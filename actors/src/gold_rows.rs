//! Gold rows as Arrow: the last step before Parquet.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::error::ArrowError;
use pulselake_model::{EventType, GoldRow, schema};
use pulselake_window::window_end_us;

/// One partition's rows with the revision that its corrections get: the commit's `seq` (rule 9).
pub struct PartitionRows<'a> {
    /// Source partition.
    pub partition: i32,
    /// The rows.
    pub rows: &'a [GoldRow],
    /// Revision of corrections; on-time rows have revision 0.
    pub correction_revision: i32,
}

/// The rows of several partitions as one batch of `gold.rt_video_stats_1min`, sorted by window and video, so that a
/// lookup of one video prunes row groups.
pub fn to_batch(partitions: &[PartitionRows<'_>], processed_at_us: i64) -> Result<RecordBatch, ArrowError> {
    let mut rows: Vec<(i32, i32, &GoldRow)> = Vec::new();
    for partition in partitions {
        rows.extend(partition.rows.iter().map(|row| {
            let revision = if row.is_correction { partition.correction_revision } else { 0 };
            (partition.partition, revision, row)
        }));
    }
    rows.sort_unstable_by(|(_, left_revision, left), (_, right_revision, right)| {
        (left.window_start_us, &left.video_id, left_revision).cmp(&(
            right.window_start_us,
            &right.video_id,
            right_revision,
        ))
    });
    let count = |event_type: EventType| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(
            rows.iter().map(|(_, _, row)| row.counters.by_type[event_type as usize]),
        ))
    };
    let timestamps = |values: Vec<i64>| -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from(values).with_timezone("+00:00"))
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from_iter_values(rows.iter().map(|(partition, _, _)| *partition))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|(_, _, row)| row.video_id.as_str()))),
        timestamps(rows.iter().map(|(_, _, row)| row.window_start_us).collect()),
        timestamps(rows.iter().map(|(_, _, row)| window_end_us(row.window_start_us)).collect()),
        count(EventType::Impression),
        count(EventType::PlayStart),
        count(EventType::PlayFinish),
        count(EventType::Like),
        count(EventType::Share),
        count(EventType::Skip),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|(_, _, row)| row.counters.watch_time_sum_ms))),
        Arc::new(Int32Array::from_iter_values(rows.iter().map(|(_, revision, _)| *revision))),
        timestamps(vec![processed_at_us; rows.len()]),
    ];
    RecordBatch::try_new(schema::gold_video_stats(), columns)
}

#[cfg(test)]
mod tests {
    use arrow::array::Array;
    use pulselake_model::WindowCounters;

    use super::*;

    #[test]
    fn corrections_carry_the_commits_number_and_on_time_rows_zero() {
        let row = |video_id: &str, is_correction: bool| GoldRow {
            video_id: video_id.into(),
            window_start_us: 120_000_000,
            is_correction,
            counters: WindowCounters { by_type: [1, 2, 3, 4, 5, 6], watch_time_sum_ms: 7 },
        };
        let rows = [row("b", true), row("b", false), row("a", false)];
        let batch =
            to_batch(&[PartitionRows { partition: 4, rows: &rows, correction_revision: 9 }], 1).unwrap();
        let revisions = batch.column(11).as_any().downcast_ref::<Int32Array>().unwrap();
        assert_eq!(revisions.values(), &[0, 0, 9]);
        let videos = batch.column(1).as_any().downcast_ref::<StringArray>().unwrap();
        assert_eq!((0..videos.len()).map(|index| videos.value(index)).collect::<Vec<_>>(), ["a", "b", "b"]);
        let sums: Vec<i64> = (4..11)
            .map(|column| batch.column(column).as_any().downcast_ref::<Int64Array>().unwrap().value(2))
            .collect();
        assert_eq!(sums, [1, 2, 3, 4, 5, 6, 7]);
    }
}
