//! Load tests of the engine, as it is delivered, from outside. Two programs stand on this library:
//! `pulselake-bench` measures one thing at a time (`scenarios`); `pulselake-load` runs whole scenarios of `scenarios/*.toml`,
//! with phases, faults, limits and a report (`load`).
//!
//! # Layout
//! `scenarios` has one file for each measurement of `pulselake-bench`. Both programs use: `engine` (the engine as a process
//! and what it uses), `events`, `bulk`, `paced` and `change_feed` (what is sent, and how), `topic`, `engine_log`, `metrics`
//! and `lake_watch` (what can be seen), `table_scan` (what reading costs), `latency` (what follows from it), `proc_fs`,
//! `statistics` and `report`.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod arguments;
mod bulk;
mod change_feed;
mod cli;
mod engine;
mod engine_log;
mod events;
mod lake_watch;
mod latency;
pub mod load;
mod metrics;
mod paced;
mod proc_fs;
mod report;
mod scenarios;
mod statistics;
mod table_scan;
mod topic;

use std::process::ExitCode;

use clap::Parser;

/// Exit code when everything was measured, but a limit was not met.
const EXIT_LIMIT_MISSED: u8 = 3;

/// `pulselake-bench`: measures what the command line asks for, prints the report, and tells how it ended.
pub fn bench() -> ExitCode {
    let outcome = match cli::Cli::parse().scenario {
        cli::Scenario::Drain(args) => scenarios::drain::run(&args),
        cli::Scenario::Live(args) => scenarios::live::run(&args),
        cli::Scenario::Changes(args) => scenarios::changes::run(&args),
        cli::Scenario::Recovery(args) => scenarios::recovery::run(&args),
        cli::Scenario::Scaling(args) => scenarios::scaling::run(&args),
        cli::Scenario::Api(args) => scenarios::api::run(&args),
    };
    match outcome {
        Ok((report, all_met)) => {
            println!("{report:#}");
            if all_met { ExitCode::SUCCESS } else { ExitCode::from(EXIT_LIMIT_MISSED) }
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
