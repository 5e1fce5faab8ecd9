//! The settings as the parts of the program see them: plain values, units in the names, defaults in `Default`.
//!
//! `config/pulselake.toml` explains each of them; `rules.rs` says what is allowed; tests hold the three together.

mod batch;
mod board;
mod changes;
mod decisions;
mod engine;
mod maintenance;
mod service;
mod sinks;
mod source;
mod storage;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use batch::BatchSettings;
pub use board::BoardSettings;
pub use changes::ChangeSettings;
pub use decisions::DecisionSettings;
pub use engine::{DecodeSettings, EngineSettings, SupervisionSettings, WindowSettings};
pub use maintenance::MaintenanceSettings;
pub use service::{HttpSettings, LogFormat, LogLevel, LogSettings, QuerySettings};
pub use sinks::{BronzeSettings, GoldSettings, LakeSettings};
pub use source::{
    FilesSettings, GeneratorSettings, GroupMode, KafkaSettings, OnDataLoss, SourceKind, SourceSettings,
};
pub use storage::{RestSettings, S3Settings};

/// Everything that can be set.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where events come from.
    pub source: SourceSettings,
    /// The Kafka source.
    pub kafka: KafkaSettings,
    /// The built-in generator.
    pub generator: GeneratorSettings,
    /// The file source.
    pub files: FilesSettings,
    /// Shards, batches, mailboxes.
    pub engine: EngineSettings,
    /// What happens when a part fails or hangs.
    pub supervision: SupervisionSettings,
    /// Which records are valid.
    pub decode: DecodeSettings,
    /// Event time.
    pub windows: WindowSettings,
    /// The bronze tables' commits and files.
    pub bronze: BronzeSettings,
    /// The gold table's commits.
    pub gold: GoldSettings,
    /// The live board.
    pub board: BoardSettings,
    /// Dimensions that follow an operational database.
    pub cdc: ChangeSettings,
    /// What is decided about videos.
    pub decisions: DecisionSettings,
    /// Catalog and warehouse.
    pub lake: LakeSettings,
    /// A REST catalog.
    pub rest: RestSettings,
    /// A warehouse on S3.
    pub s3: S3Settings,
    /// Compaction, expiry, removal of files.
    pub maintenance: MaintenanceSettings,
    /// Health, metrics and API.
    pub http: HttpSettings,
    /// SQL over HTTP.
    pub query: QuerySettings,
    /// The cold path.
    pub batch: BatchSettings,
    /// Logging.
    pub log: LogSettings,
}

impl fmt::Debug for Settings {
    /// The masked TOML: safe to log.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.to_masked_toml())
    }
}
