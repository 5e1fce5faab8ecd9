//! What the live board shows of itself.

use std::time::Duration;

use metrics::{Counter, Gauge, counter, gauge};

use crate::exposition::{Histogram, histogram};
use crate::metric::Metric;

/// The live board of this process.
#[derive(Debug)]
pub struct BoardMetrics {
    videos: Gauge,
    bytes: Gauge,
    evicted: Counter,
    latency: Histogram,
}

impl Default for BoardMetrics {
    fn default() -> Self {
        Self {
            videos: gauge!(Metric::BoardVideos.name()),
            bytes: gauge!(Metric::BoardBytes.name()),
            evicted: counter!(Metric::BoardEvictions.name()),
            latency: histogram(Metric::BoardLatency, &[]),
        }
    }
}

impl BoardMetrics {
    /// What the board holds now, and how many videos it has ever put out for want of room.
    pub fn holds(&self, videos: usize, bytes: usize, evicted: u64) {
        self.videos.set(videos as f64);
        self.bytes.set(bytes as f64);
        self.evicted.absolute(evicted);
    }

    /// The events of a batch are on the board now; one age for each.
    pub fn became_visible(&self, ages: impl IntoIterator<Item = Duration>) {
        self.latency.observe_each(ages);
    }
}

/// What the pulse of this process is counted from. Parts and wholes, so that the figures of several processes can be added up.
#[derive(Debug)]
pub struct PulseMetrics {
    skips: Gauge,
    impressions: Gauge,
    active: Gauge,
    young: Gauge,
}

impl Default for PulseMetrics {
    fn default() -> Self {
        Self {
            skips: gauge!(Metric::NewestMinuteSkips.name()),
            impressions: gauge!(Metric::NewestMinuteImpressions.name()),
            active: gauge!(Metric::ActiveVideos.name()),
            young: gauge!(Metric::YoungVideos.name()),
        }
    }
}

impl PulseMetrics {
    /// Skips and impressions of the newest minute that is over; active videos, and those of them younger than an hour.
    pub fn counted(&self, skips: i64, impressions: i64, active: u64, young: u64) {
        self.skips.set(skips as f64);
        self.impressions.set(impressions as f64);
        self.active.set(active as f64);
        self.young.set(young as f64);
    }
}
