//! The command line: what can be typed, and how flags become settings. No command does its work here.

mod change_topic;
mod decide;
mod generate;
mod health;
mod inspect;
mod maintain;
mod query;
mod service;
mod settings;
mod tools;

use clap::{Parser, Subcommand};

pub(crate) use decide::{DecideArgs, DecideFormat};
pub(crate) use generate::GenerateArgs;
pub(crate) use health::HealthArgs;
pub(crate) use inspect::{
    AuditArgs, LedgerCommand, LedgerRewindArgs, LedgerShowArgs, OutputFormat, QuarantineCommand,
    QuarantineListArgs, QuarantineReplayArgs, QuarantineShowArgs, TablesArgs, TablesCommand,
    TablesInspectArgs,
};
pub(crate) use maintain::{EraseArgs, MaintainArgs};
pub(crate) use query::PassedOn;
pub(crate) use service::{DemoArgs, InitArgs, RunArgs};
pub(crate) use tools::{CompletionsArgs, ConfigCommand, ManArgs};

/// Stream processing for short-video platforms: Kafka to Iceberg, exactly once.
///
/// Start with `pulselake demo`: it needs nothing else. Every setting has a default; `pulselake config reference` explains
/// them all.
#[derive(Debug, Parser)]
#[command(name = "pulselake", version = env!("PULSELAKE_VERSION"), propagate_version = true, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the whole service on generated events, with a summary in the terminal
    ///
    /// Tables lie under ./pulselake-data. Stop it and start it again: it goes on where it was.
    Demo(DemoArgs),
    /// Run the service on Kafka, on files, or on generated events
    ///
    /// No settings file is needed: `pulselake run --brokers HOST:PORT --topic content_events --data-dir DIR
    /// --until-caught-up` consumes to the end offsets seen at the start, closes every window, commits and exits with 0.
    Run(RunArgs),
    /// Create catalog and tables, or check that they fit
    Init(InitArgs),
    /// Write generated events to a Kafka topic or as NDJSON
    Generate(GenerateArgs),
    /// Ask the engine on this machine whether it is well; exits with 1 when it is not
    Health(HealthArgs),
    /// List the tables with their snapshots, files and ledgers, or inspect one
    Tables(TablesArgs),
    /// Compact tables, expire old snapshots and remove files without a use, once; the running engine does it by itself
    Maintain(MaintainArgs),
    /// Remove every row of a user or a video from every table
    Erase(EraseArgs),
    /// Prove from the tables that every record taken is accounted for; exits with 1 when one is not
    Audit(AuditArgs),
    /// Show what other rules would have decided over history, before they go live
    ///
    /// Runs the rules in force and those of a file over the counts of gold and says what would be added, gone and changed.
    /// Nothing is written.
    Decide(DecideArgs),
    /// Look at rejected records, and take in those that are valid by now
    #[command(subcommand)]
    Quarantine(QuarantineCommand),
    /// Look at the ledgers, or make a table's current snapshot the truth after a rollback
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// Ask the tables and views in SQL, read-only: one query, or interactive
    ///
    /// Runs pulselake-query, a program of its own: `pulselake sql --help` explains it.
    Sql(PassedOn),
    /// List the serving views, show one, or make them in Trino (runs pulselake-query)
    Views(PassedOn),
    /// Answer queries over HTTP and Flight SQL until standard input ends (runs pulselake-query serve)
    QueryServe(PassedOn),
    /// Make days of the cold path: silver, daily gold, baselines, reconciliation (runs pulselake-query)
    ///
    /// `pulselake batch --help` explains it.
    Batch(PassedOn),
    /// Show the payload fields that were found, and the columns they have (runs pulselake-query)
    Drift(PassedOn),
    /// Check, print or explain settings
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Write a completion script for a shell to standard output
    Completions(CompletionsArgs),
    /// Write the manual pages
    Man(ManArgs),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use pulselake_config::{Settings, SourceKind};

    use super::*;

    fn parse(line: &str) -> Command {
        Cli::try_parse_from(line.split_whitespace()).unwrap_or_else(|error| panic!("{line}: {error}")).command
    }

    fn run_settings(line: &str) -> Settings {
        let Command::Run(args) = parse(line) else { panic!("{line} is no run") };
        args.settings().unwrap()
    }

    #[test]
    fn the_definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_fixed_way_in_needs_no_settings_file() {
        let settings = run_settings(
            "pulselake run --brokers b:9092 --topic content_events --data-dir /data/lake --until-caught-up",
        );
        assert_eq!(settings.source.kind, SourceKind::Kafka);
        assert_eq!(settings.kafka.brokers, "b:9092");
        assert_eq!(settings.lake.data_dir, "/data/lake");
        assert!(settings.source.until_caught_up);
    }

    #[test]
    fn files_select_their_source_and_exclude_brokers() {
        let settings = run_settings("pulselake run --files a.ndjson b,c.parquet --shards 2");
        assert_eq!(settings.source.kind, SourceKind::Files);
        assert_eq!(settings.files.paths, ["a.ndjson", "b,c.parquet"]);
        assert_eq!(settings.engine.shards, 2);
        assert!(Cli::try_parse_from(["pulselake", "run", "--files", "a", "--brokers", "b:1"]).is_err());
    }

    #[test]
    fn set_reaches_every_setting_and_wrong_ones_name_the_flag() {
        let settings = run_settings("pulselake run --set gold.collect_wait_ms=7 --set log.format=json");
        assert_eq!(settings.gold.collect_wait_ms, 7);
        let Command::Run(args) = parse("pulselake run --shards 9999") else { panic!("no run") };
        let error = args.settings().unwrap_err().to_string();
        assert!(error.contains("engine.shards (flag --shards): found 9999"), "{error}");
        assert!(Cli::try_parse_from(["pulselake", "run", "--set", "shards"]).is_err());
    }

    #[test]
    fn generate_needs_exactly_one_destination() {
        for line in [
            "pulselake generate --output - --count 10",
            "pulselake generate --brokers b:1 --topic t --count 10 --start 2026-02-07T10:00:00Z",
        ] {
            parse(line);
        }
        for line in
            ["pulselake generate --count 10", "pulselake generate --output - --brokers b:1 --count 10"]
        {
            assert!(Cli::try_parse_from(line.split_whitespace()).is_err(), "{line}");
        }
    }

    #[test]
    fn what_is_behind_sql_is_passed_on_whole() {
        let line = "pulselake sql --data-dir /data --format json --help";
        let Command::Sql(passed_on) = parse(line) else { panic!("no sql") };
        assert_eq!(passed_on.arguments, ["--data-dir", "/data", "--format", "json", "--help"]);
        let Command::Views(passed_on) = parse("pulselake views list") else { panic!("no views") };
        assert_eq!(passed_on.arguments, ["list"]);
        let Command::Batch(passed_on) = parse("pulselake batch run --date 2026-01-31 --help") else {
            panic!("no batch")
        };
        assert_eq!(passed_on.arguments, ["run", "--date", "2026-01-31", "--help"]);
    }

    #[test]
    fn a_start_is_a_time() {
        let Command::Generate(args) = parse("pulselake generate --output - --start 1970-01-01T00:00:01Z")
        else {
            panic!("no generate")
        };
        assert_eq!(args.settings().unwrap().generator.start_ms, 1_000);
        assert!(Cli::try_parse_from(["pulselake", "generate", "--output", "-", "--start", "noon"]).is_err());
    }

    #[test]
    fn a_replay_of_rules_has_a_beginning_and_an_end() {
        let line = "pulselake decide --replay 1970-01-01T00:00:01Z 1970-01-01T00:02:00+00:01 --rules r.toml";
        let Command::Decide(args) = parse(line) else { panic!("no decide") };
        assert_eq!(args.stretch_us(), (1_000_000, 60_000_000));
        for line in [
            "pulselake decide --replay 1970-01-01T00:00:01Z --rules r.toml",
            "pulselake decide --rules r.toml",
            "pulselake decide --replay 1970-01-01T00:00:01Z 1970-01-01T00:02:00Z",
            "pulselake decide --replay yesterday today --rules r.toml",
        ] {
            assert!(Cli::try_parse_from(line.split_whitespace()).is_err(), "{line}");
        }
    }

    #[test]
    fn a_ledger_is_rewound_by_the_tables_name() {
        let Command::Ledger(LedgerCommand::Rewind(args)) = parse("pulselake ledger rewind bronze.raw_events")
        else {
            panic!("no rewind")
        };
        assert_eq!(args.table.full_name(), "bronze.raw_events");
        let error =
            Cli::try_parse_from(["pulselake", "ledger", "rewind", "bronze.raw"]).unwrap_err().to_string();
        assert!(error.contains("bronze.raw_events") && error.contains("gold.rt_video_stats_1min"), "{error}");
    }
}
