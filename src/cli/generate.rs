//! `generate`.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::{ArgGroup, Args};
use pulselake_config::{ConfigError, Settings};
use pulselake_model::Entity;

use super::change_topic::ChangeTopic;
use super::settings::{Flags, SettingsArgs};

/// `pulselake generate`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("destination").required(true).args(["brokers", "output"]))]
pub(crate) struct GenerateArgs {
    #[command(flatten)]
    from: SettingsArgs,
    /// Kafka brokers to produce to, separated by commas
    #[arg(long, value_name = "HOST:PORT")]
    brokers: Option<String>,
    /// Topic to produce to [default: content_events]
    #[arg(long, conflicts_with = "output")]
    topic: Option<String>,
    /// NDJSON file to write, compressed when it ends in .gz or .zst; - is standard output
    #[arg(long, visible_alias = "out", value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Records to write, malformed ones and retries among them; without it there is no end
    #[arg(long, visible_alias = "events", value_name = "N")]
    pub(crate) count: Option<u64>,
    /// Events per second of event time [default: 1000]
    #[arg(long, value_name = "N")]
    rate: Option<u64>,
    /// Write each event when its time has come, instead of at once
    #[arg(long)]
    pub(crate) paced: bool,
    /// Seed of the events [default: 42]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Partitions of the topic [default: 12]
    #[arg(long, value_name = "N")]
    partitions: Option<i32>,
    /// Time of the first event, such as 2026-02-07T10:00:00Z [default: now]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    start: Option<DateTime<Utc>>,
    /// How many videos there are [default: 10000]
    #[arg(long, value_name = "N")]
    videos: Option<u32>,
    /// How many users there are [default: 100000]
    #[arg(long, value_name = "N")]
    users: Option<u32>,
    /// Share of records that are not valid, 0 to 0.9 [default: 0.001]
    #[arg(long, value_name = "SHARE")]
    invalid_ratio: Option<f64>,
    /// Share of events sent twice, 0 to 1 [default: 0.002]
    #[arg(long, value_name = "SHARE")]
    duplicate_ratio: Option<f64>,
    /// Share of events that come late, 0 to 1 [default: 0.005]
    #[arg(long, value_name = "SHARE")]
    late_ratio: Option<f64>,
    /// What happens on purpose, such as viral_high_quality:start_s=60,length_s=600,strength=2 (the parts after the name at
    /// will); may be repeated
    #[arg(long = "scenario", value_name = "KIND[:…]")]
    scenarios: Vec<String>,
    /// How much the rate follows the hours of the day: 0 is flat, 1 the curve of a real sample [default: 0]
    #[arg(long, value_name = "SHARE")]
    day_curve: Option<f64>,
    /// Directory for what the records must come to: counts.parquet (per video and minute), quarantine.parquet (per error
    /// code), expected_actions.parquet and run_manifest.parquet; needs an end
    #[arg(long, value_name = "DIR")]
    pub(crate) truth: Option<PathBuf>,
    /// Append the run to the tables qa.run_manifest and qa.expected_actions of the data directory; needs an end
    #[arg(long)]
    pub(crate) qa: bool,
    /// Topics to produce the changes of videos and users to (Debezium envelopes), the creates before the events: videos=
    /// and users= before their names, or as their names end
    #[arg(long, value_name = "TOPIC,…", value_delimiter = ',', value_parser = ChangeTopic::parse, conflicts_with = "output")]
    cdc_topics: Vec<ChangeTopic>,
    /// Directory for the changes of videos and users beside the events: one NDJSON file per topic and partition, a
    /// tombstone as {"schema":null,"payload":null}
    #[arg(long, value_name = "DIR", requires = "output")]
    pub(crate) cdc_out: Option<PathBuf>,
    /// Changes per second of videos, and of users [default: 1 for 1000 events]
    #[arg(long, value_name = "N")]
    pub(crate) cdc_rate: Option<f64>,
}

/// A moment, as RFC 3339 spells it.
pub(super) fn parse_time(text: &str) -> Result<DateTime<Utc>, String> {
    DateTime::parse_from_rfc3339(text)
        .map(|time| time.to_utc())
        .map_err(|error| format!("{error}; expected a time such as 2026-02-07T10:00:00Z"))
}

impl GenerateArgs {
    /// The settings in force: `generator`, `source.topic`, the topics of `cdc` and `kafka` count.
    pub(crate) fn settings(&self) -> Result<Settings, ConfigError> {
        let topic_of = |entity: Entity| {
            let given = self.cdc_topics.iter().rfind(|topic| topic.entity == entity);
            given.map(|topic| topic.name.as_str())
        };
        self.from.load(
            Flags::default()
                .text("kafka.brokers", "--brokers", self.brokers.as_deref())
                .text("source.topic", "--topic", self.topic.as_deref())
                .text("cdc.videos_topic", "--cdc-topics", topic_of(Entity::Videos))
                .text("cdc.users_topic", "--cdc-topics", topic_of(Entity::Users))
                .text("generator.rate_per_s", "--rate", self.rate)
                .text("generator.seed", "--seed", self.seed)
                .text("generator.partitions", "--partitions", self.partitions)
                .text("generator.start_ms", "--start", self.start.map(|time| time.timestamp_millis()))
                .text("generator.videos", "--videos", self.videos)
                .text("generator.users", "--users", self.users)
                .text("generator.invalid_ratio", "--invalid-ratio", self.invalid_ratio)
                .text("generator.duplicate_ratio", "--duplicate-ratio", self.duplicate_ratio)
                .text("generator.late_ratio", "--late-ratio", self.late_ratio)
                .text("generator.day_curve", "--day-curve", self.day_curve)
                .list("generator.scenarios", "--scenario", &self.scenarios),
        )
    }
}
