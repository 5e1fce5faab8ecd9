//! What batches add to the counts, against what is committed, open and waiting.

use std::collections::BTreeMap;

use arrow::array::{Array, StringArray};
use proptest::prelude::*;
use pulselake_model::{EventType, GoldFlush, GoldRow, WindowCounters};
use pulselake_window::{CountedDelta, PartitionWindows, WindowSettings};

use crate::harness::Run;
use crate::log::Log;
use crate::properties::{Step, draws, log_of, settings, steps};

type Shown = BTreeMap<(String, i64), WindowCounters>;

/// Somebody who shows counts: at a start what is committed, from then on what each batch adds.
struct Board<'a> {
    run: Run<'a>,
    shown: Shown,
    deltas: Vec<CountedDelta>,
}

fn add_rows<'r>(shown: &mut Shown, rows: impl IntoIterator<Item = &'r GoldRow>) {
    for row in rows {
        let sums = shown.entry((row.video_id.clone(), row.window_start_us)).or_default();
        sums.merge(&row.counters);
    }
}

/// What a flush would hold, in one order.
fn flushed(windows: &PartitionWindows) -> Option<GoldFlush> {
    let mut flush = windows.clone().flush()?;
    flush.rows.sort_by(|one, other| {
        let key = |row: &GoldRow| (row.video_id.clone(), row.window_start_us, row.is_correction);
        key(one).cmp(&key(other))
    });
    Some(flush)
}

impl<'a> Board<'a> {
    fn new(log: &'a Log, settings: WindowSettings) -> Self {
        Self { run: Run::new(log, settings), shown: Shown::new(), deltas: Vec::new() }
    }

    fn read_to(&mut self, to: i64) {
        let from = self.run.windows.next_offset();
        if from >= to {
            return;
        }
        let batch = self.run.log.batch(from, to);
        let mut silent = self.run.windows.clone();
        self.run.windows.apply_counting(&batch, &mut self.deltas).unwrap();
        silent.apply(&batch).unwrap();
        assert_eq!(flushed(&silent), flushed(&self.run.windows), "asking for deltas changes nothing");
        let column = batch.events.column_by_name("video_id").unwrap();
        let videos = column.as_any().downcast_ref::<StringArray>().unwrap();
        for delta in &self.deltas {
            assert!(delta.counters.events() > 0, "a delta without events");
            let key = (videos.value(delta.row).to_owned(), delta.minute_start_us);
            self.shown.entry(key).or_default().merge(&delta.counters);
        }
    }

    fn start_again(&mut self) {
        self.run.crash();
        self.shown.clear();
        add_rows(&mut self.shown, &self.run.rows);
    }

    /// Committed, open and waiting rows together.
    fn expected(&self) -> Shown {
        let mut expected = Shown::new();
        add_rows(&mut expected, &self.run.rows);
        let mut ended = self.run.windows.clone();
        ended.close_idle();
        add_rows(&mut expected, &ended.flush().unwrap().rows);
        expected
    }

    fn check(&self) {
        if !self.run.windows.is_replaying() {
            assert_eq!(self.shown, self.expected());
        }
    }
}

#[test]
fn late_events_and_those_on_time_are_in_the_deltas_and_duplicates_and_dropped_ones_are_not() {
    let mut log = Log::new(0);
    log.view(1, "a", 0).view(1, "a", 1).view(2, "a", 2).view(3, "b", 500).view(4, "a", 30).view(5, "a", 499);
    log.view(6, "a", -4_000);
    let settings = WindowSettings { allowed_lateness_ms: 600_000, ..WindowSettings::default() };
    let mut run = Run::new(&log, settings);
    let mut deltas = Vec::new();
    run.windows.apply_counting(&log.batch(0, log.end), &mut deltas).unwrap();
    let found: Vec<_> = deltas
        .iter()
        .map(|delta| {
            (
                delta.row,
                delta.minute_start_us / 60_000_000,
                delta.counters.by_type[EventType::Impression as usize],
            )
        })
        .collect();
    assert_eq!(found, [(0, 0, 2), (3, 8, 1), (4, 0, 1), (5, 8, 1)]);
    assert_eq!((run.windows.counts().duplicates, run.windows.counts().dropped), (1, 1));
}

#[test]
fn a_replay_gives_what_goes_into_open_windows_again_and_nothing_else() {
    let mut log = Log::new(0);
    log.view(1, "a", 0).view(2, "a", 50).view(3, "a", 75).view(4, "b", 90);
    let mut board = Board::new(&log, WindowSettings::default());
    board.read_to(log.end);
    board.run.flush();
    board.start_again();
    assert_eq!(board.run.windows.next_offset(), 0, "the whole log is within the horizon");
    board.read_to(log.end);
    let rows: Vec<_> = board.deltas.iter().map(|delta| (delta.row, delta.counters.events())).collect();
    assert_eq!(rows, [(2, 1), (3, 1)]);
    board.check();
}

#[test]
fn a_batch_that_does_not_fit_leaves_no_deltas() {
    let mut log = Log::new(0);
    log.view(1, "a", 0).view(2, "a", 1);
    let mut run = Run::new(&log, WindowSettings::default());
    let mut deltas = Vec::new();
    run.windows.apply_counting(&log.batch(0, 1), &mut deltas).unwrap();
    assert_eq!(deltas.len(), 1);
    run.windows.apply_counting(&log.batch(0, 1), &mut deltas).unwrap_err();
    assert_eq!(deltas, []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    /// Whatever was flushed, lost and read again: what is shown is what is committed, open and waiting.
    #[test]
    fn nothing_is_shown_twice_or_missing(
        draws in draws(),
        first in -5_i64..1_000,
        settings in settings(0_i64..400_000),
        steps in steps(true),
    ) {
        let log = log_of(first, &draws);
        let mut board = Board::new(&log, settings);
        for step in &steps {
            match step {
                Step::Read(offsets) => {
                    board.read_to((board.run.windows.next_offset() + offsets).min(log.end));
                }
                Step::Flush => {
                    board.run.flush();
                }
                Step::LoseFlush => {
                    board.run.take_flush();
                    board.start_again();
                }
                Step::Idle => {
                    board.run.idle();
                }
                Step::Crash => board.start_again(),
            }
            board.check();
        }
        board.read_to(log.end);
        board.check();
    }
}
