//! Reads a day's bodies out of bronze, once, on several threads; a second time where there are too many keys.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use chrono::{NaiveDate, NaiveTime};
use futures::StreamExt;
use iceberg::spec::Datum;
use pulselake_lake::{RowFilter, TableView};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::error::DriftError;
use super::profile::DayProfile;
use super::profiler::{Joined, MAX_NEW_KEYS, Profiler, joined};
use super::registry::Registry;

const TIME: &str = "event_timestamp";
const BODY: &str = "payload_json";
const DAY_US: i64 = 86_400_000_000;

/// The profile of a day's events in `bronze`; fields that `registry` has are counted by name.
///
/// # Errors
/// Where bronze can't be read.
pub async fn profile_day(
    bronze: &TableView,
    date: NaiveDate,
    registry: &Registry,
    threads: usize,
) -> Result<DayProfile, DriftError> {
    let keys = || registry.fields.keys().map(String::as_str);
    let first = pass(bronze, date, threads, || Profiler::first(keys(), MAX_NEW_KEYS)).await?;
    let frequencies = match joined(first) {
        Joined::Whole(day) => return Ok(day),
        Joined::TooManyKeys(frequencies) => frequencies,
    };
    tracing::info!(%date, room = MAX_NEW_KEYS, "the day has more new payload keys than room: its bodies are read once more");
    let second = || Profiler::second(keys(), MAX_NEW_KEYS, frequencies.clone());
    match joined(pass(bronze, date, threads, second).await?) {
        Joined::Whole(day) => Ok(day),
        Joined::TooManyKeys(_) => Err(DriftError::Bronze { reason: "its keys have no end".to_owned() }),
    }
}

/// All bodies of the day, each seen by one of so many profilers.
async fn pass(
    bronze: &TableView,
    date: NaiveDate,
    threads: usize,
    new: impl Fn() -> Profiler,
) -> Result<Vec<Profiler>, DriftError> {
    let start_us = date.and_time(NaiveTime::MIN).and_utc().timestamp_micros();
    let end_us = start_us.checked_add(DAY_US).ok_or(DriftError::Date { date })?;
    let (first, last) = (Datum::timestamptz_micros(start_us), Datum::timestamptz_micros(end_us - 1));
    let filter = RowFilter::all().between(TIME, first, last);
    let batches = Arc::new(Mutex::new(bronze.read_where(&[TIME, BODY], &filter).await?));
    let mut tasks = JoinSet::new();
    for _ in 0..threads.max(1) {
        let (batches, mut profiler) = (batches.clone(), new());
        tasks.spawn(async move {
            loop {
                // Held while waiting for a batch, not while one is worked on.
                let next = batches.lock().await.next().await;
                let Some(batch) = next else { return Ok::<Profiler, DriftError>(profiler) };
                add(&mut profiler, &batch?)?;
                tokio::task::yield_now().await;
            }
        });
    }
    let mut parts = Vec::with_capacity(threads);
    // Leaving early, with an error, ends the other tasks.
    while let Some(end) = tasks.join_next().await {
        parts.push(end.map_err(|error| DriftError::TaskStopped { reason: error.to_string() })??);
    }
    Ok(parts)
}

fn add(profiler: &mut Profiler, batch: &RecordBatch) -> Result<(), DriftError> {
    let wrong = |column: &str| DriftError::Bronze { reason: format!("column {column} has another type") };
    let times = batch.column(0).as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(|| wrong(TIME))?;
    let bodies = batch.column(1).as_string_opt::<i32>().ok_or_else(|| wrong(BODY))?;
    // Both columns are required: none of their values is null.
    profiler.add_all((0..batch.num_rows()).map(|row| (bodies.value(row), times.value(row))));
    Ok(())
}
