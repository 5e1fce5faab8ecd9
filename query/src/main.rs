//! The `pulselake-query` command; `pulselake sql`, `pulselake views` and `pulselake query-serve` run it.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod cli;
mod commands;
mod process_limits;

use std::process::ExitCode;

use clap::Parser;
use pulselake_config::ConfigError;
use tracing_subscriber::EnvFilter;

/// Memory comes and goes in large pieces on many threads; the system's allocator keeps each thread's peak.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Exit code when the command line or the settings are wrong; clap uses the same for its own errors.
const EXIT_WRONG_USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments = cli::Cli::parse();
    if !pulselake_lake::failpoint::arm_from_environment() {
        eprintln!(
            "error: FAILPOINTS is set, but this build has no failpoints: unset it, or build with --features failpoints"
        );
        return ExitCode::from(EXIT_WRONG_USAGE);
    }
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    // The main thread's stack is what the shell says; queries need what they need.
    let work = std::thread::Builder::new()
        .name("main".to_owned())
        .stack_size(commands::STACK_BYTES)
        .spawn(move || commands::run(arguments.command));
    let end = match work.map(std::thread::JoinHandle::join) {
        Ok(Ok(end)) => end,
        // The panic has been said where it happened.
        Ok(Err(_)) => return ExitCode::FAILURE,
        Err(error) => Err(anyhow::Error::new(error).context("can't start a thread")),
    };
    match end {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            match error.chain().any(|cause| cause.is::<ConfigError>()) {
                true => ExitCode::from(EXIT_WRONG_USAGE),
                false => ExitCode::FAILURE,
            }
        }
    }
}
