//! How much the board keeps.

use crate::minute::ROLLING_MINUTES;

/// Minutes kept beside the rolling 30 and those that the watermark lags: room for a decision that waits for stragglers.
const SPARE_MINUTES: usize = 4;

/// Minutes that the watermark may lag and the board still keeps whole; a longer delay has no live decisions.
const MAX_DELAY_MINUTES: usize = 60;

/// Bounds of the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoardSettings {
    /// Videos held at most, over all partitions; beyond it the quietest go. 0: the board is off and holds nothing.
    pub max_videos: usize,
    /// Minutes kept of each video, the newest one included; at least 30.
    pub minutes: usize,
}

impl BoardSettings {
    /// A board for windows that close `watermark_delay_ms` behind the newest event: the 30 minutes up to the last closed
    /// one are always there.
    pub fn for_watermark_delay(max_videos: usize, watermark_delay_ms: i64) -> Self {
        let delay_minutes = usize::try_from(watermark_delay_ms.max(0)).unwrap_or(usize::MAX).div_ceil(60_000);
        let minutes = ROLLING_MINUTES + SPARE_MINUTES + delay_minutes.clamp(1, MAX_DELAY_MINUTES);
        Self { max_videos, minutes }
    }
}

impl Default for BoardSettings {
    /// A million videos and 35 minutes.
    fn default() -> Self {
        Self { max_videos: 1_000_000, minutes: 35 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_minutes_grow_with_the_watermarks_delay() {
        let minutes = |delay_ms| BoardSettings::for_watermark_delay(1, delay_ms).minutes;
        assert_eq!(minutes(10_000), BoardSettings::default().minutes);
        assert_eq!([-1, 0, 60_000, 60_001, 300_000, 86_400_000].map(minutes), [35, 35, 35, 36, 39, 94]);
    }
}
