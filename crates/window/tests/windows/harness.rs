//! Drives the state over a log with flushes, idle closes and crashes, and checks every promise on the way.

use pulselake_model::{GoldFlush, GoldPosition, GoldRow};
use pulselake_window::{PartitionWindows, WindowSettings};

use crate::log::Log;
use crate::oracle::{Sums, check_restart_point};

/// The state, and what was committed of it.
#[derive(Clone)]
pub(crate) struct Run<'a> {
    pub(crate) log: &'a Log,
    pub(crate) settings: WindowSettings,
    pub(crate) windows: PartitionWindows,
    pub(crate) committed: Option<GoldPosition>,
    pub(crate) rows: Vec<GoldRow>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(log: &'a Log, settings: WindowSettings) -> Self {
        let windows = PartitionWindows::new(settings, None, log.first);
        Self { log, settings, windows, committed: None, rows: Vec::new() }
    }

    /// Applies the offsets from where the state stands to `to` in one batch.
    pub(crate) fn read_to(&mut self, to: i64) -> &mut Self {
        let from = self.windows.next_offset();
        if from < to {
            self.windows.apply(&self.log.batch(from, to)).unwrap();
            assert_eq!(self.windows.next_offset(), to);
        }
        self
    }

    pub(crate) fn read_all(&mut self) -> &mut Self {
        self.read_to(self.log.end)
    }

    /// Takes a flush and checks it, without committing it.
    pub(crate) fn take_flush(&mut self) -> Option<GoldFlush> {
        let pending = self.windows.pending_rows();
        let replaying = self.windows.is_replaying();
        let flush = self.windows.flush();
        assert_eq!(flush.is_none(), replaying, "only a replay has nothing to flush");
        let flush = flush?;
        assert_eq!(flush.rows.len(), pending, "pending_rows counts the rows of the next flush");
        assert_eq!(self.windows.pending_rows(), 0);
        assert!(!self.windows.has_unflushed_progress());
        self.check(&flush);
        Some(flush)
    }

    fn check(&self, flush: &GoldFlush) {
        let position = &flush.position;
        let events: i64 = self.rows.iter().chain(&flush.rows).map(|row| row.counters.events()).sum();
        let explained =
            position.quarantined + position.duplicates + position.dropped + position.open + events as u64;
        assert_eq!(position.records, explained, "audit of {position:?} with {events} events in gold");
        assert_eq!(position.records + position.gaps, (position.next - self.log.first) as u64);
        let mut keys: Vec<_> =
            flush.rows.iter().map(|row| (&row.video_id, row.window_start_us, row.is_correction)).collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), flush.rows.len(), "two rows of one kind for one video and window");
        assert!(flush.rows.iter().all(|row| row.counters.events() > 0), "a row without events");
        check_restart_point(self.log, &self.settings, position);
        if let Some(before) = &self.committed {
            assert!(position.next >= before.next);
            assert!(position.replay_from >= before.replay_from);
            assert!(position.closed_through_us >= before.closed_through_us);
        }
    }

    /// Flushes and commits.
    pub(crate) fn flush(&mut self) -> &mut Self {
        if let Some(flush) = self.take_flush() {
            self.rows.extend(flush.rows);
            self.committed = Some(flush.position);
        }
        self
    }

    pub(crate) fn idle(&mut self) -> &mut Self {
        let (open, replaying) = (self.windows.open_windows(), self.windows.is_replaying());
        assert_eq!(self.windows.close_idle(), open > 0 && !replaying);
        self
    }

    /// Loses the state and starts again from what was committed.
    pub(crate) fn crash(&mut self) -> &mut Self {
        self.windows = PartitionWindows::new(self.settings, self.committed, self.log.first);
        self
    }

    /// Reads the rest, closes everything, commits.
    pub(crate) fn finish(&mut self) -> &mut Self {
        self.read_all().idle().flush();
        assert_eq!(self.windows.open_events(), 0);
        assert_eq!(self.windows.replay_difference(), None);
        self
    }

    /// The committed rows added up.
    pub(crate) fn sums(&self) -> Sums {
        let mut sums = Sums::new();
        for row in &self.rows {
            let sum = sums.entry((row.video_id.clone(), row.window_start_us, row.is_correction)).or_default();
            for (mine, theirs) in sum.iter_mut().zip(row.counters.by_type) {
                *mine += theirs;
            }
            sum[6] += row.counters.watch_time_sum_ms;
        }
        sums
    }
}
