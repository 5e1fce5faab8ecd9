//! The audit's result: named checks, for people and as JSON.

use std::fmt::Write;
use std::ops::RangeInclusive;

use chrono::{DateTime, SecondsFormat};
use serde::Serialize;

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Status {
    /// As it must be.
    Ok,
    /// Not as it must be: something is lost, doubled or wrong.
    Failed,
    /// Can't be decided at this moment, or worth knowing; no fault.
    Note,
}

impl Status {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Failed => "FAILED",
            Self::Note => "NOTE",
        }
    }
}

/// One thing that must hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    /// Its name: stable.
    pub(crate) name: &'static str,
    /// What it is about: a table, a source partition, or a partition number of gold.
    pub(crate) subject: String,
    /// How it went.
    pub(crate) status: Status,
    /// What must be, and why.
    pub(crate) expected: String,
    /// What is.
    pub(crate) found: String,
}

/// Which state of a table was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct AuditedSnapshot {
    /// `namespace.name`.
    pub(crate) table: &'static str,
    /// Its snapshot; `None` for a table without a commit.
    pub(crate) snapshot_id: Option<i64>,
}

/// All checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct AuditReport {
    /// `Failed` when any check has failed.
    pub(crate) verdict: Status,
    /// States looked at.
    pub(crate) snapshots: Vec<AuditedSnapshot>,
    /// The checks.
    pub(crate) checks: Vec<Check>,
}

impl AuditReport {
    /// The verdict follows from the checks.
    pub(crate) fn new(snapshots: Vec<AuditedSnapshot>, checks: Vec<Check>) -> Self {
        let any_failed = checks.iter().any(|check| check.status == Status::Failed);
        let verdict = if any_failed { Status::Failed } else { Status::Ok };
        Self { verdict, snapshots, checks }
    }

    /// One aligned line for each check, and the verdict.
    pub(crate) fn to_text(&self) -> String {
        let width = |text: &dyn Fn(&Check) -> usize| self.checks.iter().map(text).max().unwrap_or(0);
        let (name_width, subject_width) =
            (width(&|check| check.name.len()), width(&|check| check.subject.chars().count()));
        let mut text = String::new();
        for check in &self.checks {
            // Writing to a String can't fail.
            let _ = writeln!(
                text,
                "{:<6} {:<name_width$} {:<subject_width$} expected {}; found {}",
                check.status.as_str(),
                check.name,
                check.subject,
                check.expected,
                check.found
            );
        }
        let count = |status: Status| self.checks.iter().filter(|check| check.status == status).count();
        let _ = writeln!(
            text,
            "{} checks: {} OK, {} FAILED, {} NOTE\naudit {}",
            self.checks.len(),
            count(Status::Ok),
            count(Status::Failed),
            count(Status::Note),
            self.verdict.as_str()
        );
        text
    }
}

/// Collects the checks of one subject.
pub(crate) struct Checks {
    subject: String,
    list: Vec<Check>,
}

impl Checks {
    /// None yet.
    pub(crate) fn of(subject: impl Into<String>) -> Self {
        Self { subject: subject.into(), list: Vec::new() }
    }

    fn push(&mut self, name: &'static str, status: Status, expected: String, found: String) {
        self.list.push(Check { name, subject: self.subject.clone(), status, expected, found });
    }

    /// Two numbers that must be equal; `why` says where the expected one comes from.
    pub(crate) fn equal(&mut self, name: &'static str, expected: i64, why: &str, found: i64) {
        self.equal_or(name, expected, why, found, String::new);
    }

    /// The same; `where_it_differs` is asked, when they are not equal, for what can be said about the place.
    pub(crate) fn equal_or(
        &mut self,
        name: &'static str,
        expected: i64,
        why: &str,
        found: i64,
        where_it_differs: impl FnOnce() -> String,
    ) {
        let expectation = format!("{expected} {why}");
        if expected == found {
            return self.push(name, Status::Ok, expectation, found.to_string());
        }
        let difference = format!("{found} ({:+}){}", found - expected, where_it_differs());
        self.push(name, Status::Failed, expectation, difference);
    }

    /// A number that must lie in a range; `why` says where its ends come from.
    pub(crate) fn between(&mut self, name: &'static str, range: RangeInclusive<i64>, why: &str, found: i64) {
        let (low, high) = (*range.start(), *range.end());
        if low == high {
            return self.equal(name, low, why, found);
        }
        self.holds(name, range.contains(&found), &format!("{low} to {high} {why}"), found.to_string());
    }

    /// Something that must not be: `what` begins with "no" or "none".
    pub(crate) fn none(&mut self, name: &'static str, what: &str, count: u64, example: Option<String>) {
        let status = if count == 0 { Status::Ok } else { Status::Failed };
        let shown = example.map_or_else(String::new, |one| format!(", such as {one}"));
        self.push(name, status, what.to_owned(), format!("{count}{shown}"));
    }

    /// A condition in words.
    pub(crate) fn holds(&mut self, name: &'static str, holds: bool, expected: &str, found: String) {
        self.push(name, if holds { Status::Ok } else { Status::Failed }, expected.to_owned(), found);
    }

    /// What can't be decided or is only worth knowing.
    pub(crate) fn note(&mut self, name: &'static str, expected: &str, found: String) {
        self.push(name, Status::Note, expected.to_owned(), found);
    }

    /// The checks.
    pub(crate) fn into_list(self) -> Vec<Check> {
        self.list
    }
}

/// Microseconds since the epoch as RFC 3339; the number itself where it is no date.
pub(crate) fn time_text(timestamp_us: i64) -> String {
    let time = DateTime::from_timestamp_micros(timestamp_us);
    time.map_or_else(
        || format!("{timestamp_us} µs"),
        |found| found.to_rfc3339_opts(SecondsFormat::AutoSi, true),
    )
}
