//! What jobs that are more than a query get, and what every job says.

use chrono::NaiveDate;
use pulselake_lake::Lake;

use super::drift::DriftCounts;
use super::job::Job;
use crate::QueryEngine;

/// One job and day at work.
#[derive(Clone, Debug)]
pub struct StepContext {
    /// The job.
    pub job: &'static Job,
    /// The day, UTC.
    pub date: NaiveDate,
    /// DataFusion on the lake as it is now.
    pub engine: QueryEngine,
    /// The lake, to write to; its tables of the cold path are there.
    pub lake: Lake,
    /// Bytes that the step may take beside the engine's own memory.
    pub memory_bytes: usize,
    /// Columns that new payload fields may get at most (`batch.max_payload_columns`).
    pub max_payload_columns: usize,
    /// Version of the rules in force.
    pub rule_version: String,
}

/// What a job made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// Rows read.
    pub rows_in: u64,
    /// Rows written.
    pub rows_out: u64,
    /// Files written.
    pub files: u64,
    /// The snapshot that was committed; `None`: there was nothing to change.
    pub snapshot_id: Option<i64>,
    /// What people should know, such as that a baseline is withheld.
    pub remark: Option<String>,
    /// What became of the day's payload fields, where that was the job.
    pub drift: Option<DriftCounts>,
}
