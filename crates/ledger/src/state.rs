//! The ledger's shape, as it stands in the tables.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::OffsetRanges;

/// The format's version that this build reads and writes.
pub const LEDGER_VERSION: u32 = 1;

/// A ledger that can't be read: it is of another build, or somebody edited it.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Not the JSON that this engine writes.
    #[error(
        "table property pulselake.ledger is not readable ({reason}); restore it from the snapshot's summary with `pulselake ledger rewind`"
    )]
    Unreadable {
        /// What the parser said.
        reason: String,
    },
    /// Written by a newer build.
    #[error(
        "table property pulselake.ledger has version {found}, this build knows {LEDGER_VERSION}: run the newer pulselake that wrote it"
    )]
    NewerVersion {
        /// The version in the table.
        found: u32,
    },
}

/// What a table has consumed, of every topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Format version.
    pub version: u32,
    /// Identity of the source: Kafka's cluster id, the generator's configuration, or the files' digest.
    pub cluster_id: String,
    /// The decoder's version and the settings that decide validity.
    pub fingerprint: String,
    /// Per topic and partition.
    pub topics: BTreeMap<String, BTreeMap<i32, PartitionLedger>>,
    /// Quarantined records that entered later, by `quarantine replay`, per topic.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub replayed: BTreeMap<String, ReplayLedger>,
}

/// One partition's entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionLedger {
    /// Offset of the first record that the table does not have yet.
    pub next: i64,
    /// Number of commits of this partition; a commit names the one it was built on.
    pub seq: i64,
    /// The commit that wrote this entry.
    pub commit_id: String,
    /// The decoder that judged the records of the last commit: version and settings.
    #[serde(default)]
    pub fingerprint: String,
    /// Bronze and quarantine: first offset that this decoder judged; what lies below was judged by another one.
    #[serde(default)]
    pub fingerprint_from: i64,
    /// The shard's generation that made the commit; for people, not for decisions.
    pub generation: u64,
    /// Gold: every window ending at or before this (µs) has been emitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_through: Option<i64>,
    /// Gold: where a restart begins to read. Elsewhere equal to `next`.
    pub replay_from: i64,
    /// Gold: stream time just before `replay_from` (µs), so that a replay deduplicates as the first run did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay_stream_time: Option<i64>,
    /// Gold: the watermark at `next` (µs).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark: Option<i64>,
    /// The last record consumed, to recognise the topic again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<LastSeen>,
    /// Cumulative counts since the partition's first record.
    pub counts: Counts,
}

/// Identity of a consumed record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastSeen {
    /// Its offset.
    pub offset: i64,
    /// Its record timestamp (ms), −1 where the source has none.
    pub timestamp: i64,
    /// xxh3-64 of its value.
    pub hash: u64,
}

/// Cumulative counts: together they explain every difference between what came in and what is in the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Records consumed.
    pub records: u64,
    /// Of these, rejected by the decoder.
    pub quarantined: u64,
    /// Of these, not counted in gold because the event_id was seen before.
    pub duplicates: u64,
    /// Of these, counted in gold by a correction.
    pub late: u64,
    /// Of these, too late for gold.
    pub dropped: u64,
    /// Not cumulative: events in windows that are still open at `next`.
    #[serde(default)]
    pub open: u64,
    /// Offsets that held no record (transaction markers, sparse sources).
    #[serde(default)]
    pub gaps: u64,
    /// Records lost before they could be read, with `on_data_loss = "continue"`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost: u64,
    /// Changes: records without a value, which say that a key may be forgotten and change nothing here.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tombstones: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Which quarantined records of a topic have entered a table by `quarantine replay`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayLedger {
    /// Number of replays: fences two that run at once.
    pub seq: i64,
    /// The commit that wrote this entry.
    pub commit_id: String,
    /// Source offsets that entered, per partition.
    pub offsets: BTreeMap<i32, OffsetRanges>,
    /// Of these, how many the table did not count because their event_id was there already (gold), per partition.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub duplicates: BTreeMap<i32, u64>,
}

impl Ledger {
    /// The ledger of a table that has consumed nothing.
    pub fn new(cluster_id: impl Into<String>, fingerprint: impl Into<String>) -> Self {
        Self {
            version: LEDGER_VERSION,
            cluster_id: cluster_id.into(),
            fingerprint: fingerprint.into(),
            topics: BTreeMap::new(),
            replayed: BTreeMap::new(),
        }
    }

    /// Reads the JSON of a table property or a snapshot summary.
    pub fn parse(json: &str) -> Result<Self, LedgerError> {
        let ledger: Self = serde_json::from_str(json)
            .map_err(|error| LedgerError::Unreadable { reason: error.to_string() })?;
        if ledger.version > LEDGER_VERSION {
            return Err(LedgerError::NewerVersion { found: ledger.version });
        }
        Ok(ledger)
    }

    /// The JSON that goes into the table. Equal ledgers give equal text.
    pub fn to_json(&self) -> String {
        // Maps with string or integer keys and plain numbers: serialization has no way to fail.
        serde_json::to_string(self)
            .unwrap_or_else(|error| unreachable!("a ledger always serializes: {error}"))
    }

    /// The entry of one partition, if the table has consumed anything of it.
    pub fn partition(&self, topic: &str, partition: i32) -> Option<&PartitionLedger> {
        self.topics.get(topic)?.get(&partition)
    }
}
