//! How stores are reached: settings by Iceberg's property names, so that what a REST catalog hands out works as it comes.
//!
//! Each setting is taken from the first that has it: what came with the table, the user's settings, the environment.
//! Credentials are one setting: a key of one origin is never joined with a token of another. Secrets appear neither in
//! `Debug` nor in a serialised form; what is read back from such a form takes its credentials from the environment.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::{Secret, StoreError};

const ENDPOINT: &str = "s3.endpoint";
const ACCESS_KEY_ID: &str = "s3.access-key-id";
const SECRET_ACCESS_KEY: &str = "s3.secret-access-key";
const SESSION_TOKEN: &str = "s3.session-token";
const CLIENT_REGION: &str = "client.region";
const REGION: &str = "s3.region";
const PATH_STYLE: &str = "s3.path-style-access";
const ANONYMOUS: &str = "s3.allow-anonymous";

/// Settings of all stores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreSettings {
    /// Whether local files and directories are synced to disk before they count as written.
    pub fsync: bool,
    /// S3 and what is compatible with it.
    pub s3: S3Settings,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self { fsync: true, s3: S3Settings::default() }
    }
}

/// How S3 is reached. What is `None` is looked for in the environment, then has the stated default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct S3Settings {
    /// `http(s)://host[:port]` of a compatible store; `None` is AWS. In the environment `AWS_ENDPOINT_URL`.
    pub endpoint: Option<String>,
    /// In the environment `AWS_REGION`; else `us-east-1`.
    pub region: Option<String>,
    /// In the environment `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`; else what AWS gives to the
    /// machine or the container by itself.
    #[serde(skip)]
    pub credentials: Option<S3Credentials>,
    /// Whether the bucket is in the path (`host/bucket/key`) rather than in the host name; `None`: where there is an
    /// endpoint, or the bucket's name has a dot.
    pub path_style: Option<bool>,
    /// Sends no credentials at all, for public buckets.
    pub anonymous: bool,
    /// Bounds of time and memory.
    pub limits: S3Limits,
}

/// Long-lived keys, or temporary ones with a session token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Credentials {
    /// Public part of the key.
    pub access_key_id: String,
    /// Secret part of the key.
    pub secret_access_key: Secret,
    /// Goes with temporary keys.
    pub session_token: Option<Secret>,
}

/// Bounds of time and memory of the work with S3.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct S3Limits {
    /// For making a connection.
    pub connect_timeout_ms: u64,
    /// For one try of one request, its body included.
    pub request_timeout_ms: u64,
    /// Tries of one request after the first.
    pub max_retries: usize,
    /// After this time since the first try there is no further one. Keep it below 5 minutes: signatures get old.
    pub retry_timeout_ms: u64,
    /// Files up to this size are written by one request, larger ones in parts of it. At least 5 MiB (S3's own rule); a
    /// file has at most 10,000 parts.
    pub part_size_bytes: usize,
    /// Parts of one file on their way at once; a writer holds up to one part more in memory.
    pub concurrent_parts: usize,
    /// Keys that are deleted at once where they are given as a stream.
    pub concurrent_deletes: usize,
}

impl Default for S3Limits {
    fn default() -> Self {
        Self {
            connect_timeout_ms: 5_000,
            request_timeout_ms: 60_000,
            max_retries: 8,
            retry_timeout_ms: 60_000,
            part_size_bytes: 8 << 20,
            concurrent_parts: 4,
            concurrent_deletes: 16,
        }
    }
}

impl S3Settings {
    /// The settings that Iceberg's properties state; other properties are ignored.
    pub fn from_properties(properties: &HashMap<String, String>) -> Result<Self, StoreError> {
        Self::default().overridden_by(properties)
    }

    /// These settings, where `properties` (of a table, or of a catalog's configuration) don't state others.
    pub fn overridden_by(mut self, properties: &HashMap<String, String>) -> Result<Self, StoreError> {
        let text = |name: &str| properties.get(name).filter(|value| !value.is_empty());
        if let Some(endpoint) = text(ENDPOINT) {
            self.endpoint = Some(endpoint.clone());
        }
        if let Some(region) = text(CLIENT_REGION).or_else(|| text(REGION)) {
            self.region = Some(region.clone());
        }
        if let Some(path_style) = text(PATH_STYLE) {
            self.path_style = Some(parse_bool(PATH_STYLE, path_style)?);
        }
        if let Some(anonymous) = text(ANONYMOUS) {
            self.anonymous = parse_bool(ANONYMOUS, anonymous)?;
        }
        let names = [ACCESS_KEY_ID, SECRET_ACCESS_KEY, SESSION_TOKEN];
        if let Some(credentials) = credentials(names, |name| text(name).cloned())? {
            self.credentials = Some(credentials);
        }
        Ok(self)
    }

    /// These settings, completed by the environment variables that `variable` reads.
    pub fn or_environment(mut self, variable: impl Fn(&str) -> Option<String>) -> Result<Self, StoreError> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        self.endpoint = self.endpoint.or_else(|| variable("AWS_ENDPOINT_URL"));
        self.region = self.region.or_else(|| variable("AWS_REGION"));
        if self.credentials.is_none() && !self.anonymous {
            let names = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];
            self.credentials = credentials(names, variable)?;
        }
        Ok(self)
    }

    /// Refuses what can't work, before anything is sent.
    pub fn validate(&self) -> Result<(), StoreError> {
        if let Some(endpoint) = &self.endpoint {
            let host = endpoint.strip_prefix("http://").or_else(|| endpoint.strip_prefix("https://"));
            let is_host = |host: &str| !host.is_empty() && !host.contains(['@', '?', '#', ' ']);
            if !host.is_some_and(is_host) {
                // Not repeated: somebody may have put a password in it.
                let reason = "is no URL of a server; use http(s)://host[:port], without user or query";
                return Err(StoreError::BadSetting { setting: ENDPOINT, reason: reason.to_string() });
            }
        }
        let limits = &self.limits;
        if limits.part_size_bytes < 5 << 20 {
            let reason = format!("{} bytes a part; S3 wants at least 5 MiB", limits.part_size_bytes);
            return Err(StoreError::BadSetting { setting: "part_size_bytes", reason });
        }
        for (setting, value) in [
            ("concurrent_parts", limits.concurrent_parts as u64),
            ("concurrent_deletes", limits.concurrent_deletes as u64),
            ("connect_timeout_ms", limits.connect_timeout_ms),
            ("request_timeout_ms", limits.request_timeout_ms),
        ] {
            if value == 0 {
                return Err(StoreError::BadSetting { setting, reason: "0; use at least 1".to_string() });
            }
        }
        Ok(())
    }

    /// Where S3 is, for messages.
    pub fn describe_endpoint(&self) -> String {
        match (&self.endpoint, &self.region) {
            (Some(endpoint), _) => endpoint.clone(),
            (None, Some(region)) => format!("AWS in {region}"),
            (None, None) => "AWS".to_string(),
        }
    }
}

/// The key, secret and token that `text` knows by `names`; `None` where it knows neither key nor secret.
fn credentials(
    names: [&'static str; 3],
    text: impl Fn(&str) -> Option<String>,
) -> Result<Option<S3Credentials>, StoreError> {
    let [key_name, secret_name, token_name] = names;
    let missing = |setting, other| {
        let reason = format!("is missing although {other} is set; set both or neither");
        Err(StoreError::BadSetting { setting, reason })
    };
    match (text(key_name), text(secret_name)) {
        (Some(access_key_id), Some(secret)) => Ok(Some(S3Credentials {
            access_key_id,
            secret_access_key: Secret::new(secret),
            session_token: text(token_name).map(Secret::new),
        })),
        (Some(_), None) => missing(secret_name, key_name),
        (None, Some(_)) => missing(key_name, secret_name),
        (None, None) => Ok(None),
    }
}

fn parse_bool(setting: &'static str, value: &str) -> Result<bool, StoreError> {
    match value.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(StoreError::BadSetting { setting, reason: format!("{value:?} is neither true nor false") }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    fn environment(name: &str) -> Option<String> {
        match name {
            "AWS_ACCESS_KEY_ID" => Some("env-key".to_string()),
            "AWS_SECRET_ACCESS_KEY" => Some("env-secret".to_string()),
            "AWS_SESSION_TOKEN" => Some("env-token".to_string()),
            "AWS_REGION" => Some("eu-west-1".to_string()),
            "AWS_ENDPOINT_URL" => Some("http://env:1".to_string()),
            _ => None,
        }
    }

    fn vended() -> HashMap<String, String> {
        properties(&[
            (ACCESS_KEY_ID, "vended-key"),
            (SECRET_ACCESS_KEY, "vended-secret"),
            (CLIENT_REGION, "client-region"),
            (REGION, "store-region"),
            (PATH_STYLE, "TRUE"),
            ("write.format.default", "parquet"),
        ])
    }

    #[test]
    fn vended_credentials_win_and_are_not_joined_with_the_environments_token() {
        let settings = S3Settings::from_properties(&vended()).unwrap().or_environment(environment).unwrap();
        let credentials = settings.credentials.unwrap();
        assert_eq!(credentials.access_key_id, "vended-key");
        assert_eq!(credentials.secret_access_key.expose(), "vended-secret");
        assert_eq!(credentials.session_token, None);
        assert_eq!(settings.region.as_deref(), Some("client-region"));
        assert_eq!(settings.path_style, Some(true));
        assert_eq!(settings.endpoint.as_deref(), Some("http://env:1"), "nobody else states one");
    }

    #[test]
    fn the_environment_completes_what_nobody_states() {
        let settings = S3Settings::default().or_environment(environment).unwrap();
        let credentials = settings.credentials.unwrap();
        assert_eq!(credentials.session_token, Some(Secret::new("env-token")));
        assert_eq!(settings.region.as_deref(), Some("eu-west-1"));
    }

    #[test]
    fn anonymous_takes_no_credentials_from_the_environment() {
        let anonymous = properties(&[(ANONYMOUS, "true")]);
        let settings = S3Settings::from_properties(&anonymous).unwrap().or_environment(environment).unwrap();
        assert_eq!(settings.credentials, None);
    }

    #[test]
    fn half_a_key_is_refused_by_name() {
        let half = properties(&[(ACCESS_KEY_ID, "key")]);
        let message = S3Settings::from_properties(&half).unwrap_err().to_string();
        assert!(message.contains(SECRET_ACCESS_KEY) && message.contains(ACCESS_KEY_ID), "{message}");
    }

    #[test]
    fn secrets_are_neither_printed_nor_serialised() {
        let tokens = properties(&[(SESSION_TOKEN, "vended-token")]);
        let all = vended().into_iter().chain(tokens).collect();
        let settings = S3Settings::from_properties(&all).unwrap();
        assert_eq!(settings.credentials.as_ref().unwrap().session_token, Some(Secret::new("vended-token")));
        for shown in
            [format!("{settings:?}"), format!("{settings:#?}"), serde_json::to_string(&settings).unwrap()]
        {
            assert!(!shown.contains("vended-secret") && !shown.contains("vended-token"), "{shown}");
        }
    }

    #[test]
    fn bad_settings_are_refused_before_anything_is_sent() {
        let with =
            |endpoint: &str| S3Settings { endpoint: Some(endpoint.to_string()), ..S3Settings::default() };
        for endpoint in ["minio:9000", "ftp://minio", "http://", "https://user:word@host", "http://host?x=1"]
        {
            let message = with(endpoint).validate().unwrap_err().to_string();
            assert!(message.contains("s3.endpoint") && !message.contains("word"), "{message}");
        }
        with("http://minio:9000").validate().unwrap();
        let mut small = S3Settings::default();
        small.limits.part_size_bytes = 1024;
        assert!(small.validate().is_err());
        let unclear = properties(&[(PATH_STYLE, "maybe")]);
        assert!(S3Settings::from_properties(&unclear).unwrap_err().to_string().contains("maybe"));
    }
}
