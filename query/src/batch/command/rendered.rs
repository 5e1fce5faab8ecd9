//! The SQL of jobs as other engines take it: with the table, its columns, and which rows the statement replaces.

use chrono::NaiveDate;
use pulselake_model::tables::LakeTable;
use serde::Serialize;

use crate::batch::error::BatchError;
use crate::batch::run::{Batch, Request};
use crate::batch::template::{Dialect, moment_text};

/// One statement.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Statement {
    /// The job.
    pub(super) job: &'static str,
    /// The day.
    pub(super) date: NaiveDate,
    /// The table, as `namespace.name`.
    pub(super) target: &'static str,
    /// The table's columns, in its order; the statement has those of its own by name.
    pub(super) columns: Vec<String>,
    /// The rows that it takes the place of, as a condition; `None`: rows are only added.
    pub(super) replaces: Option<String>,
    /// What the table is partitioned by.
    pub(super) partition: Option<&'static str>,
    /// One SELECT.
    pub(super) sql: String,
}

/// All statements.
#[derive(Debug, Serialize)]
pub(super) struct Document<'a> {
    date: NaiveDate,
    last_date: NaiveDate,
    dialect: Dialect,
    statements: &'a [Statement],
}

impl<'a> Document<'a> {
    pub(super) fn new(request: &Request, dialect: Dialect, statements: &'a [Statement]) -> Self {
        Self { date: request.first, last_date: request.last, dialect, statements }
    }
}

/// The statements of what is asked for.
pub(super) async fn statements(
    batch: &Batch,
    request: &Request,
    dialect: Dialect,
) -> Result<Vec<Statement>, BatchError> {
    let mut found = Vec::new();
    for (step, sql) in batch.rendered(request, dialect).await? {
        let (target, date) = (step.job.target, step.date);
        let (replaces, partition) = match target {
            LakeTable::RuleBaselines => (None, None),
            LakeTable::PayloadFields => (Some("TRUE".to_owned()), None),
            LakeTable::EngagementFacts => {
                let (start, end) = (moment_text(date, 0)?, moment_text(date, 1)?);
                let condition = format!(
                    "event_timestamp >= TIMESTAMP '{start} UTC' AND event_timestamp < TIMESTAMP '{end} UTC'"
                );
                (Some(condition), Some("day(event_timestamp)"))
            }
            _ => (Some(format!("date = DATE '{date}'")), Some("date")),
        };
        found.push(Statement {
            job: step.job.name,
            date,
            target: target.full_name(),
            columns: batch.columns_of(target).await?,
            replaces,
            partition,
            sql,
        });
    }
    Ok(found)
}
