//! `pulselake completions` and `pulselake man`: both come out of the definitions of the command line.

use std::process::ExitCode;

use anyhow::Context;
use clap::CommandFactory;

use super::output::write_out;
use crate::cli::{Cli, CompletionsArgs, ManArgs};

/// Writes a completion script.
///
/// # Errors
/// When the output can't be written.
pub(crate) fn completions(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "pulselake", &mut script);
    write_out(&script)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the manual pages.
///
/// # Errors
/// When the directory or the output can't be written.
pub(crate) fn man(args: &ManArgs) -> anyhow::Result<ExitCode> {
    let Some(directory) = &args.out_dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page).context("can't make the manual page")?;
        write_out(&page)?;
        return Ok(ExitCode::SUCCESS);
    };
    std::fs::create_dir_all(directory).with_context(|| format!("can't create {}", directory.display()))?;
    clap_mangen::generate_to(Cli::command(), directory)
        .with_context(|| format!("can't write manual pages to {}", directory.display()))?;
    Ok(ExitCode::SUCCESS)
}
