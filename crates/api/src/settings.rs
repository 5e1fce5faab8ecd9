//! What the API is told by whoever starts it.

use std::path::PathBuf;
use std::time::Duration;

use crate::Tokens;

/// Numbers and places of the API.
#[derive(Clone, Debug)]
pub struct ApiSettings {
    /// Who may look, and who may change.
    pub tokens: Tokens,
    /// Whether only this machine can connect: then a page of another site must not reach the API by a name of its own.
    pub is_loopback: bool,
    /// Base URLs of the other processes that consume the same topic, such as `http://10.0.0.7:9464`.
    pub peers: Vec<String>,
    /// How long bronze may go without a commit, while records wait, before the service no longer counts as ready.
    pub stale_after: Duration,
    /// The program that answers SQL.
    pub query: QuerySettings,
}

/// The program that answers SQL, which runs as a process of its own.
#[derive(Clone, Debug)]
pub struct QuerySettings {
    /// Whether SQL is answered at all.
    pub enabled: bool,
    /// The program: a path, or a name that is searched where programs are.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Variables that say where the tables are, in place of our own settings' (`PULSELAKE_…`): what must not be seen in a
    /// list of processes.
    pub environment: Vec<(String, String)>,
    /// Longest time of a query.
    pub timeout: Duration,
    /// Queries at the same time.
    pub max_concurrent: usize,
}
