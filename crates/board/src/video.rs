//! A video as the board shows it.

use pulselake_decision::Metrics30m;
use pulselake_model::WindowCounters;

/// One video's last 30 minutes, up to and with the board's current minute.
#[derive(Clone, Debug, PartialEq)]
pub struct BoardVideo {
    /// The video.
    pub video_id: String,
    /// Sums of the 30 minutes, over all partitions.
    pub sums: WindowCounters,
    /// Rates of these sums (DOMAIN.md 4).
    pub metrics: Metrics30m,
    /// How far its newest full minutes lie above its own usual rate of plays, in standard deviations
    /// ([`crate::scores::surprise_z`]). 0 without a past to compare with.
    pub surprise_z: f64,
    /// Velocity, drawn towards that of all videos where there are few impressions
    /// ([`crate::scores::shrunken_velocity`]).
    pub velocity_shrunk: f64,
    /// First of the 30 minutes (start, µs) with an event.
    pub first_minute_us: i64,
    /// Newest minute (start, µs) with an event; can lie ahead of the board's minute, where a client's clock runs ahead.
    pub newest_minute_us: i64,
    /// False where it may have been put out because the board was full, and came back within the 30 minutes: then
    /// older counts may be missing.
    pub is_whole: bool,
}

/// What a visit of a partition's videos came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RollingVisit {
    /// Videos that were visited.
    pub visited: usize,
    /// Videos that were left out, because the board was full and part of their 30 minutes may be missing.
    pub left_out: usize,
}
