//! Topics of the load tests: made, looked at, deleted. Only names that begin with [`PREFIX`] or [`LOAD_PREFIX`] are ever
//! touched.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::cli::BrokerArgs;

/// How every topic of `pulselake-bench` begins.
pub(crate) const PREFIX: &str = "pulselake-bench-";
/// And every topic of `pulselake-load`.
pub(crate) const LOAD_PREFIX: &str = "pulselake-load-";

const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Makes a topic for one measurement, and deletes it afterwards, whatever came out.
pub(crate) fn with_new_topic<T>(
    broker: &BrokerArgs,
    scenario: &str,
    measure: impl FnOnce(&str) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let topics = Topics::of(&broker.brokers)?;
    let topic = unique(scenario);
    topics.create(&topic, broker.partitions)?;
    let outcome = measure(&topic);
    topics.delete(&topic)?;
    outcome
}

/// The topics of a broker.
pub(crate) struct Topics {
    observer: BaseConsumer,
    admin: AdminClient<DefaultClientContext>,
    runtime: tokio::runtime::Runtime,
}

impl Topics {
    pub(crate) fn of(brokers: &str) -> anyhow::Result<Self> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers);
        Ok(Self {
            observer: config.create()?,
            admin: config.create()?,
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
        })
    }

    /// Number of partitions; `None` when there is no such topic.
    pub(crate) fn partitions(&self, topic: &str) -> anyhow::Result<Option<i32>> {
        let metadata = self.observer.fetch_metadata(None, REQUEST_TIMEOUT).context("can't ask the broker")?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        Ok(found.and_then(|found| i32::try_from(found.partitions().len()).ok()).filter(|count| *count > 0))
    }

    /// Records that lie in a topic that nothing was ever deleted from.
    pub(crate) fn records(&self, topic: &str, partitions: i32) -> anyhow::Result<u64> {
        let mut records = 0;
        for partition in 0..partitions {
            let (low, high) = self.observer.fetch_watermarks(topic, partition, REQUEST_TIMEOUT)?;
            records += u64::try_from(high - low).context("a partition ends before it begins")?;
        }
        Ok(records)
    }

    /// Makes a topic that keeps its records, however old their timestamps are.
    pub(crate) fn create(&self, topic: &str, partitions: i32) -> anyhow::Result<()> {
        ensure!(is_ours(topic), "{topic:?} is no topic of the load tests");
        let wanted = NewTopic::new(topic, partitions, TopicReplication::Fixed(1))
            .set("retention.ms", "-1")
            .set("retention.bytes", "-1");
        let outcomes = self.runtime.block_on(self.admin.create_topics([&wanted], &options()))?;
        for outcome in outcomes {
            outcome.map_err(|(name, code)| anyhow::anyhow!("can't create topic {name}: {code}"))?;
        }
        self.wait_until(topic, |found| found == Some(partitions))
    }

    /// Deletes a topic and waits until it is gone.
    pub(crate) fn delete(&self, topic: &str) -> anyhow::Result<()> {
        ensure!(is_ours(topic), "{topic:?} is no topic of the load tests");
        for outcome in self.runtime.block_on(self.admin.delete_topics(&[topic], &options()))? {
            outcome.map_err(|(name, code)| anyhow::anyhow!("can't delete topic {name}: {code}"))?;
        }
        self.wait_until(topic, |found| found.is_none())
    }

    fn wait_until(&self, topic: &str, condition: impl Fn(Option<i32>) -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + REQUEST_TIMEOUT;
        while !condition(self.partitions(topic)?) {
            if Instant::now() >= deadline {
                bail!("the broker has not made or deleted topic {topic} within {REQUEST_TIMEOUT:?}");
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(REQUEST_TIMEOUT))
}

fn is_ours(topic: &str) -> bool {
    topic.starts_with(PREFIX) || topic.starts_with(LOAD_PREFIX)
}

/// A name that no other run uses.
pub(crate) fn unique(purpose: &str) -> String {
    unique_with(PREFIX, purpose)
}

/// The same, beginning with one of the two prefixes.
pub(crate) fn unique_with(prefix: &str, purpose: &str) -> String {
    let now = chrono::Utc::now().timestamp_millis();
    format!("{prefix}{purpose}-{}-{now}", std::process::id())
}
