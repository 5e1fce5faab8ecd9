//! Commands that change the tables' files: `maintain`, `erase`.

use clap::{ArgGroup, Args};

use super::inspect::InspectArgs;

/// `pulselake maintain`.
#[derive(Debug, Args)]
pub(crate) struct MaintainArgs {
    #[command(flatten)]
    pub(crate) inspect: InspectArgs,
    /// Only this table, such as bronze.raw_events; may be repeated. Without it, all tables that pulselake made
    #[arg(long = "table", value_name = "TABLE")]
    pub(crate) tables: Vec<String>,
    /// Only say what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `pulselake erase`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("subject").required(true).args(["user", "video"]))]
pub(crate) struct EraseArgs {
    #[command(flatten)]
    pub(crate) inspect: InspectArgs,
    /// Erase the rows of this user
    #[arg(long, value_name = "USER_ID")]
    pub(crate) user: Option<String>,
    /// Erase the rows of this video
    #[arg(long, value_name = "VIDEO_ID")]
    pub(crate) video: Option<String>,
    /// Expire the snapshots that still hold the rows at once; who reads an old snapshot fails then
    #[arg(long)]
    pub(crate) expire_now: bool,
    /// Search the text of valid events too, not their columns alone
    #[arg(long)]
    pub(crate) search_payloads: bool,
    /// Only say what would be erased
    #[arg(long)]
    pub(crate) dry_run: bool,
}
