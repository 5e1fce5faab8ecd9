//! `pulselake erase`.

use std::process::ExitCode;

use pulselake_lake::OpenMode;
use pulselake_maintain::erase::{EraseSettings, Subject, TextSearch, erase};
use pulselake_maintain::janitor::{Step, Tools};

use super::maintain::progress_bar;
use super::maintain_text::erase_text;
use super::output::{in_runtime, write_json, write_out};
use crate::cli::{EraseArgs, OutputFormat};
use crate::engine::{
    lease_settings, maintainer_name, maintenance_limits, open_lake, orphan_settings, retention_rules,
};

/// Erases a user or a video; exits with 1 where rows are left.
///
/// # Errors
/// When the catalog can't be opened or listed.
pub(crate) fn run(args: &EraseArgs) -> anyhow::Result<ExitCode> {
    let settings = args.inspect.settings()?;
    let subject = match (&args.user, &args.video) {
        (Some(user), _) => Subject::User(user.clone()),
        // The command line asks for one of them.
        (None, video) => Subject::Video(video.clone().unwrap_or_default()),
    };
    let erasing = EraseSettings {
        texts: if args.search_payloads { TextSearch::Everywhere } else { TextSearch::default() },
        expire_now: args.expire_now,
        lease: lease_settings(&settings),
        retention: retention_rules(&settings),
        safety_age: orphan_settings(&settings).safety_age,
        ..EraseSettings::default()
    };
    let report = in_runtime(async {
        let lake = open_lake(&settings, OpenMode::MustExist).await?;
        let limits = maintenance_limits(&settings);
        let tools = Tools { catalog: lake.catalog().as_ref(), store: lake.warehouse(), limits: &limits };
        let bar = progress_bar(&"erase");
        let shown = bar.clone();
        let show = move |step: Step| {
            if let Some(total) = step.total {
                shown.set_length(total);
            }
            shown.set_position(step.done);
        };
        let outcome = erase(tools, &subject, &erasing, &maintainer_name(), args.dry_run, &show).await;
        bar.finish_and_clear();
        Ok(outcome?)
    })?;
    match args.inspect.format {
        OutputFormat::Text => write_out(erase_text(&report).as_bytes())?,
        OutputFormat::Json => write_json(&report)?,
    }
    let is_done = args.dry_run && report.failed.is_empty() || report.is_complete();
    Ok(if is_done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
