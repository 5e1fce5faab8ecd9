//! The settings of Pulselake: one [`Settings`] value out of defaults, a TOML file, `PULSELAKE_*` environment
//! variables and command-line flags, each overriding the one before.
//!
//! It promises that a wrong setting never starts the service: every problem is reported at once, with its key, where
//! it was set (file and line, variable or flag) and what is allowed. Secrets never reach an output: they are masked in
//! `Debug`, in [`Settings::to_masked_toml`] and in errors.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod cross_checks;
mod error;
mod flatten;
mod layer;
mod librdkafka;
mod load;
mod locations;
mod print;
mod rules;
mod secret;
mod secret_files;
pub mod settings;

pub use error::{ConfigError, Problem, Problems};
pub use layer::{Override, OverrideValue};
pub use librdkafka::LibrdkafkaProperties;
pub use load::{LoadOptions, load};
pub use locations::Locations;
pub use print::reference_toml;
pub use secret::{ConnectionUri, MASK, Secret};
pub use settings::{
    BronzeSettings, ChangeSettings, DecisionSettings, DecodeSettings, EngineSettings, FilesSettings,
    GeneratorSettings, GoldSettings, GroupMode, HttpSettings, KafkaSettings, LakeSettings, LogFormat,
    LogLevel, LogSettings, MaintenanceSettings, OnDataLoss, QuerySettings, RestSettings, S3Settings,
    Settings, SourceKind, SourceSettings, SupervisionSettings, WindowSettings,
};
