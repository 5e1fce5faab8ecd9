//! What is due from time to time: restarts, a look at the lag, and a word about a process that has nothing to do.

use std::time::{Duration, Instant};

use pulselake_source::UNKNOWN_END;
use pulselake_telemetry::events;

use super::{RunError, Supervisor};
use crate::status::Phase;
use crate::stream::Stream;

/// After how long without a partition it is said first: joining a group takes some seconds.
const UNASSIGNED_FIRST: Duration = Duration::from_secs(10);
/// After how long a member without a partition is a spare: beyond the session timeout of one that died and still holds them.
const UNASSIGNED_READY: Duration = Duration::from_secs(60);
/// After how long it is said again.
const UNASSIGNED_AGAIN: Duration = Duration::from_secs(60);

/// How long the process has had no partition. It waits, also in a bounded run, for a member that leaves; not silently.
pub(super) struct Unassigned {
    since: Instant,
    said_at: Option<Instant>,
}

impl Unassigned {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, said_at: None }
    }

    /// The time without a partition, when it is to be said.
    fn look(&mut self, has_partitions: bool, now: Instant) -> Option<Duration> {
        if has_partitions {
            *self = Self::new(now);
            return None;
        }
        let due = self.said_at.map_or(self.since + UNASSIGNED_FIRST, |said| said + UNASSIGNED_AGAIN);
        if now < due {
            return None;
        }
        self.said_at = Some(now);
        Some(now - self.since)
    }
}

impl<S: Stream> Supervisor<S> {
    pub(super) async fn on_check(&mut self) -> Result<(), RunError> {
        let now = Instant::now();
        let has_partitions = self.slots.iter().any(|slot| !slot.partitions.is_empty());
        if let Some(waited) = self.unassigned.look(has_partitions, now) {
            events::waiting_for_partitions(self.stream.name(), waited);
            if waited >= UNASSIGNED_READY {
                self.be_ready_without_partitions();
            }
        }
        for shard in 0..self.slots.len() {
            if self.slots[shard].restart_at.is_some_and(|at| at <= now) {
                self.start_shard(shard).await?;
            }
        }
        if self.next_lag <= now {
            self.next_lag = now + self.stream.settings().lag_interval;
            self.measure_lag();
            self.show_restarts_left();
        }
        Ok(())
    }

    /// A member of the group for which no partition is left is a spare: it has started, and whoever asks whether it is ready
    /// must not wait for another one to end.
    fn be_ready_without_partitions(&self) {
        let status = self.stream.status();
        if status.phase() == Phase::Starting {
            status.set_phase(Phase::Running);
        }
    }

    /// All shards spend one budget, which fills up again with time.
    pub(super) fn show_restarts_left(&self) {
        let left = self.budget.left(Instant::now());
        self.slots.iter().for_each(|slot| slot.metrics.restarts_left(left));
    }

    /// Looks at the ends of the partitions, beside the streams: a broker that does not answer must not stop anything.
    fn measure_lag(&self) {
        let partitions: Vec<i32> =
            self.slots.iter().flat_map(|slot| slot.partitions.iter().copied()).collect();
        let (source, status) = (self.stream.source().clone(), self.stream.status().clone());
        let show_lag = self.stream.lag_shown();
        tokio::task::spawn_blocking(move || {
            for partition in partitions {
                // A source that does not answer now is asked again at the next interval.
                let Ok(bounds) = source.bounds(partition) else { return };
                // The end of a text file is known when it is reached.
                if bounds.high == UNKNOWN_END {
                    continue;
                }
                // A partition that went away meanwhile has no lag of ours.
                status.change_partition(partition, |entry| {
                    entry.end = bounds.high;
                    entry.lag_records = source.records_between(partition, entry.position, bounds.high);
                    show_lag(partition, u64::try_from(entry.lag_records).unwrap_or(0));
                });
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn having_nothing_is_said_after_a_while_and_again_each_minute() {
        let start = Instant::now();
        let mut unassigned = Unassigned::new(start);
        let after = |seconds| start + Duration::from_secs(seconds);
        let said: Vec<u64> =
            (0..200).filter(|&second| unassigned.look(second == 150, after(second)).is_some()).collect();
        assert_eq!(said, [10, 70, 130, 160]);
    }
}
