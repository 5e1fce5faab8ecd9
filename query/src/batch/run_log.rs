//! `qa.batch_runs`: what was made of what. One row is one run of one job for one day.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, Date32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{Date32Type, Int64Type, TimestampMicrosecondType};
use chrono::{DateTime, NaiveDate, Utc};
use pulselake_lake::Lake;
use pulselake_model::cold;
use pulselake_model::schema::timestamp_type;
use pulselake_model::tables::LakeTable;
use serde::Serialize;

use super::error::BatchError;
use super::fingerprint::short_hash;
use crate::QueryEngine;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    /// The day was made.
    Done,
    /// There was nothing to change.
    Unchanged,
    /// Nothing was changed, because of an error.
    Failed,
}

impl RunStatus {
    /// Its name in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
        }
    }

    fn of_name(name: &str) -> Self {
        match name {
            "done" => Self::Done,
            "unchanged" => Self::Unchanged,
            _ => Self::Failed,
        }
    }
}

/// A run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Run {
    /// A UUID of version 7: later runs have greater ones.
    pub run_id: String,
    /// The job.
    pub job: String,
    /// The day.
    pub date: NaiveDate,
    /// The table, as `namespace.name`.
    pub target: String,
    /// How it ended.
    pub status: RunStatus,
    /// Why it ran; of a failed run, what the error was.
    pub reason: String,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// Rows read.
    pub rows_in: i64,
    /// Rows written.
    pub rows_out: i64,
    /// Files written.
    pub files: i64,
    /// What it committed, where it did.
    pub snapshot_id: Option<i64>,
    /// What it read: see [`Fingerprint`](super::fingerprint::Fingerprint).
    pub input_fingerprint: String,
    /// What it did.
    pub sql_hash: String,
    /// Version of the program.
    pub engine_version: String,
}

impl Run {
    /// What it made, as an input of others: equal where the same was made of the same.
    pub fn identity(&self) -> String {
        short_hash(&format!("{} {}", self.input_fingerprint, self.sql_hash))
    }
}

/// The last runs of each job and day.
#[derive(Clone, Debug, Default)]
pub struct RunLog {
    made: HashMap<(String, NaiveDate), Run>,
    failed: HashMap<(String, NaiveDate), Run>,
}

impl RunLog {
    /// Reads the log.
    ///
    /// # Errors
    /// When the table can't be read.
    pub async fn load(engine: &QueryEngine) -> Result<Self, BatchError> {
        let mut log = Self::default();
        for run in runs(engine, None).await? {
            log.record(run);
        }
        Ok(log)
    }

    /// Takes in a run. Runs come in their order.
    pub fn record(&mut self, run: Run) {
        let key = (run.job.clone(), run.date);
        match run.status {
            RunStatus::Failed => self.failed.insert(key, run),
            RunStatus::Done | RunStatus::Unchanged => {
                self.failed.remove(&key);
                self.made.insert(key, run)
            }
        };
    }

    /// The last run that made the day.
    pub fn made(&self, job: &str, date: NaiveDate) -> Option<&Run> {
        self.made.get(&(job.to_owned(), date))
    }

    /// The last run, where it failed.
    pub fn failed(&self, job: &str, date: NaiveDate) -> Option<&Run> {
        self.failed.get(&(job.to_owned(), date))
    }
}

/// The runs in their order; the newest so many, where that is said.
///
/// # Errors
/// When the table can't be read.
pub async fn runs(engine: &QueryEngine, newest: Option<usize>) -> Result<Vec<Run>, BatchError> {
    let limit = newest.map(|count| format!(" LIMIT {count}")).unwrap_or_default();
    let columns =
        cold::batch_runs().fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>().join(", ");
    let sql = format!("SELECT {columns} FROM qa.batch_runs ORDER BY run_id DESC{limit}");
    let mut found: Vec<Run> =
        engine.collect(&sql).await?.iter().map(runs_of).collect::<Vec<_>>().into_iter().flatten().collect();
    found.reverse();
    Ok(found)
}

/// Appends a run.
///
/// # Errors
/// When it can't be committed.
pub async fn append(lake: &Lake, run: &Run) -> Result<(), BatchError> {
    lake.append_rows(LakeTable::BatchRuns, &batch_of(run)?).await?;
    Ok(())
}

/// The rows of a batch that has the table's columns, in table order.
fn runs_of(batch: &RecordBatch) -> Vec<Run> {
    let text = |column: usize, row: usize| batch.column(column).as_string::<i32>().value(row).to_owned();
    let long = |column: usize, row: usize| batch.column(column).as_primitive::<Int64Type>().value(row);
    let moment = |column: usize, row: usize| {
        let micros = batch.column(column).as_primitive::<TimestampMicrosecondType>().value(row);
        DateTime::from_timestamp_micros(micros).unwrap_or_default()
    };
    let date = |row: usize| {
        let days = batch.column(2).as_primitive::<Date32Type>().value(row);
        Date32Type::to_naive_date_opt(days).unwrap_or_default()
    };
    let run = |row: usize| Run {
        run_id: text(0, row),
        job: text(1, row),
        date: date(row),
        target: text(3, row),
        status: RunStatus::of_name(&text(4, row)),
        reason: text(5, row),
        started_at: moment(6, row),
        finished_at: moment(7, row),
        rows_in: long(8, row),
        rows_out: long(9, row),
        files: long(10, row),
        snapshot_id: batch.column(11).is_valid(row).then(|| long(11, row)),
        input_fingerprint: text(12, row),
        sql_hash: text(13, row),
        engine_version: text(14, row),
    };
    (0..batch.num_rows()).map(run).collect()
}

fn batch_of(run: &Run) -> Result<RecordBatch, BatchError> {
    let text = |value: &str| Arc::new(StringArray::from(vec![value])) as ArrayRef;
    let long = |value: i64| Arc::new(Int64Array::from(vec![value])) as ArrayRef;
    let moment = |value: DateTime<Utc>| {
        let micros = TimestampMicrosecondArray::from(vec![value.timestamp_micros()]);
        Arc::new(micros.with_data_type(timestamp_type())) as ArrayRef
    };
    let columns = vec![
        text(&run.run_id),
        text(&run.job),
        Arc::new(Date32Array::from(vec![Date32Type::from_naive_date(run.date)])),
        text(&run.target),
        text(run.status.as_str()),
        text(&run.reason),
        moment(run.started_at),
        moment(run.finished_at),
        long(run.rows_in),
        long(run.rows_out),
        long(run.files),
        Arc::new(Int64Array::from(vec![run.snapshot_id])),
        text(&run.input_fingerprint),
        text(&run.sql_hash),
        text(&run.engine_version),
    ];
    RecordBatch::try_new(cold::batch_runs(), columns)
        .map_err(|error| BatchError::Defect(format!("a run has other columns than its table: {error}")))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::batch) fn run(job: &str, date: NaiveDate, status: RunStatus) -> Run {
        let moment = DateTime::from_timestamp_micros(1_770_458_400_123_456).unwrap();
        Run {
            run_id: "r-1".to_owned(),
            job: job.to_owned(),
            date,
            target: "gold.x".to_owned(),
            status,
            reason: "never made".to_owned(),
            started_at: moment,
            finished_at: moment,
            rows_in: 7,
            rows_out: 5,
            files: 1,
            snapshot_id: None,
            input_fingerprint: "{\"bronze_rows\":7}".to_owned(),
            sql_hash: "00".to_owned(),
            engine_version: "0.1.0".to_owned(),
        }
    }

    #[test]
    fn a_run_comes_back_as_it_was_written() {
        let date = NaiveDate::from_ymd_opt(2026, 2, 7).unwrap();
        for status in [RunStatus::Done, RunStatus::Unchanged, RunStatus::Failed] {
            let mut written = run("a", date, status);
            written.snapshot_id = (status == RunStatus::Done).then_some(42);
            assert_eq!(runs_of(&batch_of(&written).unwrap()), [written]);
        }
    }

    #[test]
    fn a_failure_hides_nothing_that_was_made() {
        let date = NaiveDate::from_ymd_opt(2026, 2, 7).unwrap();
        let mut log = RunLog::default();
        log.record(run("a", date, RunStatus::Done));
        log.record(run("a", date, RunStatus::Failed));
        assert!(log.made("a", date).is_some() && log.failed("a", date).is_some());
        log.record(run("a", date, RunStatus::Unchanged));
        assert!(log.failed("a", date).is_none());
        assert!(log.made("b", date).is_none());
    }
}
