//! What has to be made, and why: decided from what was made of what, and from what there is now. Nothing is read or
//! written here, and no clock is asked.

use std::collections::HashMap;
use std::fmt;

use chrono::{Days, NaiveDate};
use pulselake_model::tables::LakeTable;
use serde::Serialize;

use super::fingerprint::Fingerprint;
use super::inputs::Facts;
use super::job::{Input, Job};
use super::run_log::RunLog;

/// One job for one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The job.
    pub job: &'static Job,
    /// The day.
    pub date: NaiveDate,
    /// The day that was asked for.
    pub asked: NaiveDate,
}

/// Why a job is due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "why")]
pub enum Reason {
    /// The day was never made.
    NeverMade {
        /// The error of the last run, where there was one.
        last_error: Option<String>,
    },
    /// Something it reads is another than it was.
    Input {
        /// What, with both values.
        changes: Vec<String>,
    },
    /// Its SQL is another.
    Sql,
    /// Somebody wants it.
    Forced,
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverMade { last_error: None } => formatter.write_str("never made"),
            Self::NeverMade { last_error: Some(error) } => {
                write!(formatter, "never made; the last run failed: {error}")
            }
            Self::Input { changes } => formatter.write_str(&changes.join("; ")),
            Self::Sql => formatter.write_str("its SQL has changed"),
            Self::Forced => formatter.write_str("forced"),
        }
    }
}

/// What is to be done about a job and day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum Verdict {
    /// It has to be made.
    Due(Reason),
    /// It is as it would be made now.
    UpToDate,
    /// It is left as it is: bronze has fewer rows of the day than it had.
    Kept {
        /// Rows of bronze when it was made.
        rows_then: u64,
        /// Rows of bronze now.
        rows_now: u64,
    },
    /// What it reads was not made yet.
    Waits {
        /// The job that makes it.
        for_job: &'static str,
    },
    /// Bronze has no events of the day.
    NoEvents,
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Due(reason) => write!(formatter, "{reason}"),
            Self::UpToDate => formatter.write_str("up to date"),
            Self::Kept { rows_then, rows_now } => write!(
                formatter,
                "left as it is: bronze has {rows_now} rows of the day, it had {rows_then} (--force makes it of what is left)"
            ),
            Self::Waits { for_job } => write!(formatter, "{for_job} of the day was not made"),
            Self::NoEvents => formatter.write_str("bronze has no events of the day"),
        }
    }
}

/// The day so many days later; `None` beyond the calendar.
pub fn shifted(date: NaiveDate, days: i64) -> Option<NaiveDate> {
    let by = Days::new(days.unsigned_abs());
    if days < 0 { date.checked_sub_days(by) } else { date.checked_add_days(by) }
}

/// All steps of the days from `first` to `last`, in the order in which they are made: the payload fields of all days first,
/// because a column that a later day brings is filled in earlier days too; then day by day.
pub fn steps(jobs: &[&'static Job], first: NaiveDate, last: NaiveDate) -> Vec<Step> {
    let days = || first.iter_days().take_while(|day| *day <= last);
    let of_day = |asked: NaiveDate, is_first: bool| {
        let wanted = jobs.iter().filter(move |job| (job.target == LakeTable::PayloadFields) == is_first);
        wanted.flat_map(move |&job| {
            let dates = job.shifts.iter().filter_map(move |shift| shifted(asked, *shift));
            dates.map(move |date| Step { job, date, asked })
        })
    };
    days().flat_map(|day| of_day(day, true)).chain(days().flat_map(|day| of_day(day, false))).collect()
}

/// What decides.
#[derive(Clone, Copy, Debug)]
pub struct Planner<'a> {
    /// What there is now.
    pub facts: &'a Facts,
    /// What was made.
    pub log: &'a RunLog,
    /// What each job does, by its name.
    pub hashes: &'a HashMap<&'static str, String>,
    /// Whether to make what is up to date as well, and what would else be left as it is.
    pub force: bool,
}

impl Planner<'_> {
    /// What is to be done about a step.
    pub fn judge(&self, step: Step) -> Verdict {
        let Step { job, date, .. } = step;
        for input in job.inputs {
            if let Input::Made { job: other, shift: 0 } = input
                && self.log.made(other, date).is_none()
            {
                return match self.facts.bronze_rows_of(date) {
                    0 => Verdict::NoEvents,
                    _ => Verdict::Waits { for_job: other },
                };
            }
        }
        let made = self.log.made(job.name, date);
        let now = Fingerprint::of(job, date, self.facts, self.log);
        let Some(last) = made else {
            if now.bronze_rows() == Some(0) {
                return Verdict::NoEvents;
            }
            let last_error = self.log.failed(job.name, date).map(|run| run.reason.clone());
            return Verdict::Due(Reason::NeverMade { last_error });
        };
        if self.force {
            return Verdict::Due(Reason::Forced);
        }
        let then = Fingerprint::of_text(&last.input_fingerprint);
        if let (Some(rows_now), Some(rows_then)) = (now.bronze_rows(), then.bronze_rows())
            && rows_now < rows_then
        {
            return Verdict::Kept { rows_then, rows_now };
        }
        if self.hashes.get(job.name).is_some_and(|hash| *hash != last.sql_hash) {
            return Verdict::Due(Reason::Sql);
        }
        match now.changes_since(&then) {
            none if none.is_empty() => Verdict::UpToDate,
            changes => Verdict::Due(Reason::Input { changes }),
        }
    }
}
