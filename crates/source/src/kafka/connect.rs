//! The first contact: is a broker there, does it let us in, does it know the topic, how many partitions has it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::metadata::Metadata;

use super::context::log_line;
use super::errors::{Meaning, Place};
use crate::SourceError;

/// What the first contact found.
pub(super) struct TopicFacts {
    pub(super) cluster_id: String,
    pub(super) partitions: i32,
}

/// A topic made a moment ago may not be known to every broker yet.
const UNKNOWN_TOPIC_PATIENCE: Duration = Duration::from_secs(2);
const ATTEMPT: Duration = Duration::from_secs(1);

#[derive(Default)]
struct ProbeContext {
    heard: Mutex<Heard>,
}

#[derive(Default)]
struct Heard {
    refused: Option<String>,
    last: String,
}

impl ClientContext for ProbeContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let mut heard = self.heard.lock();
        let is_refusal = matches!(
            error.rdkafka_error_code(),
            Some(
                Code::Authentication
                    | Code::SaslAuthenticationFailed
                    | Code::SSL
                    | Code::UnsupportedSASLMechanism
            )
        );
        if is_refusal {
            heard.refused = Some(reason.to_owned());
        }
        // "all brokers down" follows the line that says why: keep that one.
        if heard.last.is_empty() || error.rdkafka_error_code() != Some(Code::AllBrokersDown) {
            reason.clone_into(&mut heard.last);
        }
    }
}

impl ConsumerContext for ProbeContext {}

/// Asks for the topic until there is an answer or `timeout` has passed.
pub(super) fn first_contact(
    config: &ClientConfig,
    place: Place<'_>,
    timeout: Duration,
) -> Result<TopicFacts, SourceError> {
    let client: BaseConsumer<ProbeContext> =
        config.create_with_context(ProbeContext::default()).map_err(|error| place.not_created(&error))?;
    let started = Instant::now();
    loop {
        let left = timeout.saturating_sub(started.elapsed());
        let answer = client.fetch_metadata(Some(place.topic), left.min(ATTEMPT));
        let is_over = started.elapsed() >= timeout;
        let heard = hear(&client, answer.is_err() && is_over);
        match answer {
            Ok(metadata) => match partitions_of(&metadata, place) {
                Ok(partitions) => return facts(&client, partitions, place, timeout),
                Err(SourceError::UnknownTopic { .. } | SourceError::Unavailable { .. })
                    if !is_over && started.elapsed() < UNKNOWN_TOPIC_PATIENCE =>
                {
                    std::thread::sleep(Duration::from_millis(100));
                }
                Err(error) => return Err(error),
            },
            Err(_) if heard.0.is_some() => {
                return Err(SourceError::Authentication {
                    brokers: place.brokers.to_owned(),
                    detail: heard.0.unwrap_or_default(),
                });
            }
            Err(error) if is_over => {
                let detail = if heard.1.is_empty() { error.to_string() } else { heard.1 };
                return Err(SourceError::BrokerUnreachable {
                    brokers: place.brokers.to_owned(),
                    waited_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
                    detail,
                });
            }
            Err(_) => {}
        }
    }
}

/// How many partitions the topic has by this answer.
pub(super) fn partitions_of(metadata: &Metadata, place: Place<'_>) -> Result<i32, SourceError> {
    let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == place.topic) else {
        return Err(place.unknown_topic());
    };
    if let Some(code) = topic.error() {
        return Err(match place.meaning(Code::from(code), "") {
            Meaning::Fatal(fatal) => fatal,
            Meaning::Passing => SourceError::Unavailable {
                action: format!("asking for topic {:?}", place.topic),
                detail: Code::from(code).to_string(),
            },
        });
    }
    match i32::try_from(topic.partitions().len()) {
        Ok(partitions) if partitions > 0 => Ok(partitions),
        _ => Err(place.unknown_topic()),
    }
}

/// Takes the waiting errors: (the broker's refusal, the last thing said). Before giving up it listens a little
/// longer: the reason for a failed connection comes on another thread than the failure.
fn hear(client: &BaseConsumer<ProbeContext>, is_last_word: bool) -> (Option<String>, String) {
    const ROUNDS: usize = 16;
    let context: &Arc<ProbeContext> = client.context();
    for _ in 0..ROUNDS {
        let is_silent = context.heard.lock().last.is_empty();
        let wait = if is_last_word && is_silent { Duration::from_millis(50) } else { Duration::ZERO };
        // The answer says nothing: errors go to the context, and an empty one may stand for an event that was taken.
        let _ = client.poll(wait);
    }
    let heard = context.heard.lock();
    (heard.refused.clone(), heard.last.clone())
}

fn facts(
    client: &BaseConsumer<ProbeContext>,
    partitions: i32,
    place: Place<'_>,
    timeout: Duration,
) -> Result<TopicFacts, SourceError> {
    match client.client().fetch_cluster_id(timeout) {
        Some(cluster_id) => Ok(TopicFacts { cluster_id, partitions }),
        None => Err(SourceError::Unavailable {
            action: format!("asking {} for its cluster id", place.brokers),
            detail: "no answer".to_owned(),
        }),
    }
}
