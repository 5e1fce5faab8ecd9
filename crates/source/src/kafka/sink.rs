//! Writes records to a Kafka topic: what `pulselake generate` and tests use.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};

use super::connect::first_contact;
use super::context::log_line;
use super::errors::Place;
use super::properties::{log_level, masked};
use crate::SourceError;

/// Settings of a [`KafkaSink`].
#[derive(Clone)]
pub struct KafkaSinkSettings {
    /// `host:port`, several separated by commas.
    pub brokers: String,
    /// The topic; it has to exist.
    pub topic: String,
    /// How long to wait for a broker at the start.
    pub connect_timeout: Duration,
    /// How long a record may take to be acknowledged before it counts as failed.
    pub delivery_timeout: Duration,
    /// Memory for records that are not acknowledged yet, bytes; when it is full, `send` waits.
    pub buffer_max_bytes: u64,
    /// Any librdkafka property; goes over what is set here.
    pub properties: BTreeMap<String, String>,
}

impl Default for KafkaSinkSettings {
    fn default() -> Self {
        Self {
            brokers: String::new(),
            topic: String::new(),
            connect_timeout: Duration::from_secs(10),
            delivery_timeout: Duration::from_secs(120),
            buffer_max_bytes: 64 << 20,
            properties: BTreeMap::new(),
        }
    }
}

impl fmt::Debug for KafkaSinkSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("KafkaSinkSettings")
            .field("brokers", &self.brokers)
            .field("topic", &self.topic)
            .field("properties", &masked(&self.properties))
            .finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Outcome {
    acknowledged: u64,
    failed: u64,
    first_failure: Option<String>,
}

#[derive(Default)]
struct SinkContext {
    outcome: Mutex<Outcome>,
}

impl ClientContext for SinkContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "the connection to Kafka is in trouble, the client retries");
    }
}

impl ProducerContext for SinkContext {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _opaque: ()) {
        let mut outcome = self.outcome.lock();
        match result {
            Ok(_) => outcome.acknowledged += 1,
            Err((error, _)) => {
                outcome.failed += 1;
                outcome.first_failure.get_or_insert_with(|| error.to_string());
            }
        }
    }
}

/// Whether a property says how to reach brokers: other clients beside the producer need it too.
pub(super) fn is_of_connection(key: &str) -> bool {
    ["security.", "sasl.", "ssl.", "socket.", "broker.", "debug"].iter().any(|part| key.starts_with(part))
}

/// An idempotent producer of one topic. `send` waits when its buffer is full; `flush` tells what failed.
pub struct KafkaSink {
    producer: BaseProducer<SinkContext>,
    brokers: String,
    topic: String,
    partitions: i32,
}

/// How long one wait for acknowledgements lasts.
const WAIT: Duration = Duration::from_millis(100);

impl KafkaSink {
    /// Connects and checks that the topic is there.
    pub fn connect(settings: &KafkaSinkSettings) -> Result<Self, SourceError> {
        let place =
            Place { brokers: &settings.brokers, topic: &settings.topic, group: "", action: "producing" };
        let mut common = ClientConfig::new();
        common.set_log_level(log_level(&settings.properties));
        common.set("bootstrap.servers", &settings.brokers);
        common.set("client.id", "pulselake");
        let mut config = common.clone();
        config.set("enable.idempotence", "true");
        config.set("delivery.timeout.ms", settings.delivery_timeout.as_millis().to_string());
        config.set("queue.buffering.max.kbytes", (settings.buffer_max_bytes / 1024).max(1024).to_string());
        config.set("queue.buffering.max.messages", "1000000");
        config.set("compression.type", "lz4");
        // As Java producers do it, so that a key lands in the same partition whoever wrote it.
        config.set("partitioner", "murmur2_random");
        config.set("linger.ms", "20");
        config.set("batch.size", "524288");
        for (key, value) in &settings.properties {
            config.set(key, value);
            if is_of_connection(key) {
                common.set(key, value);
            }
        }
        let facts = first_contact(&common, place, settings.connect_timeout)?;
        let producer =
            config.create_with_context(SinkContext::default()).map_err(|error| place.not_created(&error))?;
        Ok(Self {
            producer,
            brokers: settings.brokers.clone(),
            topic: settings.topic.clone(),
            partitions: facts.partitions,
        })
    }

    /// How many partitions the topic had when the sink connected.
    pub fn partitions(&self) -> i32 {
        self.partitions
    }

    /// Hands one record over; waits while the buffer is full. Without a partition the key decides.
    pub fn send(
        &self,
        partition: Option<i32>,
        key: &[u8],
        value: &[u8],
        timestamp_ms: i64,
    ) -> Result<(), SourceError> {
        self.produce(partition, BaseRecord::to(&self.topic).key(key).payload(value).timestamp(timestamp_ms))
    }

    /// Hands a tombstone over: a record with a key and a null value. Otherwise as [`Self::send`].
    pub fn send_tombstone(
        &self,
        partition: Option<i32>,
        key: &[u8],
        timestamp_ms: i64,
    ) -> Result<(), SourceError> {
        self.produce(partition, BaseRecord::to(&self.topic).key(key).timestamp(timestamp_ms))
    }

    fn produce(
        &self,
        partition: Option<i32>,
        mut record: BaseRecord<'_, [u8], [u8]>,
    ) -> Result<(), SourceError> {
        if let Some(number) = partition {
            record = record.partition(number);
        }
        loop {
            match self.producer.send(record) {
                Ok(()) => {
                    self.producer.poll(Duration::ZERO);
                    return Ok(());
                }
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), unsent)) => {
                    record = unsent;
                    self.producer.poll(WAIT);
                }
                Err((error, _)) => return Err(self.place("producing").request_failed(&error)),
            }
        }
    }

    /// Waits until every record is acknowledged or has failed; gives how many have been acknowledged in all.
    ///
    /// An error when any record has failed since the sink was made, or when `timeout` has passed.
    pub fn flush(&self, timeout: Duration) -> Result<u64, SourceError> {
        let deadline = Instant::now() + timeout;
        while self.producer.in_flight_count() > 0 && Instant::now() < deadline {
            // Only its side effects count here: what is left is looked at below.
            let _ = self.producer.flush(WAIT);
        }
        let waiting = self.producer.in_flight_count();
        let context: &Arc<SinkContext> = self.producer.context();
        let outcome = context.outcome.lock();
        if outcome.failed > 0 || waiting > 0 {
            let first = outcome.first_failure.as_deref().unwrap_or("none has failed yet");
            return Err(SourceError::Unavailable {
                action: format!("producing to {:?} at {}", self.topic, self.brokers),
                detail: format!(
                    "{} records acknowledged, {} failed, {waiting} not answered; first failure: {first}",
                    outcome.acknowledged, outcome.failed
                ),
            });
        }
        Ok(outcome.acknowledged)
    }

    fn place<'a>(&'a self, action: &'a str) -> Place<'a> {
        Place { brokers: &self.brokers, topic: &self.topic, group: "", action }
    }
}
