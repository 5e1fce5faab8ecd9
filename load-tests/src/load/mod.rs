//! Whole load tests: a scenario file says what is sent, in which phases, with which faults and limits; the run is sampled
//! and measured; in the end the tables are compared with the truth; a report tells all of it.
//!
//! # Layout
//! `cli` is the command line, [`scenario`] what files say, [`run`] a run from its services ([`services`]) and faults
//! ([`faults`]) to its outcome. [`outcome`] is what a run comes to, and the report's JSON. `figure_name`, `series` and
//! [`verdict`] say what follows from it; [`report`] shows it, [`compare`] holds runs against each other.

mod cli;
pub mod compare;
#[cfg(test)]
pub(crate) mod example;
pub mod faults;
mod figure_name;
pub mod outcome;
pub mod report;
pub mod run;
pub mod scenario;
mod series;
pub mod services;
pub mod verdict;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command, RunArgs};
use run::RunOptions;
use scenario::Scenario;
use verdict::reasons_to_fail;

/// Exit code of a run that came to its end, but missed a limit, differs from the truth, or had problems.
const EXIT_NOT_PASSED: u8 = 3;

/// `pulselake-load`: does what the command line asks for, and tells how it ended: 0 when everything holds, 3 when a run does
/// not pass, 1 when something could not be done.
pub fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::List => list(),
        Command::Run(args) => run_one(&args),
        Command::Compare(args) => return compare::main(&args),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn list() -> anyhow::Result<ExitCode> {
    println!("{:<17} {:>7} {:<9} {:>6} {:<9} asks", "scenario", "full", "over", "short", "over");
    for name in scenario::ready::names() {
        let full = scenario::file::find(name, false)?;
        let short = scenario::file::find(name, true)?;
        let transport = |form: &Scenario| if form.why_kafka().is_some() { "kafka" } else { "embedded" };
        println!(
            "{name:<17} {:>5} s {:<9} {:>4} s {:<9} {}",
            full.duration_s(),
            transport(&full),
            short.duration_s(),
            transport(&short),
            full.description
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn run_one(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let found = scenario::file::find(&args.scenario, args.short)?;
    let scenario = Scenario { is_over_kafka: args.kafka, ..found };
    let options = RunOptions {
        engine: args.engine.clone(),
        brokers: args.brokers.clone(),
        tools: args.tools.clone(),
        settings: args.settings.clone(),
        work_dir: args.work_dir.clone(),
    };
    let outcome = run::run(&scenario, args.short, &options)?;
    if let Some(directory) = &args.report {
        report::write(&outcome, directory)?;
        eprintln!("the report is {}", directory.join(report::HTML_FILE).display());
    }
    println!("{}: {}", outcome.scenario, if outcome.passed { "passed" } else { "failed" });
    for limit in &outcome.limits {
        let measured = limit.measured.map_or_else(|| "not measured".to_owned(), |value| value.to_string());
        let sign = if limit.side == "at_most" { "<=" } else { ">=" };
        let verdict = if limit.met { "holds" } else { "missed" };
        println!("  {} {measured} {sign} {}: {verdict}", limit.name, limit.limit);
    }
    println!(
        "  truth: {} events, {} records in quarantine, {} video minutes: {}",
        outcome.audit.events,
        outcome.audit.quarantined,
        outcome.audit.video_minutes,
        if outcome.audit.passed { "the tables hold them" } else { "the tables differ" }
    );
    for reason in reasons_to_fail(&outcome).iter().chain(&outcome.audit.findings) {
        println!("  {reason}");
    }
    Ok(if outcome.passed { ExitCode::SUCCESS } else { ExitCode::from(EXIT_NOT_PASSED) })
}
