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
