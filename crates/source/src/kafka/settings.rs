//! Settings of the Kafka source. Printing them never shows a secret.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::properties::masked;

/// How partitions come to this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupMode {
    /// Kafka's consumer group spreads them over the processes.
    #[default]
    Group,
    /// This process takes all partitions of the topic and never rebalances.
    Assign,
}

/// Settings of a [`super::KafkaSource`].
#[derive(Clone)]
pub struct KafkaSettings {
    /// `host:port`, several separated by commas.
    pub brokers: String,
    /// The topic.
    pub topic: String,
    /// Consumer group; in [`GroupMode::Assign`] only the name under which progress is published.
    pub group_id: String,
    /// How partitions are handed out.
    pub group_mode: GroupMode,
    /// Static membership: a restart within the session time-out takes its partitions back without a rebalance.
    pub group_instance_id: Option<String>,
    /// Memory for fetched records that nobody has taken yet, all partitions together, bytes.
    pub prefetch_max_bytes: u64,
    /// How long to wait for a broker at the start.
    pub connect_timeout: Duration,
    /// How long one request may take later on.
    pub request_timeout: Duration,
    /// How long a revocation waits for its acknowledgement.
    pub revoke_timeout: Duration,
    /// How often to look for new partitions.
    pub metadata_refresh: Duration,
    /// Any librdkafka property; goes over what is set here, but for the few that exactly-once depends on.
    pub properties: BTreeMap<String, String>,
}

impl Default for KafkaSettings {
    fn default() -> Self {
        Self {
            brokers: String::new(),
            topic: String::new(),
            group_id: "pulselake".to_owned(),
            group_mode: GroupMode::default(),
            group_instance_id: None,
            prefetch_max_bytes: 128 << 20,
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(10),
            revoke_timeout: Duration::from_secs(30),
            metadata_refresh: Duration::from_secs(60),
            properties: BTreeMap::new(),
        }
    }
}

impl fmt::Debug for KafkaSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("KafkaSettings")
            .field("brokers", &self.brokers)
            .field("topic", &self.topic)
            .field("group_id", &self.group_id)
            .field("group_mode", &self.group_mode)
            .field("group_instance_id", &self.group_instance_id)
            .field("prefetch_max_bytes", &self.prefetch_max_bytes)
            .field("connect_timeout", &self.connect_timeout)
            .field("request_timeout", &self.request_timeout)
            .field("revoke_timeout", &self.revoke_timeout)
            .field("metadata_refresh", &self.metadata_refresh)
            .field("properties", &masked(&self.properties))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_no_secret() {
        let properties = [
            ("sasl.password", "hunter2"),
            ("sasl.username", "svc-lake"),
            ("ssl.key.pem", "-----BEGIN hunter2"),
            ("sasl.oauthbearer.config", "hunter2"),
            ("ssl.keystore.password", "hunter2"),
            ("security.protocol", "SASL_SSL"),
        ];
        let settings = KafkaSettings {
            properties: properties.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            ..KafkaSettings::default()
        };
        let shown = format!("{settings:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("SASL_SSL") && shown.contains("sasl.password"), "{shown}");
    }
}
