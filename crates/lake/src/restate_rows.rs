//! The rows of a restatement: differences as a query gives them, made rows of gold, and summed up.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, RecordBatch, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimestampMicrosecondType};
use chrono::{NaiveDate, Utc};
use futures::{Stream, StreamExt};
use pulselake_model::gold_counts::{COUNT_COLUMNS, WATCH_TIME_COLUMN};
use pulselake_model::{RESTATED_PARTITION, schema};

use crate::day_rows::day_number;
use crate::restate::{RestateError, bad_rows, failed};
use crate::{LakeError, TableWriter};

const MINUTE_US: i64 = 60_000_000;
const DAY_US: i64 = 1_440 * MINUTE_US;

/// What becomes of the rows.
pub(crate) struct RestatementRows {
    date: NaiveDate,
    revision: i32,
    processed_at_us: i64,
    /// By column; wide enough for any number of rows.
    sums: BTreeMap<&'static str, i128>,
}

impl RestatementRows {
    pub(crate) fn new(date: NaiveDate, revision: i32) -> Self {
        let sums = COUNT_COLUMNS.into_iter().chain([WATCH_TIME_COLUMN]).map(|column| (column, 0)).collect();
        Self { date, revision, processed_at_us: Utc::now().timestamp_micros(), sums }
    }

    /// What all rows so far add up to; `None` where a sum does not fit.
    pub(crate) fn sums(&self) -> Option<BTreeMap<String, i64>> {
        let narrow = |(column, sum): (&&str, &i128)| Some(((*column).to_string(), i64::try_from(*sum).ok()?));
        self.sums.iter().map(narrow).collect()
    }

    /// Writes all rows of the stream.
    pub(crate) async fn write<E: std::error::Error + 'static>(
        &mut self,
        writer: &mut TableWriter,
        rows: impl Stream<Item = Result<RecordBatch, E>> + Send,
    ) -> Result<(), RestateError<E>> {
        let mut rows = std::pin::pin!(rows);
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(RestateError::Rows)?;
            let of_gold = self.of_gold(&batch).map_err(failed)?;
            writer.write_in_portions(&of_gold).await.map_err(failed)?;
        }
        Ok(())
    }

    /// A batch as gold has its rows.
    fn of_gold(&mut self, batch: &RecordBatch) -> Result<RecordBatch, LakeError> {
        let rows = batch.num_rows();
        let video_ids = column(batch, "video_id", &DataType::Utf8)?;
        let starts = self.starts(batch)?;
        let ends: TimestampMicrosecondArray = starts.unary(|start_us| start_us + MINUTE_US);
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(Int32Array::from(vec![RESTATED_PARTITION; rows])),
            video_ids,
            Arc::new(starts.with_timezone("+00:00")),
            Arc::new(ends.with_timezone("+00:00")),
        ];
        for name in COUNT_COLUMNS.into_iter().chain([WATCH_TIME_COLUMN]) {
            let counts = column(batch, name, &DataType::Int64)?;
            let values = counts.as_primitive::<Int64Type>().values();
            *self.sums.entry(name).or_default() +=
                values.iter().map(|&value| i128::from(value)).sum::<i128>();
            columns.push(counts);
        }
        columns.push(Arc::new(Int32Array::from(vec![self.revision; rows])));
        let processed_at = TimestampMicrosecondArray::from(vec![self.processed_at_us; rows]);
        columns.push(Arc::new(processed_at.with_timezone("+00:00")));
        RecordBatch::try_new(schema::gold_video_stats(), columns).map_err(|error| bad_rows(error.to_string()))
    }

    /// The starts of the windows: whole minutes of the day.
    fn starts(&self, batch: &RecordBatch) -> Result<TimestampMicrosecondArray, LakeError> {
        let wanted = schema::timestamp_type();
        let starts = column(batch, "window_start", &wanted)?;
        let starts = starts.as_primitive::<TimestampMicrosecondType>();
        let day_start_us = i64::from(day_number(self.date)) * DAY_US;
        let is_within = |start_us: i64| {
            (day_start_us..day_start_us + DAY_US).contains(&start_us) && start_us % MINUTE_US == 0
        };
        if let Some(other) = starts.values().iter().find(|start_us| !is_within(**start_us)) {
            let moment = chrono::DateTime::from_timestamp_micros(*other);
            let found = moment.map_or_else(|| format!("{other} µs"), |moment| moment.to_rfc3339());
            return Err(bad_rows(format!("a window that begins at {found} is no minute of {}", self.date)));
        }
        Ok(starts.clone())
    }
}

/// A column without nulls, as `wanted`.
fn column(batch: &RecordBatch, name: &str, wanted: &DataType) -> Result<ArrayRef, LakeError> {
    let found = batch.column_by_name(name).ok_or_else(|| bad_rows(format!("it has no column {name}")))?;
    if found.null_count() > 0 {
        return Err(bad_rows(format!("{} nulls in column {name}", found.null_count())));
    }
    let is_the_same = match (wanted, found.data_type()) {
        (DataType::Utf8, DataType::Utf8View | DataType::LargeUtf8) => true,
        (DataType::Timestamp(unit, _), DataType::Timestamp(found_unit, Some(_))) => unit == found_unit,
        (wanted, other) => wanted == other,
    };
    if !is_the_same {
        return Err(bad_rows(format!("column {name} is {}, expected {wanted}", found.data_type())));
    }
    cast(found, wanted).map_err(|error| bad_rows(error.to_string()))
}
