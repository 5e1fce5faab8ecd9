//! `pulselake maintain`: one round over each table, with a bar while it works and a report at the end.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use iceberg::TableIdent;
use indicatif::{ProgressBar, ProgressStyle};
use pulselake_config::Settings;
use pulselake_lake::{FORMAT_PROPERTY, Lake, OpenMode};
use pulselake_maintain::compaction::CancelToken;
use pulselake_maintain::janitor::{Phase, Step, Tools};
use pulselake_maintain::{RoundReport, maintain_table};
use serde::Serialize;

use super::maintain_text::round_text;
use super::output::{in_runtime, write_json, write_out};
use super::tables_inspect::parse_table;
use crate::cli::{MaintainArgs, OutputFormat};
use crate::engine::{maintenance_limits, open_lake, round_settings, stop_requested};

/// The result. The JSON is for programs: add fields, never rename.
#[derive(Serialize)]
struct Document {
    dry_run: bool,
    tables: Vec<RoundReport>,
    failed: Vec<FailedTable>,
}

/// A table that could not be maintained.
#[derive(Serialize)]
struct FailedTable {
    table: String,
    error: String,
}

/// Maintains the tables once. A table that fails stops none of the others; then, and where files could not be deleted, the exit code is 1.
/// At SIGINT or SIGTERM the round under way gives its lease back, and those behind it are not begun.
///
/// # Errors
/// When the catalog can't be opened, or a named table is none.
pub(crate) fn run(args: &MaintainArgs) -> anyhow::Result<ExitCode> {
    let settings = args.inspect.settings()?;
    let wanted = args.tables.iter().map(|name| parse_table(name)).collect::<anyhow::Result<Vec<_>>>()?;
    let document = in_runtime(async {
        let lake = open_lake(&settings, OpenMode::MustExist).await?;
        let tables = if wanted.is_empty() { own_tables(&lake).await? } else { wanted };
        let mut document = Document { dry_run: args.dry_run, tables: Vec::new(), failed: Vec::new() };
        let cancel = CancelToken::default();
        let asked_to_stop = cancel.clone();
        tokio::spawn(async move {
            if stop_requested(None).await.is_ok() {
                asked_to_stop.cancel();
            }
        });
        for table in tables {
            match maintain(&lake, &settings, &table, args.dry_run, &cancel).await {
                Ok(report) => document.tables.push(report),
                Err(error) => {
                    document.failed.push(FailedTable { table: table.to_string(), error: error.to_string() });
                }
            }
        }
        anyhow::Ok(document)
    })?;
    match args.inspect.format {
        OutputFormat::Text => {
            for report in &document.tables {
                write_out(round_text(report, args.dry_run).as_bytes())?;
            }
        }
        OutputFormat::Json => write_json(&document)?,
    }
    for failed in &document.failed {
        eprintln!("error: {}: {}", failed.table, failed.error);
    }
    let is_refused = document.tables.iter().any(|report| report.sweep.refused_deletes().is_some());
    Ok(if document.failed.is_empty() && !is_refused { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The tables that pulselake made; those of others are theirs.
async fn own_tables(lake: &Lake) -> anyhow::Result<Vec<TableIdent>> {
    let mut own = Vec::new();
    for table in lake.catalog().list_tables().await? {
        let loaded = lake.catalog().load_existing(&table).await?;
        if loaded.metadata().properties().contains_key(FORMAT_PROPERTY) {
            own.push(table);
        }
    }
    Ok(own)
}

async fn maintain(
    lake: &Lake,
    settings: &Settings,
    table: &TableIdent,
    is_dry_run: bool,
    cancel: &CancelToken,
) -> anyhow::Result<RoundReport> {
    let limits = maintenance_limits(settings);
    let tools = Tools { catalog: lake.catalog().as_ref(), store: lake.warehouse(), limits: &limits };
    let mut round = round_settings(settings, &table.to_string(), is_dry_run, cancel);
    let bar = progress_bar(table);
    if let Some(compaction) = &mut round.compaction {
        let shown = bar.clone();
        compaction.progress = Arc::new(move |progress| {
            shown.set_length(progress.bytes);
            shown.set_position(progress.bytes_read.min(progress.bytes));
            shown.set_message(format!("compacting, {} of {} groups", progress.groups_done, progress.groups));
        });
    }
    let sweeping = bar.clone();
    let show = move |step: Step| {
        if let Some(total) = step.total {
            sweeping.set_length(total);
        }
        sweeping.set_position(step.done);
        sweeping.set_message(phase_text(step.phase));
    };
    let outcome = maintain_table(tools, table, &round, &show).await;
    bar.finish_and_clear();
    Ok(outcome?)
}

fn phase_text(phase: Phase) -> &'static str {
    match phase {
        Phase::Listing => "listing files",
        Phase::DeletingExpired => "deleting files of expired snapshots",
        Phase::DeletingOrphans => "deleting orphans",
        Phase::Searching => "searching files",
        Phase::Rewriting => "rewriting files",
    }
}

/// A bar on standard error, where that is a terminal.
pub(super) fn progress_bar(what: &impl ToString) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0);
    let style = ProgressStyle::with_template("{spinner} {prefix} [{bar:30}] {percent}% {msg}");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar.set_prefix(what.to_string());
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}
