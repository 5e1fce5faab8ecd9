//! The command line: what can be typed. No command does its work here.

mod batch;
#[cfg(test)]
mod reference;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use pulselake_config::{ConfigError, Settings};
use pulselake_place::{Flags, SettingsArgs, lake_settings};
use pulselake_query::output::OutputFormat;
use pulselake_query::views::command::ViewsCommand;
use pulselake_query::{EngineSettings, QueryLimits};

pub(crate) use batch::{BatchCommand, DriftArgs, LakeArgs};

/// SQL on Pulselake's tables, read-only.
#[derive(Debug, Parser)]
#[command(name = "pulselake-query", version = env!("PULSELAKE_VERSION"), propagate_version = true, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run one query, or those of an interactive session
    ///
    /// Tables are named by namespace and name, such as gold.rt_video_stats_1min; the views of schema serving need no
    /// schema. Without a query: interactive on a terminal, else the statements of standard input.
    Sql(SqlArgs),
    /// Answer queries over HTTP and Flight SQL; the engine starts it by itself
    Serve(ServeArgs),
    /// List the serving views, show one, or make them in Trino
    #[command(subcommand)]
    Views(ViewsCommand),
    /// Make days of the cold path: silver, daily gold, baselines, reconciliation
    #[command(subcommand)]
    Batch(BatchCommand),
    /// Show the payload fields that were found, and the columns they have
    Drift(DriftArgs),
}

/// What queries and jobs may take.
#[derive(Clone, Debug, Args)]
struct ResourceArgs {
    /// Memory of all queries together, or of a batch run; what does not fit is spilled or refused
    #[arg(long, value_name = "MIB", default_value_t = 1_024, value_parser = clap::value_parser!(u64).range(16..=1_048_576))]
    memory_mib: u64,
    /// Directory for what does not fit into memory [default: the system's for temporary files]
    #[arg(long, value_name = "DIR")]
    spill_dir: Option<PathBuf>,
    /// Room in that directory
    #[arg(long, value_name = "MIB", default_value_t = 8_192, value_parser = clap::value_parser!(u64).range(0..=16_777_216))]
    spill_mib: u64,
    /// Threads that queries work on [default: as many as cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_024))]
    threads: Option<u16>,
}

impl ResourceArgs {
    fn engine(&self, settings: &Settings) -> Result<EngineSettings, ConfigError> {
        let mut engine = EngineSettings::new(lake_settings(settings)?);
        engine.memory_bytes = usize::try_from(self.memory_mib << 20).unwrap_or(usize::MAX);
        engine.spill_directory.clone_from(&self.spill_dir);
        engine.spill_bytes = self.spill_mib << 20;
        if let Some(threads) = self.threads {
            engine.threads = usize::from(threads);
        }
        Ok(engine)
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let given: f64 = text.parse().map_err(|_| "seconds, such as 30 or 0.5".to_owned())?;
    Duration::try_from_secs_f64(given).map_err(|_| "seconds from 0 up".to_owned())
}

/// `pulselake-query sql`.
#[derive(Debug, Args)]
pub(crate) struct SqlArgs {
    #[command(flatten)]
    from: SettingsArgs,
    #[command(flatten)]
    resources: ResourceArgs,
    /// How results are written
    #[arg(long, value_enum, default_value_t = OutputFormat::Table)]
    pub(crate) format: OutputFormat,
    /// Rows of a result at most, 0 for all [default: 1000 for a table, all for the other formats]
    #[arg(long, value_name = "N")]
    max_rows: Option<u64>,
    /// Seconds that a query may take [default: no limit]
    #[arg(long, value_name = "S", value_parser = seconds)]
    timeout_s: Option<Duration>,
    /// The query; - reads it from standard input
    pub(crate) query: Option<String>,
}

/// Rows of a table that somebody looks at.
const SHOWN_ROWS: u64 = 1_000;

impl SqlArgs {
    pub(crate) fn engine(&self) -> Result<EngineSettings, ConfigError> {
        self.resources.engine(&self.from.load(Flags::default())?)
    }

    pub(crate) fn limits(&self) -> QueryLimits {
        let max_rows = match (self.max_rows, self.format) {
            (Some(0), _) => None,
            (Some(rows), _) => Some(rows),
            (None, OutputFormat::Table) => Some(SHOWN_ROWS),
            (None, _) => None,
        };
        QueryLimits { max_rows, timeout: self.timeout_s }
    }
}

/// `pulselake-query serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    from: SettingsArgs,
    #[command(flatten)]
    resources: ResourceArgs,
    /// Where HTTP is answered; port 0 takes a free one, which is said on standard output
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:0")]
    pub(crate) bind: SocketAddr,
    /// Where Flight SQL is answered [default: nowhere]
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) flight_bind: Option<SocketAddr>,
    /// Rows of an answer at most; a request can ask for fewer
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    max_rows: u64,
    /// Seconds that a query may take, waiting included; a request can ask for less
    #[arg(long, value_name = "S", default_value = "30", value_parser = seconds)]
    timeout_s: Duration,
    /// Size of an answer at most
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=4_096))]
    max_result_mib: u64,
    /// Queries that run at the same time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1_024))]
    pub(crate) max_concurrent: u16,
    /// Queries that wait for one of these; the next one is refused
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(0..=10_000))]
    pub(crate) max_waiting: u16,
    /// Go on when standard input ends: for service managers
    #[arg(long)]
    pub(crate) keep_running: bool,
}

impl ServeArgs {
    pub(crate) fn engine(&self) -> Result<EngineSettings, ConfigError> {
        self.resources.engine(&self.from.load(Flags::default())?)
    }

    pub(crate) fn limits(&self) -> QueryLimits {
        QueryLimits { max_rows: Some(self.max_rows), timeout: Some(self.timeout_s) }
    }

    pub(crate) fn max_result_bytes(&self) -> usize {
        usize::try_from(self.max_result_mib << 20).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn sql(line: &str) -> SqlArgs {
        match Cli::try_parse_from(line.split_whitespace()).unwrap().command {
            Command::Sql(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn only_a_table_is_cut_off_unasked() {
        let rows = |line: &str| sql(line).limits().max_rows;
        assert_eq!(rows("pulselake-query sql --data-dir d x"), Some(SHOWN_ROWS));
        assert_eq!(rows("pulselake-query sql --format json x"), None);
        assert_eq!(rows("pulselake-query sql --max-rows 0 x"), None);
        assert_eq!(rows("pulselake-query sql --format csv --max-rows 7 x"), Some(7));
    }

    #[test]
    fn wrong_amounts_are_refused() {
        for line in
            ["sql --timeout-s -1 x", "sql --memory-mib 1 x", "serve --max-rows 0", "serve --bind nowhere"]
        {
            let words = std::iter::once("pulselake-query").chain(line.split_whitespace());
            assert!(Cli::try_parse_from(words).is_err(), "{line}");
        }
    }
}
