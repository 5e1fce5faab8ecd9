//! What there is now of what jobs read: gathered from manifests where these tell it, else by small queries.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use arrow::array::AsArray;
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::NaiveDate;
use futures::TryStreamExt;
use pulselake_lake::Lake;
use pulselake_model::Entity;
use pulselake_model::gold_counts::{COUNT_COLUMNS, WATCH_TIME_COLUMN};
use pulselake_model::tables::LakeTable;
use xxhash_rust::xxh3::Xxh3;

use super::drift::Registry;
use super::error::BatchError;
use super::fingerprint::short_hash;
use super::job::{Input, Job, SILVER};
use super::plan::shifted;
use super::run_log::RunLog;
use super::template::{CarryOver, moment_text};
use crate::QueryEngine;

/// What is known of the inputs of some days.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Rows of bronze, by day.
    pub bronze_rows: BTreeMap<NaiveDate, u64>,
    /// Rows of silver, by day.
    pub silver_rows: BTreeMap<NaiveDate, u64>,
    pub(super) versions: HashMap<(Entity, NaiveDate), u64>,
    pub(super) real_time: HashMap<NaiveDate, String>,
    pub(super) open_sessions: HashMap<NaiveDate, String>,
    pub(super) payload_columns: HashMap<NaiveDate, String>,
}

impl Facts {
    /// What the manifests say.
    ///
    /// # Errors
    /// When catalog or store do not answer.
    pub async fn of_manifests(lake: &Lake) -> Result<Self, BatchError> {
        let existing = lake.existing_tables().await?;
        let mut facts = Self::default();
        for (table, rows) in [
            (LakeTable::RawEvents, &mut facts.bronze_rows),
            (LakeTable::EngagementFacts, &mut facts.silver_rows),
        ] {
            if existing.contains(&table) {
                let days = lake.view(table).await?.rows_by_day().await?;
                *rows = days.into_iter().map(|(day, found)| (day, found.rows)).collect();
            }
        }
        Ok(facts)
    }

    /// Rows of bronze of the day.
    pub fn bronze_rows_of(&self, date: NaiveDate) -> u64 {
        self.bronze_rows.get(&date).copied().unwrap_or_default()
    }

    /// Versions that began before the end of the day.
    pub fn versions_before_end_of(&self, entity: Entity, date: NaiveDate) -> u64 {
        self.versions.get(&(entity, date)).copied().unwrap_or_default()
    }

    /// The sums of the day's rows of real time.
    pub fn real_time_of(&self, date: NaiveDate) -> &str {
        self.real_time.get(&date).map_or("", String::as_str)
    }

    /// The sessions that were open when the day began; `None` where nobody can tell any more.
    pub fn open_sessions_of(&self, date: NaiveDate) -> Option<&str> {
        self.open_sessions.get(&date).map(String::as_str)
    }

    /// The columns of payload fields that were there on the day or before.
    pub fn payload_columns_of(&self, date: NaiveDate) -> Option<&str> {
        self.payload_columns.get(&date).map(String::as_str)
    }

    /// Where sessions are looked up that were open when the day began.
    pub fn carry_over_of(&self, date: NaiveDate) -> CarryOver {
        let before = shifted(date, -1).and_then(|day| self.silver_rows.get(&day));
        match before.is_some_and(|rows| *rows > 0) {
            true => CarryOver::Silver,
            false => CarryOver::Bronze,
        }
    }

    /// Asks for what `job` reads of `date` and manifests don't tell.
    ///
    /// # Errors
    /// When a query fails.
    pub async fn ask(
        &mut self,
        engine: &QueryEngine,
        job: &Job,
        date: NaiveDate,
        log: &RunLog,
    ) -> Result<(), BatchError> {
        for input in job.inputs {
            match input {
                Input::Versions(entity) => {
                    if let Entry::Vacant(unknown) = self.versions.entry((*entity, date)) {
                        unknown.insert(versions_before_end_of(engine, *entity, date).await?);
                    }
                }
                Input::RealTime => {
                    self.real_time.insert(date, real_time(engine, date).await?);
                }
                Input::OpenSessions => match self.open_sessions(engine, date, log).await? {
                    Some(known) => {
                        self.open_sessions.insert(date, known);
                    }
                    None => {
                        self.open_sessions.remove(&date);
                    }
                },
                Input::PayloadColumns => {
                    self.payload_columns.insert(date, payload_columns(engine.lake(), date).await?);
                }
                Input::Bronze | Input::Made { .. } => {}
            }
        }
        Ok(())
    }

    async fn open_sessions(
        &self,
        engine: &QueryEngine,
        date: NaiveDate,
        log: &RunLog,
    ) -> Result<Option<String>, BatchError> {
        if self.carry_over_of(date) == CarryOver::Silver {
            return Ok(Some(open_sessions_in_silver(engine, date).await?));
        }
        let Some(before) = shifted(date, -1) else { return Ok(None) };
        // Silver of the day before was made, and is gone: its sessions can't be found any more.
        if log.made(SILVER, before).is_some_and(|run| run.rows_out > 0) {
            return Ok(None);
        }
        Ok(Some(match self.bronze_rows_of(before) {
            0 => "none".to_owned(),
            rows => format!("of {rows} rows of bronze"),
        }))
    }
}

async fn payload_columns(lake: &Lake, date: NaiveDate) -> Result<String, BatchError> {
    let registry = Registry::of(lake).await?;
    let names = registry.columns_until(date);
    Ok(match names.len() {
        0 => "none".to_owned(),
        count => format!("{count} of {}", short_hash(&names.join("\n"))),
    })
}

async fn versions_before_end_of(
    engine: &QueryEngine,
    entity: Entity,
    date: NaiveDate,
) -> Result<u64, BatchError> {
    let table = LakeTable::DimensionHistory(entity).full_name();
    let end = moment_text(date, 1)?;
    // No version begins before its valid_from.
    let sql = format!("SELECT count(*) FROM {table} WHERE valid_from < TIMESTAMP '{end} UTC'");
    let batches = engine.collect(&sql).await?;
    let count = batches.first().map(|batch| batch.column(0).as_primitive::<Int64Type>().value(0));
    Ok(count.and_then(|rows| u64::try_from(rows).ok()).unwrap_or_default())
}

/// Sums, because compaction makes other rows of the same counts.
async fn real_time(engine: &QueryEngine, date: NaiveDate) -> Result<String, BatchError> {
    let (start, end) = (moment_text(date, 0)?, moment_text(date, 1)?);
    let columns = COUNT_COLUMNS.into_iter().chain([WATCH_TIME_COLUMN]);
    let sums = columns.map(|column| format!("coalesce(sum({column}), 0)")).collect::<Vec<_>>().join(", ");
    let sql = format!(
        "SELECT {sums} FROM gold.rt_video_stats_1min WHERE window_start >= TIMESTAMP '{start} UTC' AND window_start < TIMESTAMP '{end} UTC'"
    );
    let batches = engine.collect(&sql).await?;
    let Some(batch) = batches.first() else { return Ok(String::new()) };
    let options = FormatOptions::default();
    let texts = batch.columns().iter().map(|column| {
        let formatter = ArrayFormatter::try_new(column.as_ref(), &options)?;
        Ok(formatter.value(0).to_string())
    });
    let texts: Result<Vec<String>, arrow::error::ArrowError> = texts.collect();
    Ok(texts.map_err(crate::QueryError::from)?.join(" "))
}

/// Hands out each user with events in the last half hour of silver before the day, with the start of the session that the
/// last of them belongs to, and the time of that last one (microseconds). In any order.
pub(super) async fn each_open_session(
    engine: &QueryEngine,
    date: NaiveDate,
    mut use_session: impl FnMut(&str, i64, i64),
) -> Result<(), BatchError> {
    let start = moment_text(date, 0)?;
    let sql = format!(
        "SELECT user_id, max(session_started_at), max(event_timestamp) FROM silver.fact_user_engagement \
         WHERE event_timestamp >= TIMESTAMP '{start} UTC' - INTERVAL '30' MINUTE AND event_timestamp < TIMESTAMP '{start} UTC' \
         GROUP BY user_id"
    );
    let mut rows = engine.plan_own(&sql).await?.execute(None).await?;
    while let Some(batch) = rows.try_next().await.map_err(crate::QueryError::from)? {
        let users = batch.column(0).as_string::<i32>();
        let started = batch.column(1).as_primitive::<TimestampMicrosecondType>();
        let last = batch.column(2).as_primitive::<TimestampMicrosecondType>();
        for row in 0..batch.num_rows() {
            use_session(users.value(row), started.value(row), last.value(row));
        }
    }
    Ok(())
}

async fn open_sessions_in_silver(engine: &QueryEngine, date: NaiveDate) -> Result<String, BatchError> {
    let (mut count, mut sum) = (0_u64, 0_u128);
    each_open_session(engine, date, |user, started_us, last_us| {
        let mut hash = Xxh3::new();
        hash.update(user.as_bytes());
        hash.update(&started_us.to_le_bytes());
        hash.update(&last_us.to_le_bytes());
        // Whatever order the rows come in.
        sum = sum.wrapping_add(hash.digest128());
        count += 1;
    })
    .await?;
    Ok(match count {
        0 => "none".to_owned(),
        _ => format!("{count} of {sum:032x}"),
    })
}
