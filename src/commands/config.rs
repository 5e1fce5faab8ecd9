//! `pulselake config`.

use std::process::ExitCode;

use pulselake_config::reference_toml;

use super::output::write_out;
use crate::cli::ConfigCommand;
use crate::engine::lake_settings;

/// Checks, prints or explains settings.
///
/// # Errors
/// With all that is wrong with the settings.
pub(crate) fn run(command: &ConfigCommand) -> anyhow::Result<ExitCode> {
    let text = match command {
        ConfigCommand::Check(args) => {
            lake_settings(&args.settings()?)?.check()?;
            format!("{}: all settings are right\n", args.file_name())
        }
        ConfigCommand::Print(args) => args.settings()?.to_masked_toml(),
        ConfigCommand::Reference => reference_toml().to_owned(),
    };
    write_out(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
