//! Puts what an aggregator counts on the live board, batch by batch, before windows close.

use std::time::Duration;

use arrow::array::AsArray;
use pulselake_board::{LiveBoard, PartitionTime};
use pulselake_model::{DecodedBatch, GoldPosition};
use pulselake_telemetry::BoardMetrics;
use pulselake_window::{ApplyError, CountedDelta, PartitionWindows, window_end_us, window_start_us};

use crate::status::now_us;

/// From when on the board has all of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// Gold has older minutes: whoever reads them says from when on they are there.
    InGold,
    /// The run reads the partition's first record ever: from its first event on.
    FirstRecord,
    /// Older records are gone from the source: from the first full minute on.
    RecordsMissing,
}

impl Beginning {
    /// Of a run that goes on after `resume`, or begins at `first_offset`.
    pub(crate) fn of(resume: Option<GoldPosition>, first_offset: i64) -> Self {
        match resume.and_then(|position| position.closed_through_us) {
            Some(_) => Self::InGold,
            None if first_offset == 0 => Self::FirstRecord,
            None => Self::RecordsMissing,
        }
    }
}

/// One partition's way to the board.
pub(crate) struct BoardFeed {
    board: LiveBoard,
    partition: i32,
    generation: u64,
    /// `InGold` once it is settled.
    beginning: Beginning,
    deltas: Vec<CountedDelta>,
    metrics: BoardMetrics,
}

impl BoardFeed {
    /// A feed for a generation that has begun on the board; shows where `windows` stand.
    pub(crate) fn new(
        board: LiveBoard,
        partition: i32,
        generation: u64,
        beginning: Beginning,
        windows: &PartitionWindows,
    ) -> Self {
        let feed = Self {
            board,
            partition,
            generation,
            beginning,
            deltas: Vec::new(),
            metrics: BoardMetrics::default(),
        };
        feed.show_time(windows, false);
        feed
    }

    /// Applies a batch to the windows, and puts on the board what it has added to their counts.
    pub(crate) fn apply(
        &mut self,
        windows: &mut PartitionWindows,
        batch: &DecodedBatch,
    ) -> Result<(), ApplyError> {
        if !self.board.is_enabled() {
            return windows.apply(batch);
        }
        let was_replaying = windows.is_replaying();
        windows.apply_counting(batch, &mut self.deltas)?;
        let video_ids =
            batch.events.column_by_name("video_id").and_then(|column| column.as_string_opt::<i32>());
        // Without the column the windows have counted nothing.
        if let Some(ids) = video_ids {
            let counts =
                self.deltas.iter().map(|delta| (ids.value(delta.row), delta.minute_start_us, delta.counters));
            self.board.add_counts(self.partition, self.generation, counts);
        }
        self.settle_beginning(windows);
        self.show_time(windows, false);
        if !was_replaying {
            let now = now_us();
            let age = |time_us: &i64| Duration::from_micros(u64::try_from(now - time_us).unwrap_or(0));
            self.metrics.became_visible(batch.columns.stream_time_us.iter().map(age));
        }
        Ok(())
    }

    /// The partition stands at its end without records.
    pub(crate) fn idle(&self, windows: &PartitionWindows) {
        self.show_time(windows, true);
    }

    /// Shows how much the board holds.
    pub(crate) fn show_size(&self) {
        let stats = self.board.stats();
        self.metrics.holds(stats.videos, stats.memory_bytes, stats.evicted);
    }

    fn settle_beginning(&mut self, windows: &PartitionWindows) {
        let counted_from_us = self.deltas.iter().map(|delta| delta.minute_start_us).min();
        let covered_from_us = match self.beginning {
            Beginning::InGold => return,
            Beginning::FirstRecord => counted_from_us,
            // Some of the first minute's records may be among those that are gone.
            Beginning::RecordsMissing => {
                windows.stream_time_us().map(|time_us| window_end_us(window_start_us(time_us)))
            }
        };
        let Some(from_us) = covered_from_us.filter(|_| counted_from_us.is_some()) else { return };
        self.board.cover(self.partition, self.generation, from_us);
        self.beginning = Beginning::InGold;
    }

    fn show_time(&self, windows: &PartitionWindows, is_idle: bool) {
        let time = PartitionTime {
            watermark_us: windows.watermark_us(),
            closed_through_us: windows.closed_through_us(),
            newest_event_us: windows.stream_time_us(),
            is_replaying: windows.is_replaying(),
            is_idle,
        };
        self.board.advance(self.partition, self.generation, time);
    }
}
