//! What the board holds and from which minute on it is whole.

use pulselake_decision::MINUTE_US;

use crate::minute::ROLLING_MINUTES;

/// One partition on the board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionCoverage {
    /// Source partition.
    pub partition: i32,
    /// The run of it that feeds the board.
    pub generation: u64,
    /// Start of the first minute (µs) from which on the board has everything that gold has and every event beyond.
    /// `None`: nothing is known yet.
    pub covered_from_us: Option<i64>,
    /// Watermark (µs).
    pub watermark_us: Option<i64>,
    /// Every window ending at or before this (µs) is closed.
    pub closed_through_us: Option<i64>,
    /// Stream time (µs).
    pub newest_event_us: Option<i64>,
    /// Newest minute (start, µs) with events, none ahead of stream time.
    pub newest_minute_us: Option<i64>,
    /// Whether a restart's records are still read again.
    pub is_replaying: bool,
    /// Whether it stands at its end without records.
    pub is_idle: bool,
    /// Videos of it on the board.
    pub videos: usize,
}

impl PartitionCoverage {
    /// Whether the board has all of the 30 minutes up to and with the one that starts at `minute_us`. An idle partition
    /// that never had an event has all of nothing.
    pub fn covers_30m(&self, minute_us: i64) -> bool {
        let first_us = minute_us.saturating_sub((ROLLING_MINUTES as i64 - 1) * MINUTE_US);
        let is_empty = self.is_idle && self.newest_event_us.is_none();
        !self.is_replaying && (is_empty || self.covered_from_us.is_some_and(|from_us| from_us <= first_us))
    }

    /// Whole minutes up to and with `minute_us` that are covered, 30 at most.
    pub fn covered_minutes(&self, minute_us: i64) -> usize {
        let is_empty = self.is_idle && self.newest_event_us.is_none();
        match self.covered_from_us {
            _ if self.is_replaying => 0,
            _ if is_empty => ROLLING_MINUTES,
            None => 0,
            Some(from_us) => {
                let minutes = minute_us.saturating_sub(from_us).div_euclid(MINUTE_US).saturating_add(1);
                usize::try_from(minutes).unwrap_or(0).min(ROLLING_MINUTES)
            }
        }
    }
}

/// The whole board.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Its partitions, by number.
    pub partitions: Vec<PartitionCoverage>,
    /// The board's minute (start, µs): the newest with events.
    pub now_minute_us: Option<i64>,
    /// Totals.
    pub stats: BoardStats,
}

impl Coverage {
    /// Whole minutes of the last 30 that every partition covers; 0 without a partition or a minute.
    pub fn covered_minutes(&self) -> usize {
        let Some(now_us) = self.now_minute_us else { return 0 };
        self.partitions.iter().map(|partition| partition.covered_minutes(now_us)).min().unwrap_or(0)
    }

    /// Whether the board has all of the last 30 minutes of every partition of this process.
    pub fn is_complete(&self) -> bool {
        self.covered_minutes() == ROLLING_MINUTES
    }
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BoardStats {
    /// Videos, one in two partitions counted twice.
    pub videos: usize,
    /// Memory of the videos, their ids and counts and the index of them.
    pub memory_bytes: usize,
    /// Videos put out since the process began because the board was full.
    pub evicted: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covered_from(minute: Option<i64>) -> PartitionCoverage {
        PartitionCoverage {
            partition: 0,
            generation: 1,
            covered_from_us: minute.map(|number| number * MINUTE_US),
            watermark_us: None,
            closed_through_us: None,
            newest_event_us: Some(0),
            newest_minute_us: None,
            is_replaying: false,
            is_idle: false,
            videos: 0,
        }
    }

    #[test]
    fn thirty_minutes_are_covered_29_minutes_after_the_first() {
        let partition = covered_from(Some(100));
        let at = |minute: i64| {
            (partition.covers_30m(minute * MINUTE_US), partition.covered_minutes(minute * MINUTE_US))
        };
        assert_eq!(
            [99, 100, 128, 129, 200].map(at),
            [(false, 0), (false, 1), (false, 29), (true, 30), (true, 30)]
        );
    }

    #[test]
    fn nothing_is_covered_while_it_is_unknown_or_read_again() {
        let unknown = covered_from(None);
        assert_eq!((unknown.covers_30m(0), unknown.covered_minutes(0)), (false, 0));
        let replaying = PartitionCoverage { is_replaying: true, ..covered_from(Some(0)) };
        assert!(!replaying.covers_30m(100 * MINUTE_US));
    }

    #[test]
    fn an_idle_partition_without_events_lacks_nothing() {
        let empty = PartitionCoverage { is_idle: true, newest_event_us: None, ..covered_from(None) };
        assert!(empty.covers_30m(0));
        let idle = PartitionCoverage { is_idle: true, ..covered_from(None) };
        assert!(!idle.covers_30m(0), "it had events, and nobody knows from when on all of them");
    }

    #[test]
    fn the_board_covers_what_its_worst_partition_covers() {
        let coverage = |minutes: &[i64]| Coverage {
            partitions: minutes.iter().map(|minute| covered_from(Some(*minute))).collect(),
            now_minute_us: Some(129 * MINUTE_US),
            stats: BoardStats::default(),
        };
        assert_eq!(coverage(&[100, 120]).covered_minutes(), 10);
        assert!(coverage(&[100, 90]).is_complete());
        assert!(!coverage(&[]).is_complete(), "nobody feeds it");
    }
}
