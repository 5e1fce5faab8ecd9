//! Settings of what is written: bronze, gold, catalog and warehouse.

use serde::{Deserialize, Serialize};

use crate::ConnectionUri;

/// `[bronze]`: `bronze.raw_events` and `bronze.invalid_events_content`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BronzeSettings {
    /// Time between two commits, in milliseconds.
    pub commit_interval_ms: u64,
    /// A shard commits early when this much is buffered, in bytes.
    pub flush_bytes: u64,
    /// Hour partitions that one commit touches at most.
    pub max_open_hours: usize,
    /// ZSTD level of the Parquet files.
    pub zstd_level: i32,
    /// Rows in a Parquet row group at most.
    pub row_group_rows: usize,
}

impl Default for BronzeSettings {
    fn default() -> Self {
        Self {
            commit_interval_ms: 10_000,
            flush_bytes: 67_108_864,
            max_open_hours: 256,
            zstd_level: 1,
            row_group_rows: 131_072,
        }
    }
}

/// `[gold]`: `gold.rt_video_stats_1min`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GoldSettings {
    /// How long a closed window waits for the same window of the other partitions, in milliseconds.
    pub collect_wait_ms: u64,
    /// How long a correction may wait for a commit to ride on, in milliseconds.
    pub correction_interval_ms: u64,
    /// Rows that wait for a commit at most; more commit at once.
    pub max_pending_rows: usize,
}

impl Default for GoldSettings {
    fn default() -> Self {
        Self { collect_wait_ms: 2_000, correction_interval_ms: 60_000, max_pending_rows: 1_000_000 }
    }
}

/// `[lake]`. Use [`crate::Settings::locations`] for absolute paths and the derived defaults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LakeSettings {
    /// Directory of catalog and warehouse; relative to the working directory.
    pub data_dir: String,
    /// Catalog; empty is `catalog.db` (SQLite) in the data directory.
    pub catalog_uri: ConnectionUri,
    /// A file that holds `catalog_uri`.
    pub catalog_uri_file: String,
    /// Where tables are stored; empty is `warehouse` in the data directory.
    pub warehouse: String,
    /// Iceberg format version of tables that are created.
    pub format_version: u8,
    /// Whether files are flushed to the disk before they are committed.
    pub fsync: bool,
    /// How long to wait at the start for a catalog that is locked.
    pub connect_timeout_ms: u64,
}

impl Default for LakeSettings {
    fn default() -> Self {
        Self {
            data_dir: "./pulselake-data".to_owned(),
            catalog_uri: ConnectionUri::default(),
            catalog_uri_file: String::new(),
            warehouse: String::new(),
            format_version: 2,
            fsync: true,
            connect_timeout_ms: 60_000,
        }
    }
}
