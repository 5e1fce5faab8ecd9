//! What a batch has added to the counts, for whoever shows them before their window closes.
//!
//! A count is in the deltas of the batch that brought it, once: whether its window was open, or is corrected later. A
//! restart's replay gives those again that go into open windows, and no other. So what was committed, and the deltas since
//! the state was made from that commit, together are what gold has now, plus the open windows, plus the corrections that
//! wait.

use pulselake_model::{EventType, WindowCounters};

/// Counts of one video in one minute that a batch has added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountedDelta {
    /// A row of the batch's `events` that names the video.
    pub row: usize,
    /// Start of the minute (µs).
    pub minute_start_us: i64,
    /// The counts. A video and minute have a second delta where the minute closed in the middle of the batch.
    pub counters: WindowCounters,
}

/// One event that was counted.
#[derive(Clone, Copy)]
pub(crate) struct CountedEvent {
    pub(crate) row: usize,
    pub(crate) minute_start_us: i64,
    pub(crate) event_type: EventType,
    pub(crate) watch_time_ms: i64,
}

/// Where counted events go beside the windows.
pub(crate) trait DeltaSink {
    /// Takes one event. `last_delta` belongs to the counts that it went into, and is this sink's to use.
    fn note(&mut self, last_delta: &mut u64, event: CountedEvent);
}

/// Nobody asks: costs nothing.
impl DeltaSink for () {
    fn note(&mut self, _: &mut u64, _: CountedEvent) {}
}

/// Sums the events of one batch up, without looking a video up a second time: counts remember the number of their last
/// delta. Numbers rise over the state's life, so one from an earlier batch is recognised.
pub(crate) struct DeltaCollector<'a> {
    pub(crate) deltas: &'a mut Vec<CountedDelta>,
    /// Deltas of earlier batches.
    pub(crate) issued_before: u64,
}

impl DeltaSink for DeltaCollector<'_> {
    fn note(&mut self, last_delta: &mut u64, event: CountedEvent) {
        if *last_delta <= self.issued_before {
            let CountedEvent { row, minute_start_us, .. } = event;
            self.deltas.push(CountedDelta { row, minute_start_us, counters: WindowCounters::default() });
            *last_delta = self.issued_before + self.deltas.len() as u64;
        }
        let index = *last_delta - self.issued_before - 1;
        self.deltas[index as usize].counters.add(event.event_type, event.watch_time_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_video_has_one_delta_a_batch_and_another_in_the_next() {
        let impression = |row| CountedEvent {
            row,
            minute_start_us: 0,
            event_type: EventType::Impression,
            watch_time_ms: 0,
        };
        let (mut one, mut other) = (0, 0);
        let mut deltas = Vec::new();
        let mut collector = DeltaCollector { deltas: &mut deltas, issued_before: 0 };
        collector.note(&mut one, impression(0));
        collector.note(&mut other, impression(1));
        collector.note(&mut one, impression(2));
        let found = |deltas: &[CountedDelta]| {
            deltas.iter().map(|delta| (delta.row, delta.counters.events())).collect::<Vec<_>>()
        };
        assert_eq!(found(&deltas), [(0, 2), (1, 1)]);
        deltas.clear();
        let mut collector = DeltaCollector { deltas: &mut deltas, issued_before: 2 };
        collector.note(&mut other, impression(0));
        collector.note(&mut one, impression(4));
        collector.note(&mut other, impression(5));
        assert_eq!(found(&deltas), [(0, 2), (4, 1)]);
    }
}
