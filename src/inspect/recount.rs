//! Bronze counted again, window by window, less what gold says: what remains must be explained by the ledger and by
//! repeated event_ids.
//!
//! Memory: about 100 bytes for each (partition, video, minute), not for each row. Names of videos are kept once.

use std::collections::{BTreeMap, HashMap};

use pulselake_model::{EventType, WindowCounters};
use pulselake_window::{window_end_us, window_start_us};

use super::ledgers::GoldProgress;
use super::repeats::Repeats;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct WindowKey {
    partition: i32,
    video: u32,
    window_start_us: i64,
}

/// A window of a video in a partition, by the order in which they were met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct WindowIndex(pub(crate) u32);

/// Bronze minus gold, per window.
#[derive(Debug, Default)]
pub(crate) struct Recount {
    videos: HashMap<Box<str>, u32>,
    indices: HashMap<WindowKey, WindowIndex>,
    windows: Vec<(WindowKey, WindowCounters)>,
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
    /// Of the others, events that no repeated event_id explains.
    pub(crate) unexplained_events: i64,
    /// A window with some.
    pub(crate) unexplained_example: Option<String>,
    /// Windows where gold has more events of some kind than bronze.
    pub(crate) exceeding: u64,
    /// One of them.
    pub(crate) exceeding_example: Option<String>,
    /// Windows where gold has a watch time that bronze does not explain.
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

    /// The window of a video that begins at `window_start_us`.
    pub(crate) fn window(&mut self, partition: i32, video_id: &str, window_start_us: i64) -> WindowIndex {
        let key = WindowKey { partition, video: self.video(video_id), window_start_us };
        *self.indices.entry(key).or_insert_with(|| {
            self.windows.push((key, WindowCounters::default()));
            // As with the videos.
            WindowIndex(u32::try_from(self.windows.len() - 1).unwrap_or(u32::MAX))
        })
    }

    /// Counts a bronze row; gives its window.
    pub(crate) fn add(
        &mut self,
        partition: i32,
        video_id: &str,
        event_timestamp_us: i64,
        event_type: EventType,
        watch_time_ms: i64,
    ) -> WindowIndex {
        let index = self.window(partition, video_id, window_start_us(event_timestamp_us));
        self.windows[index.0 as usize].1.add(event_type, watch_time_ms);
        index
    }

    /// Takes off what a gold row says.
    pub(crate) fn take_off(&mut self, index: WindowIndex, gold: &WindowCounters) {
        let left = &mut self.windows[index.0 as usize].1;
        for (mine, theirs) in left.by_type.iter_mut().zip(gold.by_type) {
            *mine = mine.saturating_sub(theirs);
        }
        left.watch_time_sum_ms = left.watch_time_sum_ms.saturating_sub(gold.watch_time_sum_ms);
    }

    /// What remains, per partition. `repeats` is what may be missing because event_ids are repeated.
    pub(crate) fn summarize(
        &self,
        progress: &BTreeMap<i32, GoldProgress>,
        repeats: &HashMap<WindowIndex, Repeats>,
    ) -> BTreeMap<i32, RecountSummary> {
        let none_repeated = Repeats::default();
        let mut summaries: BTreeMap<i32, RecountSummary> = BTreeMap::new();
        for ((key, left), index) in self.windows.iter().zip(0..) {
            let summary = summaries.entry(key.partition).or_default();
            let reached = progress.get(&key.partition).copied().unwrap_or_default();
            let repeated = repeats.get(&WindowIndex(index)).unwrap_or(&none_repeated);
            summary.windows += 1;
            summary.missing_events += left.events();
            let window_end_us = window_end_us(key.window_start_us);
            if !reached.has_closed(window_end_us) {
                summary.open_events += left.events();
            }
            if left.by_type.iter().any(|&count| count < 0) {
                summary.exceeding += 1;
                summary.exceeding_example.get_or_insert_with(|| self.describe(key, left));
            }
            let unexplained =
                if reached.has_closed_everywhere(window_end_us) { unexplained(left, repeated) } else { 0 };
            if unexplained > 0 {
                summary.unexplained_events += unexplained;
                summary.unexplained_example.get_or_insert_with(|| self.describe(key, left));
            }
            // What was dropped takes its watch time along, and nobody knows which that was.
            let all_are_repeats =
                unexplained == 0 && reached.dropped == 0 && reached.has_closed_everywhere(window_end_us);
            if !is_watch_time_explained(left, all_are_repeats.then_some(repeated)) {
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

/// Events of a closed window that gold lacks although their ids are not repeated.
fn unexplained(left: &WindowCounters, repeated: &Repeats) -> i64 {
    let kinds = left.by_type.iter().zip(repeated.by_type);
    let by_kind: i64 = kinds.map(|(&missing, most)| (missing - most).max(0)).sum();
    by_kind.max(left.events() - repeated.events)
}

/// Whether the watch time that gold lacks is that of the events that it lacks. Only where these are known to be
/// `repeats` is there an upper bound.
fn is_watch_time_explained(left: &WindowCounters, repeats: Option<&Repeats>) -> bool {
    let missing_ms = left.watch_time_sum_ms;
    if left.by_type == [0; EventType::COUNT] {
        return missing_ms == 0;
    }
    match repeats {
        Some(all) if left.events() == all.events => {
            (all.least_watch_time_ms..=all.most_watch_time_ms).contains(&missing_ms)
        }
        Some(some) => (0..=some.most_watch_time_ms).contains(&missing_ms),
        None => missing_ms >= 0,
    }
}
