//! `pulselake sql` and the like: become `pulselake-query`, as git becomes its subcommands.
//!
//! The engine's program has no query engine in it (docs/adr/0005): it builds in minutes without, and no query shares its
//! memory.

use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, anyhow};

use crate::cli::PassedOn;

/// The program's name.
const PROGRAM: &str = "pulselake-query";

/// Becomes `pulselake-query SUBCOMMAND ARGS…`, the one beside this program, or else the first of PATH.
///
/// # Errors
/// When there is none, or it can't be started. Otherwise this does not return.
pub(crate) fn become_query(subcommand: &str, passed_on: &PassedOn) -> anyhow::Result<ExitCode> {
    let own = std::env::current_exe().context("can't tell where this program is")?;
    let program = beside(&own).unwrap_or_else(|| PathBuf::from(PROGRAM));
    let error = Command::new(&program).arg(subcommand).args(&passed_on.arguments).exec();
    Err(match error.kind() {
        ErrorKind::NotFound => anyhow!(
            "{PROGRAM} was not found, neither in {} nor in PATH: SQL is a program of its own; build it by `cargo build --release -p {PROGRAM}`, or put it beside this one",
            own.parent().unwrap_or(Path::new("/")).display()
        ),
        _ => anyhow::Error::new(error).context(format!("can't start {}", program.display())),
    })
}

/// The program in the same directory as `own`, if it is there.
fn beside(own: &Path) -> Option<PathBuf> {
    let program = own.with_file_name(PROGRAM);
    program.is_file().then_some(program)
}
