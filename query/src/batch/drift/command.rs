//! `pulselake drift`: shows the registry.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use chrono::NaiveDate;
use clap::ValueEnum;
use pulselake_lake::{Lake, LakeSettings, OpenMode};
use pulselake_model::tables::LakeTable;

use super::registry::Registry;
use super::report::DriftReport;

/// How the registry is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DriftFormat {
    /// A table for people.
    Text,
    /// One JSON document.
    Json,
}

/// Shows it. Fields are new that were first seen on `since` or later; on the newest day, where that is not given.
///
/// # Errors
/// When the lake can't be read.
pub async fn show(
    settings: &LakeSettings,
    since: Option<NaiveDate>,
    format: DriftFormat,
) -> anyhow::Result<ExitCode> {
    let lake = Lake::open(settings, OpenMode::MustExist).await?;
    let is_there = lake.existing_tables().await?.contains(&LakeTable::PayloadFields);
    let registry = match is_there {
        true => Registry::read(&lake.view(LakeTable::PayloadFields).await?).await?,
        false => Registry::default(),
    };
    let report = DriftReport::new(&registry, since);
    let text = match format {
        DriftFormat::Text => report.text(),
        DriftFormat::Json => {
            serde_json::to_string_pretty(&report).context("can't write the registry as JSON")? + "\n"
        }
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        // A reader that has seen enough (`| head`) is no error.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("can't write to standard output")
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}
