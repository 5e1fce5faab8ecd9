//! What can go wrong with a source, and what to do about each.

use std::path::PathBuf;

/// What the caller should do about a [`SourceError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorAction {
    /// Try again after a pause: nothing is wrong with the request.
    Retry,
    /// The partition is someone else's, or was opened again: let go of the reader, nothing has failed.
    LetGo,
    /// Stop: it comes again until a person has acted.
    Stop,
}

/// A failure of a source.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SourceError {
    /// No broker answered.
    #[error(
        "no Kafka broker answered at {brokers} within {waited_ms} ms ({detail}); check the address, that the broker runs and that its advertised listeners can be reached from here"
    )]
    BrokerUnreachable {
        /// The bootstrap addresses.
        brokers: String,
        /// How long was waited, milliseconds.
        waited_ms: u64,
        /// The last thing the client library said.
        detail: String,
    },
    /// A request failed in a way that passes.
    #[error("{action} failed for now: {detail}")]
    Unavailable {
        /// What was tried.
        action: String,
        /// What was answered.
        detail: String,
    },
    /// The topic is not there.
    #[error(
        "topic {topic:?} does not exist at {brokers}; create it (kafka-topics.sh --bootstrap-server {brokers} --create --topic {topic} --partitions 12) or correct the name; where tables were filled from a topic of that name before, a new topic needs another data directory"
    )]
    UnknownTopic {
        /// Its name.
        topic: String,
        /// The bootstrap addresses.
        brokers: String,
    },
    /// The topic was deleted while it was read, and another one has its name now.
    #[error(
        "topic {topic:?} was deleted and created again while it was read: the topic was recreated, and its offsets name other records now; nothing of the new topic was taken; use a new topic name, or a new data directory"
    )]
    TopicRecreated {
        /// Its name.
        topic: String,
    },
    /// Another cluster answers at the same address.
    #[error(
        "another Kafka cluster answers at {brokers} than before ({detail}): its topic {topic:?} is another one, and nothing of it was taken; correct the address, or use another data directory"
    )]
    ClusterReplaced {
        /// The topic that was read.
        topic: String,
        /// The bootstrap addresses.
        brokers: String,
        /// The client's words, with both ids.
        detail: String,
    },
    /// The partition is not there.
    #[error(
        "{topic} has no partition {partition}: the topic was deleted or recreated with fewer partitions, or the source exchanged; a new topic needs another data directory"
    )]
    UnknownPartition {
        /// Topic or what stands for it.
        topic: String,
        /// The partition.
        partition: i32,
    },
    /// The offset is not there.
    #[error(
        "{topic}-{partition} has no offset {offset} ({detail}): retention has passed it, or the topic was recreated; decide what to do about the records between (on_data_loss), or rewind the ledger"
    )]
    OffsetOutOfRange {
        /// Topic or what stands for it.
        topic: String,
        /// The partition.
        partition: i32,
        /// The offset asked for.
        offset: i64,
        /// What is there instead, as far as it is known.
        detail: String,
    },
    /// The broker refuses who we are.
    #[error(
        "Kafka at {brokers} refused the login: {detail}; check security.protocol, sasl.* and ssl.* in the source's settings"
    )]
    Authentication {
        /// The bootstrap addresses.
        brokers: String,
        /// What was answered.
        detail: String,
    },
    /// The broker refuses what we want.
    #[error(
        "Kafka does not allow {what}: {detail}; grant Read and Describe on the topic and Read on the consumer group to this user"
    )]
    Authorization {
        /// Topic or group.
        what: String,
        /// What was answered.
        detail: String,
    },
    /// A setting can't be used.
    #[error("setting {setting}: {detail}")]
    Settings {
        /// Its name.
        setting: String,
        /// What is wrong with it (never its value where it may be a secret).
        detail: String,
    },
    /// The partition is not assigned to this process, or a later reader has taken it over.
    #[error("partition {partition} of {topic} is not this reader's any more")]
    NotAssigned {
        /// Topic or what stands for it.
        topic: String,
        /// The partition.
        partition: i32,
    },
    /// A record arrived where none may arrive: it would have been lost.
    #[error(
        "record {topic}-{partition} offset {offset} arrived {place}; this is a defect of Pulselake or its Kafka client: restart, nothing is committed past it"
    )]
    UnexpectedRecord {
        /// Topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Its offset.
        offset: i64,
        /// Where it turned up.
        place: String,
    },
    /// The Kafka client has failed for good.
    #[error("the Kafka client failed while {action}: {detail}")]
    Client {
        /// What it was doing.
        action: String,
        /// What it said.
        detail: String,
    },
    /// A file can't be read.
    #[error("{}: {detail}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        detail: String,
    },
    /// A file breaks off or is damaged after some records.
    #[error(
        "{} is damaged after record {position}: {detail}; restore the file or remove it from the input", path.display()
    )]
    DamagedFile {
        /// The file.
        path: PathBuf,
        /// Position (line or row) that could not be read.
        position: i64,
        /// What the decoder said.
        detail: String,
    },
    /// The source was closed.
    #[error("the source is closed")]
    Closed,
}

impl SourceError {
    /// What to do about it.
    pub fn action(&self) -> ErrorAction {
        match self {
            Self::BrokerUnreachable { .. } | Self::Unavailable { .. } => ErrorAction::Retry,
            Self::NotAssigned { .. } | Self::Closed => ErrorAction::LetGo,
            Self::UnknownTopic { .. }
            | Self::TopicRecreated { .. }
            | Self::ClusterReplaced { .. }
            | Self::UnknownPartition { .. }
            | Self::OffsetOutOfRange { .. }
            | Self::Authentication { .. }
            | Self::Authorization { .. }
            | Self::Settings { .. }
            | Self::UnexpectedRecord { .. }
            | Self::Client { .. }
            | Self::File { .. }
            | Self::DamagedFile { .. } => ErrorAction::Stop,
        }
    }
}
