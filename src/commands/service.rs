//! `pulselake demo`, `run` and `init`.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use pulselake_config::{Secret, SourceKind};
use pulselake_lake::OpenMode;
use uuid::Uuid;

use super::output::write_out;
use crate::cli::{DemoArgs, InitArgs, RunArgs};
use crate::engine::{RunMode, Show, open_lake, serve, wanted_tables};

/// Runs the service on generated events.
///
/// # Errors
/// With what stopped it.
pub(crate) fn demo(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let show = if args.no_summary { Show::Log } else { Show::Summary };
    let mut settings = args.settings()?;
    if settings.http.action_token.is_empty() {
        // Whoever sees the terminal may press the buttons; another page or user on this machine may not.
        settings.http.action_token = Secret::new(Uuid::new_v4().simple().to_string());
    }
    let limit = args.duration_s.map(Duration::from_secs);
    serve(&settings, RunMode { show, prints_address: true, limit })
}

/// Runs the service.
///
/// # Errors
/// With what stopped it.
pub(crate) fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let settings = args.settings()?;
    let ends = settings.source.until_caught_up || settings.source.kind == SourceKind::Files;
    let show = if ends && std::io::stderr().is_terminal() { Show::Progress } else { Show::Log };
    serve(&settings, RunMode { show, prints_address: false, limit: None })
}

/// Creates catalog and tables, or checks them.
///
/// # Errors
/// When they don't fit or can't be created.
pub(crate) fn init(args: &InitArgs) -> anyhow::Result<ExitCode> {
    let settings = args.settings()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tables = runtime.block_on(async {
        let lake = open_lake(&settings, OpenMode::CreateIfMissing).await?;
        anyhow::Ok(lake.ensure_tables(&wanted_tables(&settings)).await?)
    })?;
    for (table, created) in tables {
        let what = if created { "created" } else { "is there and fits" };
        write_out(format!("{} {what}\n", table.full_name()).as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}
