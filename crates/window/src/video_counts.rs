//! Counts per video of one window.

use std::collections::BTreeMap;
use std::fmt;

use hashbrown::HashMap;
use pulselake_model::{EventType, GoldRow, WindowCounters};

/// Counts of every video seen in one window.
///
/// Keyed by the boxed id: a video already there costs no allocation. The hasher is seeded per process, so that ids
/// chosen by strangers can't pile up in one bucket.
#[derive(Clone, Default)]
pub(crate) struct VideoCounts {
    videos: HashMap<Box<str>, WindowCounters>,
}

/// By rising id: the map's own order changes from run to run.
impl fmt::Debug for VideoCounts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self.videos.iter().collect::<BTreeMap<_, _>>()).finish()
    }
}

impl VideoCounts {
    /// Counts one event; true when it is the video's first in this window.
    pub(crate) fn add(&mut self, video_id: &str, event_type: EventType, watch_time_ms: i64) -> bool {
        let known = self.videos.len();
        self.videos.entry_ref(video_id).or_default().add(event_type, watch_time_ms);
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
        self.videos.into_iter().map(move |(video_id, counters)| GoldRow {
            video_id: video_id.into_string(),
            window_start_us,
            is_correction,
            counters,
        })
    }
}
