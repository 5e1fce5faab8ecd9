//! The `pulselake` command: reads the command line, does what it says, and turns errors into text and exit codes.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod cli;
mod commands;
mod engine;
mod inspect;
#[cfg(test)]
mod reference;

use std::process::ExitCode;

use clap::Parser;
use pulselake_config::ConfigError;
use pulselake_source::SourceError;

/// For the C libraries as well. Records are allocated on librdkafka's threads and freed on the shards'; the system's
/// allocator has an arena for each thread and holds their peaks (docs/adr/0011).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Exit code when the command line or the settings are wrong; clap uses the same for its own errors.
const EXIT_WRONG_USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    if !pulselake_lake::failpoint::arm_from_environment() {
        eprintln!(
            "error: FAILPOINTS is set, but this build has no failpoints: unset it, or build with --features failpoints"
        );
        return ExitCode::from(EXIT_WRONG_USAGE);
    }
    match commands::run(cli.command) {
        Ok(code) => code,
        Err(error) => {
            eprint!("{}", error_text(&error));
            if error.chain().any(is_wrong_setting) {
                ExitCode::from(EXIT_WRONG_USAGE)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

/// Settings that don't fit are found when they are read, or by the client library that they are for.
fn is_wrong_setting(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.is::<ConfigError>()
        || matches!(cause.downcast_ref::<SourceError>(), Some(SourceError::Settings { .. }))
}

/// `error: …` with its causes, leaving out those that the line before has said already.
fn error_text(error: &anyhow::Error) -> String {
    let mut said = error.to_string();
    let mut text = format!("error: {said}\n");
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !said.contains(&cause) {
            text.push_str(&format!("  because: {cause}\n"));
        }
        said = cause;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_follow_once() {
        let error = anyhow::anyhow!("disk full").context("can't write: disk full").context("commit failed");
        assert_eq!(error_text(&error), "error: commit failed\n  because: can't write: disk full\n");
    }
}
