//! Topics and groups on the test broker.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::environment;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The broker's host:port.
pub fn brokers() -> String {
    environment("PULSELAKE_TEST_KAFKA")
}

/// A name that no other test or run has used.
pub fn unique(name: &str) -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    format!("{name}-{}-{now}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed))
}

/// Makes a topic that takes values of several MB.
pub fn create_topic(topic: &str, partitions: i32) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers()).create().unwrap();
    let wanted =
        NewTopic::new(topic, partitions, TopicReplication::Fixed(1)).set("max.message.bytes", "16777216");
    let options = AdminOptions::new().operation_timeout(Some(REQUEST_TIMEOUT));
    let creating = admin.create_topics([&wanted], &options);
    let outcomes = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(creating)
        .unwrap();
    for outcome in outcomes {
        outcome.unwrap();
    }
}

fn observer() -> BaseConsumer {
    ClientConfig::new().set("bootstrap.servers", brokers()).create().unwrap()
}

/// Members that a consumer group has now.
pub fn group_members(group: &str) -> usize {
    let groups = observer().fetch_group_list(Some(group), REQUEST_TIMEOUT).unwrap();
    groups.groups().iter().filter(|found| found.name() == group).map(|found| found.members().len()).sum()
}

/// Records in a topic without transactions and deletions: the sum of its end offsets.
pub fn topic_records(topic: &str, partitions: i32) -> u64 {
    let consumer = observer();
    let end = |partition| consumer.fetch_watermarks(topic, partition, REQUEST_TIMEOUT).unwrap().1;
    (0..partitions).map(|partition| u64::try_from(end(partition)).unwrap()).sum()
}
