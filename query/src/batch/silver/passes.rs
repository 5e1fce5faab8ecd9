//! The passes over a day's events before its rows are made: few columns, nothing kept but what they are for.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use chrono::NaiveDate;
use futures::TryStreamExt;

use super::duplicates::{Comparison, Duplicates, Sieve, id_key};
use super::functions::user_slice;
use super::sessions::{Sessions, user_key};
use crate::batch::error::BatchError;
use crate::batch::inputs::each_open_session;
use crate::batch::template::moment_text;
use crate::{QueryEngine, QueryError};

/// Rows between two looks at the memory.
const LOOK_EVERY_BATCHES: usize = 16;

/// Bronze of one day.
#[derive(Clone, Copy, Debug)]
pub(super) struct DaySource<'a> {
    /// All passes see the same rows.
    pub(super) engine: &'a QueryEngine,
    pub(super) date: NaiveDate,
    /// Rows that it has, about.
    pub(super) expected_rows: u64,
    /// What a pass may keep.
    pub(super) memory_bytes: usize,
}

impl DaySource<'_> {
    /// Hands out these columns of all rows.
    async fn each_batch(
        self,
        columns: &str,
        mut use_batch: impl FnMut(&RecordBatch) -> Result<bool, BatchError>,
    ) -> Result<bool, BatchError> {
        let (start, end) = (moment_text(self.date, 0)?, moment_text(self.date, 1)?);
        let sql = format!(
            "SELECT {columns} FROM bronze.raw_events \
             WHERE event_timestamp >= TIMESTAMP '{start} UTC' AND event_timestamp < TIMESTAMP '{end} UTC'"
        );
        let mut rows = self.engine.plan_own(&sql).await?.execute(None).await?;
        while let Some(batch) = rows.try_next().await.map_err(QueryError::from)? {
            if !use_batch(&batch)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Where the sessions are that were open when the day began.
#[derive(Clone, Copy, Debug)]
pub(super) enum OpenIn<'a> {
    /// In silver.
    Silver,
    /// Not in silver: they are those of the day before in bronze.
    Bronze(DaySource<'a>),
}

/// The rows that repeat others, and how many rows there are.
pub(super) async fn find_duplicates(source: DaySource<'_>) -> Result<(Duplicates, u64), BatchError> {
    let (mut sieve, mut rows) = (Sieve::new(source.expected_rows, source.memory_bytes), 0);
    source
        .each_batch("event_id", |batch| {
            let ids = batch.column(0).as_string::<i32>();
            ids.iter().flatten().for_each(|id| sieve.see(id_key(id)));
            rows += ids.len() as u64;
            Ok(true)
        })
        .await?;
    let suspects = sieve.into_suspects();
    let mut duplicates = Duplicates::default();
    if suspects.is_empty() {
        return Ok((duplicates, rows));
    }
    let portions = suspects.portions(source.memory_bytes);
    for portion in 0..portions {
        let mut comparison = Comparison::default();
        source
            .each_batch("event_id, source_topic, source_partition, source_offset", |batch| {
                let (ids, topics) = (batch.column(0).as_string::<i32>(), batch.column(1).as_string::<i32>());
                let partitions = batch.column(2).as_primitive::<Int32Type>();
                let offsets = batch.column(3).as_primitive::<Int64Type>();
                for row in 0..batch.num_rows() {
                    let id = id_key(ids.value(row));
                    if suspects.contains(id, portion, portions) {
                        let (partition, offset) = (partitions.value(row), offsets.value(row));
                        duplicates.compare(&mut comparison, id, topics.value(row), partition, offset);
                    }
                }
                Ok(true)
            })
            .await?;
    }
    Ok((duplicates, rows))
}

/// The sessions of one slice of the users, out of so many; `None` where they take more than `most_bytes`.
pub(super) async fn find_sessions(
    source: DaySource<'_>,
    duplicates: &Arc<Duplicates>,
    open: OpenIn<'_>,
    slice: (u64, u64),
    most_bytes: Option<usize>,
) -> Result<Option<Sessions>, BatchError> {
    let sessions = match open {
        OpenIn::Silver => open_in_silver(source, slice).await?,
        OpenIn::Bronze(before) if before.expected_rows == 0 => Sessions::default(),
        OpenIn::Bronze(before) => {
            // Its own repeated rows must not join sessions either.
            let duplicates_before = Arc::new(find_duplicates(before).await?.0);
            let found =
                sessions_of(before, &duplicates_before, slice, most_bytes, Sessions::default()).await?;
            let Some(of_before) = found else { return Ok(None) };
            of_before.open_at(midnight_us(source.date))
        }
    };
    sessions_of(source, duplicates, slice, most_bytes, sessions).await
}

async fn open_in_silver(source: DaySource<'_>, (slice, slices): (u64, u64)) -> Result<Sessions, BatchError> {
    let mut sessions = Sessions::default();
    each_open_session(source.engine, source.date, |user_id, started_us, last_us| {
        let user = user_key(user_id);
        if user_slice(user, slices) == slice {
            sessions.open(user, started_us, last_us);
        }
    })
    .await?;
    Ok(sessions)
}

async fn sessions_of(
    source: DaySource<'_>,
    duplicates: &Arc<Duplicates>,
    (slice, slices): (u64, u64),
    most_bytes: Option<usize>,
    mut sessions: Sessions,
) -> Result<Option<Sessions>, BatchError> {
    let is_any_left_out = duplicates.rows() > 0;
    let columns = match is_any_left_out {
        true => "user_id, event_timestamp, source_topic, source_partition, source_offset",
        false => "user_id, event_timestamp",
    };
    duplicates.begin_again();
    let mut batches = 0;
    let is_whole = source
        .each_batch(columns, |batch| {
            let users = batch.column(0).as_string::<i32>();
            let moments = batch.column(1).as_primitive::<TimestampMicrosecondType>();
            let place = is_any_left_out.then(|| {
                (
                    batch.column(2).as_string::<i32>(),
                    batch.column(3).as_primitive::<Int32Type>(),
                    batch.column(4).as_primitive::<Int64Type>(),
                )
            });
            for row in 0..batch.num_rows() {
                let counts = place.as_ref().is_none_or(|(topics, partitions, offsets)| {
                    duplicates.counts(topics.value(row), partitions.value(row), offsets.value(row))
                });
                let user = user_key(users.value(row));
                if counts && user_slice(user, slices) == slice {
                    sessions.add(user, moments.value(row));
                }
            }
            batches += 1;
            let fits = most_bytes
                .is_none_or(|most| batches % LOOK_EVERY_BATCHES != 0 || sessions.memory_bytes() <= most);
            Ok(fits)
        })
        .await?;
    let fits = is_whole && most_bytes.is_none_or(|most| sessions.memory_bytes() <= most);
    Ok(fits.then_some(sessions))
}

fn midnight_us(date: NaiveDate) -> i64 {
    date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_micros()
}
