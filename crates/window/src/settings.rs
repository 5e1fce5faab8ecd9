//! Settings of the window state, and the same in microseconds as the state uses them.

/// How a partition's windows close and what counts as late or duplicate.
///
/// Negative durations count as 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowSettings {
    /// The watermark stays this far behind stream time (ms).
    pub watermark_delay_ms: i64,
    /// A late event older than the watermark by more than this (ms) is dropped instead of corrected.
    pub allowed_lateness_ms: i64,
    /// An `event_id` seen again within this much stream time (ms) is a duplicate; 0 turns deduplication off.
    pub dedup_horizon_ms: i64,
    /// Most ids remembered per partition (about 30 to 60 bytes each); beyond it the oldest go, and are counted.
    pub dedup_max_ids: usize,
}

impl Default for WindowSettings {
    fn default() -> Self {
        Self {
            watermark_delay_ms: 10_000,
            allowed_lateness_ms: 86_400_000,
            dedup_horizon_ms: 120_000,
            dedup_max_ids: 2_000_000,
        }
    }
}

/// The durations of [`WindowSettings`] in microseconds, none negative.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Durations {
    pub(crate) watermark_delay_us: i64,
    pub(crate) allowed_lateness_us: i64,
    pub(crate) dedup_horizon_us: i64,
}

impl From<&WindowSettings> for Durations {
    fn from(settings: &WindowSettings) -> Self {
        let micros = |millis: i64| millis.max(0).saturating_mul(1_000);
        Self {
            watermark_delay_us: micros(settings.watermark_delay_ms),
            allowed_lateness_us: micros(settings.allowed_lateness_ms),
            dedup_horizon_us: micros(settings.dedup_horizon_ms),
        }
    }
}
