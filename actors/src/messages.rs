//! What the actors say to each other. Arrow batches with their offset ranges travel; single events never do.

use actix::Message;
use arrow::array::RecordBatch;
use iceberg::spec::DataFile;
use pulselake_ledger::{Advance, LastSeen};
use pulselake_model::GoldFlush;
use pulselake_model::decoded::SharedBatch;

use crate::kill_switch::FailureClass;

/// Names one run of one shard. Everything kept outside the shard is kept under this key and thrown away with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GenerationKey {
    /// Shard number.
    pub shard: usize,
    /// Rises with every start of the shard.
    pub generation: u64,
}

impl std::fmt::Display for GenerationKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "shard {} generation {}", self.shard, self.generation)
    }
}

/// The receiver has failed or ended; the kill switch has the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// To a consumer: read the next batch.
#[derive(Message)]
#[rtype(result = "()")]
pub struct ReadNext;

/// To a consumer: stop reading; answered when nothing of it is in flight any more.
#[derive(Message)]
#[rtype(result = "Result<(), Gone>")]
pub struct StopReading;

/// To an aggregator: one decoded batch. Answered when there is room for the next one.
#[derive(Message)]
#[rtype(result = "Result<(), Gone>")]
pub struct Aggregate {
    /// The batch.
    pub batch: SharedBatch,
}

/// To an aggregator: the partition stands at its end; close the windows seen so far.
#[derive(Message)]
#[rtype(result = "()")]
pub struct CloseIdleWindows;

/// To an aggregator: hand over what has to be committed.
#[derive(Message)]
#[rtype(result = "Option<TakenFlush>")]
pub struct TakeFlush;

/// An aggregator's answer to [`TakeFlush`].
pub struct TakenFlush {
    /// Rows and position.
    pub flush: GoldFlush,
    /// The last record that the flush has consumed.
    pub last: Option<LastSeen>,
    /// Cumulative: records that retention removed before they were read.
    pub lost: u64,
}

/// To the gold writer: a partition has something to commit.
#[derive(Message)]
#[rtype(result = "()")]
pub struct GoldReady {
    /// Source partition.
    pub partition: i32,
    /// Who says it.
    pub key: GenerationKey,
    /// Every window ending at or before this (µs) is closed.
    pub closed_through_us: Option<i64>,
    /// Whether closed windows wait (otherwise only corrections do).
    pub has_windows: bool,
    /// Rows that wait.
    pub pending_rows: usize,
}

/// To a bronze writer: rows of one partition with the offset range they stand for.
#[derive(Message)]
#[rtype(result = "Result<(), Gone>")]
pub struct WriteBatch {
    /// Source partition.
    pub partition: i32,
    /// Position before the batch.
    pub first: i64,
    /// Position after the batch.
    pub next: i64,
    /// Rows for `bronze.raw_events`, by rising offset.
    pub events: RecordBatch,
    /// Their stream times (µs), for end-to-end latency.
    pub stream_time_us: Vec<i64>,
    /// Rows for the quarantine, by rising offset.
    pub invalid: RecordBatch,
    /// Offsets of every rejected record, whether its row is in the quarantine already or not.
    pub rejected_offsets: Vec<i64>,
    /// The last record, if there is one.
    pub last: Option<LastSeen>,
    /// Records before `first` that retention removed unread.
    pub lost: u64,
}

/// To a bronze writer: commit everything received so far; answered when it is in the tables.
#[derive(Message)]
#[rtype(result = "Result<(), Gone>")]
pub struct Flush;

/// To the gold writer: collect from every partition now and commit; answered when it is in the table.
#[derive(Message)]
#[rtype(result = "Result<(), Gone>")]
pub struct DrainGold;

/// To a committer: put these files and ledger entries into the table.
#[derive(Message)]
#[rtype(result = "Result<Committed, CommitRefused>")]
pub struct CommitFiles {
    /// The shards' runs that the work belongs to.
    pub keys: Vec<GenerationKey>,
    /// Ledger entries.
    pub advances: Vec<Advance>,
    /// Data files, already written.
    pub files: Vec<DataFile>,
    /// Equality deletes, already written: they apply to the rows of earlier commits alone.
    pub deletes: Vec<DataFile>,
}

impl CommitFiles {
    /// Every file that was written for it.
    pub fn written(&self) -> Vec<DataFile> {
        self.files.iter().chain(&self.deletes).cloned().collect()
    }
}

/// A commit that is in the table.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The snapshot.
    pub snapshot_id: i64,
}

/// A commit that is not in the table.
#[derive(Clone, Debug)]
pub enum CommitRefused {
    /// Another owner has committed one of the partitions.
    Fenced(String),
    /// The shard's run is over.
    Closed,
    /// Whoever carried the commit has died; the ledger knows what became of it.
    Lost,
    /// The table itself forbids it (rolled back, ledger unreadable): nobody may go on.
    Stop(String),
}

impl CommitRefused {
    /// What it means for the run that asked, and why.
    pub fn into_failure(self) -> (FailureClass, String) {
        match self {
            Self::Fenced(reason) => (FailureClass::Fenced, reason),
            Self::Closed => (FailureClass::Fenced, "the committer closed this generation".to_owned()),
            Self::Lost => (FailureClass::Crash, "the commit ended without an answer".to_owned()),
            Self::Stop(reason) => (FailureClass::Stop, reason),
        }
    }
}

/// To the committers and the gold writer: the shard's run is over. Answered when nothing of it is queued or in
/// flight any more, so that whoever reads the ledger next reads the last word.
#[derive(Message)]
#[rtype(result = "()")]
pub struct CloseGeneration {
    /// The run.
    pub key: GenerationKey,
}

/// To the committers: the shard's run is being ended. What of it is failing is not tried again: nobody knows for how
/// long it would, and the next run reads the records again.
#[derive(Message)]
#[rtype(result = "()")]
pub struct StopRetrying {
    /// The run.
    pub key: GenerationKey,
}

/// To every actor: end now, on purpose.
#[derive(Message)]
#[rtype(result = "()")]
pub struct StopActor;
