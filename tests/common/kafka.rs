//! Topics and groups on the test broker.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

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
    let admin = admin();
    let wanted =
        NewTopic::new(topic, partitions, TopicReplication::Fixed(1)).set("max.message.bytes", "16777216");
    for outcome in wait_for(admin.create_topics([&wanted], &admin_options())).unwrap() {
        outcome.unwrap();
    }
    wait_for_leaders(topic, partitions);
}

/// Gives a topic more partitions, and waits until they can be written to.
pub fn grow_topic(topic: &str, partitions: i32) {
    let admin = admin();
    let wanted = NewPartitions::new(topic, partitions as usize);
    for outcome in wait_for(admin.create_partitions([&wanted], &admin_options())).unwrap() {
        outcome.unwrap();
    }
    wait_for_leaders(topic, partitions);
}

/// A busy broker answers before its own metadata names the topic and all of its partitions.
fn wait_for_leaders(topic: &str, partitions: i32) {
    let are_there = || {
        let metadata = observer().fetch_metadata(Some(topic), REQUEST_TIMEOUT).unwrap();
        let found = metadata.topics().iter().find(|found| found.name() == topic)?;
        let led = found.partitions().iter().filter(|partition| partition.leader() >= 0).count();
        (led == partitions as usize).then_some(())
    };
    super::poll(REQUEST_TIMEOUT, are_there).unwrap();
}

/// Deletes a topic; a new one may get its name.
pub fn delete_topic(topic: &str) {
    let admin = admin();
    for outcome in wait_for(admin.delete_topics(&[topic], &admin_options())).unwrap() {
        outcome.unwrap();
    }
    let is_gone = || {
        let metadata = observer().fetch_metadata(None, REQUEST_TIMEOUT).unwrap();
        metadata.topics().iter().all(|found| found.name() != topic).then_some(())
    };
    super::poll(REQUEST_TIMEOUT, is_gone).unwrap();
}

/// Deletes a partition's records before `offset`, as retention does.
pub fn delete_records_before(topic: &str, partition: i32, offset: i64) {
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(topic, partition, Offset::Offset(offset)).unwrap();
    let admin = admin();
    let outcome = wait_for(admin.delete_records(&offsets, &admin_options())).unwrap();
    for element in outcome.elements() {
        element.error().unwrap();
    }
}

fn admin() -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", brokers()).create().unwrap()
}

fn admin_options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(REQUEST_TIMEOUT))
}

fn wait_for<T>(request: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(request)
}

fn observer() -> BaseConsumer {
    ClientConfig::new().set("bootstrap.servers", brokers()).create().unwrap()
}

/// Members that a consumer group has now.
pub fn group_members(group: &str) -> usize {
    let groups = observer().fetch_group_list(Some(group), REQUEST_TIMEOUT).unwrap();
    groups.groups().iter().filter(|found| found.name() == group).map(|found| found.members().len()).sum()
}

/// End offset of each partition.
pub fn topic_ends(topic: &str, partitions: i32) -> Vec<i64> {
    let consumer = observer();
    let end = |partition| consumer.fetch_watermarks(topic, partition, REQUEST_TIMEOUT).unwrap().1;
    (0..partitions).map(end).collect()
}

/// Records in a topic without transactions and deletions: the sum of its end offsets.
pub fn topic_records(topic: &str, partitions: i32) -> u64 {
    u64::try_from(topic_ends(topic, partitions).iter().sum::<i64>()).unwrap()
}
