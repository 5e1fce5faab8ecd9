//! The end of a topic, read once: what was written to it since a moment. For whoever writes to the topic and wants to know
//! what of it has arrived.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use super::connect::first_contact;
use super::context::log_line;
use super::errors::Place;
use super::properties::log_level;
use super::sink::{KafkaSinkSettings, is_of_connection};
use crate::SourceError;

/// librdkafka wants a name to assign partitions under; nobody joins this group, and nothing is committed to it.
const GROUP: &str = "pulselake-tail";
/// How long one wait for a record lasts.
const WAIT: Duration = Duration::from_millis(100);

struct TailContext;

impl ClientContext for TailContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "the connection to Kafka is in trouble, the client retries");
    }
}

impl ConsumerContext for TailContext {}

/// Reads every committed record of the topic that has a timestamp of `since_ms` (milliseconds since the epoch) or lies behind
/// one, up to the end as it is found, and hands its value to `visit`; those of a partition in their order. Returns how many
/// there were. Blocks; at most for about `timeout` after the connection is made.
///
/// # Errors
/// When the topic can't be reached or read, or its end not within `timeout`.
pub fn read_topic_since(
    settings: &KafkaSinkSettings,
    since_ms: i64,
    timeout: Duration,
    visit: &mut dyn FnMut(&[u8]),
) -> Result<u64, SourceError> {
    let place = Place {
        brokers: &settings.brokers,
        topic: &settings.topic,
        group: GROUP,
        action: "reading the end of a topic",
    };
    let mut config = ClientConfig::new();
    config.set_log_level(log_level(&settings.properties));
    config.set("bootstrap.servers", &settings.brokers);
    config.set("client.id", "pulselake");
    for (key, value) in settings.properties.iter().filter(|(key, _)| is_of_connection(key)) {
        config.set(key, value);
    }
    let facts = first_contact(&config, place, settings.connect_timeout)?;
    config.set("group.id", GROUP);
    config.set("enable.auto.commit", "false");
    config.set("enable.partition.eof", "true");
    config.set("isolation.level", "read_committed");
    config.set("allow.auto.create.topics", "false");
    let consumer: BaseConsumer<TailContext> =
        config.create_with_context(TailContext).map_err(|error| place.not_created(&error))?;
    let deadline = Instant::now() + timeout;
    let starts = starts_of(&consumer, place, facts.partitions, since_ms, timeout)?;
    let mut open: HashSet<i32> = starts.elements().iter().map(|found| found.partition()).collect();
    if open.is_empty() {
        return Ok(0);
    }
    consumer.assign(&starts).map_err(|error| place.request_failed(&error))?;
    let mut records = 0;
    while !open.is_empty() {
        match consumer.poll(WAIT) {
            None => {}
            Some(Ok(message)) => {
                records += 1;
                visit(message.payload().unwrap_or_default());
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                open.remove(&partition);
            }
            Some(Err(error)) => return Err(place.request_failed(&error)),
        }
        if Instant::now() >= deadline && !open.is_empty() {
            return Err(SourceError::Unavailable {
                action: format!("reading the end of {:?} at {}", settings.topic, settings.brokers),
                detail: format!(
                    "{} partitions were not read to their ends within {} ms",
                    open.len(),
                    timeout.as_millis()
                ),
            });
        }
    }
    Ok(records)
}

/// Where each partition with such a record begins to be read.
fn starts_of(
    consumer: &BaseConsumer<TailContext>,
    place: Place<'_>,
    partitions: i32,
    since_ms: i64,
    timeout: Duration,
) -> Result<TopicPartitionList, SourceError> {
    let failed = |error: KafkaError| place.request_failed(&error);
    let mut asked = TopicPartitionList::new();
    for partition in 0..partitions {
        asked
            .add_partition_offset(place.topic, partition, Offset::Offset(since_ms.max(0)))
            .map_err(failed)?;
    }
    let answered = consumer.offsets_for_times(asked, timeout).map_err(failed)?;
    let mut starts = TopicPartitionList::new();
    for found in answered.elements() {
        found.error().map_err(failed)?;
        // A partition without such a record answers with its end.
        if let Offset::Offset(offset) = found.offset() {
            starts
                .add_partition_offset(place.topic, found.partition(), Offset::Offset(offset))
                .map_err(failed)?;
        }
    }
    Ok(starts)
}
