//! Settings of the sources: Kafka, generator, files.

use pulselake_generator::Scenario;
use serde::{Deserialize, Serialize};

use crate::LibrdkafkaProperties;

/// Which source feeds the engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// The built-in deterministic generator.
    #[default]
    Generator,
    /// A Kafka topic.
    Kafka,
    /// NDJSON or Parquet files.
    Files,
}

/// `[source]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SourceSettings {
    /// Which source.
    pub kind: SourceKind,
    /// Topic to consume; the other sources write it as `source_topic`.
    pub topic: String,
    /// Stop, with exit code 0, at the end offsets seen at the start.
    pub until_caught_up: bool,
}

impl Default for SourceSettings {
    fn default() -> Self {
        Self { kind: SourceKind::default(), topic: "content_events".to_owned(), until_caught_up: false }
    }
}

/// How partitions come to this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupMode {
    /// Kafka's consumer group spreads them over the processes.
    #[default]
    Group,
    /// This process takes all of them.
    Assign,
}

/// What to do when Kafka has deleted records that were not consumed yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnDataLoss {
    /// Stop and say so.
    #[default]
    Stop,
    /// Count and log the gap, then go on behind it.
    Continue,
}

/// `[kafka]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaSettings {
    /// `host:port`, several separated by commas.
    pub brokers: String,
    /// Consumer group.
    pub group_id: String,
    /// How partitions are handed out.
    pub group_mode: GroupMode,
    /// Static membership; empty for none.
    pub group_instance_id: String,
    /// Memory for fetched records that the engine has not taken yet, all partitions together, in bytes.
    pub prefetch_max_bytes: u64,
    /// How long to wait for a broker at the start, in milliseconds.
    pub connect_timeout_ms: u64,
    /// How long commits in flight may hold up a rebalance, in milliseconds.
    pub revoke_timeout_ms: u64,
    /// What to do about records that Kafka deleted before they were consumed.
    pub on_data_loss: OnDataLoss,
    /// How often to look for new partitions, in milliseconds.
    pub metadata_refresh_ms: u64,
    /// Any librdkafka property.
    pub librdkafka: LibrdkafkaProperties,
}

impl Default for KafkaSettings {
    fn default() -> Self {
        Self {
            brokers: String::new(),
            group_id: "pulselake".to_owned(),
            group_mode: GroupMode::default(),
            group_instance_id: String::new(),
            prefetch_max_bytes: 134_217_728,
            connect_timeout_ms: 10_000,
            revoke_timeout_ms: 30_000,
            on_data_loss: OnDataLoss::default(),
            metadata_refresh_ms: 60_000,
            librdkafka: LibrdkafkaProperties::default(),
        }
    }
}

/// `[generator]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GeneratorSettings {
    /// The same seed and settings give the same events.
    pub seed: u64,
    /// Events per second, all partitions together.
    pub rate_per_s: u64,
    /// Partitions of the generated topic.
    pub partitions: i32,
    /// How many videos there are.
    pub videos: u32,
    /// How many users there are.
    pub users: u32,
    /// Time of the first event, in milliseconds since 1970; 0 is the moment of the first start.
    pub start_ms: i64,
    /// Share of records that must be quarantined, 0 to 0.9.
    pub invalid_ratio: f64,
    /// Share of events sent twice, 0 to 1.
    pub duplicate_ratio: f64,
    /// Share of events that come late, 0 to 1.
    pub late_ratio: f64,
    /// How much the rate follows the hours of the day (UTC), 0 to 1; its mean over a day stays.
    pub day_curve: f64,
    /// Where the log ends, in seconds after its start; 0: never. Not a part of what the log is.
    pub length_s: u64,
    /// What happens on purpose, from when, for how long and how strongly.
    pub scenarios: Vec<Scenario>,
}

impl Default for GeneratorSettings {
    fn default() -> Self {
        Self {
            seed: 42,
            rate_per_s: 1_000,
            partitions: 12,
            videos: 10_000,
            users: 100_000,
            start_ms: 0,
            invalid_ratio: 0.001,
            duplicate_ratio: 0.002,
            late_ratio: 0.005,
            day_curve: 0.0,
            length_s: 0,
            scenarios: Vec::new(),
        }
    }
}

/// `[files]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FilesSettings {
    /// Files to read, in order: `.ndjson`, `.json`, `.jsonl` (plain, `.gz`, `.zst`) and `.parquet`.
    pub paths: Vec<String>,
    /// Longest line that is read, in bytes; a longer one goes to quarantine, cut.
    pub max_line_bytes: usize,
}

impl Default for FilesSettings {
    fn default() -> Self {
        Self { paths: Vec::new(), max_line_bytes: 16_777_216 }
    }
}
