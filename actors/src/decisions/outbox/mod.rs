//! The outbox: what the queue's table says, sent to a topic.
//!
//! A message is an action with all its columns, keyed by its video; each change of a state is one. It is sent after the commit,
//! never before, and what is sent is what the table has. What it promises to consumers: every action in the state that the
//! table has arrives at least once, changes of an action in their order, and normally each change once. (`action_id`,
//! `state_updated_at`) tells a repetition.
//!
//! It keeps no state of its own. After a start it reads the end of the topic and sends what is missing there. So a crash
//! between commit and send loses nothing; a state that was left again before the outbox came back is in no message, as it is in
//! no table.
//!
//! Every process sends what it commits. What it finds of others' it sends only if it has not appeared in the topic for a while:
//! that process may be gone.

mod backlog;
mod kafka;
mod run;
#[cfg(test)]
mod tests;
mod topic;

pub use kafka::KafkaActions;
pub use run::{Outbox, OutboxParts};
pub use topic::{ActionMessage, ActionTopic, ConnectTopic};
