//! Reports as lines for people.

use std::fmt::Write as _;

use chrono::SecondsFormat;
use indicatif::HumanCount;

use super::rendered::Statement;
use crate::batch::plan::Verdict;
use crate::batch::run::{Outcome, Report};
use crate::batch::run_log::{Run, RunStatus};

/// Characters of a reason in a table.
const SHOWN_REASON: usize = 100;

/// What a run did.
pub(super) fn of_report(report: &Report) -> String {
    let mut text = String::new();
    let ran = report.steps.iter().filter_map(|step| step.ran.as_ref().map(|ran| (step, ran)));
    for (step, ran) in ran {
        let remark = ran.remark.as_ref().map(|remark| format!("; {remark}")).unwrap_or_default();
        let seconds = ran.elapsed_ms as f64 / 1_000.0;
        line(
            &mut text,
            format_args!(
                "{} {:<28} {:<9} {:>13} rows {:>8.1} s{}",
                step.date,
                step.job,
                ran.status.as_str(),
                HumanCount(ran.rows_out).to_string(),
                seconds,
                remark
            ),
        );
    }
    let others = report.steps.iter().filter(|step| step.ran.is_none());
    let mut up_to_date = 0;
    for step in others {
        match step.verdict {
            Verdict::UpToDate => up_to_date += 1,
            _ => line(&mut text, format_args!("{} {:<28} not made: {}", step.date, step.job, step.reason)),
        }
    }
    if up_to_date > 0 {
        line(&mut text, format_args!("{up_to_date} up to date"));
    }
    for day in &report.reconciliations {
        line(&mut text, format_args!("{} real time against batch: {}", day.date, day.status));
    }
    text
}

/// What a run would do.
pub(super) fn of_plan(steps: &[Outcome]) -> String {
    let mut text = String::new();
    for step in steps {
        let what = match &step.verdict {
            Verdict::Due(_) => "make",
            Verdict::UpToDate => "-",
            Verdict::Kept { .. } => "keep",
            Verdict::Waits { .. } => "wait",
            Verdict::NoEvents => "none",
        };
        line(&mut text, format_args!("{} {:<28} {what:<5} {}", step.date, step.job, step.reason));
    }
    let due = steps.iter().filter(|step| matches!(step.verdict, Verdict::Due(_))).count();
    line(&mut text, format_args!("{due} of {} would be made", steps.len()));
    text
}

/// SQL, each statement behind a line that says what it is.
pub(super) fn of_statements(statements: &[Statement]) -> String {
    let mut text = String::new();
    for statement in statements {
        let Statement { job, date, target, replaces, .. } = statement;
        match replaces {
            Some(condition) => {
                line(&mut text, format_args!("-- {job} of {date}: {target}, in the place of {condition}"));
            }
            None => line(&mut text, format_args!("-- {job} of {date}: to be added to {target}")),
        }
        line(&mut text, format_args!("{};\n", statement.sql));
    }
    text
}

/// The log.
pub(super) fn of_runs(runs: &[Run]) -> String {
    let mut text = String::new();
    for run in runs {
        let seconds = (run.finished_at - run.started_at).as_seconds_f64();
        let reason: String = run.reason.chars().take(SHOWN_REASON).collect();
        line(
            &mut text,
            format_args!(
                "{} {} {:<28} {:<9} {:>13} in {:>13} out {:>8.1} s  {}",
                run.started_at.to_rfc3339_opts(SecondsFormat::Secs, true),
                run.date,
                run.job,
                run.status.as_str(),
                HumanCount(run.rows_in.unsigned_abs()).to_string(),
                HumanCount(run.rows_out.unsigned_abs()).to_string(),
                seconds,
                reason
            ),
        );
    }
    let failed = runs.iter().filter(|run| run.status == RunStatus::Failed).count();
    line(&mut text, format_args!("{} runs, {failed} failed", runs.len()));
    text
}

fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    // Writing to a text can't fail.
    let _ = writeln!(text, "{content}");
}
