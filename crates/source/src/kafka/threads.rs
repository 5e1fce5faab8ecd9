//! The source's own threads. One polls the main queue, always, so that back-pressure never costs the group
//! membership; the other looks for new partitions and, after trouble with the connection, for the ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;

use super::connect::partitions_of;
use super::context::{Context, PulseConsumer, take_last_error};
use super::errors::{Meaning, Place};
use crate::{AssignmentEvent, SourceError};

const POLL: Duration = Duration::from_millis(100);
const RETRY: Duration = Duration::from_millis(500);

/// Polls the main queue until the source closes.
pub(super) fn poll_main_queue(consumer: &Arc<PulseConsumer>) {
    let context = consumer.context();
    while !context.closing() {
        match consumer.poll(POLL) {
            None => {}
            Some(Ok(message)) => context.emit(AssignmentEvent::Failed(SourceError::UnexpectedRecord {
                topic: message.topic().to_owned(),
                partition: message.partition(),
                offset: message.offset(),
                place: "on the main queue, where no reader takes it".to_owned(),
            })),
            Some(Err(error)) => take_error(context, &error),
        }
    }
}

fn take_error(context: &Context, error: &KafkaError) {
    let detail = take_last_error().map(|(_, reason)| reason).unwrap_or_default();
    let place = Place {
        brokers: &context.brokers,
        topic: &context.topic,
        group: &context.group,
        action: "consuming",
    };
    match error {
        KafkaError::PartitionEOF(partition) => {
            tracing::debug!(partition, "end of partition on the main queue");
        }
        KafkaError::MessageConsumptionFatal(code) => {
            let failure = match place.meaning(*code, &detail) {
                Meaning::Fatal(fatal) => fatal,
                Meaning::Passing => SourceError::Client { action: "consuming".to_owned(), detail },
            };
            context.emit(AssignmentEvent::Failed(failure));
        }
        other => match other.rdkafka_error_code().map(|code| place.meaning(code, &detail)) {
            Some(Meaning::Fatal(fatal)) => context.emit(AssignmentEvent::Failed(fatal)),
            Some(Meaning::Passing) => {
                tracing::warn!(%error, detail, "the connection to Kafka is in trouble, the client retries");
                context.note_trouble();
            }
            None => context.emit(AssignmentEvent::Failed(SourceError::Client {
                action: "consuming".to_owned(),
                detail: error.to_string(),
            })),
        },
    }
}

/// What the watching thread does and how often.
pub(super) struct Watch {
    pub(super) metadata_refresh: Duration,
    pub(super) request_timeout: Duration,
    /// Partitions assigned so far by ourselves; `None` when the group assigns.
    pub(super) assigned_count: Option<i32>,
}

/// Looks for new partitions and for ends until the source closes.
pub(super) fn watch(consumer: &Arc<PulseConsumer>, mut settings: Watch) {
    let context = consumer.context();
    let mut probed = context.trouble();
    let mut refreshed = Instant::now();
    while !context.closing() {
        context.sleep(settings.metadata_refresh.saturating_sub(refreshed.elapsed()), Some(probed));
        if context.closing() {
            return;
        }
        let trouble = context.trouble();
        if trouble != probed {
            if probe_ends(consumer, trouble, settings.request_timeout) {
                probed = trouble;
            } else {
                context.sleep(RETRY, None);
            }
        }
        if refreshed.elapsed() >= settings.metadata_refresh {
            refreshed = Instant::now();
            if let Some(count) = &mut settings.assigned_count {
                assign_new_partitions(consumer, count, settings.request_timeout);
            }
        }
    }
}

/// Asks for the end of every assigned partition; false when a broker did not answer.
fn probe_ends(consumer: &Arc<PulseConsumer>, trouble: u64, timeout: Duration) -> bool {
    let context = consumer.context();
    for (partition, slot) in context.assigned() {
        match consumer.fetch_watermarks(&context.topic, partition, timeout) {
            Ok((_, high)) => slot.probe().set(high, trouble),
            Err(error) => {
                tracing::debug!(partition, %error, "the end of the partition is not known yet");
                return false;
            }
        }
        if context.closing() {
            return false;
        }
    }
    true
}

fn assign_new_partitions(consumer: &Arc<PulseConsumer>, count: &mut i32, timeout: Duration) {
    let context = consumer.context();
    let place = Place {
        brokers: &context.brokers,
        topic: &context.topic,
        group: &context.group,
        action: "looking for new partitions",
    };
    let found = match consumer.fetch_metadata(Some(&context.topic), timeout) {
        Ok(metadata) => partitions_of(&metadata, place),
        Err(error) => Err(place.request_failed(&error)),
    };
    let partitions = match found {
        Ok(partitions) => partitions,
        Err(error) if error.action() == crate::ErrorAction::Stop => {
            context.emit(AssignmentEvent::Failed(error));
            return;
        }
        Err(error) => {
            tracing::warn!(%error, "could not look for new partitions");
            return;
        }
    };
    let new: Vec<i32> = (*count..partitions).collect();
    if new.is_empty() {
        return;
    }
    match context.assign_paused(consumer, &new) {
        Ok(()) => {
            *count = partitions;
            tracing::info!(topic = %context.topic, partitions = ?new, "the topic has new partitions");
            context.emit(AssignmentEvent::Assigned(new));
        }
        Err(error) => context.emit(AssignmentEvent::Failed(SourceError::Client {
            action: format!("taking partitions {new:?}"),
            detail: error.to_string(),
        })),
    }
}

/// Whether a seek may succeed a little later: the fetcher is being started or stopped.
pub(super) fn is_not_started_yet(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::State
                | RDKafkaErrorCode::PreviousInProgress
                | RDKafkaErrorCode::Outdated
                | RDKafkaErrorCode::InProgress
        )
    )
}
