//! What a partition's state says of itself; nothing here changes it.

use pulselake_model::GoldPosition;

use super::PartitionWindows;
use crate::ReplayDifference;

impl PartitionWindows {
    /// Offset at which the next batch must begin.
    pub fn next_offset(&self) -> i64 {
        self.next
    }

    /// Whether the committed position has not been reached again yet: nothing is counted, closed or flushed.
    pub fn is_replaying(&self) -> bool {
        self.replay_until.is_some()
    }

    /// What the replay found different from the committed position, once it is over; worth a log line.
    pub fn replay_difference(&self) -> Option<ReplayDifference> {
        self.replay_difference
    }

    /// Stream time (µs): the largest of all records' so far; `None` before the first valid record. During a replay, that of
    /// the replay.
    pub fn stream_time_us(&self) -> Option<i64> {
        self.stream_time_us
    }

    /// Stream time minus the delay (µs); `None` before the first valid record. During a replay, that of the replay.
    pub fn watermark_us(&self) -> Option<i64> {
        self.stream_time_us.map(|time| time.saturating_sub(self.durations.watermark_delay_us))
    }

    /// Every window ending at or before this (µs) is closed; `None` before the first.
    pub fn closed_through_us(&self) -> Option<i64> {
        self.closed_through_us
    }

    /// Windows not yet closed.
    pub fn open_windows(&self) -> usize {
        self.open.len()
    }

    /// Events counted in windows not yet closed.
    pub fn open_events(&self) -> u64 {
        self.open_events
    }

    /// Rows that the next flush will hold: closed windows and corrections.
    pub fn pending_rows(&self) -> usize {
        self.closed_rows + self.correction_rows
    }

    /// Whether rows of closed windows wait for a flush.
    pub fn has_pending_windows(&self) -> bool {
        self.closed_rows > 0
    }

    /// Whether corrections wait for a flush.
    pub fn has_pending_corrections(&self) -> bool {
        self.correction_rows > 0
    }

    /// Whether the position has moved since the last flush (or since the committed position of a restart).
    pub fn has_unflushed_progress(&self) -> bool {
        !self.is_replaying() && self.next != self.flushed_next
    }

    /// The cumulative counts as they are now; its offsets and times are not those of a flush.
    pub fn counts(&self) -> &GoldPosition {
        &self.counts
    }

    /// Event ids remembered.
    pub fn dedup_len(&self) -> usize {
        self.dedup.len()
    }

    /// Ids that the cap pushed out while they were still inside the horizon, since this state was made: their
    /// duplicates, if any came, were counted as events of their own.
    pub fn dedup_cap_evictions(&self) -> u64 {
        self.dedup.cap_evictions()
    }
}
