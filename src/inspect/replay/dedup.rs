//! Which replayed records gold must not count: their event_id has been there already. Pure.
//!
//! The stream deduplicates by stream time within a horizon. A replay comes later and out of order, so it takes event
//! time instead: the same id in the same partition, no further away than the horizon.

use std::collections::HashMap;

use pulselake_model::EventType;

/// One record on its way into gold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ReplayedEvent {
    /// Source partition.
    pub(super) partition: i32,
    /// Source offset.
    pub(super) offset: i64,
    /// `event_timestamp` (µs).
    pub(super) event_timestamp_us: i64,
    /// The video.
    pub(super) video_id: String,
    /// The kind.
    pub(super) event_type: EventType,
    /// Watch time (ms).
    pub(super) watch_time_ms: i64,
    /// Key of deduplication.
    pub(super) event_id_hash: u128,
}

/// Replayed records, and which of them are duplicates.
pub(super) struct Candidates {
    events: Vec<ReplayedEvent>,
    is_duplicate: Vec<bool>,
    by_id: HashMap<(i32, u128), Vec<usize>>,
    horizon_us: i64,
}

impl Candidates {
    /// The records of one replay: of several with one id, the one with the smallest offset counts.
    pub(super) fn new(mut events: Vec<ReplayedEvent>, horizon_us: i64) -> Self {
        events.sort_unstable_by_key(|event| (event.partition, event.offset));
        let mut by_id: HashMap<(i32, u128), Vec<usize>> = HashMap::new();
        let mut is_duplicate = vec![false; events.len()];
        for (index, event) in events.iter().enumerate() {
            let same_id = by_id.entry((event.partition, event.event_id_hash)).or_default();
            is_duplicate[index] = same_id.iter().any(|&earlier| {
                is_near(events[earlier].event_timestamp_us, event.event_timestamp_us, horizon_us)
            });
            same_id.push(index);
        }
        Self { events, is_duplicate, by_id, horizon_us }
    }

    /// A bronze row that is not of this replay.
    pub(super) fn sight(&mut self, partition: i32, event_id_hash: u128, event_timestamp_us: i64) {
        for &index in self.by_id.get(&(partition, event_id_hash)).into_iter().flatten() {
            if is_near(self.events[index].event_timestamp_us, event_timestamp_us, self.horizon_us) {
                self.is_duplicate[index] = true;
            }
        }
    }

    /// Event times (µs) between which a bronze row can make one of these a duplicate: at most `most` intervals, both
    /// ends included; none where deduplication is off.
    pub(super) fn intervals_us(&self, most: usize) -> Vec<(i64, i64)> {
        if self.horizon_us == 0 {
            return Vec::new();
        }
        let mut times: Vec<i64> = self.events.iter().map(|event| event.event_timestamp_us).collect();
        times.sort_unstable();
        let mut intervals: Vec<(i64, i64)> = Vec::new();
        for time in times {
            let (from, to) = (time.saturating_sub(self.horizon_us), time.saturating_add(self.horizon_us));
            match intervals.last_mut() {
                Some(last) if from <= last.1 => last.1 = to,
                _ => intervals.push((from, to)),
            }
        }
        // Too many: the neighbours that are nearest together become one.
        while intervals.len() > most.max(1) {
            let gap = |at: usize| intervals[at + 1].0 - intervals[at].1;
            let mut gaps: Vec<i64> = (0..intervals.len() - 1).map(gap).collect();
            let surplus = intervals.len() - most.max(1);
            gaps.sort_unstable();
            let widest_closed = gaps[surplus - 1];
            let mut merged: Vec<(i64, i64)> = Vec::new();
            for interval in intervals {
                match merged.last_mut() {
                    Some(last) if interval.0 - last.1 <= widest_closed => last.1 = interval.1,
                    _ => merged.push(interval),
                }
            }
            intervals = merged;
        }
        intervals
    }

    /// The records, each with whether it is a duplicate.
    pub(super) fn judged(&self) -> impl Iterator<Item = (&ReplayedEvent, bool)> {
        self.events.iter().zip(self.is_duplicate.iter().copied())
    }
}

fn is_near(left_us: i64, right_us: i64, horizon_us: i64) -> bool {
    horizon_us > 0 && left_us.abs_diff(right_us) <= horizon_us.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(partition: i32, offset: i64, event_timestamp_us: i64, event_id_hash: u128) -> ReplayedEvent {
        ReplayedEvent {
            partition,
            offset,
            event_timestamp_us,
            video_id: "v".into(),
            event_type: EventType::Like,
            watch_time_ms: 0,
            event_id_hash,
        }
    }

    fn duplicates(candidates: &Candidates) -> Vec<i64> {
        candidates.judged().filter(|(_, duplicate)| *duplicate).map(|(event, _)| event.offset).collect()
    }

    #[test]
    fn of_several_with_one_id_the_first_counts() {
        let events = vec![event(0, 9, 100, 7), event(0, 5, 110, 7), event(1, 6, 100, 7), event(0, 8, 100, 8)];
        assert_eq!(duplicates(&Candidates::new(events, 10)), [9]);
    }

    #[test]
    fn what_is_in_bronze_within_the_horizon_counts_no_more() {
        let events = vec![event(0, 1, 100, 7), event(0, 2, 200, 7), event(1, 3, 100, 7)];
        let mut candidates = Candidates::new(events, 10);
        candidates.sight(0, 7, 111);
        candidates.sight(0, 8, 100);
        candidates.sight(1, 7, 89);
        assert_eq!(duplicates(&candidates), [0; 0]);
        candidates.sight(0, 7, 110);
        assert_eq!(duplicates(&candidates), [1]);
    }

    #[test]
    fn a_horizon_of_zero_turns_it_off() {
        let mut candidates = Candidates::new(vec![event(0, 1, 100, 7), event(0, 2, 100, 7)], 0);
        candidates.sight(0, 7, 100);
        assert_eq!(duplicates(&candidates), [0; 0]);
        assert_eq!(candidates.intervals_us(8), []);
    }

    #[test]
    fn intervals_cover_every_record_and_stay_few() {
        let times = [0, 5, 100, 1_000, 1_030, 9_000];
        let events = times.iter().zip(0..).map(|(&time, offset)| event(0, offset, time, 1)).collect();
        let candidates = Candidates::new(events, 10);
        assert_eq!(
            candidates.intervals_us(9),
            [(-10, 15), (90, 110), (990, 1_010), (1_020, 1_040), (8_990, 9_010)]
        );
        assert_eq!(candidates.intervals_us(3), [(-10, 110), (990, 1_040), (8_990, 9_010)]);
        assert_eq!(candidates.intervals_us(1), [(-10, 9_010)]);
    }
}
