//! What librdkafka's error codes mean for the source.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use super::properties::is_secret;
use crate::SourceError;

/// What an error code comes to.
#[derive(Debug)]
pub(super) enum Meaning {
    /// The client deals with it; the connection or the leader is in trouble until it has.
    Passing,
    /// It comes again until someone has acted.
    Fatal(SourceError),
}

/// Where an error turned up, for its message.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) brokers: &'a str,
    pub(super) topic: &'a str,
    pub(super) group: &'a str,
    pub(super) action: &'a str,
}

impl Place<'_> {
    /// What an error code with the client's explanation means here.
    pub(super) fn meaning(&self, code: Code, detail: &str) -> Meaning {
        let detail = if detail.is_empty() { code.to_string() } else { detail.to_owned() };
        match code {
            Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownTopicId => {
                Meaning::Fatal(self.unknown_topic())
            }
            Code::Authentication | Code::SaslAuthenticationFailed | Code::UnsupportedSASLMechanism => {
                Meaning::Fatal(SourceError::Authentication { brokers: self.brokers.to_owned(), detail })
            }
            Code::TopicAuthorizationFailed => Meaning::Fatal(SourceError::Authorization {
                what: format!("reading topic {:?}", self.topic),
                detail,
            }),
            Code::GroupAuthorizationFailed => Meaning::Fatal(SourceError::Authorization {
                what: format!("joining group {:?}", self.group),
                detail,
            }),
            Code::FencedInstanceId | Code::Fenced => Meaning::Fatal(SourceError::Settings {
                setting: "kafka.group_instance_id".to_owned(),
                detail: format!("another process has joined group {:?} under the same id: {detail}", self.group),
            }),
            Code::BrokerTransportFailure
            | Code::AllBrokersDown
            // A broker that goes down in the middle of a handshake looks like this too; `connect` judges it apart.
            | Code::SSL
            | Code::Resolve
            | Code::OperationTimedOut
            | Code::RequestTimedOut
            | Code::NodeUpdate
            | Code::WaitingForCoordinator
            | Code::BrokerNotAvailable
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::ReplicaNotAvailable
            | Code::NetworkException
            | Code::CoordinatorLoadInProgress
            | Code::CoordinatorNotAvailable
            | Code::NotCoordinator
            | Code::RebalanceInProgress
            | Code::UnknownMemberId
            | Code::IllegalGeneration
            | Code::PollExceeded
            | Code::KafkaStorageError
            | Code::OffsetNotAvailable
            | Code::UnknownLeaderEpoch
            | Code::FencedLeaderEpoch
            | Code::UnstableOffsetCommit
            | Code::ThrottlingQuotaExceeded
            | Code::StaleMemberEpoch
            | Code::FencedMemberEpoch
            | Code::RebootstrapRequired
            | Code::BrokerDestroy
            | Code::DestroyBroker
            | Code::Retry
            | Code::NoOffset => Meaning::Passing,
            _ => Meaning::Fatal(SourceError::Client {
                action: self.action.to_owned(),
                detail: format!("{detail} ({code:?})"),
            }),
        }
    }

    /// The error of a topic that is not there.
    pub(super) fn unknown_topic(&self) -> SourceError {
        SourceError::UnknownTopic { topic: self.topic.to_owned(), brokers: self.brokers.to_owned() }
    }

    /// The error of a request that failed; passing troubles become [`SourceError::Unavailable`].
    pub(super) fn request_failed(&self, error: &KafkaError) -> SourceError {
        match error.rdkafka_error_code().map(|code| self.meaning(code, "")) {
            Some(Meaning::Fatal(fatal)) => fatal,
            Some(Meaning::Passing) | None => {
                SourceError::Unavailable { action: self.action.to_owned(), detail: error.to_string() }
            }
        }
    }

    /// The error of a client that could not be made. Values of secret properties never show.
    pub(super) fn not_created(&self, error: &KafkaError) -> SourceError {
        match error {
            KafkaError::ClientConfig(_, _, key, _) if is_secret(key) => SourceError::Settings {
                setting: format!("kafka.librdkafka.{key}"),
                detail: "has a value that librdkafka does not take".to_owned(),
            },
            KafkaError::ClientConfig(_, detail, key, value) => SourceError::Settings {
                setting: format!("kafka.librdkafka.{key}"),
                detail: format!("{detail} (value {value:?}); see librdkafka's CONFIGURATION.md"),
            },
            other => SourceError::Settings {
                setting: "kafka.librdkafka".to_owned(),
                detail: format!("no client can be made of these properties: {other}"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorAction;
    use rdkafka::ClientConfig;
    use rdkafka::consumer::BaseConsumer;

    const PLACE: Place<'_> =
        Place { brokers: "b:9092", topic: "content_events", group: "pulselake", action: "fetching" };

    #[test]
    fn codes_say_whether_to_wait_or_to_stop() {
        assert!(matches!(PLACE.meaning(Code::AllBrokersDown, ""), Meaning::Passing));
        assert!(matches!(PLACE.meaning(Code::CoordinatorNotAvailable, ""), Meaning::Passing));
        let fatal = [
            Code::UnknownTopicOrPartition,
            Code::SaslAuthenticationFailed,
            Code::TopicAuthorizationFailed,
            Code::GroupAuthorizationFailed,
            Code::BadCompression,
            Code::InvalidMessage,
        ];
        for code in fatal {
            match PLACE.meaning(code, "why") {
                Meaning::Fatal(error) => assert_eq!(error.action(), ErrorAction::Stop, "{code:?}"),
                Meaning::Passing => panic!("{code:?} must not be waited out: records would be skipped"),
            }
        }
    }

    #[test]
    fn a_wrong_property_is_named_and_a_secret_is_not_shown() {
        let mut config = ClientConfig::new();
        config.set("no.such.property", "1");
        let error = PLACE.not_created(&config.create::<BaseConsumer>().err().unwrap());
        assert!(error.to_string().contains("no.such.property"), "{error}");

        let mut secret = ClientConfig::new();
        secret.set("security.protocol", "SSL").set("ssl.key.pem", "hunter2");
        let refused = PLACE.not_created(&secret.create::<BaseConsumer>().err().unwrap());
        assert!(!refused.to_string().contains("hunter2"), "{refused}");
    }
}
