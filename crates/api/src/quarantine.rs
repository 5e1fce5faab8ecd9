//! The newest rejected records, out of the quarantine tables: bounded in time and memory, and shared by all clients.

use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use axum::Json;
use axum::extract::{RawQuery, State};
use futures::StreamExt;
use iceberg::spec::Datum;
use pulselake_actors::status::now_us;
use pulselake_decision::MINUTE_US;
use pulselake_lake::{Lake, LakeError, RowFilter};
use pulselake_model::Entity;
use pulselake_model::tables::LakeTable;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::error::ErrorAnswer;
use crate::lake_reader::lake_error;
use crate::parameters::{MAX_LIMIT, Parameters};
use crate::parts::Api;
use crate::shared_answer::{Pace, Shared};
use crate::{ApiError, Moment};

/// Records where nothing is said.
const DEFAULT_SAMPLES: u32 = 20;
/// Bytes of a value that are shown.
const SHOWN_BYTES: usize = 500;
/// How long reading may take, all tables together.
const TIME_LIMIT: Duration = Duration::from_secs(5);
/// Reading files costs more than asking memory.
const PACE: Pace = Pace { shortest: Duration::from_secs(10), longest: Duration::from_secs(10) };

/// How far back is looked: step by step, until there are enough records.
const LOOK_BACK_US: [i64; 4] = [2 * MINUTE_US, 60 * MINUTE_US, 24 * 60 * MINUTE_US, 30 * 24 * 60 * MINUTE_US];

/// A clock that was set back must not hide the last records.
const AHEAD_US: i64 = 30 * 24 * 60 * MINUTE_US;

const COLUMNS: [&str; 7] = [
    "ingested_at",
    "source_topic",
    "source_partition",
    "source_offset",
    "error_code",
    "error_reason",
    "raw_value",
];

/// The newest rejected records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QuarantineAnswer {
    /// When the tables were read.
    pub as_of: Moment,
    /// Whether the time was too short to read all that is wanted: then newer records may be missing.
    pub truncated: bool,
    /// The records, newest first.
    pub records: Vec<RejectedRecord>,
}

/// A rejected record. Ordered by when it was taken in, then by where it came from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct RejectedRecord {
    /// When it was taken in.
    pub ingested_at: Moment,
    /// Where it came from.
    pub topic: String,
    /// Where it came from.
    pub partition: i32,
    /// Where it came from.
    pub offset: i64,
    /// Why, for programs.
    pub code: String,
    /// Why, for people.
    pub reason: String,
    /// Its first 500 bytes, as text; what is no UTF-8 is replaced.
    pub value: String,
    /// How long the value is.
    pub value_bytes: u64,
}

/// The records that everybody shares.
pub(crate) struct QuarantineSamples {
    shared: Shared<QuarantineAnswer>,
}

impl Default for QuarantineSamples {
    fn default() -> Self {
        Self { shared: Shared::new(PACE) }
    }
}

/// Parameters of the samples.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "read by utoipa's derive alone; `Parameters` reads them strictly")]
pub(crate) struct QuarantineParameters {
    /// Records, from 1 to 500.
    #[param(minimum = 1, maximum = 500, default = 20)]
    limit: Option<u32>,
}

/// The newest rejected records
#[utoipa::path(
    get, path = "/api/v1/quarantine", tag = "engine", params(QuarantineParameters),
    responses(
        (status = 200, description = "The records", body = QuarantineAnswer),
        (status = 400, description = "A wrong parameter", body = ErrorAnswer),
        (status = 401, description = "No token, or a wrong one", body = ErrorAnswer),
        (status = 503, description = "The tables can't be read now", body = ErrorAnswer),
    )
)]
pub(crate) async fn get_quarantine(
    State(api): State<Api>,
    RawQuery(query): RawQuery,
) -> Result<Json<QuarantineAnswer>, ApiError> {
    let limit = Parameters::read(query.as_deref(), &["limit"])?.limit(DEFAULT_SAMPLES)?;
    let of_making = api.clone();
    let making = move || async move { newest_of_all(&of_making).await };
    let found: Arc<QuarantineAnswer> = api.quarantine.shared.get(making).await?;
    let records = found.records.iter().take(limit).cloned().collect();
    Ok(Json(QuarantineAnswer { as_of: found.as_of, truncated: found.truncated, records }))
}

async fn newest_of_all(api: &Api) -> Result<QuarantineAnswer, ApiError> {
    let (lake, _permit) = api.lake_reader.lake().await?;
    let now_us = now_us();
    let mut newest = Newest::default();
    let reading = read_step_by_step(&lake, now_us, &mut newest);
    let in_time = tokio::time::timeout(TIME_LIMIT, reading).await;
    let truncated = in_time.is_err();
    in_time.unwrap_or(Ok(()))?;
    Ok(QuarantineAnswer { as_of: Moment::from_us(now_us), truncated, records: newest.into_sorted() })
}

async fn read_step_by_step(lake: &Lake, now_us: i64, newest: &mut Newest) -> Result<(), ApiError> {
    let tables = lake.existing_tables().await.map_err(|error| lake_error(&error))?;
    let quarantines = [
        LakeTable::InvalidEventsContent,
        LakeTable::InvalidChanges(Entity::Videos),
        LakeTable::InvalidChanges(Entity::Users),
    ];
    let mut to_us = now_us + AHEAD_US;
    for back_us in LOOK_BACK_US {
        let from_us = now_us - back_us;
        for table in quarantines.into_iter().filter(|table| tables.contains(table)) {
            read(lake, table, (from_us, to_us), newest).await?;
        }
        if newest.is_full() {
            return Ok(());
        }
        to_us = from_us - 1;
    }
    Ok(())
}

async fn read(
    lake: &Lake,
    table: LakeTable,
    (from_us, to_us): (i64, i64),
    newest: &mut Newest,
) -> Result<(), ApiError> {
    let failed = |error: LakeError| lake_error(&error);
    let view = lake.view(table).await.map_err(failed)?;
    let (from, to) = (Datum::timestamptz_micros(from_us), Datum::timestamptz_micros(to_us));
    let filter = RowFilter::all().between("ingested_at", from, to);
    let mut batches = view.read_where(&COLUMNS, &filter).await.map_err(failed)?;
    while let Some(batch) = batches.next().await {
        add(newest, &batch.map_err(failed)?);
    }
    Ok(())
}

/// The newest records of those that were seen.
#[derive(Default)]
struct Newest {
    /// The oldest is on top.
    kept: BinaryHeap<std::cmp::Reverse<RejectedRecord>>,
}

impl Newest {
    fn is_full(&self) -> bool {
        self.kept.len() >= MAX_LIMIT as usize
    }

    /// Whether a record that was taken in then would be kept.
    fn wants(&self, ingested_at: Moment) -> bool {
        !self.is_full() || self.kept.peek().is_none_or(|oldest| oldest.0.ingested_at <= ingested_at)
    }

    fn add(&mut self, record: RejectedRecord) {
        self.kept.push(std::cmp::Reverse(record));
        if self.kept.len() > MAX_LIMIT as usize {
            self.kept.pop();
        }
    }

    fn into_sorted(self) -> Vec<RejectedRecord> {
        // The heap's order is turned round: what comes first is the newest.
        self.kept.into_sorted_vec().into_iter().map(|entry| entry.0).collect()
    }
}

fn add(newest: &mut Newest, rows: &RecordBatch) {
    let text = |column: usize, row: usize| {
        let values = rows.column(column).as_string_opt::<i32>();
        values.map_or_else(String::new, |values| values.value(row).to_owned())
    };
    let Some(times) = rows.column(0).as_primitive_opt::<TimestampMicrosecondType>() else { return };
    let (partitions, offsets) =
        (rows.column(2).as_primitive_opt::<Int32Type>(), rows.column(3).as_primitive_opt::<Int64Type>());
    for row in 0..rows.num_rows() {
        let ingested_at = Moment::from_us(times.value(row));
        if !newest.wants(ingested_at) {
            continue;
        }
        let value = bytes_at(rows.column(6).as_ref(), row);
        newest.add(RejectedRecord {
            ingested_at,
            topic: text(1, row),
            partition: partitions.map_or(0, |values| values.value(row)),
            offset: offsets.map_or(0, |values| values.value(row)),
            code: text(4, row),
            reason: text(5, row),
            value: String::from_utf8_lossy(&value[..value.len().min(SHOWN_BYTES)]).into_owned(),
            value_bytes: value.len() as u64,
        });
    }
}

/// Bytes come as `Binary` or `LargeBinary`.
fn bytes_at(column: &dyn Array, row: usize) -> &[u8] {
    let short = column.as_binary_opt::<i32>().map(|values| values.value(row));
    short.or_else(|| column.as_binary_opt::<i64>().map(|values| values.value(row))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        ArrayRef, BinaryArray, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray,
    };

    use super::*;

    fn batch(from: i64, count: i64, value: &[u8]) -> RecordBatch {
        let rows = usize::try_from(count).unwrap();
        let times = TimestampMicrosecondArray::from_iter_values(from..from + count).with_timezone("+00:00");
        let text = |value: &str| Arc::new(StringArray::from(vec![value; rows])) as ArrayRef;
        RecordBatch::try_from_iter([
            (COLUMNS[0], Arc::new(times) as ArrayRef),
            (COLUMNS[1], text("content_events")),
            (COLUMNS[2], Arc::new(Int32Array::from(vec![3; rows]))),
            (COLUMNS[3], Arc::new(Int64Array::from_iter_values(from..from + count))),
            (COLUMNS[4], text("NOT_UTF8")),
            (COLUMNS[5], text("byte 0xff at 0")),
            (COLUMNS[6], Arc::new(BinaryArray::from_iter_values(vec![value; rows]))),
        ])
        .unwrap()
    }

    #[test]
    fn the_newest_are_kept_in_whatever_order_they_come() {
        let mut newest = Newest::default();
        for from in [600, 0, 300, 900] {
            add(&mut newest, &batch(from, 300, b"x"));
        }
        assert!(newest.is_full() && !newest.wants(Moment::from_us(10)));
        let records = newest.into_sorted();
        let offsets: Vec<i64> = records.iter().map(|record| record.offset).collect();
        assert_eq!(offsets, (700..1_200).rev().collect::<Vec<_>>());
    }

    #[test]
    fn a_long_value_is_cut_and_a_broken_one_is_shown() {
        let mut newest = Newest::default();
        add(&mut newest, &batch(0, 1, &[0xff; 10_000]));
        let records = newest.into_sorted();
        assert_eq!((records[0].value.chars().count(), records[0].value_bytes), (500, 10_000));
        assert_eq!((records[0].code.as_str(), records[0].partition), ("NOT_UTF8", 3));
        assert!(records[0].value.starts_with('\u{fffd}'));
    }
}
