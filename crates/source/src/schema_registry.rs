//! Writer schemas from a Confluent-compatible registry, by `GET /schemas/ids/{id}` of its documented REST interface.
//!
//! It tells a registry that does not have a schema from one that could not be asked: the former is an answer
//! (404 with the protocol's own code), the latter an error, after which asking again may help. Nothing is kept here.

use std::fmt;
use std::time::Duration;

use pulselake_model::words_of;
use reqwest::header::ACCEPT;
use reqwest::{Client, Response, StatusCode, Url};
use serde::Deserialize;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// One whole request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest answer that is read: a schema of a table with thousands of columns is shorter.
const MAX_ANSWER_BYTES: usize = 4 << 20;
/// "Schema not found". A 404 without it is another program's, or another path's.
const SCHEMA_NOT_FOUND: i64 = 40_403;
/// How much of a strange answer is shown, in characters.
const SHOWN_CHARS: usize = 200;
const ACCEPTED: &str = "application/vnd.schemaregistry.v1+json, application/json";

/// Where a registry is, and how to get in.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SchemaRegistrySettings {
    /// What stands before `/schemas/ids/…`.
    pub url: String,
    /// User and password for basic authentication.
    pub credentials: Option<(String, String)>,
}

impl fmt::Debug for SchemaRegistrySettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.credentials.as_ref().map(|(user, _)| user);
        formatter.debug_struct("SchemaRegistrySettings").field("url", &self.url).field("user", &user).finish()
    }
}

/// What a registry says of an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistryAnswer {
    /// A schema of Avro: its JSON text.
    Avro(String),
    /// A schema of another kind, by the registry's word for it.
    OtherKind(String),
    /// It has none.
    Unknown,
}

/// Why a registry could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The settings can't be used.
    #[error("cdc.schema_registry_url {url:?} is no URL that requests can be sent to: {reason}")]
    Settings {
        /// As set.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No answer.
    #[error("no answer to {url}: {reason}; is the registry up, and cdc.schema_registry_url its address?")]
    Unreachable {
        /// What was asked.
        url: Url,
        /// The network's words.
        reason: String,
    },
    /// It does not let the user in.
    #[error(
        "{url} is refused with {status}: check cdc.schema_registry_user and cdc.schema_registry_password"
    )]
    Refused {
        /// What was asked.
        url: Url,
        /// 401 or 403.
        status: u16,
    },
    /// An answer that is none of the protocol's.
    #[error("{url} is answered with {status} and not as a schema registry does: {words:?}")]
    Strange {
        /// What was asked.
        url: Url,
        /// Of the answer.
        status: u16,
        /// Its beginning, or what is wrong with it.
        words: String,
    },
}

/// A registry.
#[derive(Clone, Debug)]
pub struct SchemaRegistry {
    client: Client,
    settings: SchemaRegistrySettings,
}

#[derive(Deserialize)]
struct SchemaBody {
    schema: String,
    /// Absent for Avro.
    #[serde(rename = "schemaType")]
    schema_type: Option<String>,
}

#[derive(Deserialize)]
struct ErrorBody {
    error_code: i64,
}

impl SchemaRegistry {
    /// A registry at `settings.url`, which is not asked yet.
    ///
    /// # Errors
    /// The URL is none.
    pub fn new(settings: SchemaRegistrySettings) -> Result<Self, RegistryError> {
        let refused = |reason: String| RegistryError::Settings { url: settings.url.clone(), reason };
        schema_url(&settings.url, 0).map_err(refused)?;
        // A request is rare and may come from any thread's runtime: no connection outlives it.
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|error| RegistryError::Settings {
                url: settings.url.clone(),
                reason: words_of(&error.without_url()),
            })?;
        Ok(Self { client, settings })
    }

    /// What it says of an id, within 10 s.
    ///
    /// # Errors
    /// It could not be asked, or answers like no registry; another time it may.
    pub async fn schema(&self, id: u32) -> Result<RegistryAnswer, RegistryError> {
        let url = schema_url(&self.settings.url, id)
            .map_err(|reason| RegistryError::Settings { url: self.settings.url.clone(), reason })?;
        let mut request = self.client.get(url.clone()).header(ACCEPT, ACCEPTED);
        if let Some((user, password)) = &self.settings.credentials {
            request = request.basic_auth(user, Some(password));
        }
        let unreachable = |error: reqwest::Error| RegistryError::Unreachable {
            url: url.clone(),
            reason: words_of(&error.without_url()),
        };
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(RegistryError::Refused { url, status: status.as_u16() });
        }
        let body = body_of(answer).await.map_err(unreachable)?;
        let strange = |words: String| RegistryError::Strange { url, status: status.as_u16(), words };
        let Some(body) = body else {
            return Err(strange(format!("more than {MAX_ANSWER_BYTES} bytes")));
        };
        let has_code =
            |code| serde_json::from_slice::<ErrorBody>(&body).is_ok_and(|error| error.error_code == code);
        if status == StatusCode::NOT_FOUND && has_code(SCHEMA_NOT_FOUND) {
            return Ok(RegistryAnswer::Unknown);
        }
        if !status.is_success() {
            return Err(strange(first_words(&body)));
        }
        let Ok(found) = serde_json::from_slice::<SchemaBody>(&body) else {
            return Err(strange(first_words(&body)));
        };
        Ok(match found.schema_type {
            Some(kind) if kind != "AVRO" => RegistryAnswer::OtherKind(kind),
            _ => RegistryAnswer::Avro(found.schema),
        })
    }
}

fn schema_url(base: &str, id: u32) -> Result<Url, String> {
    let url = format!("{}/schemas/ids/{id}", base.trim_end_matches('/'));
    Url::parse(&url).map_err(|error| error.to_string())
}

/// `None` when it is too long.
async fn body_of(mut answer: Response) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// The beginning of a text on one line.
fn first_words(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(SHOWN_CHARS).collect()
}
