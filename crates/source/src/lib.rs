//! Where records come from: Kafka, the embedded generator and files, behind one trait.
//!
//! A [`Source`] says which partitions this process reads ([`AssignmentEvent`]), where each one begins and ends,
//! and opens a [`PartitionReader`] at an exact offset. Readers hand records over in order, each offset at most
//! once, and never skip one silently: whatever stands in the way is a [`SourceError`] that says what to do.
//! All calls block; only [`PartitionReader::poll`] is for a thread that must not wait.
//!
//! Beside it, and asynchronous: the schemas that records name in a registry ([`SchemaRegistry`]).

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod error;
pub mod event;
pub mod files;
pub mod generator;
pub mod generator_cdc;
pub mod generator_log;
pub mod kafka;
mod schema_registry;
pub mod source;
mod static_assignment;

pub use error::{ErrorAction, SourceError};
pub use event::{AssignmentEvent, RevokeAck};
pub use files::{FileSource, FileSourceSettings};
pub use generator::{GeneratorSource, GeneratorSourceSettings};
pub use generator_cdc::{GeneratorCdcSettings, GeneratorCdcSource};
pub use generator_log::GeneratorPace;
pub use kafka::{GroupMode, KafkaSettings, KafkaSink, KafkaSinkSettings, KafkaSource, read_topic_since};
pub use schema_registry::{RegistryAnswer, RegistryError, SchemaRegistry, SchemaRegistrySettings};
pub use source::{
    OffsetBounds, PartitionReader, Polled, Progress, ReaderState, Source, SourceIdentity, UNKNOWN_END,
};
