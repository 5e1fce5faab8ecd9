//! Commands that look at the tables: `tables`, `audit`, `quarantine`, `ledger`.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand, ValueEnum};
use pulselake_config::{ConfigError, Settings};
use pulselake_model::tables::LakeTable;

use super::settings::{Flags, SettingsArgs};

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// For people
    #[default]
    Text,
    /// One JSON document
    Json,
}

/// The tables with a ledger, by their full names.
fn table_parser() -> impl TypedValueParser<Value = LakeTable> {
    let with_ledger = || LakeTable::ALL.into_iter().filter(|table| table.has_ledger());
    PossibleValuesParser::new(with_ledger().map(LakeTable::full_name)).try_map(move |name| {
        let table = with_ledger().find(|table| table.full_name() == name);
        table.ok_or_else(|| format!("no table {name}"))
    })
}

/// What all of these commands need.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    #[command(flatten)]
    from: SettingsArgs,
    /// How the result is written
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: OutputFormat,
}

impl InspectArgs {
    /// The settings in force.
    pub(crate) fn settings(&self) -> Result<Settings, ConfigError> {
        self.from.load(Flags::default())
    }
}

/// `pulselake tables`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct TablesArgs {
    #[command(flatten)]
    pub(crate) inspect: InspectArgs,
    /// Without one, all tables are listed.
    #[command(subcommand)]
    pub(crate) command: Option<TablesCommand>,
}

/// What to look at beside the list.
#[derive(Debug, Subcommand)]
pub(crate) enum TablesCommand {
    /// Show one table's health: files by size, delete files, manifests, snapshots, ledger
    Inspect(TablesInspectArgs),
}

/// `pulselake tables inspect`.
#[derive(Debug, Args)]
pub(crate) struct TablesInspectArgs {
    #[command(flatten)]
    pub(crate) inspect: InspectArgs,
    /// Which table, such as bronze.raw_events; any table of the catalog
    pub(crate) table: String,
    /// Look for orphans too; lists all files of the table, which takes long for a big one
    #[arg(long)]
    pub(crate) orphans: bool,
}

/// `pulselake audit`.
#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    #[command(flatten)]
    pub(crate) inspect: InspectArgs,
}

/// `pulselake quarantine`.
#[derive(Debug, Subcommand)]
pub(crate) enum QuarantineCommand {
    /// List rejected records, newest first
    List(QuarantineListArgs),
    /// Show one rejected record with its bytes
    Show(QuarantineShowArgs),
    /// Take in the records that are valid by now, each exactly once
    Replay(QuarantineReplayArgs),
}

/// `pulselake quarantine list`.
#[derive(Debug, Args)]
pub(crate) struct QuarantineListArgs {
    #[command(flatten)]
    pub(crate) inspect: InspectArgs,
    /// Only records with this code, such as MALFORMED_JSON
    #[arg(long)]
    pub(crate) code: Option<String>,
    /// How many records at most
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) limit: usize,
}

/// `pulselake quarantine show`.
#[derive(Debug, Args)]
pub(crate) struct QuarantineShowArgs {
    #[command(flatten)]
    pub(crate) inspect: InspectArgs,
    /// The record's invalid_event_id: topic-partition-offset
    pub(crate) id: String,
}

/// `pulselake quarantine replay`.
#[derive(Debug, Args)]
pub(crate) struct QuarantineReplayArgs {
    #[command(flatten)]
    pub(crate) inspect: InspectArgs,
    /// Only say what would be taken in
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `pulselake ledger`.
#[derive(Debug, Subcommand)]
pub(crate) enum LedgerCommand {
    /// Show what each table has consumed, by partition
    Show(LedgerShowArgs),
    /// After a rollback: make the ledger of the current snapshot the truth, so that the records since come again
    Rewind(LedgerRewindArgs),
}

/// `pulselake ledger show`.
#[derive(Debug, Args)]
pub(crate) struct LedgerShowArgs {
    #[command(flatten)]
    pub(crate) inspect: InspectArgs,
    /// Only this table
    #[arg(value_parser = table_parser())]
    pub(crate) table: Option<LakeTable>,
}

/// `pulselake ledger rewind`.
#[derive(Debug, Args)]
pub(crate) struct LedgerRewindArgs {
    #[command(flatten)]
    pub(crate) inspect: InspectArgs,
    /// The table that was rolled back
    #[arg(value_parser = table_parser())]
    pub(crate) table: LakeTable,
}
