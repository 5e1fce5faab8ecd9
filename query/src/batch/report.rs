//! What a run, or a plan, tells of its steps.

use chrono::NaiveDate;
use serde::Serialize;

use super::drift::DriftCounts;
use super::plan::{Step, Verdict};
use super::reconcile::Reconciliation;
use super::run_log::RunStatus;

/// What is to be done about a step, and what came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The job.
    pub job: &'static str,
    /// The day.
    pub date: NaiveDate,
    /// The table.
    pub target: &'static str,
    /// What was to be done.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The same in words.
    pub reason: String,
    /// What came of it, where it ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ran: Option<Ran>,
}

/// A step that ran.
#[derive(Clone, Debug, Serialize)]
pub struct Ran {
    /// How it ended.
    pub status: RunStatus,
    /// Rows read.
    pub rows_in: u64,
    /// Rows written.
    pub rows_out: u64,
    /// Files written.
    pub files: u64,
    /// What it committed.
    pub snapshot_id: Option<i64>,
    /// Milliseconds.
    pub elapsed_ms: u64,
    /// What people should know, or the error.
    pub remark: Option<String>,
    /// What became of the day's payload fields, where that was the job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftCounts>,
}

/// What a run did.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Every step that was looked at.
    pub steps: Vec<Outcome>,
    /// What the reconciliation of each day says, where it was asked for.
    pub reconciliations: Vec<Reconciliation>,
    /// Why it ended early.
    pub error: Option<String>,
}

impl Report {
    pub(super) fn add(&mut self, step: Step, outcome: Outcome) {
        let failure = outcome.ran.as_ref().filter(|ran| ran.status == RunStatus::Failed);
        if let Some(ran) = failure {
            let error = ran.remark.clone().unwrap_or_default();
            self.error = Some(format!("{} of {}: {error}", outcome.job, outcome.date));
        }
        if !outcome.is_beside_the_point(step) {
            self.steps.push(outcome);
        }
    }
}

impl Outcome {
    /// A day that nobody asked for, and that is not there.
    pub(super) fn is_beside_the_point(&self, step: Step) -> bool {
        step.date != step.asked && matches!(self.verdict, Verdict::Waits { .. } | Verdict::NoEvents)
    }
}
