//! What can come back from a REST catalog instead of what was asked for, and what it says about the request.
//!
//! Iceberg's specification decides for a commit: 409 means that nothing happened; after 500, 502, 503 and 504 the outcome
//! is unknown. 503 belongs to these since proxies answer it for a request that the server had taken already. Nothing is
//! lost by doubt: the table is looked at, and only files of known attempts are deleted.

use std::time::Duration;

/// Why a request has no usable answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestFailure {
    /// No connection: nothing was asked.
    #[error("no connection ({reason})")]
    NotSent {
        /// The system's words.
        reason: String,
    },
    /// No token, so nothing was asked.
    #[error("no token from {endpoint}: {failure}")]
    NoToken {
        /// Where it was asked for, without secrets.
        endpoint: String,
        /// Why there is none.
        #[source]
        failure: Box<RestFailure>,
    },
    /// No answer in time.
    #[error("no answer within {waited_ms} ms")]
    NoAnswer {
        /// How long it was waited for, milliseconds.
        waited_ms: u64,
    },
    /// The connection broke after the request had been sent, or in the middle of the answer.
    #[error("the connection broke ({reason})")]
    Broken {
        /// The system's words.
        reason: String,
    },
    /// An answer that is not what the protocol says.
    #[error("its answer can't be understood ({reason})")]
    Unreadable {
        /// What is wrong with it.
        reason: String,
    },
    /// An answer of another status than success.
    #[error("it answered {status}{}{message}", if message.is_empty() { "" } else { ": " })]
    Status {
        /// HTTP's.
        status: u16,
        /// The catalog's name for the error; empty where it gave none.
        kind: String,
        /// The catalog's words.
        message: String,
        /// After what time it wants to be asked again.
        retry_after: Option<Duration>,
    },
}

impl RestFailure {
    /// Whether the request may have been carried out all the same.
    pub fn may_have_happened(&self) -> bool {
        match self {
            Self::NotSent { .. } | Self::NoToken { .. } => false,
            Self::NoAnswer { .. } | Self::Broken { .. } | Self::Unreadable { .. } => true,
            // Some servers say it with a status of their own choice.
            Self::Status { kind, .. } if kind == "CommitStateUnknownException" => true,
            Self::Status { status, .. } => matches!(status, 200..=299 | 408 | 500..),
        }
    }

    /// Whether it is the answer to a commit on a base that is not the table's any more.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Self::Status { status: 409, .. }) && !self.may_have_happened()
    }

    /// Whether the catalog has not got what was asked for; other than a catalog that is not there.
    pub(crate) fn is_missing(&self) -> bool {
        // NotFoundException is about a file that the catalog wanted to read, or about a path.
        matches!(self, Self::Status { status: 404, kind, .. } if !kind.is_empty() && kind != "NotFoundException")
    }

    /// Whether the catalog asked to come back later.
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Status { status: 429 | 503, .. })
    }

    /// Whether waiting may help; a person has to act about the others.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::NotSent { .. } | Self::NoAnswer { .. } | Self::Broken { .. } => true,
            Self::NoToken { failure, .. } => failure.may_pass(),
            Self::Unreadable { .. } => false,
            Self::Status { status, .. } => {
                self.may_have_happened() && *status != 501 || matches!(status, 409 | 429)
            }
        }
    }

    /// Whether a commit that did not happen is worth the same try again.
    pub(crate) fn is_worth_waiting_for(&self) -> bool {
        !self.may_have_happened() && !self.is_conflict() && self.may_pass()
    }

    /// After what time the catalog wants to be asked again.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// What to do about it, as the end of a message; empty where its own words suffice.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::NotSent { .. } => "; is the catalog running, and reachable from here?",
            Self::NoToken { failure, .. } if !failure.may_pass() => {
                "; check the credential, the scope and the address for tokens"
            }
            Self::Unreadable { .. } => "; is this the address of an Iceberg REST catalog?",
            Self::Status { status: 401 | 419, .. } => "; give the catalog's credential or token",
            Self::Status { status: 403, .. } => "; the catalog's administrator has to grant it",
            Self::Status { status: 404, kind, .. } if kind.is_empty() || kind == "NotFoundException" => {
                "; is this the address of an Iceberg REST catalog, and the warehouse's name the right one?"
            }
            Self::Status { status: 300..=399, .. } => "; it has moved: name its new address",
            _ => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: u16, kind: &str) -> RestFailure {
        RestFailure::Status {
            status,
            kind: kind.to_string(),
            message: "words".to_string(),
            retry_after: None,
        }
    }

    #[test]
    fn the_outcome_of_a_commit_is_unknown_after_any_server_error() {
        for code in [408, 500, 501, 502, 503, 504, 599] {
            assert!(status(code, "").may_have_happened(), "{code}");
        }
        assert!(status(400, "CommitStateUnknownException").may_have_happened());
        assert!(!status(409, "CommitStateUnknownException").is_conflict());
        assert!(RestFailure::NoAnswer { waited_ms: 1 }.may_have_happened());
        assert!(RestFailure::Broken { reason: String::new() }.may_have_happened());
        assert!(RestFailure::Unreadable { reason: String::new() }.may_have_happened());
    }

    #[test]
    fn a_refusal_is_certain() {
        for code in [302, 400, 401, 403, 404, 406, 409, 419, 422, 429] {
            assert!(!status(code, "SomeException").may_have_happened(), "{code}");
        }
        assert!(!RestFailure::NotSent { reason: String::new() }.may_have_happened());
        assert!(status(409, "CommitFailedException").is_conflict());
    }

    #[test]
    fn what_a_person_has_to_put_right_does_not_pass() {
        for code in [302, 400, 401, 403, 404, 406, 419, 422, 501] {
            assert!(!status(code, "").may_pass(), "{code}");
        }
        for code in [408, 429, 500, 502, 503, 504] {
            assert!(status(code, "").may_pass(), "{code}");
        }
        let no_token = |failure| RestFailure::NoToken { endpoint: String::new(), failure: Box::new(failure) };
        assert!(!no_token(status(401, "invalid_client")).may_pass());
        assert!(no_token(status(503, "")).may_pass());
    }

    #[test]
    fn a_missing_table_is_told_from_a_missing_catalog() {
        assert!(status(404, "NoSuchTableException").is_missing());
        assert!(!status(404, "").is_missing(), "a web server that knows nothing of catalogs");
        assert!(!status(404, "NotFoundException").is_missing(), "the table's metadata file is gone");
    }
}
