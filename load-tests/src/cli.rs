//! The command line of the load tests.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::scenarios::api::ApiArgs;
use crate::scenarios::changes::ChangesArgs;
use crate::scenarios::drain::DrainArgs;
use crate::scenarios::live::LiveArgs;
use crate::scenarios::recovery::RecoveryArgs;
use crate::scenarios::scaling::ScalingArgs;

/// Load tests of the Pulselake engine. Each prints one JSON object; README.md beside this program's source explains the
/// fields.
#[derive(Debug, Parser)]
#[command(name = "pulselake-bench", version, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) scenario: Scenario,
}

/// What is measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Scenario {
    /// How much CPU and time it takes to drain a full topic into fresh tables
    Drain(DrainArgs),
    /// How soon events can be queried at a steady rate, and what it costs
    Live(LiveArgs),
    /// What dimensions cost that follow an operational database, and how soon and fast they can be read
    Changes(ChangesArgs),
    /// How soon new events can be queried again after kill -9
    Recovery(RecoveryArgs),
    /// How much faster two shards are than one
    Scaling(ScalingArgs),
    /// How soon the HTTP API answers while events flow, and whether the events notice; needs no broker
    Api(ApiArgs),
}

/// What every scenario needs.
#[derive(Clone, Debug, Args)]
pub(crate) struct CommonArgs {
    /// The engine's program
    #[arg(
        long,
        value_name = "PATH",
        env = "PULSELAKE_BENCH_ENGINE",
        default_value = "target/release/pulselake"
    )]
    pub(crate) engine: PathBuf,
    /// A setting for the engine, handed on as it stands
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) settings: Vec<String>,
    /// Directory for tables, logs and files; what a run leaves there is removed
    #[arg(long, value_name = "DIR", default_value_os_t = std::env::temp_dir())]
    pub(crate) work_dir: PathBuf,
    /// Don't audit the tables at the end
    #[arg(long)]
    pub(crate) no_audit: bool,
}

/// What every scenario with a broker needs.
#[derive(Clone, Debug, Args)]
pub(crate) struct BrokerArgs {
    /// Kafka brokers; run.sh starts one of its own
    #[arg(long, value_name = "HOST:PORT", env = "PULSELAKE_TEST_KAFKA")]
    pub(crate) brokers: String,
    /// Partitions of the topic
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(i32).range(1..=1024))]
    pub(crate) partitions: i32,
    /// Compression of what is produced: none, lz4, snappy, gzip or zstd
    #[arg(long, value_name = "CODEC", default_value = "none")]
    pub(crate) compression: String,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definitions_are_consistent() {
        Cli::command().debug_assert();
    }
}
