//! Sparse memory of which stream time was reached at which offset, to tell a restart where to begin reading.
//!
//! Promise: the checkpoint it gives never lies after a record that a restart needs, and memory stays bounded
//! whatever the stream time does.

use std::collections::VecDeque;

/// Stream time between two checkpoints that are worth keeping apart (µs): a restart reads at most about this much more.
const SPACING_US: i64 = 1_000_000;

/// Most checkpoints kept; beyond it every second one goes, which only makes a restart read more.
const MAX_CHECKPOINTS: usize = 4_096;

/// Stream time as it was just before the record at `offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) offset: i64,
    /// `None` before the first valid record.
    pub(crate) stream_time_us: Option<i64>,
}

/// Checkpoints by rising offset, and so by stream time that never falls.
#[derive(Clone, Debug)]
pub(crate) struct Checkpoints {
    horizon_us: i64,
    /// Never empty: the first one serves any flush to come.
    kept: VecDeque<Checkpoint>,
}

impl Checkpoints {
    /// `first` is where reading begins: what a restart falls back on.
    pub(crate) fn new(horizon_us: i64, first: Checkpoint) -> Self {
        Self { horizon_us, kept: VecDeque::from([first]) }
    }

    /// Notes the state before a record that moves stream time to `after_us`.
    ///
    /// Called at the record that makes stream time advance: of all offsets with the same stream time its own is the
    /// last, so that a long stretch at one stream time need not be read again.
    pub(crate) fn note(&mut self, before: Checkpoint, after_us: i64) {
        if self.horizon_us == 0 {
            return; // `restart_for` answers without checkpoints
        }
        let Some(before_us) = before.stream_time_us else { return };
        let last_us = self.kept.back().and_then(|checkpoint| checkpoint.stream_time_us);
        if after_us <= before_us || last_us.is_some_and(|last| after_us.saturating_sub(last) < SPACING_US) {
            return;
        }
        self.kept.push_back(before);
        if self.kept.len() > MAX_CHECKPOINTS {
            let mut index = 0;
            self.kept.retain(|_| {
                index += 1;
                index % 2 == 1 // keeps the first
            });
        }
    }

    /// Where a restart must begin to judge every record from `needed` on as this run did: the latest checkpoint
    /// that lies one dedup horizon of stream time before it.
    pub(crate) fn restart_for(&self, needed: Checkpoint) -> Checkpoint {
        if self.horizon_us == 0 {
            return needed;
        }
        // `kept` is never empty and its first serves when no later one does.
        self.kept.get(self.index_for(needed)).copied().unwrap_or(needed)
    }

    /// Forgets what no flush can ask for any more; `needed` never moves back.
    pub(crate) fn prune(&mut self, needed: Checkpoint) {
        let index = self.index_for(needed);
        self.kept.drain(..index);
    }

    fn index_for(&self, needed: Checkpoint) -> usize {
        // `None` sorts before every time, as it should: nothing was read yet.
        let limit_us = needed.stream_time_us.map(|time| time.saturating_sub(self.horizon_us));
        let serves = |checkpoint: &Checkpoint| {
            checkpoint.offset <= needed.offset && checkpoint.stream_time_us <= limit_us
        };
        self.kept.partition_point(serves).saturating_sub(1)
    }

    /// Checkpoints kept.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.kept.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    fn at(offset: i64, seconds: i64) -> Checkpoint {
        Checkpoint { offset, stream_time_us: Some(seconds * SECOND) }
    }

    fn fresh(horizon_seconds: i64) -> Checkpoints {
        Checkpoints::new(horizon_seconds * SECOND, Checkpoint { offset: 0, stream_time_us: None })
    }

    /// One record a second: record `n` moves stream time from n − 1 to n seconds.
    fn steady(horizon_seconds: i64, records: i64) -> Checkpoints {
        let mut checkpoints = fresh(horizon_seconds);
        for offset in 1..records {
            checkpoints.note(at(offset, offset - 1), offset * SECOND);
        }
        checkpoints
    }

    #[test]
    fn a_restart_begins_one_horizon_before_what_is_needed() {
        let checkpoints = steady(120, 1_000);
        assert_eq!(checkpoints.restart_for(at(500, 499)), at(380, 379));
    }

    #[test]
    fn within_the_first_horizon_a_restart_begins_at_the_start() {
        let checkpoints = steady(120, 100);
        assert_eq!(checkpoints.restart_for(at(100, 99)).offset, 0);
        assert_eq!(checkpoints.restart_for(Checkpoint { offset: 0, stream_time_us: None }).offset, 0);
    }

    #[test]
    fn after_a_jump_the_whole_stretch_since_is_needed_and_nothing_before_it() {
        let mut checkpoints = fresh(120);
        checkpoints.note(at(1, 0), SECOND / 2);
        let just_before_the_jump = Checkpoint { offset: 700, stream_time_us: Some(SECOND / 2) };
        checkpoints.note(just_before_the_jump, 3_600 * SECOND);
        assert_eq!(checkpoints.restart_for(at(90_000, 3_600)), just_before_the_jump);
    }

    #[test]
    fn pruning_changes_no_answer() {
        let whole = steady(120, 1_000);
        let mut pruned = whole.clone();
        pruned.prune(at(500, 499));
        assert!(pruned.len() < whole.len());
        for offset in 500..1_000 {
            let needed = at(offset, offset - 1);
            assert_eq!(pruned.restart_for(needed), whole.restart_for(needed));
        }
    }

    #[test]
    fn memory_is_bounded_when_nothing_can_be_pruned() {
        let checkpoints = steady(120, 100_000);
        assert!(checkpoints.len() <= MAX_CHECKPOINTS);
        assert_eq!(checkpoints.restart_for(at(5, 4)).offset, 0);
        let late = checkpoints.restart_for(at(100_000, 99_999));
        assert!(late.stream_time_us <= Some(99_879 * SECOND), "{late:?}");
        assert!(late.offset > 99_000, "{late:?}");
    }

    #[test]
    fn without_deduplication_a_restart_begins_exactly_at_what_is_needed() {
        let mut checkpoints = fresh(0);
        checkpoints.note(at(1, 0), 50 * SECOND);
        assert_eq!(checkpoints.len(), 1);
        assert_eq!(checkpoints.restart_for(at(77, 12)), at(77, 12));
    }
}
