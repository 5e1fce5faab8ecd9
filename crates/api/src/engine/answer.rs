//! What the engine room shows.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Moment;
use crate::decisions::FreshnessState;

/// The engine room. Histories are of the last hour, oldest first, and begin with the process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EngineAnswer {
    /// When it was looked at.
    pub as_of: Moment,
    /// The engine's version.
    pub version: String,
    /// Seconds since the process began.
    pub uptime_s: u64,
    /// Records read since the process began; what is read again counts again.
    pub records: u64,
    /// Of these, rejected.
    pub quarantined: u64,
    /// How soon events can be queried.
    pub freshness: EngineFreshness,
    /// How much comes in.
    pub rate: RateAnswer,
    /// Every actor that has run, by kind and index.
    pub actors: Vec<ActorAnswer>,
    /// The tables with commits of this process, by name.
    pub commits: Vec<CommitsAnswer>,
    /// Shards that were started again.
    pub restarts: RestartsAnswer,
    /// The tables that are maintained, by name.
    pub compaction: Vec<CompactionAnswer>,
    /// All tables, by name.
    pub tables: Vec<EngineTable>,
    /// Rejected records since the process began, by code.
    pub quarantine: Vec<RejectedCount>,
}

/// How soon events can be queried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EngineFreshness {
    /// P95 over the last minutes of the age of gold, seconds; null before the first row.
    pub gold_p95_s: Option<f64>,
    /// P95 over the last five minutes of the time from an event to its count on the live board, seconds; null without events.
    pub board_p95_s: Option<f64>,
    /// What the age of gold should be below, seconds.
    pub target_s: f64,
    /// What decisions make of it.
    pub state: FreshnessState,
    /// One sample every ten seconds.
    pub history: Vec<FreshnessSample>,
}

/// Freshness at a moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FreshnessSample {
    /// When.
    pub at: Moment,
    /// P95 of the age of gold, seconds; null before the first row.
    pub gold_p95_s: Option<f64>,
}

/// How much comes in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RateAnswer {
    /// Records read per second over the last 10 s.
    pub records_per_s: f64,
    /// Bytes of their values per second.
    pub bytes_per_s: f64,
    /// One sample every ten seconds.
    pub history: Vec<RateSample>,
}

/// The rate at a moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RateSample {
    /// When.
    pub at: Moment,
    /// Records read per second.
    pub records_per_s: f64,
    /// Records between positions and ends, over all partitions of the events.
    pub lag_records: i64,
}

/// One actor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ActorAnswer {
    /// Its kind, such as `VelocityAggregator`.
    pub actor: String,
    /// Its partition or shard; 0 for the only one of its kind.
    pub index: String,
    /// Batches that wait in its mailbox.
    pub mailbox_depth: u64,
    /// Time spent waiting for room in the next actor's mailbox since the process began, seconds.
    pub backpressure_s: f64,
    /// Time spent at work since the process began, seconds.
    pub busy_s: f64,
}

/// The commits of one table since the process began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CommitsAnswer {
    /// `namespace.name`.
    pub table: String,
    /// How many.
    pub commits: u64,
    /// Attempts that lost against another commit and were repeated.
    pub conflicts: u64,
    /// Median duration, seconds.
    pub p50_s: Option<f64>,
    /// Duration that 95 % stay below, seconds.
    pub p95_s: Option<f64>,
}

/// Shards that were started again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RestartsAnswer {
    /// How often since the process began, over all streams.
    pub total: u64,
    /// How often it may still happen before the service gives up, as of the last time; null before the first.
    pub remaining: Option<u64>,
    /// The last ones, newest first.
    pub last: Vec<RestartAnswer>,
}

/// One restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RestartAnswer {
    /// The shard.
    pub shard: String,
    /// What had failed.
    pub reason: String,
    /// When.
    pub at: Moment,
}

/// The maintenance of one table since the process began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CompactionAnswer {
    /// `namespace.name`.
    pub table: String,
    /// Compaction runs that ended well.
    pub runs: u64,
    /// Bytes that they replaced.
    pub rewritten_bytes: u64,
    /// Time that they worked, seconds.
    pub busy_s: f64,
    /// Maintenance runs that failed and are tried again.
    pub failures: u64,
}

/// The files of one table. Null: maintenance has not looked yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EngineTable {
    /// `namespace.name`.
    pub table: String,
    /// Live data files.
    pub files: Option<u64>,
    /// Their average size.
    pub average_file_bytes: Option<u64>,
    /// Live delete files.
    pub delete_files: Option<u64>,
    /// Snapshots in the metadata.
    pub snapshots: Option<u64>,
    /// Rows committed by this process.
    pub rows: u64,
    /// The samples in which something had changed, and the last one.
    pub history: Vec<FilesSample>,
}

/// The files of a table at a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FilesSample {
    /// When.
    pub at: Moment,
    /// Live data files.
    pub files: u64,
    /// Their average size.
    pub average_file_bytes: Option<u64>,
}

/// Rejected records of one code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RejectedCount {
    /// `error_code`.
    pub code: String,
    /// How many.
    pub records: u64,
}
