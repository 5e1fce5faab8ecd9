//! `decide`.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::{ArgAction, Args, ValueEnum};
use pulselake_config::{ConfigError, Settings};

use super::generate::parse_time;
use super::settings::{Flags, SettingsArgs};

/// `pulselake decide`.
#[derive(Debug, Args)]
pub(crate) struct DecideArgs {
    #[command(flatten)]
    from: SettingsArgs,
    /// The stretch of history to decide about: the minutes that begin at or after FROM and end at or before TO, such as
    /// 2026-02-07T10:00:00Z 2026-02-07T14:00:00Z. The 30 minutes before FROM are read too
    #[arg(long, action = ArgAction::Set, num_args = 2, value_names = ["FROM", "TO"], value_parser = parse_time, required = true)]
    replay: Vec<DateTime<Utc>>,
    /// The rules to try, as config/rules.toml
    #[arg(long, value_name = "FILE")]
    pub(crate) rules: PathBuf,
    /// The rules to compare with [default: decisions.rules_file of the settings, or the program's own]
    #[arg(long, value_name = "FILE")]
    pub(crate) against: Option<PathBuf>,
    /// The baseline for both, as config/baseline.toml [default: the one published for the rules in force at TO, else decisions.baseline_file of the settings, or the seed]
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Option<PathBuf>,
    /// How the result is written
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: DecideFormat,
}

/// How a comparison is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum DecideFormat {
    /// For people
    #[default]
    #[value(alias = "text")]
    Table,
    /// One JSON document
    Json,
}

impl DecideArgs {
    /// The settings in force.
    pub(crate) fn settings(&self) -> Result<Settings, ConfigError> {
        self.from.load(Flags::default())
    }

    /// FROM and TO, microseconds since the epoch.
    pub(crate) fn stretch_us(&self) -> (i64, i64) {
        // The command line takes exactly two.
        let at_us = |index: usize| self.replay.get(index).map_or(0, DateTime::timestamp_micros);
        (at_us(0), at_us(1))
    }
}
