//! Errors of S3 in words: what was tried on which file, what S3 said, what to do, and whether waiting may help.
//!
//! Only S3's code and message are repeated. Its full answers, and the HTTP client's errors with them, can hold what was
//! signed, session tokens included, so they go no further than this module.

use std::error::Error as _;

use iceberg::{Error, ErrorKind};
use object_store::Error as S3Error;

use crate::S3Settings;

/// What is known of a failed request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reason {
    /// S3's own code, such as `NoSuchKey`.
    code: Option<String>,
    /// S3's own words.
    message: Option<String>,
    /// The HTTP status.
    status: Option<u16>,
    /// Where there was no answer.
    transport: Option<Transport>,
    /// Text of last resort.
    words: String,
    /// Not S3 failed but what gives keys to machines and containers.
    no_keys: bool,
}

/// How a request ended without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Unreachable,
    TimedOut,
    Broken,
}

/// Whether waiting may help, and the end of the message.
struct Verdict {
    may_pass: bool,
    advice: String,
}

impl Reason {
    pub(super) fn of(error: &S3Error) -> Self {
        let text = error.to_string();
        let transport = transport(error);
        let code = tag(&text, "Code").or_else(|| {
            // An error about one key of many has its code outside of XML.
            let (_, after) = text.split_once("(code: ")?;
            after.split_once(')').map(|(code, _)| code.to_string())
        });
        let status = text
            .split_once("status code: ")
            .and_then(|(_, after)| after.get(..3))
            .and_then(|digits| digits.parse().ok());
        let words = match &transport {
            Some((_, innermost)) => innermost.clone(),
            None if text.contains("redirect without LOCATION") => {
                "it redirects to another region".to_string()
            }
            None if status.is_some() || code.is_some() => String::new(),
            None => first_words(&text),
        };
        let message = tag(&text, "Message").map(|message| first_words(&message));
        let no_keys = ["/latest/api/token", "/latest/meta-data/", "//169.254.170.2"]
            .iter()
            .any(|address| text.contains(address));
        Self { code, message, status, transport: transport.map(|(kind, _)| kind), words, no_keys }
    }

    /// A file that is not there; not so its bucket or, with some stores, the key that was to open it.
    pub(super) fn is_missing_file(&self) -> bool {
        self.status == Some(404) && matches!(self.code.as_deref(), None | Some("NoSuchKey" | "NotFound"))
    }

    /// An upload that is completed or aborted already.
    pub(super) fn is_missing_upload(&self) -> bool {
        self.status == Some(404) && matches!(self.code.as_deref(), None | Some("NoSuchUpload" | "NoSuchKey"))
    }

    /// Whether S3 said no more than a number: it does so where only the head of a file was asked for.
    pub(super) fn is_bare(&self) -> bool {
        self.code.is_none() && self.status.is_some_and(|status| status < 500)
    }

    fn describe(&self) -> String {
        match (&self.code, &self.message, self.status) {
            (Some(code), Some(message), _) => format!("{code}: {}", message.trim_end_matches('.')),
            (Some(code), None, _) => code.clone(),
            (None, _, Some(status)) => format!("HTTP status {status}"),
            (None, _, None) => self.words.clone(),
        }
    }

    fn verdict(&self, bucket: &str, settings: &S3Settings) -> Verdict {
        let for_a_person = |advice: String| Verdict { may_pass: false, advice };
        let passing = |advice: String| Verdict { may_pass: true, advice };
        let endpoint = settings.describe_endpoint();
        if self.no_keys {
            return for_a_person(
                "; no keys are set and this machine gives none: set s3.access-key-id and s3.secret-access-key, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
                    .to_string(),
            );
        }
        match (self.code.as_deref(), self.status) {
            (Some("NoSuchBucket"), _) => for_a_person(format!(
                "; make the bucket {bucket} at {endpoint}, or set another warehouse or endpoint"
            )),
            (
                Some(
                    "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidSecurity" | "XAdminUserNotFound",
                ),
                _,
            ) => for_a_person("; check s3.access-key-id and s3.secret-access-key".to_string()),
            (Some("RequestTimeTooSkewed"), _) => passing("; set this machine's clock (NTP)".to_string()),
            (Some("ExpiredToken" | "TokenRefreshRequired"), _) => passing(
                "; the temporary keys have run out: load the table again, or renew s3.session-token"
                    .to_string(),
            ),
            (Some("NoSuchUpload"), _) => passing(
                "; the unfinished upload was removed meanwhile: check the bucket's rule for incomplete uploads"
                    .to_string(),
            ),
            (Some("InvalidToken"), _) => {
                for_a_person("; check s3.session-token, and that it belongs to s3.access-key-id".to_string())
            }
            (Some("AuthorizationHeaderMalformed" | "PermanentRedirect"), _) | (None, Some(301 | 307)) => {
                for_a_person("; set s3.region to the bucket's region".to_string())
            }
            (_, Some(401 | 403)) => for_a_person(format!(
                "; allow this key to get, put, delete and list in the bucket {bucket}, or use another"
            )),
            _ if self.is_missing_file() => for_a_person("; it was deleted or moved: restore it".to_string()),
            (_, Some(507)) => passing("; free space there, nothing was committed".to_string()),
            (_, Some(429 | 503)) => passing("; the store is overloaded, nothing was committed".to_string()),
            (_, Some(408 | 409 | 500..)) => passing(String::new()),
            (_, Some(_)) => for_a_person(String::new()),
            (Some("InternalError" | "SlowDown"), None) => passing(String::new()),
            (_, None) if self.transport.is_none() && self.words.contains("redirects") => {
                for_a_person("; set s3.region to the bucket's region".to_string())
            }
            (_, None) => passing(self.transport_advice(settings)),
        }
    }

    fn transport_advice(&self, settings: &S3Settings) -> String {
        let endpoint = settings.describe_endpoint();
        match self.transport {
            Some(Transport::TimedOut) => format!(
                "; {endpoint} did not answer within {} ms: check the network, or allow more time",
                settings.limits.request_timeout_ms
            ),
            Some(Transport::Unreachable) => {
                format!("; {endpoint} can't be reached: check s3.endpoint and the network")
            }
            Some(Transport::Broken) => format!("; the connection to {endpoint} broke"),
            None => String::new(),
        }
    }

    /// The error for the caller. `file`: its full location.
    pub(super) fn into_error(self, action: &str, file: &str, bucket: &str, settings: &S3Settings) -> Error {
        let verdict = self.verdict(bucket, settings);
        let kind = if self.is_missing_file() { ErrorKind::DataInvalid } else { ErrorKind::Unexpected };
        let text = format!("cannot {action} {file}: {}{}", self.describe(), verdict.advice);
        Error::new(kind, text).with_retryable(verdict.may_pass)
    }
}

/// The text of the first element `name` in what may be XML.
fn tag(text: &str, name: &str) -> Option<String> {
    let (_, after) = text.split_once(&format!("<{name}>"))?;
    let (value, _) = after.split_once(&format!("</{name}>"))?;
    let plain = [("&#34;", "\""), ("&quot;", "\""), ("&#39;", "'"), ("&apos;", "'"), ("&amp;", "&")]
        .iter()
        .fold(value.to_string(), |text, (entity, letter)| text.replace(entity, letter));
    Some(plain)
}

/// At most a line, without anything that looks like a whole answer.
fn first_words(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let plain = line.split_once('<').map_or(line, |(before, _)| before);
    plain.chars().take(300).collect()
}

/// How there came to be no answer, and the innermost cause in words.
fn transport(error: &S3Error) -> Option<(Transport, String)> {
    let mut kind = None;
    let mut innermost = String::new();
    let mut next = error.source();
    while let Some(cause) = next {
        // object_store's own kinds are not within reach from here, the client's below them are.
        if let Some(http) = cause.downcast_ref::<reqwest::Error>() {
            kind = Some(match http {
                late if late.is_timeout() => Transport::TimedOut,
                refused if refused.is_connect() => Transport::Unreachable,
                _ => Transport::Broken,
            });
        }
        innermost = first_words(&cause.to_string());
        next = cause.source();
    }
    kind.map(|kind| (kind, innermost))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> S3Error {
        S3Error::Generic { store: "S3", source: text.to_string().into() }
    }

    fn explained(text: &str) -> Error {
        Reason::of(&answer(text)).into_error("write", "s3://lake/a", "lake", &S3Settings::default())
    }

    #[test]
    fn what_was_signed_is_not_repeated() {
        let error = explained(
            "Server returned non-2xx status code: 403 Forbidden: <Error><Code>SignatureDoesNotMatch</Code><Message>They \
             differ.</Message><StringToSign>x-amz-security-token:SECRET</StringToSign></Error>",
        );
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("SECRET"), "{shown}");
        assert!(shown.contains("SignatureDoesNotMatch: They differ; check s3.access-key-id"), "{shown}");
        assert!(!error.retryable());
    }

    #[test]
    fn each_answer_has_its_advice_and_says_whether_waiting_helps() {
        let answered = |status: &str, code: &str| {
            explained(&format!(
                "returned non-2xx status code: {status}: <Error><Code>{code}</Code><Message>m</Message></Error>"
            ))
        };
        for (status, code, advice, may_pass) in [
            ("404 Not Found", "NoSuchBucket", "make the bucket lake at AWS", false),
            ("404 Not Found", "NoSuchKey", "restore it", false),
            ("404 Not Found", "NoSuchUpload", "incomplete uploads", true),
            ("404 Not Found", "XAdminUserNotFound", "check s3.access-key-id", false),
            ("403 Forbidden", "AccessDenied", "allow this key", false),
            ("403 Forbidden", "InvalidAccessKeyId", "check s3.access-key-id", false),
            ("403 Forbidden", "RequestTimeTooSkewed", "clock", true),
            ("400 Bad Request", "ExpiredToken", "load the table again", true),
            ("400 Bad Request", "AuthorizationHeaderMalformed", "s3.region", false),
            ("400 Bad Request", "InvalidArgument", "InvalidArgument", false),
            ("429 Too Many Requests", "SlowDown", "overloaded", true),
            ("409 Conflict", "OperationAborted", "OperationAborted", true),
        ] {
            let error = answered(status, code);
            assert!(error.message().contains(advice), "{code}: {error}");
            assert_eq!(error.retryable(), may_pass, "{code}");
        }
        for (text, advice, may_pass) in [
            ("Server returned non-2xx status code: 503 Service Unavailable: ", "overloaded", true),
            ("Server returned non-2xx status code: 500 Internal Server Error: ", "HTTP status 500", true),
            ("Server returned non-2xx status code: 507 Insufficient Storage: ", "free space", true),
            (
                "Error performing PUT http://169.254.169.254/latest/api/token in 9s - HTTP error: sending",
                "no keys are set",
                false,
            ),
            ("Received redirect without LOCATION, this normally", "s3.region", false),
        ] {
            let error = explained(text);
            assert!(error.message().contains(advice), "{error}");
            assert_eq!(error.retryable(), may_pass, "{text}");
        }
    }
}
