//! The topic on Kafka: an idempotent producer that waits for all replicas, and a reader of the topic's end.

use std::collections::HashSet;
use std::time::Duration;

use pulselake_actions::change_in;
use pulselake_source::{KafkaSink, KafkaSinkSettings, read_topic_since};
use uuid::Uuid;

use super::topic::{ActionMessage, ActionTopic, ConnectTopic};

/// How long the topic's end may take to be read.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// A topic of actions on Kafka.
pub struct KafkaActions {
    sink: KafkaSink,
    settings: KafkaSinkSettings,
}

impl KafkaActions {
    /// Connects with these settings.
    pub fn connector(settings: KafkaSinkSettings) -> ConnectTopic {
        std::sync::Arc::new(move || {
            let sink = KafkaSink::connect(&settings).map_err(|error| error.to_string())?;
            Ok(Box::new(Self { sink, settings: settings.clone() }) as Box<dyn ActionTopic>)
        })
    }
}

impl ActionTopic for KafkaActions {
    fn send_all(&mut self, messages: &[ActionMessage]) -> Result<(), String> {
        for message in messages {
            let (key, value) = (message.key.as_bytes(), message.value.as_slice());
            self.sink.send(None, key, value, message.timestamp_ms).map_err(|error| error.to_string())?;
        }
        self.sink.flush(self.settings.delivery_timeout).map_err(|error| error.to_string())?;
        Ok(())
    }

    fn changes_since(&mut self, since_ms: i64) -> Result<(HashSet<(Uuid, i64)>, u64), String> {
        let mut changes = HashSet::new();
        let mut add = |value: &[u8]| changes.extend(change_in(value));
        let read = read_topic_since(&self.settings, since_ms, READ_TIMEOUT, &mut add)
            .map_err(|error| error.to_string())?;
        Ok((changes, read))
    }
}
