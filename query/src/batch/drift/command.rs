//! `pulselake drift`: shows the registry.

use std::process::ExitCode;

use chrono::NaiveDate;
use pulselake_lake::{Lake, LakeSettings, OpenMode};

use super::registry::Registry;
use super::report::DriftReport;
use crate::batch::command::{ReportFormat, put, put_json};

/// Shows it. Fields are new that were first seen on `since` or later; on the newest day, where that is not given.
///
/// # Errors
/// When the lake can't be read.
pub async fn show(
    settings: &LakeSettings,
    since: Option<NaiveDate>,
    format: ReportFormat,
) -> anyhow::Result<ExitCode> {
    let lake = Lake::open(settings, OpenMode::MustExist).await?;
    let report = DriftReport::new(&Registry::of(&lake).await?, since);
    match format {
        ReportFormat::Text => put(&report.text())?,
        ReportFormat::Json => put_json(&report)?,
    }
    Ok(ExitCode::SUCCESS)
}
