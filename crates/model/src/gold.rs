//! What the aggregator emits: rows of `gold.rt_video_stats_1min` and the position they stand for.

use crate::EventType;

/// `source_partition` of the rows that a restatement adds: they come from no source.
pub const RESTATED_PARTITION: i32 = -1;

/// Additive counts of one video in one window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WindowCounters {
    /// Events by kind, indexed by [`EventType`] as a number.
    pub by_type: [i64; EventType::COUNT],
    /// Sum of `watch_time_ms`.
    pub watch_time_sum_ms: i64,
}

impl WindowCounters {
    /// Counts one event.
    pub fn add(&mut self, event_type: EventType, watch_time_ms: i64) {
        self.by_type[event_type as usize] += 1;
        self.watch_time_sum_ms = self.watch_time_sum_ms.saturating_add(watch_time_ms);
    }

    /// Adds another delta of the same window.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.by_type.iter_mut().zip(other.by_type) {
            *mine += theirs;
        }
        self.watch_time_sum_ms = self.watch_time_sum_ms.saturating_add(other.watch_time_sum_ms);
    }

    /// Events counted.
    pub fn events(&self) -> i64 {
        self.by_type.iter().sum()
    }
}

/// One delta row. Its revision is not known yet: 0 for a window as it closed, the commit's `seq` for a correction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoldRow {
    /// The video.
    pub video_id: String,
    /// Start of the 1-minute window, microseconds since the epoch.
    pub window_start_us: i64,
    /// Whether these are late events of a window that was emitted before.
    pub is_correction: bool,
    /// The counts.
    pub counters: WindowCounters,
}

/// Where a partition's aggregator stands after a flush: together with the rows, all that a commit must carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GoldPosition {
    /// Offset of the first record not yet applied.
    pub next: i64,
    /// Every window ending at or before this (µs) has been emitted; `None` before the first.
    pub closed_through_us: Option<i64>,
    /// Where a restart must begin to read to rebuild the open windows and the dedup set.
    pub replay_from: i64,
    /// Stream time just before the record at `replay_from` (µs); a replay starts with it so that it evicts as the first run did.
    pub replay_stream_time_us: Option<i64>,
    /// Stream time at `next` minus the watermark delay (µs).
    pub watermark_us: Option<i64>,
    /// Records applied since the partition's first: valid, rejected and duplicate ones alike.
    pub records: u64,
    /// Of these, rejected by the decoder.
    pub quarantined: u64,
    /// Of these, duplicates within the dedup horizon: not counted in gold.
    pub duplicates: u64,
    /// Of these, late: counted in gold by a correction.
    pub late: u64,
    /// Of these, later than the allowed lateness: not counted in gold.
    pub dropped: u64,
    /// Of these, counted in windows that were still open at `next`: in gold only after those close.
    pub open: u64,
    /// Offsets that held no record (transaction markers, sparse sources).
    pub gaps: u64,
}

/// Everything that a partition has to commit to gold at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GoldFlush {
    /// Closed windows and corrections, in no particular order; at most one on-time and one correction row per video and window.
    pub rows: Vec<GoldRow>,
    /// The position that these rows bring the table to.
    pub position: GoldPosition,
}
