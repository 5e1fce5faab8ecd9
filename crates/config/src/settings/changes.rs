//! `[cdc]`: dimensions that follow an operational database.

use serde::{Deserialize, Serialize};

use crate::secret::Secret;

/// Which topics of changes are consumed, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChangeSettings {
    /// Topic of the videos' changes; empty: none is consumed.
    pub videos_topic: String,
    /// Topic of the users' changes; empty: none is consumed.
    pub users_topic: String,
    /// Confluent-compatible schema registry of the records that are written in Avro; empty: only JSON is read.
    pub schema_registry_url: String,
    /// User for the registry, by basic authentication; empty: none.
    pub schema_registry_user: String,
    /// Password of that user.
    pub schema_registry_password: Secret,
    /// File that holds the password instead, as orchestrators mount secrets.
    pub schema_registry_password_file: String,
    /// Shortest time between two commits of an entity.
    pub commit_interval_ms: u64,
    /// Rows that wait before a commit is made early.
    pub max_pending_rows: usize,
    /// Bytes that wait before a commit is made early.
    pub max_pending_bytes: u64,
    /// Columns that a dimension may have, those of the source included.
    pub max_columns: usize,
    /// Keys of an entity whose last version is kept in memory.
    pub max_index_keys: usize,
    /// Videos that are kept in memory for the live path.
    pub max_cached_videos: usize,
}

impl Default for ChangeSettings {
    fn default() -> Self {
        Self {
            videos_topic: String::new(),
            users_topic: String::new(),
            schema_registry_url: String::new(),
            schema_registry_user: String::new(),
            schema_registry_password: Secret::default(),
            schema_registry_password_file: String::new(),
            commit_interval_ms: 30_000,
            max_pending_rows: 200_000,
            max_pending_bytes: 64 << 20,
            max_columns: 200,
            max_index_keys: 3_500_000,
            max_cached_videos: 1_000_000,
        }
    }
}

impl ChangeSettings {
    /// Whether any topic is consumed.
    pub fn is_enabled(&self) -> bool {
        !self.videos_topic.is_empty() || !self.users_topic.is_empty()
    }
}
