//! Bronze rows that share an event_id: the most that deduplication can have left out of gold, window by window.
//!
//! Whether a repeated id was a duplicate depends on stream time, which the tables don't keep. But nothing else may be
//! missing from a window, so an event that is lost and booked as a duplicate is found where no id is repeated.
//! Memory: 16 bytes for each row.

use std::collections::HashMap;

use pulselake_model::EventType;

use super::ledgers::GoldSight;
use super::recount::WindowIndex;

/// One row as a number, so that sorting is cheap: the hash of its id, then its window, kind and sight, then its watch
/// time (ms).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sighting(u128);

const WATCH_TIME_BITS: u32 = 32;
const SIGHT_BITS: u32 = 1;
const KIND_BITS: u32 = 3;
const WINDOW_BITS: u32 = 28;
const SIGHT_AT: u32 = WATCH_TIME_BITS;
const KIND_AT: u32 = SIGHT_AT + SIGHT_BITS;
const WINDOW_AT: u32 = KIND_AT + KIND_BITS;
const ID_AT: u32 = WINDOW_AT + WINDOW_BITS;
/// The window of rows that gold has not counted, and of those behind the 268 millionth, which no memory holds.
const NO_WINDOW: u32 = (1 << WINDOW_BITS) - 1;

impl Sighting {
    fn new(event_id: &str, window: u32, kind: u32, is_streamed: bool, watch_time_ms: i64) -> Self {
        // A body's watch time is at most seven days: it fits.
        let watch_time_ms = u32::try_from(watch_time_ms).unwrap_or(u32::MAX);
        let id_hash = pulselake_decode::record_hash(event_id.as_bytes());
        Self(
            (u128::from(id_hash) << ID_AT)
                | (u128::from(window.min(NO_WINDOW)) << WINDOW_AT)
                | (u128::from(kind) << KIND_AT)
                | (u128::from(is_streamed) << SIGHT_AT)
                | u128::from(watch_time_ms),
        )
    }

    fn id_hash(self) -> u64 {
        (self.0 >> ID_AT) as u64
    }

    fn window(self) -> u32 {
        (self.0 >> WINDOW_AT) as u32 & NO_WINDOW
    }

    fn kind(self) -> usize {
        (self.0 >> KIND_AT) as usize & ((1 << KIND_BITS) - 1)
    }

    fn is_streamed(self) -> bool {
        (self.0 >> SIGHT_AT) & 1 == 1
    }

    fn watch_time_ms(self) -> i64 {
        i64::from(self.0 as u32)
    }
}

/// Rows of one source partition by their event_id.
#[derive(Clone, Debug, Default)]
pub(crate) struct IdSightings {
    rows: Vec<Sighting>,
}

/// What may be missing from a window because its event_ids are repeated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Repeats {
    /// At most so many events.
    pub(crate) events: i64,
    /// At most so many of each kind.
    pub(crate) by_type: [i64; EventType::COUNT],
    /// Watch time (ms) of so many events at least.
    pub(crate) least_watch_time_ms: i64,
    /// And at most.
    pub(crate) most_watch_time_ms: i64,
}

impl IdSightings {
    /// Notes a row that gold has counted, or recognised.
    pub(crate) fn add(
        &mut self,
        event_id: &str,
        sight: GoldSight,
        window: WindowIndex,
        event_type: EventType,
        watch_time_ms: i64,
    ) {
        let is_streamed = sight == GoldSight::Streamed;
        self.rows.push(Sighting::new(event_id, window.0, event_type as u32, is_streamed, watch_time_ms));
    }

    /// Notes a row that gold has not reached: a replay may have found its id all the same.
    pub(crate) fn add_ahead(&mut self, event_id: &str) {
        self.rows.push(Sighting::new(event_id, NO_WINDOW, 0, false, 0));
    }

    /// Adds what may be missing to `windows`; gives how many rows taken from the stream have an id that another of
    /// them has.
    pub(crate) fn finish(mut self, windows: &mut HashMap<WindowIndex, Repeats>) -> u64 {
        self.rows.sort_unstable_by_key(|row| row.0);
        let mut repeated_in_stream = 0;
        for same_id in self.rows.chunk_by(|one, other| one.id_hash() == other.id_hash()) {
            if same_id.len() < 2 {
                continue;
            }
            let streamed = same_id.iter().filter(|row| row.is_streamed()).count() as u64;
            repeated_in_stream += streamed.saturating_sub(1);
            for in_window in same_id.chunk_by(|one, other| one.window() == other.window()) {
                let window = in_window[0].window();
                if window != NO_WINDOW {
                    // One of all rows with this id has been counted.
                    let most = in_window.len().min(same_id.len() - 1);
                    windows.entry(WindowIndex(window)).or_default().extend(in_window, most);
                }
            }
        }
        repeated_in_stream
    }
}

impl Repeats {
    fn extend(&mut self, rows: &[Sighting], most: usize) {
        let mut by_type = [0; EventType::COUNT];
        for row in rows {
            by_type[row.kind()] += 1;
        }
        for (mine, more) in self.by_type.iter_mut().zip(by_type) {
            *mine += more.min(most as i64);
        }
        self.events += most as i64;
        let mut watch_times_ms: Vec<i64> = rows.iter().map(|row| row.watch_time_ms()).collect();
        watch_times_ms.sort_unstable();
        self.least_watch_time_ms += watch_times_ms[..most].iter().sum::<i64>();
        self.most_watch_time_ms += watch_times_ms[rows.len() - most..].iter().sum::<i64>();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sightings(rows: &[(&str, u32, EventType, i64)]) -> IdSightings {
        let mut all = IdSightings::default();
        for &(id, window, kind, watch_time_ms) in rows {
            all.add(id, GoldSight::Streamed, WindowIndex(window), kind, watch_time_ms);
        }
        all
    }

    #[test]
    fn of_one_id_all_but_one_may_be_missing() {
        let rows = [
            ("a", 5, EventType::Like, 10),
            ("b", 5, EventType::Like, 1),
            ("a", 5, EventType::Skip, 30),
            ("a", 7, EventType::Like, 20),
            ("c", 7, EventType::Share, 2),
        ];
        let mut windows = HashMap::new();
        assert_eq!(sightings(&rows).finish(&mut windows), 2);
        assert_eq!(windows.len(), 2);
        let fifth = &windows[&WindowIndex(5)];
        assert_eq!((fifth.events, fifth.by_type), (2, [0, 0, 0, 1, 0, 1]));
        assert_eq!((fifth.least_watch_time_ms, fifth.most_watch_time_ms), (40, 40));
        let seventh = &windows[&WindowIndex(7)];
        assert_eq!((seventh.events, seventh.by_type), (1, [0, 0, 0, 1, 0, 0]));
    }

    #[test]
    fn rows_that_gold_has_not_reached_explain_others_and_belong_to_no_window() {
        let mut rows = sightings(&[("a", 5, EventType::Like, 10)]);
        rows.add_ahead("a");
        rows.add_ahead("z");
        rows.add_ahead("z");
        let mut windows = HashMap::new();
        assert_eq!(rows.finish(&mut windows), 0);
        assert_eq!(windows.keys().collect::<Vec<_>>(), [&WindowIndex(5)]);
    }

    #[test]
    fn a_repeated_row_of_two_watch_times_leaves_both_open() {
        let rows = [("a", 5, EventType::Like, 10), ("a", 5, EventType::Like, 30)];
        let mut windows = HashMap::new();
        sightings(&rows).finish(&mut windows);
        let found = &windows[&WindowIndex(5)];
        assert_eq!((found.events, found.least_watch_time_ms, found.most_watch_time_ms), (1, 10, 30));
    }
}
