//! Settings of the service around the engine: HTTP and logging.

use serde::{Deserialize, Serialize};

use crate::Secret;

/// `[http]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpSettings {
    /// Address and port; port 0 takes a free one, empty switches HTTP off.
    pub bind: String,
    /// Bearer token for everything but the health checks; empty asks for none.
    pub token: Secret,
    /// A file that holds the token.
    pub token_file: String,
    /// Bearer token for changes, which opens everything else too; empty: nothing can be changed over HTTP.
    pub action_token: Secret,
    /// A file that holds it.
    pub action_token_file: String,
    /// Base URLs of the other processes of the same group, whose boards are shown together with ours.
    pub peers: Vec<String>,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            bind: "127.0.0.1:9464".to_owned(),
            token: Secret::default(),
            token_file: String::new(),
            action_token: Secret::default(),
            action_token_file: String::new(),
            peers: Vec::new(),
        }
    }
}

/// `[query]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QuerySettings {
    /// Whether SQL is answered over HTTP.
    pub enabled: bool,
    /// The program that answers it; empty: `pulselake-query` beside the engine's own program, else where programs are.
    pub program: String,
    /// Memory of all queries together, MiB.
    pub memory_mib: u64,
    /// Rows of an answer.
    pub max_rows: u64,
    /// Time of a query.
    pub timeout_ms: u64,
    /// Queries at the same time.
    pub max_concurrent: usize,
}

impl Default for QuerySettings {
    fn default() -> Self {
        Self {
            enabled: true,
            program: String::new(),
            memory_mib: 512,
            max_rows: 10_000,
            timeout_ms: 30_000,
            max_concurrent: 4,
        }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The least important events that are logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What stops something.
    Error,
    /// What somebody should look at.
    Warn,
    /// What happens.
    #[default]
    Info,
    /// Why it happens.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The level as written in the settings, and as `tracing` parses it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// `[log]`. Logs go to standard error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// How lines look.
    pub format: LogFormat,
    /// The least important level of our own events; libraries are one level quieter.
    pub level: LogLevel,
}
