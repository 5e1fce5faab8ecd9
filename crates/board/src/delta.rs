//! What is put on the board.

use pulselake_model::WindowCounters;

/// Counts of one video that are new to the board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoDelta {
    /// The video.
    pub video_id: Box<str>,
    /// Start of the minute (µs) in which they happened.
    pub minute_start_us: i64,
    /// The counts.
    pub counters: WindowCounters,
}

/// Where a partition's event time stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartitionTime {
    /// Watermark (µs); `None` before the first event.
    pub watermark_us: Option<i64>,
    /// Every window ending at or before this (µs) is closed; `None` before the first.
    pub closed_through_us: Option<i64>,
    /// Stream time (µs): the newest event, as far as its record's time bears it out. A client's clock that runs ahead does
    /// not move it, and so not the board's minute either.
    pub newest_event_us: Option<i64>,
    /// Whether the records that a restart reads again are still being read: counts of open windows are not whole yet.
    pub is_replaying: bool,
    /// Whether the partition stands at its end, without records for the idleness timeout: its times don't move, and yet
    /// nothing is missing.
    pub is_idle: bool,
}
