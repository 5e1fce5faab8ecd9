//! A client for Trino that runs statements and forgets their rows. The protocol (<https://trino.io/docs/current/develop/client-protocol.html>):
//! a POST to `/v1/statement`, then GETs of `nextUri` until there is none; an `error` in an answer is the end.

use std::time::{Duration, Instant};

use pulselake_model::words_of;
use reqwest::header::HeaderMap;
use reqwest::{Client, RequestBuilder, StatusCode, Url, redirect};
use serde::Deserialize;

/// Pause before a request is sent again that a gateway has turned away.
const PAUSE: Duration = Duration::from_millis(100);
/// How much of an answer that is no JSON is shown, in characters.
const SHOWN_CHARACTERS: usize = 200;

/// Where Trino is, and as whom it is asked.
#[derive(Clone, Debug)]
pub(super) struct TrinoTarget {
    /// `https://host:port`.
    pub(super) url: String,
    /// Its name of the Iceberg catalog.
    pub(super) catalog: String,
    /// Schema of the views.
    pub(super) schema: String,
    /// User.
    pub(super) user: String,
    /// Password of the user, where Trino asks for one.
    pub(super) password: Option<String>,
    /// Longest time for one statement.
    pub(super) timeout: Duration,
}

/// Why a statement was not carried out.
#[derive(Debug, thiserror::Error)]
pub(super) enum TrinoError {
    /// The URL is none.
    #[error("{url:?} is no address of Trino ({reason}): it is written as https://host:port")]
    Address { url: String, reason: String },
    /// A password would go over the network for everybody to read.
    #[error(
        "a password is sent over https or to this machine alone, not to {url}: use Trino's https address"
    )]
    OpenPassword { url: String },
    /// Nobody answers.
    #[error("can't ask Trino at {url}: {reason}")]
    Unreachable { url: String, reason: String },
    /// The answer is no answer of Trino.
    #[error("{url} answered {status}: {body}")]
    Refused { url: String, status: u16, body: String },
    /// The rest of the answer is said to be at another machine.
    #[error(
        "Trino at {url} sends on to {next}, which would get the password too: make it (or its proxy) tell its own address"
    )]
    SentOn { url: String, next: String },
    /// Trino's own words.
    #[error("{name}: {message}")]
    Failed { name: String, message: String },
    /// It takes too long.
    #[error("Trino had no answer within {seconds} s (--timeout-s); the statement was cancelled")]
    TimedOut { seconds: u64 },
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    next_uri: Option<String>,
    error: Option<Failure>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Failure {
    message: Option<String>,
    error_name: Option<String>,
}

/// See the module.
pub(super) struct TrinoClient {
    http: Client,
    base: Url,
    target: TrinoTarget,
}

impl TrinoClient {
    /// A client; nobody is asked yet.
    ///
    /// # Errors
    /// [`TrinoError::Address`], [`TrinoError::OpenPassword`].
    pub(super) fn new(target: TrinoTarget) -> Result<Self, TrinoError> {
        let bad = |reason: String| TrinoError::Address { url: target.url.clone(), reason };
        let base = Url::parse(&target.url).map_err(|error| bad(error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(bad("it is neither http nor https".to_owned()));
        }
        if !base.username().is_empty() || base.password().is_some() {
            return Err(bad(
                "the user goes into --user, the password into a variable (--password-env)".to_owned()
            ));
        }
        let is_open = base.scheme() == "http" && !is_this_machine(&base);
        if target.password.is_some() && is_open {
            return Err(TrinoError::OpenPassword { url: target.url });
        }
        let http = Client::builder()
            .user_agent(concat!("pulselake/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .timeout(target.timeout)
            .build()
            .map_err(|error| bad(words_of(&error.without_url())))?;
        Ok(Self { http, base, target })
    }

    /// Runs a statement to its end.
    ///
    /// # Errors
    /// Every [`TrinoError`] but the two of [`TrinoClient::new`].
    pub(super) async fn run(&self, sql: &str) -> Result<(), TrinoError> {
        let give_up_at = Instant::now() + self.target.timeout;
        let mut statement = self.base.clone();
        statement.set_path(&format!("{}/v1/statement", self.base.path().trim_end_matches('/')));
        let headers = self.headers()?;
        let first = || self.http.post(statement.clone()).headers(headers.clone()).body(sql.to_owned());
        let mut answer = self.ask(first, give_up_at).await?;
        loop {
            if let Some(failure) = answer.error {
                return Err(TrinoError::Failed {
                    name: failure.error_name.unwrap_or_else(|| "error".to_owned()),
                    message: failure.message.unwrap_or_default(),
                });
            }
            let Some(next) = answer.next_uri else { return Ok(()) };
            let next = self.checked(&next)?;
            answer = match self.ask(|| self.http.get(next.clone()), give_up_at).await {
                Err(error @ TrinoError::TimedOut { .. }) => {
                    // Whether it heard that is of no consequence: it forgets a statement that nobody asks about.
                    let _ = self.authenticated(self.http.delete(next)).send().await;
                    return Err(error);
                }
                other => other?,
            };
        }
    }

    fn headers(&self) -> Result<HeaderMap, TrinoError> {
        let target = &self.target;
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-trino-user", &target.user),
            ("x-trino-catalog", &target.catalog),
            ("x-trino-schema", &target.schema),
        ] {
            let value = value.parse().map_err(|_| TrinoError::Address {
                url: target.url.clone(),
                reason: format!("{value:?} can't stand in a header: only visible ASCII can"),
            })?;
            headers.insert(name, value);
        }
        headers.insert("x-trino-source", reqwest::header::HeaderValue::from_static("pulselake"));
        headers.insert("x-trino-time-zone", reqwest::header::HeaderValue::from_static("UTC"));
        Ok(headers)
    }

    /// The address of the next part. The password goes to the machine that it was meant for and no other.
    fn checked(&self, next: &str) -> Result<Url, TrinoError> {
        let url = Url::parse(next).map_err(|_| TrinoError::Refused {
            url: self.target.url.clone(),
            status: StatusCode::OK.as_u16(),
            body: format!("nextUri {next:?}, which is no address"),
        })?;
        if self.target.password.is_some() && url.origin() != self.base.origin() {
            return Err(TrinoError::SentOn { url: self.target.url.clone(), next: next.to_owned() });
        }
        Ok(url)
    }

    /// Sends a request, again where a gateway has no time for it.
    async fn ask(
        &self,
        request: impl Fn() -> RequestBuilder,
        give_up_at: Instant,
    ) -> Result<Answer, TrinoError> {
        let timed_out = || TrinoError::TimedOut { seconds: self.target.timeout.as_secs() };
        let failed = |error: reqwest::Error| match error.is_timeout() {
            true => timed_out(),
            false => TrinoError::Unreachable {
                url: self.target.url.clone(),
                reason: words_of(&error.without_url()),
            },
        };
        loop {
            let left = give_up_at.saturating_duration_since(Instant::now());
            let response = self.authenticated(request()).timeout(left).send().await.map_err(failed)?;
            let status = response.status();
            let body = response.bytes().await.map_err(failed)?;
            if matches!(status.as_u16(), 502..=504) {
                if Instant::now() + PAUSE >= give_up_at {
                    return Err(timed_out());
                }
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            let answer = if status == StatusCode::OK { serde_json::from_slice(&body).ok() } else { None };
            return answer.ok_or_else(|| TrinoError::Refused {
                url: self.target.url.clone(),
                status: status.as_u16(),
                body: beginning_of(&body),
            });
        }
    }

    fn authenticated(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.target.password {
            Some(password) => request.basic_auth(&self.target.user, Some(password)),
            None => request,
        }
    }
}

fn is_this_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

/// The beginning of a text on one line.
fn beginning_of(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(SHOWN_CHARACTERS).collect()
}
