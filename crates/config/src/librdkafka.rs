//! The free map of librdkafka properties.

use std::collections::BTreeMap;
use std::fmt;

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use crate::secret::{MASK, is_secret_name};

/// librdkafka properties by name, handed to the client as they stand. Secret ones print masked.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct LibrdkafkaProperties(BTreeMap<String, String>);

impl LibrdkafkaProperties {
    /// All properties with their true values, by name. Never log the values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The true value of a property.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Sets a property.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.insert(name.into(), value.into());
    }

    pub(crate) fn remove(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    fn masked(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter().map(|(name, value)| (name, if shows_value(name) { value } else { MASK }))
    }
}

/// Whether the value may be shown. The path in `…_file` is no secret, what the file holds is.
fn shows_value(name: &str) -> bool {
    !is_secret_name(name) || name.ends_with("_file")
}

impl fmt::Debug for LibrdkafkaProperties {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self.masked()).finish()
    }
}

impl Serialize for LibrdkafkaProperties {
    /// Masked, as [`crate::Secret`] is.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.masked() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// Why a property can't be set by hand: the engine's promises hang on it, or it has a setting of its own.
pub(crate) fn reserved_property(name: &str) -> Option<&'static str> {
    match name {
        "bootstrap.servers" | "metadata.broker.list" => Some("use kafka.brokers"),
        "group.id" => Some("use kafka.group_id"),
        "group.instance.id" => Some("use kafka.group_instance_id"),
        "topic.metadata.refresh.interval.ms" => Some("use kafka.metadata_refresh_ms"),
        "queued.max.messages.kbytes" => Some("use kafka.prefetch_max_bytes"),
        "enable.auto.commit" | "enable.auto.offset.store" | "auto.commit.interval.ms" => {
            Some("the ledger in the tables holds the positions, and group offsets follow it")
        }
        "auto.offset.reset" => {
            Some("a position that Kafka no longer has must not be skipped silently; see kafka.on_data_loss")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_properties_are_masked_and_others_are_not() {
        let mut properties = LibrdkafkaProperties::default();
        for name in
            ["sasl.password", "ssl.key.pem", "sasl.oauthbearer.client.secret", "ssl.keystore.password"]
        {
            properties.insert(name, "hunter2");
        }
        properties.insert("security.protocol", "SASL_SSL");
        properties.insert("sasl.password_file", "/run/secrets/kafka");
        let shown = format!("{properties:?}") + &toml::to_string(&properties).unwrap();
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("SASL_SSL") && shown.contains("/run/secrets/kafka"), "{shown}");
        assert_eq!(properties.get("sasl.password"), Some("hunter2"));
    }
}
