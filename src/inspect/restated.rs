//! What gold's rows of restatements say, gathered row by row. They come from no source: nothing of the stream's equations
//! is asked of them, and they are asked none.

use std::collections::{BTreeMap, HashSet};

use pulselake_model::WindowCounters;
use pulselake_model::gold_counts::{COUNT_COLUMNS, WATCH_TIME_COLUMN};

use super::evidence::GoldRowSeen;
use super::report::time_text;

/// Rows of restatements.
#[derive(Clone, Debug, Default)]
pub(crate) struct RestatedEvidence {
    /// How many.
    pub(crate) rows: u64,
    /// What they add up to.
    pub(crate) sums: WindowCounters,
    /// Rows whose (video_id, window_start, revision) another of them had before.
    pub(crate) repeated_grains: u64,
    /// One of them.
    pub(crate) repeated_example: Option<String>,
    /// The lowest and the highest revision.
    pub(crate) revisions: Option<(i32, i32)>,
    grains: HashSet<(Box<str>, i64, i32)>,
}

impl RestatedEvidence {
    /// Takes a row.
    pub(crate) fn add(&mut self, row: &GoldRowSeen<'_>) {
        self.rows += 1;
        self.sums.merge(&row.counters);
        let (lowest, highest) = self.revisions.unwrap_or((row.revision, row.revision));
        self.revisions = Some((lowest.min(row.revision), highest.max(row.revision)));
        if !self.grains.insert((row.video_id.into(), row.window_start_us, row.revision)) {
            self.repeated_grains += 1;
            self.repeated_example.get_or_insert_with(|| {
                format!("{:?} at {} revision {}", row.video_id, time_text(row.window_start_us), row.revision)
            });
        }
    }

    /// The sums by column, those of 0 left out.
    pub(crate) fn sums_by_column(&self) -> BTreeMap<String, i64> {
        let counts = COUNT_COLUMNS.into_iter().zip(self.sums.by_type);
        let all = counts.chain([(WATCH_TIME_COLUMN, self.sums.watch_time_sum_ms)]);
        all.filter(|(_, sum)| *sum != 0).map(|(column, sum)| (column.to_owned(), sum)).collect()
    }
}
