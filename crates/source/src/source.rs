//! The trait that every source implements, and what its calls give back.

use std::time::Duration;

use pulselake_model::RawBatch;

use crate::{AssignmentEvent, SourceError};

/// What the ledger remembers of a source, to notice that it was exchanged for another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceIdentity {
    /// Kafka's cluster id, or a name made of all that decides the content of the source.
    pub cluster_id: String,
    /// Topic, or the name that stands for one.
    pub topic: String,
}

/// [`OffsetBounds::high`] of a partition whose end is known only once it has been read through (text files).
pub const UNKNOWN_END: i64 = i64::MAX;

/// Which offsets of a partition can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetBounds {
    /// The first offset that is still there.
    pub low: i64,
    /// The position at which one is caught up at this moment: the last stable offset in Kafka, one more than the
    /// last record elsewhere, [`UNKNOWN_END`] where nobody has counted yet.
    pub high: i64,
}

/// How much of a bounded source has been read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes read so far, as they lie on disk (compressed).
    pub done_bytes: u64,
    /// Bytes there are.
    pub total_bytes: u64,
}

/// A set of partitions that can be read from any offset.
pub trait Source: Send + Sync {
    /// Which source this is.
    fn identity(&self) -> &SourceIdentity;

    /// The next change of the assignment; `None` when there was none within `wait`.
    ///
    /// A source that never rebalances gives one [`AssignmentEvent::Assigned`] with all its partitions.
    fn next_event(&self, wait: Duration) -> Option<AssignmentEvent>;

    /// The offsets of one partition that can be read now.
    fn bounds(&self, partition: i32) -> Result<OffsetBounds, SourceError>;

    /// About how many records lie between two positions of a partition: their distance, where offsets are dense.
    fn records_between(&self, _partition: i32, from_offset: i64, to_offset: i64) -> i64 {
        (to_offset - from_offset).max(0)
    }

    /// A reader of an assigned partition whose first record is the first one at or after `from_offset`.
    ///
    /// With `stop_at` it ends at the first position at or after it, and hands no record at or after it over.
    /// Opening a partition again makes its earlier reader fail with [`SourceError::NotAssigned`].
    fn open(
        &self,
        partition: i32,
        from_offset: i64,
        stop_at: Option<i64>,
    ) -> Result<Box<dyn PartitionReader>, SourceError>;

    /// Publishes how far each partition is committed, for lag tools alone; it is never read back.
    fn note_progress(&self, positions: &[(i32, i64)]);

    /// Whether records carry a timestamp that a broker vouches for or has seen.
    fn has_broker_time(&self) -> bool;

    /// Whether the source ends by itself.
    fn is_bounded(&self) -> bool;

    /// For a progress bar; `None` for sources that have no end.
    fn progress(&self) -> Option<Progress>;

    /// Leaves the group and frees what the source holds; readers fail afterwards. Blocks until that is done.
    fn close(&self);
}

/// Reads one partition in order. Owned by the thread that decodes it.
pub trait PartitionReader: Send {
    /// The partition.
    fn partition(&self) -> i32;

    /// Takes what is there now, at most `max_records` and about `max_bytes`; one record more than `max_bytes`
    /// long still comes whole. Never blocks for longer than a few milliseconds: an empty batch means "not yet".
    fn poll(&mut self, max_records: usize, max_bytes: usize) -> Result<Polled, SourceError>;

    /// Stops or resumes the fetching of this partition. Not polling is enough to bound memory (prefetch is
    /// bounded); pausing also gives back what was prefetched, which is then fetched again on resume. So it is
    /// for back-pressure that lasts seconds.
    fn set_paused(&mut self, paused: bool) -> Result<(), SourceError>;
}

/// What a poll gave.
#[derive(Debug)]
pub struct Polled {
    /// The records, and the position before and after them.
    pub batch: RawBatch,
    /// Where the reader stands after them.
    pub state: ReaderState,
}

/// Where a reader stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReaderState {
    /// Somewhere before the end, or not known to be at the end.
    More,
    /// At the last stable offset, as far as the broker has told, with the connection up since.
    AtEnd,
    /// `stop_at` is reached or the file is over: no record will come.
    Finished,
}
