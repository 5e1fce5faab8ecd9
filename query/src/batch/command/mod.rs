//! What `pulselake batch` does and says. Results go to standard output, progress and warnings to standard error.

mod rendered;
mod text;

use std::io::{ErrorKind, Write};
use std::path::Path;

use anyhow::Context;
use chrono::NaiveDate;
use clap::ValueEnum;
use serde::Serialize;

use super::drift;
use super::error::BatchError;
use super::metrics_file;
use super::progress::Audience;
use super::reconcile::{Reconciliation, Status};
use super::reconcile_metrics;
use super::restate::restate as add_differences;
use super::run::{Batch, BatchSettings, Request};
use super::run_log;
use super::template::Dialect;

/// How a command tells what it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// Lines for people.
    Text,
    /// One JSON document.
    Json,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All is well: 0.
    Well,
    /// Something failed: 1.
    Failed,
    /// Real time and batch are too far apart: 3.
    Critical,
}

impl End {
    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Well => 0,
            Self::Failed => 1,
            Self::Critical => 3,
        }
    }
}

/// `batch run`.
///
/// # Errors
/// When it can't begin, or can't tell what it did.
pub async fn run(
    settings: BatchSettings,
    request: &Request,
    metrics_file: Option<&Path>,
    format: ReportFormat,
) -> anyhow::Result<End> {
    let batch = Batch::open(settings, Audience::of_stderr()).await?;
    let report = tokio::select! {
        report = batch.run(request) => report?,
        _ = tokio::signal::ctrl_c() => {
            anyhow::bail!("stopped by Ctrl-C: the step at work left nothing behind, and the next run goes on there");
        }
    };
    match format {
        ReportFormat::Text => put(&text::of_report(&report))?,
        ReportFormat::Json => put_json(&report)?,
    }
    if let Some(error) = &report.error {
        eprintln!("error: {error}");
    }
    if let Some(path) = metrics_file {
        // The newest day's, whatever this run came to: a series that goes with a failed run would take its alerts along.
        let newest = Reconciliation::newest(batch.engine()).await?;
        let of_reconciliation = newest.as_ref().map(reconcile_metrics::text).unwrap_or_default();
        let of_payloads = drift::metrics::text(&batch.payload_fields().await?);
        put_metrics(path, &(of_reconciliation + &of_payloads))?;
    }
    if report.error.is_some() {
        return Ok(End::Failed);
    }
    Ok(verdict(&report.reconciliations))
}

/// What the worst of the days comes to; what is not well is told.
fn verdict(days: &[Reconciliation]) -> End {
    for day in days.iter().filter(|day| day.status != Status::Pass) {
        let word = if day.status == Status::Crit { "error" } else { "warning" };
        eprintln!(
            "{word}: real time and batch of {} are {} apart: pulselake batch reconcile --date {} shows it, and batch restate corrects real time",
            day.date, day.status, day.date
        );
    }
    match days.iter().any(|day| day.status == Status::Crit) {
        true => End::Critical,
        false => End::Well,
    }
}

/// `batch plan`.
///
/// # Errors
/// When the lake can't be read.
pub async fn plan(settings: BatchSettings, request: &Request, format: ReportFormat) -> anyhow::Result<End> {
    let steps = Batch::open(settings, Audience::Nobody).await?.plan(request).await?;
    match format {
        ReportFormat::Text => put(&text::of_plan(&steps))?,
        ReportFormat::Json => put_json(&serde_json::json!({ "steps": steps }))?,
    }
    Ok(End::Well)
}

/// `batch render`.
///
/// # Errors
/// When the lake can't be read, or there is no SQL of what was asked for.
pub async fn render(
    settings: BatchSettings,
    request: &Request,
    dialect: Dialect,
    format: ReportFormat,
) -> anyhow::Result<End> {
    let batch = Batch::open(settings, Audience::Nobody).await?;
    let statements = rendered::statements(&batch, request, dialect).await?;
    if statements.is_empty() {
        return Err(
            BatchError::Refused("the asked jobs are no queries: there is no SQL to show".to_owned()).into()
        );
    }
    match format {
        ReportFormat::Text => put(&text::of_statements(&statements))?,
        ReportFormat::Json => put_json(&rendered::Document::new(request, dialect, &statements))?,
    }
    Ok(End::Well)
}

/// `batch runs`.
///
/// # Errors
/// When the log can't be read.
pub async fn runs(settings: BatchSettings, newest: usize, format: ReportFormat) -> anyhow::Result<End> {
    let batch = Batch::open(settings, Audience::Nobody).await?;
    let runs = run_log::runs(batch.engine(), Some(newest)).await?;
    match format {
        ReportFormat::Text => put(&text::of_runs(&runs))?,
        ReportFormat::Json => put_json(&serde_json::json!({ "runs": runs }))?,
    }
    Ok(End::Well)
}

/// `batch reconcile`.
///
/// # Errors
/// When the day was not reconciled, or the table can't be read.
pub async fn reconcile(
    settings: BatchSettings,
    date: NaiveDate,
    metrics_file: Option<&Path>,
    format: ReportFormat,
) -> anyhow::Result<End> {
    let batch = Batch::open(settings, Audience::Nobody).await?;
    let found = Reconciliation::read(batch.engine(), date).await?;
    let day = found.with_context(|| {
        format!(
            "{date} was not reconciled: pulselake batch run --date {date} does it, where there are events"
        )
    })?;
    match format {
        ReportFormat::Text => put(&day.text())?,
        ReportFormat::Json => put_json(&day)?,
    }
    if let Some(path) = metrics_file {
        put_metrics(path, &reconcile_metrics::text(&day))?;
    }
    Ok(if day.status == Status::Crit { End::Critical } else { End::Well })
}

/// `batch restate`.
///
/// # Errors
/// When silver of the day is not as bronze is, or gold can't be read or written.
pub async fn restate(
    settings: BatchSettings,
    date: NaiveDate,
    dry_run: bool,
    format: ReportFormat,
) -> anyhow::Result<End> {
    let batch = Batch::open(settings, Audience::Nobody).await?;
    batch.ensure_silver_is_up_to_date(date).await?;
    let report = add_differences(batch.engine(), batch.lake(), date, dry_run).await?;
    match format {
        ReportFormat::Text => put(&report.text())?,
        ReportFormat::Json => put_json(&report)?,
    }
    Ok(End::Well)
}

fn put_metrics(path: &Path, text: &str) -> anyhow::Result<()> {
    metrics_file::write(path, text).with_context(|| format!("can't write the metrics to {}", path.display()))
}

/// Writes `document` as indented JSON.
pub(super) fn put_json(document: &impl Serialize) -> anyhow::Result<()> {
    put(&(serde_json::to_string_pretty(document).context("can't write the report as JSON")? + "\n"))
}

/// Writes to standard output. A reader that has seen enough (`| head`) is no error.
pub(super) fn put(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("can't write to standard output")
        }
        _ => Ok(()),
    }
}
