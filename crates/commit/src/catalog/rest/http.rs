//! One request and its answer, with every way it can fail told apart.

use std::time::Duration;

use pulselake_model::words_of;
use reqwest::header::{ETAG, HeaderMap, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, StatusCode, redirect};
use serde::de::DeserializeOwned;

use super::failure::RestFailure;
use super::wire::{ErrorAnswer, ErrorWords};
use crate::CatalogError;
use crate::catalog::Timeouts;

/// Shorter than servers keep idle connections: one that the server closes while a request is on its way hides the
/// request's outcome.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(15);
const MAX_REDIRECTS: usize = 5;
/// How much of an answer that is no JSON is shown, in characters.
const SHOWN_CHARACTERS: usize = 200;

/// An answer, whatever its status.
pub(super) struct Answer {
    pub status: StatusCode,
    pub etag: Option<String>,
    retry_after: Option<Duration>,
    body: Vec<u8>,
}

impl Answer {
    /// The body of a success; a failure of any other status.
    pub(super) fn success(self) -> Result<Vec<u8>, RestFailure> {
        if self.status.is_success() { Ok(self.body) } else { Err(self.failure()) }
    }

    fn failure(self) -> RestFailure {
        let (kind, message) = match serde_json::from_slice::<ErrorAnswer>(&self.body) {
            Ok(ErrorAnswer { error: ErrorWords::Catalog { message, kind } }) => {
                (kind.unwrap_or_else(|| "unnamed".to_string()), message.unwrap_or_default())
            }
            Ok(ErrorAnswer { error: ErrorWords::OAuth(code) }) => (code.clone(), code),
            Err(_) => (String::new(), first_words(&self.body)),
        };
        RestFailure::Status { status: self.status.as_u16(), kind, message, retry_after: self.retry_after }
    }
}

/// The beginning of a text on one line.
fn first_words(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(SHOWN_CHARACTERS).collect()
}

/// Makes the client of one catalog.
pub(super) fn client(timeouts: Timeouts, headers: HeaderMap) -> Result<Client, CatalogError> {
    // A POST that is sent on by any other status becomes a GET, whose answer would look like a success.
    let redirects = redirect::Policy::custom(|attempt| {
        let keeps_method = matches!(attempt.status().as_u16(), 307 | 308);
        if keeps_method && attempt.previous().len() <= MAX_REDIRECTS {
            attempt.follow()
        } else {
            attempt.stop()
        }
    });
    Client::builder()
        .user_agent(concat!("pulselake/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(timeouts.connect)
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .redirect(redirects)
        .default_headers(headers)
        .build()
        .map_err(|error| CatalogError::Setting {
            setting: "uri",
            reason: format!("can't be used: {}", words_of(&error.without_url())),
        })
}

/// Sends a request and reads the whole answer. `answer_timeout` is the one that the request was given, for messages.
pub(super) async fn exchange(
    request: RequestBuilder,
    answer_timeout: Duration,
) -> Result<Answer, RestFailure> {
    // Without the address, which may hold secrets.
    let failed = |error: reqwest::Error| {
        if error.is_connect() || error.is_builder() {
            RestFailure::NotSent { reason: words_of(&error.without_url()) }
        } else if error.is_timeout() {
            RestFailure::NoAnswer { waited_ms: answer_timeout.as_millis() as u64 }
        } else {
            RestFailure::Broken { reason: words_of(&error.without_url()) }
        }
    };
    let response = request.send().await.map_err(failed)?;
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let (etag, wanted_s) =
        (header(ETAG).map(str::to_string), header(RETRY_AFTER).and_then(|text| text.parse().ok()));
    let status = response.status();
    let body = response.bytes().await.map_err(failed)?.to_vec();
    Ok(Answer { status, etag, retry_after: wanted_s.map(Duration::from_secs), body })
}

/// The body of a success as what it should be.
pub(super) fn read_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, RestFailure> {
    serde_json::from_slice(body).map_err(|error| {
        // serde's words may quote values, and an answer may hold keys: the place alone is told.
        let place = format!("line {} column {}", error.line(), error.column());
        let what = match error.classify() {
            serde_json::error::Category::Eof => "it ends too early",
            serde_json::error::Category::Data => "other fields or values than the protocol's",
            _ => "no JSON",
        };
        RestFailure::Unreadable { reason: format!("{what}, {place}") }
    })
}
