//! Bronze counted again, window by window, less what gold says: what remains must be explained by the ledger.
//!
//! Memory: about 100 bytes for each (partition, video, minute), not for each row. Names of videos are kept once.

use std::collections::{BTreeMap, HashMap};

use pulselake_model::{EventType, WindowCounters};
use pulselake_window::{window_end_us, window_start_us};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct WindowKey {
    partition: i32,
    video: u32,
    window_start_us: i64,
}

/// Bronze minus gold, per window.
#[derive(Debug, Default)]
pub(crate) struct Recount {
    videos: HashMap<Box<str>, u32>,
    windows: HashMap<WindowKey, WindowCounters>,
}

/// What the recount of one partition says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RecountSummary {
    /// Windows of videos looked at.
    pub(crate) windows: u64,
    /// Events in bronze that are not in gold, over all windows.
    pub(crate) missing_events: i64,
    /// Of these, in windows that gold has not closed.
    pub(crate) open_events: i64,
    /// Windows where gold has more events of some kind than bronze.
    pub(crate) exceeding: u64,
    /// One of them.
    pub(crate) exceeding_example: Option<String>,
    /// Windows where gold has more watch time, or another one although all counts agree.
    pub(crate) wrong_watch_time: u64,
    /// One of them.
    pub(crate) watch_time_example: Option<String>,
}

impl Recount {
    fn video(&mut self, video_id: &str) -> u32 {
        if let Some(&known) = self.videos.get(video_id) {
            return known;
        }
        // Four billion videos would not fit into memory by far.
        let number = u32::try_from(self.videos.len()).unwrap_or(u32::MAX);
        self.videos.insert(video_id.into(), number);
        number
    }

    /// The key of a window of a video.
    pub(crate) fn key(&mut self, partition: i32, video_id: &str, window_start_us: i64) -> WindowKey {
        WindowKey { partition, video: self.video(video_id), window_start_us }
    }

    /// Counts a bronze row.
    pub(crate) fn add(
        &mut self,
        partition: i32,
        video_id: &str,
        event_timestamp_us: i64,
        event_type: EventType,
        watch_time_ms: i64,
    ) {
        let key = self.key(partition, video_id, window_start_us(event_timestamp_us));
        self.windows.entry(key).or_default().add(event_type, watch_time_ms);
    }

    /// Takes off what a gold row says.
    pub(crate) fn take_off(&mut self, key: WindowKey, gold: &WindowCounters) {
        let left = self.windows.entry(key).or_default();
        for (mine, theirs) in left.by_type.iter_mut().zip(gold.by_type) {
            *mine = mine.saturating_sub(theirs);
        }
        left.watch_time_sum_ms = left.watch_time_sum_ms.saturating_sub(gold.watch_time_sum_ms);
    }

    /// What remains, per partition. `closed_through_us` is the end of the last window that gold has closed.
    pub(crate) fn summarize(&self, closed_through_us: &BTreeMap<i32, i64>) -> BTreeMap<i32, RecountSummary> {
        let mut summaries: BTreeMap<i32, RecountSummary> = BTreeMap::new();
        for (key, left) in &self.windows {
            let summary = summaries.entry(key.partition).or_default();
            summary.windows += 1;
            summary.missing_events += left.events();
            let window_end_us = window_end_us(key.window_start_us);
            if closed_through_us.get(&key.partition).is_none_or(|&through_us| window_end_us > through_us) {
                summary.open_events += left.events();
            }
            if left.by_type.iter().any(|&count| count < 0) {
                summary.exceeding += 1;
                summary.exceeding_example.get_or_insert_with(|| self.describe(key, left));
            }
            let same_counts = left.by_type == [0; EventType::COUNT];
            if left.watch_time_sum_ms < 0 || (same_counts && left.watch_time_sum_ms != 0) {
                summary.wrong_watch_time += 1;
                summary.watch_time_example.get_or_insert_with(|| self.describe(key, left));
            }
        }
        summaries
    }

    fn describe(&self, key: &WindowKey, left: &WindowCounters) -> String {
        let video =
            self.videos.iter().find(|&(_, &number)| number == key.video).map_or("?", |(name, _)| name);
        let kinds = EventType::ALL.into_iter().zip(left.by_type).filter(|&(_, count)| count != 0);
        let mut differences: Vec<String> =
            kinds.map(|(kind, count)| format!("{} {count:+}", kind.as_str())).collect();
        if left.watch_time_sum_ms != 0 {
            differences.push(format!("watch_time_ms {:+}", left.watch_time_sum_ms));
        }
        format!(
            "{video:?} at {}: bronze less gold is {}",
            super::report::time_text(key.window_start_us),
            differences.join(", ")
        )
    }
}
