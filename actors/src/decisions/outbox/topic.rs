//! What the outbox asks of a topic. All calls block.

use std::collections::HashSet;
use std::sync::Arc;

use uuid::Uuid;

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionMessage {
    /// The video.
    pub key: String,
    /// The action as JSON.
    pub value: Vec<u8>,
    /// Since when the action is in its state, milliseconds since the epoch.
    pub timestamp_ms: i64,
}

/// A topic that is connected to.
pub trait ActionTopic: Send {
    /// Sends these in their order, and returns when all are acknowledged.
    ///
    /// # Errors
    /// With what stands in the way; some of them may have arrived. The connection is not used any more.
    fn send_all(&mut self, messages: &[ActionMessage]) -> Result<(), String>;

    /// The changes (action, moment in µs since which it is in its state) that the topic has from a moment on (milliseconds
    /// since the epoch), and how many messages were read for it.
    ///
    /// # Errors
    /// With what stands in the way. The connection is not used any more.
    fn changes_since(&mut self, since_ms: i64) -> Result<(HashSet<(Uuid, i64)>, u64), String>;
}

/// Connects to the topic, as often as it takes.
pub type ConnectTopic = Arc<dyn Fn() -> Result<Box<dyn ActionTopic>, String> + Send + Sync>;
