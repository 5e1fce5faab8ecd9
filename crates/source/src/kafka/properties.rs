//! The librdkafka properties that the settings come to, and which of them nobody may change.

use std::collections::BTreeMap;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use super::settings::{GroupMode, KafkaSettings};
use crate::SourceError;

/// Properties whose change would break a promise, each with the reason given to who tries.
const FIXED: [(&str, &str, &str); 5] = [
    ("enable.auto.commit", "false", "positions are committed after the ledger, never before"),
    ("enable.auto.offset.store", "false", "positions are committed after the ledger, never before"),
    ("auto.offset.reset", "error", "a reset would skip or repeat records silently"),
    ("enable.partition.eof", "true", "idle partitions and bounded runs are recognised by it"),
    ("group.id", "", "set group_id instead"),
];

/// Largest share of memory that a single partition's queue gets, bytes: more gains nothing.
const PARTITION_PREFETCH_MAX: u64 = 32 << 20;
/// Smallest one: below it a fetch costs more than what it brings.
const PARTITION_PREFETCH_MIN: u64 = 256 << 10;
/// One part in so many of the memory is for the values in the queue; as much again is what one fetch may bring.
const QUEUED_SHARE: u64 = 4;
/// Least that a fetch asks of each partition, bytes: the size up to which brokers take a producer's batch by default. A
/// broker answers with whole batches for the first partition alone and cuts off what is too long for the others: with
/// less than a batch, nearly all that comes over the network is thrown away and asked for again.
const FETCH_MIN: u64 = 1 << 20;
/// One part in so many of the memory is what one fetch may bring for all partitions together.
const FETCHED_SHARE: u64 = 16;

/// The consumer's configuration. `partitions` is how many the topic has, to divide the prefetch memory.
pub(super) fn consumer_config(
    settings: &KafkaSettings,
    partitions: usize,
) -> Result<ClientConfig, SourceError> {
    check(settings)?;
    let mut config = base_config(settings);
    // With a queue of its own, librdkafka applies its limit to each partition. It counts values; what it keeps of
    // a small message beside its value is as much again or more. A fetch that was on its way when the limit was
    // reached comes on top, and unpacks to several times its size.
    let share = (settings.prefetch_max_bytes / partitions.max(1) as u64)
        .clamp(PARTITION_PREFETCH_MIN, PARTITION_PREFETCH_MAX);
    config.set("queued.max.messages.kbytes", (share / QUEUED_SHARE / 1024).to_string());
    config.set("max.partition.fetch.bytes", (share / QUEUED_SHARE).max(FETCH_MIN).to_string());
    let fetch_max_bytes = (settings.prefetch_max_bytes / FETCHED_SHARE).clamp(FETCH_MIN, 52_428_800);
    config.set("fetch.max.bytes", fetch_max_bytes.to_string());
    config.set("queued.min.messages", "10000000");
    // A partition whose queue was full is looked at again after this; the default, a second, starves a fast reader.
    config.set("fetch.queue.backoff.ms", "5");
    // One fetch at a time asks for all partitions whose queues have room. A partition that gets room, is opened or
    // resumed waits for the running fetch of the others, which at the ends of those is this long: beside idle
    // partitions a busy one would stand still most of the time.
    config.set("fetch.wait.max.ms", "10");
    config.set("group.id", &settings.group_id);
    config.set("isolation.level", "read_committed");
    config.set("check.crcs", "true");
    config.set("statistics.interval.ms", "0");
    config
        .set("topic.metadata.refresh.interval.ms", settings.metadata_refresh.as_millis().max(10).to_string());
    if settings.group_mode == GroupMode::Group {
        if let Some(instance) = settings.group_instance_id.as_deref().filter(|id| !id.is_empty()) {
            config.set("group.instance.id", instance);
        }
        // Under the new protocol (KIP-848) assignor and session are the broker's, and setting them is an error.
        if settings.properties.get("group.protocol").map(String::as_str) != Some("consumer") {
            config.set("partition.assignment.strategy", "cooperative-sticky");
            config.set("session.timeout.ms", "45000");
        }
    }
    for (key, value) in &settings.properties {
        config.set(key, value);
    }
    // Lines about metadata are few (some with each refresh), and one of them says that the topic was recreated.
    let asked = settings.properties.get("debug").filter(|names| !names.is_empty());
    config.set("debug", asked.map_or_else(|| "metadata".to_owned(), |names| format!("{names},metadata")));
    config.set_log_level(RDKafkaLogLevel::Debug);
    for (key, value, _) in FIXED.iter().filter(|(_, value, _)| !value.is_empty()) {
        config.set(*key, *value);
    }
    Ok(config)
}

/// The configuration of the client that asks for the topic before the consumer is made: connection and security only.
pub(super) fn probe_config(settings: &KafkaSettings) -> Result<ClientConfig, SourceError> {
    check(settings)?;
    let mut config = base_config(settings);
    for (key, value) in &settings.properties {
        let group_only = key.starts_with("group.")
            || key.starts_with("session.")
            || key.starts_with("max.poll.")
            || key.starts_with("heartbeat.");
        if !group_only {
            config.set(key, value);
        }
    }
    Ok(config)
}

fn base_config(settings: &KafkaSettings) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set_log_level(log_level(&settings.properties));
    config.set("bootstrap.servers", &settings.brokers);
    config.set("client.id", "pulselake");
    config.set("allow.auto.create.topics", "false");
    config
}

/// Debug lines only when some were asked for by the property `debug`.
pub(super) fn log_level(properties: &BTreeMap<String, String>) -> RDKafkaLogLevel {
    if properties.contains_key("debug") { RDKafkaLogLevel::Debug } else { RDKafkaLogLevel::Info }
}

fn check(settings: &KafkaSettings) -> Result<(), SourceError> {
    let missing = [
        ("kafka.brokers", settings.brokers.trim().is_empty(), "give host:port of at least one broker"),
        ("source.topic", settings.topic.trim().is_empty(), "name the topic to consume"),
        ("kafka.group_id", settings.group_id.trim().is_empty(), "name the consumer group"),
    ];
    if let Some((setting, _, detail)) = missing.iter().find(|(_, is_missing, _)| *is_missing) {
        return Err(SourceError::Settings {
            setting: (*setting).to_owned(),
            detail: format!("is empty: {detail}"),
        });
    }
    for (key, value, reason) in FIXED {
        if settings.properties.get(key).is_some_and(|wanted| wanted != value) {
            return Err(SourceError::Settings {
                setting: format!("kafka.librdkafka.{key}"),
                detail: format!("can't be changed: {reason}"),
            });
        }
    }
    Ok(())
}

/// Whether a property's value may be shown.
pub(super) fn is_secret(key: &str) -> bool {
    ["password", "secret", "pem", "oauthbearer.config", "jaas", "token", "assertion", "keytab", "credential"]
        .iter()
        .any(|part| key.contains(part))
}

/// The properties as they may be shown.
pub(super) fn masked(properties: &BTreeMap<String, String>) -> BTreeMap<&str, &str> {
    properties
        .iter()
        .map(|(key, value)| (key.as_str(), if is_secret(key) { "***" } else { value.as_str() }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(properties: &[(&str, &str)]) -> KafkaSettings {
        KafkaSettings {
            brokers: "127.0.0.1:9092".to_owned(),
            topic: "content_events".to_owned(),
            properties: properties.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            ..KafkaSettings::default()
        }
    }

    #[test]
    fn queues_of_all_partitions_stay_within_the_budget() {
        for partitions in [1_usize, 3, 12, 100] {
            let config = consumer_config(&settings(&[]), partitions).unwrap();
            let queued: u64 = config.get("queued.max.messages.kbytes").unwrap().parse().unwrap();
            let all = queued * 1024 * 4 * partitions as u64;
            assert!(
                all <= KafkaSettings::default().prefetch_max_bytes,
                "{partitions} partitions take {all} bytes"
            );
        }
    }

    #[test]
    fn a_fetch_always_has_room_for_a_whole_batch() {
        for partitions in [1_usize, 12, 1_000] {
            let config = consumer_config(&settings(&[]), partitions).unwrap();
            for property in ["max.partition.fetch.bytes", "fetch.max.bytes"] {
                let bytes: u64 = config.get(property).unwrap().parse().unwrap();
                assert!(bytes >= 1 << 20, "{property} is {bytes} with {partitions} partitions");
            }
        }
    }

    #[test]
    fn what_exactly_once_rests_on_cannot_be_changed() {
        for (key, value) in [
            ("enable.auto.commit", "true"),
            ("enable.auto.offset.store", "true"),
            ("auto.offset.reset", "earliest"),
            ("enable.partition.eof", "false"),
            ("group.id", "other"),
        ] {
            let error = consumer_config(&settings(&[(key, value)]), 1).unwrap_err();
            assert!(error.to_string().contains(key), "{error}");
        }
        assert!(consumer_config(&settings(&[("auto.offset.reset", "error")]), 1).is_ok());
    }

    #[test]
    fn any_other_property_goes_over_ours() {
        let config = consumer_config(&settings(&[("isolation.level", "read_uncommitted")]), 1).unwrap();
        assert_eq!(config.get("isolation.level"), Some("read_uncommitted"));
    }

    #[test]
    fn the_lines_that_tell_a_recreated_topic_are_always_asked_for() {
        let debug = |properties: &[(&str, &str)]| {
            consumer_config(&settings(properties), 1).unwrap().get("debug").unwrap().to_owned()
        };
        assert_eq!(debug(&[]), "metadata");
        assert_eq!(debug(&[("debug", "cgrp")]), "cgrp,metadata");
    }

    #[test]
    fn the_new_group_protocol_gets_no_client_side_assignor() {
        let config = consumer_config(&settings(&[("group.protocol", "consumer")]), 1).unwrap();
        assert_eq!(config.get("partition.assignment.strategy"), None);
        assert_eq!(config.get("session.timeout.ms"), None);
    }

    #[test]
    fn empty_settings_are_named() {
        let empty = KafkaSettings { brokers: " ".to_owned(), ..settings(&[]) };
        let error = consumer_config(&empty, 1).unwrap_err();
        assert!(error.to_string().contains("kafka.brokers"), "{error}");
    }
}
