//! Kafka through librdkafka: one consumer client for the process, a queue per partition for the shards, and a
//! thread that keeps the client in its group whatever the shards do.

mod connect;
mod context;
mod errors;
mod properties;
mod reader;
mod settings;
mod sink;
mod slot;
mod source;
mod tail;
mod threads;

pub use settings::{GroupMode, KafkaSettings};
pub use sink::{KafkaSink, KafkaSinkSettings};
pub use source::KafkaSource;
pub use tail::read_topic_since;
