//! Which minutes of which partitions are to be decided about now. Pure: the clock is an argument.

use std::collections::BTreeMap;

use pulselake_decision::MINUTE_US;

/// A minute that closed longer ago than this many is not decided about any more: what it called for is past. Also what is
/// decided again after a start, when nobody remembers what was: those decisions are in the queue already.
pub(super) const MINUTES_BACK: i64 = 3;

/// A partition that may be decided about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReadyPartition {
    pub(super) partition: i32,
    /// Start of its newest closed minute, µs.
    pub(super) newest_closed_us: i64,
    /// Whether it stands at its end: nobody has to wait for it.
    pub(super) is_idle: bool,
}

/// Minutes of one partition that are due, by their starts (µs), the oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) partition: i32,
    pub(super) minutes: Vec<i64>,
}

/// What was decided about, and how long the newest minute has waited.
#[derive(Debug, Default)]
pub(super) struct Pacing {
    decided_through: BTreeMap<i32, i64>,
    /// The newest minute that waits, and since when.
    waiting: Option<(i64, i64)>,
}

impl Pacing {
    /// What is due at `now_us`; nothing while partitions that have not closed the newest minute are waited for, at most
    /// `straggler_wait_us`.
    pub(super) fn due(&mut self, ready: &[ReadyPartition], now_us: i64, straggler_wait_us: i64) -> Vec<Due> {
        let is_open = |found: &&ReadyPartition| {
            self.decided_through.get(&found.partition).is_none_or(|through| found.newest_closed_us > *through)
        };
        let open: Vec<&ReadyPartition> = ready.iter().filter(is_open).collect();
        let Some(newest_us) = open.iter().map(|found| found.newest_closed_us).max() else {
            self.waiting = None;
            return Vec::new();
        };
        let since_us = match self.waiting {
            Some((minute_us, since_us)) if minute_us == newest_us => since_us,
            _ => now_us,
        };
        self.waiting = Some((newest_us, since_us));
        let are_all_there = ready.iter().all(|found| found.is_idle || found.newest_closed_us >= newest_us);
        if !are_all_there && now_us.saturating_sub(since_us) < straggler_wait_us {
            return Vec::new();
        }
        open.into_iter().map(|found| self.due_of(found)).collect()
    }

    fn due_of(&self, ready: &ReadyPartition) -> Due {
        let earliest_us = ready.newest_closed_us - (MINUTES_BACK - 1) * MINUTE_US;
        let next_us = self.decided_through.get(&ready.partition).map(|through| through + MINUTE_US);
        let first_us = next_us.map_or(earliest_us, |next| next.max(earliest_us));
        let count = (ready.newest_closed_us - first_us) / MINUTE_US + 1;
        let minutes = (0..count).map(|number| first_us + number * MINUTE_US).collect();
        Due { partition: ready.partition, minutes }
    }

    /// These were decided about, or may not be any more.
    pub(super) fn decided(&mut self, due: &[Due]) {
        for of_partition in due {
            let Some(&newest_us) = of_partition.minutes.last() else { continue };
            let through = self.decided_through.entry(of_partition.partition).or_insert(newest_us);
            *through = newest_us.max(*through);
        }
        self.waiting = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT_US: i64 = 5_000_000;

    fn closed(partition: i32, minute: i64) -> ReadyPartition {
        ReadyPartition { partition, newest_closed_us: minute * MINUTE_US, is_idle: false }
    }

    /// (partition, first minute, last minute)
    fn spans(due: &[Due]) -> Vec<(i32, i64, i64)> {
        let span = |found: &Due| {
            let minutes = &found.minutes;
            (found.partition, minutes[0] / MINUTE_US, minutes[minutes.len() - 1] / MINUTE_US)
        };
        due.iter().map(span).collect()
    }

    #[test]
    fn a_minute_that_all_have_closed_is_due_at_once_and_once() {
        let mut pacing = Pacing::default();
        let due = pacing.due(&[closed(0, 10), closed(1, 10)], 0, WAIT_US);
        assert_eq!(spans(&due), [(0, 8, 10), (1, 8, 10)]);
        pacing.decided(&due);
        assert!(pacing.due(&[closed(0, 10), closed(1, 10)], 1, WAIT_US).is_empty());
        let due = pacing.due(&[closed(0, 11), closed(1, 11)], 2, WAIT_US);
        assert_eq!(spans(&due), [(0, 11, 11), (1, 11, 11)]);
    }

    #[test]
    fn stragglers_are_waited_for_and_come_after() {
        let mut pacing = Pacing::default();
        pacing.decided(&pacing_due(&mut Pacing::default(), 10));
        let late = [closed(0, 11), closed(1, 10)];
        assert!(pacing.due(&late, 100, WAIT_US).is_empty());
        assert!(pacing.due(&late, 100 + WAIT_US - 1, WAIT_US).is_empty());
        let due = pacing.due(&late, 100 + WAIT_US, WAIT_US);
        assert_eq!(spans(&due), [(0, 11, 11)]);
        pacing.decided(&due);
        let due = pacing.due(&[closed(0, 11), closed(1, 11)], 200 + WAIT_US, WAIT_US);
        assert_eq!(spans(&due), [(1, 11, 11)], "nobody waits for what is decided");
    }

    fn pacing_due(pacing: &mut Pacing, minute: i64) -> Vec<Due> {
        pacing.due(&[closed(0, minute), closed(1, minute)], 0, WAIT_US)
    }

    #[test]
    fn idle_partitions_hold_nobody_up() {
        let mut pacing = Pacing::default();
        let idle = ReadyPartition { is_idle: true, ..closed(1, 3) };
        assert_eq!(spans(&pacing.due(&[closed(0, 11), idle], 0, WAIT_US)), [(0, 9, 11), (1, 1, 3)]);
    }

    #[test]
    fn what_is_long_past_is_left_out() {
        let mut pacing = Pacing::default();
        pacing.decided(&pacing_due(&mut Pacing::default(), 10));
        let due = pacing.due(&[closed(0, 12), closed(1, 100)], WAIT_US, 0);
        assert_eq!(spans(&due), [(0, 11, 12), (1, 98, 100)]);
        pacing.decided(&due);
        // A partition that comes back with less is not decided about twice.
        assert!(pacing.due(&[closed(1, 90)], 0, 0).is_empty());
    }

    #[test]
    fn without_partitions_nothing_is_due() {
        assert!(Pacing::default().due(&[], 0, WAIT_US).is_empty());
    }
}
