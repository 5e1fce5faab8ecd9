//! `pulselake tables`.

use std::fmt::Write;
use std::process::ExitCode;

use pulselake_lake::{Lake, OpenMode, TableOverview};
use pulselake_ledger::Ledger;
use pulselake_model::tables::LakeTable;
use serde::Serialize;

use super::ledger::ledger_text;
use super::output::{in_runtime, write_json, write_out};
use crate::cli::{OutputFormat, TablesArgs, TablesCommand};
use crate::engine::open_lake;
use crate::inspect::report::time_text;

/// One table. The JSON is for programs: add fields, never rename.
#[derive(Serialize)]
struct TableReport {
    table: &'static str,
    location: String,
    metadata_location: String,
    snapshots: usize,
    current_snapshot_id: Option<i64>,
    current_snapshot_at: Option<String>,
    files: u64,
    rows: u64,
    bytes: u64,
    ledger: Option<Ledger>,
    /// Why the ledger can't be trusted, and what to do.
    ledger_error: Option<String>,
    /// Whether a stream writes the table.
    #[serde(skip)]
    has_ledger: bool,
}

impl From<TableOverview> for TableReport {
    fn from(overview: TableOverview) -> Self {
        let (ledger, ledger_error) = match overview.ledger {
            Ok(ledger) => (ledger, None),
            Err(error) => (None, Some(error.to_string())),
        };
        Self {
            table: overview.table.full_name(),
            location: overview.location,
            metadata_location: overview.metadata_location,
            snapshots: overview.snapshots,
            current_snapshot_id: overview.current_snapshot_id,
            current_snapshot_at: overview
                .current_snapshot_at_ms
                .map(|ms| time_text(ms.saturating_mul(1_000))),
            files: overview.data_files,
            rows: overview.records,
            bytes: overview.bytes,
            ledger,
            ledger_error,
            has_ledger: overview.table.has_ledger(),
        }
    }
}

/// Lists the tables, or inspects one.
///
/// # Errors
/// When catalog or metadata can't be read.
pub(crate) fn run(args: &TablesArgs) -> anyhow::Result<ExitCode> {
    if let Some(TablesCommand::Inspect(inspect)) = &args.command {
        return super::tables_inspect::run(inspect);
    }
    #[derive(Serialize)]
    struct Document {
        tables: Vec<TableReport>,
    }
    let settings = args.inspect.settings()?;
    let tables = in_runtime(async {
        let lake = open_lake(&settings, OpenMode::MustExist).await?;
        let mut tables = Vec::new();
        for table in shown_tables(&lake).await? {
            tables.push(TableReport::from(lake.table_overview(table).await?));
        }
        anyhow::Ok(tables)
    })?;
    match args.inspect.format {
        OutputFormat::Text => write_out(text(&tables).as_bytes())?,
        OutputFormat::Json => write_json(&Document { tables })?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The tables of the events, whether or not they are there, and of the others those that are. Where only the generator
/// has written, its tables alone.
pub(super) async fn shown_tables(lake: &Lake) -> anyhow::Result<Vec<LakeTable>> {
    let existing = lake.existing_tables().await?;
    let is_truth_alone = !existing.is_empty() && existing.iter().all(|table| !table.has_ledger());
    let is_shown = |table: &LakeTable| {
        let is_of_events = LakeTable::OF_EVENTS.contains(table);
        existing.contains(table) || is_of_events && !is_truth_alone
    };
    Ok(LakeTable::ALL.into_iter().filter(is_shown).collect())
}

fn text(tables: &[TableReport]) -> String {
    let mut text = String::new();
    for report in tables {
        let snapshot = match (report.current_snapshot_id, &report.current_snapshot_at) {
            (Some(id), Some(at)) => format!("{id}, committed {at}"),
            _ => "none: nothing was committed yet".to_owned(),
        };
        // Writing to a String can't fail.
        let _ = write!(
            text,
            "{}\n  location   {}\n  snapshots  {}, current {snapshot}\n  contents   {} rows in {} files, {} bytes\n",
            report.table, report.location, report.snapshots, report.rows, report.files, report.bytes
        );
        match (&report.ledger, &report.ledger_error) {
            (_, Some(error)) => {
                let _ = writeln!(text, "  ledger     NOT TRUSTED: {error}");
            }
            (Some(ledger), None) => text.push_str(&ledger_text(ledger)),
            (None, None) if report.has_ledger => {
                text.push_str("  ledger     none: nothing was consumed yet\n");
            }
            (None, None) => text.push_str("  ledger     none: no stream writes this table\n"),
        }
        text.push('\n');
    }
    text
}
