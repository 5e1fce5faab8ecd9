//! The account of a run: what was sent, what it comes to, and when what is meant to be sent. Exact whatever happens to the
//! engine: it is kept by whoever sends.

use pulselake_generator::TruthCounts;

use super::promises::Promises;
use super::seconds::Second;
use super::sent::SentRecords;

/// The account of what was sent.
pub(crate) struct Account {
    /// When the run began, milliseconds since the epoch.
    pub(crate) start_ms: i64,
    pub(crate) sent: SentRecords,
    pub(crate) truth: TruthCounts,
    /// Set before anything is sent.
    pub(crate) promises: Promises,
    /// The furthest that sending has been behind its plan, milliseconds.
    pub(crate) worst_delay_ms: i64,
    /// The same since somebody has set it back.
    pub(crate) recent_delay_ms: i64,
    /// Records that are due by the end of each tenth of a second since the start, as far as they are made.
    due_by_tenth: Vec<u64>,
}

impl Account {
    /// Nothing is sent yet.
    pub(crate) fn new(start_ms: i64, sent: SentRecords) -> Self {
        let truth = TruthCounts::default();
        let promises = Promises::default();
        Self {
            start_ms,
            sent,
            truth,
            promises,
            worst_delay_ms: 0,
            recent_delay_ms: 0,
            due_by_tenth: Vec::new(),
        }
    }

    /// Records that are meant to be sent by this time, as far as they are made.
    pub(crate) fn intended_by(&self, now_ms: i64) -> u64 {
        let tenths = usize::try_from((now_ms - self.start_ms).div_euclid(100)).unwrap_or(0);
        let index = tenths.min(self.due_by_tenth.len());
        index.checked_sub(1).map_or(0, |last| self.due_by_tenth[last])
    }

    /// Takes in when the records of a second are due, before any of them is.
    pub(crate) fn plan(&mut self, second: &Second) {
        for due in &second.records {
            let tenth = (due.record.record_time_ms - self.start_ms).div_euclid(100);
            // A run's records are not before its start.
            let tenth = usize::try_from(tenth).unwrap_or(0);
            let last = self.due_by_tenth.last().copied().unwrap_or(0);
            if self.due_by_tenth.len() <= tenth {
                self.due_by_tenth.resize(tenth + 1, last);
            }
            self.due_by_tenth[tenth] += 1;
        }
    }
}
