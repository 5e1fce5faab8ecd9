//! `pulselake audit`.

use std::process::ExitCode;

use pulselake_lake::OpenMode;

use super::output::{in_runtime, write_json, write_out};
use crate::cli::{AuditArgs, OutputFormat};
use crate::engine::open_lake;
use crate::inspect::read;
use crate::inspect::report::Status;

/// Makes every check and writes them out; exits with 1 when one has failed.
///
/// # Errors
/// When the tables can't be read.
pub(crate) fn run(args: &AuditArgs) -> anyhow::Result<ExitCode> {
    let settings = args.inspect.settings()?;
    let report = in_runtime(async {
        let lake = open_lake(&settings, OpenMode::MustExist).await?;
        read::audit(&lake).await
    })?;
    match args.inspect.format {
        OutputFormat::Text => write_out(report.to_text().as_bytes())?,
        OutputFormat::Json => write_json(&report)?,
    }
    Ok(if report.verdict == Status::Failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
