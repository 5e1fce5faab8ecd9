//! The command line of `pulselake-load`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::compare::CompareArgs;

/// Load tests that scenario files describe: what is sent, what goes wrong, what is good enough. In the end the tables are
/// compared with the truth, always.
#[derive(Debug, Parser)]
#[command(name = "pulselake-load", version, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the ready scenarios
    List,
    /// Run a scenario; exit code 0 only when every limit and the comparison with the truth hold
    Run(RunArgs),
    /// Compare two runs, noise taken into account; exit code 3 when something got worse
    Compare(CompareArgs),
}

/// `pulselake-load run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// A ready scenario's name, or a TOML file
    pub(crate) scenario: String,
    /// The short form: seconds instead of minutes
    #[arg(long)]
    pub(crate) short: bool,
    /// Kafka brokers. Without them events are embedded, or the scenario starts a broker of its own if it needs one
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) brokers: Option<String>,
    /// Start a Kafka broker for a scenario that does not need one, and send the events over it
    #[arg(long, conflicts_with = "brokers")]
    pub(crate) kafka: bool,
    /// Where report.json and report.html are written
    #[arg(long, value_name = "DIR")]
    pub(crate) report: Option<PathBuf>,
    /// The engine's program
    #[arg(
        long,
        value_name = "PATH",
        env = "PULSELAKE_BENCH_ENGINE",
        default_value = "target/release/pulselake"
    )]
    pub(crate) engine: PathBuf,
    /// A setting for the engine beyond the scenario's, handed on as it stands
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) settings: Vec<String>,
    /// The directory with the scripts that start Kafka, S3, PostgreSQL and REST catalogs [default: tests/tools of the
    /// repository]
    #[arg(long, value_name = "DIR")]
    pub(crate) tools: Option<PathBuf>,
    /// Directory for tables, logs and services; what a run leaves there is removed
    #[arg(long, value_name = "DIR", default_value_os_t = std::env::temp_dir())]
    pub(crate) work_dir: PathBuf,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definitions_are_consistent() {
        Cli::command().debug_assert();
        let cli = Cli::parse_from(["pulselake-load", "run", "steady-1k", "--short", "--set", "a.b=1"]);
        let Command::Run(args) = cli.command else { panic!("{cli:?}") };
        assert!(args.short && args.scenario == "steady-1k" && args.settings == ["a.b=1"] && !args.kafka);
        let both = ["pulselake-load", "run", "steady-1k", "--kafka", "--brokers", "b:9092"];
        assert!(Cli::try_parse_from(both).is_err());
    }
}
