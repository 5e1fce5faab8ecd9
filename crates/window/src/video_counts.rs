//! Counts per video of one window.

use std::collections::BTreeMap;
use std::fmt;

use hashbrown::HashMap;
use pulselake_model::{GoldRow, WindowCounters};

use crate::deltas::{CountedEvent, DeltaSink};

/// Counts of every video seen in one window.
///
/// Keyed by the boxed id: a video already there costs no allocation. The hasher is seeded per process, so that ids
/// chosen by strangers can't pile up in one bucket.
#[derive(Clone, Default)]
pub(crate) struct VideoCounts {
    videos: HashMap<Box<str>, Counts>,
}

#[derive(Clone, Default)]
struct Counts {
    counters: WindowCounters,
    /// See [`DeltaSink::note`].
    last_delta: u64,
}

/// By rising id: the map's own order changes from run to run. Without the deltas' numbers: they change no count.
impl fmt::Debug for VideoCounts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sorted: BTreeMap<_, _> = self.videos.iter().map(|(id, counts)| (id, &counts.counters)).collect();
        formatter.debug_map().entries(sorted).finish()
    }
}

impl VideoCounts {
    /// Counts one event; true when it is the video's first in this window.
    pub(crate) fn add(&mut self, video_id: &str, event: CountedEvent, sink: &mut impl DeltaSink) -> bool {
        let known = self.videos.len();
        let counts = self.videos.entry_ref(video_id).or_default();
        counts.counters.add(event.event_type, event.watch_time_ms);
        sink.note(&mut counts.last_delta, event);
        self.videos.len() > known
    }

    /// How many videos have counts: the rows that [`Self::into_rows`] gives.
    pub(crate) fn len(&self) -> usize {
        self.videos.len()
    }

    /// Turns the counts into rows, one a video.
    pub(crate) fn into_rows(
        self,
        window_start_us: i64,
        is_correction: bool,
    ) -> impl ExactSizeIterator<Item = GoldRow> {
        self.videos.into_iter().map(move |(video_id, counts)| GoldRow {
            video_id: video_id.into_string(),
            window_start_us,
            is_correction,
            counters: counts.counters,
        })
    }
}
