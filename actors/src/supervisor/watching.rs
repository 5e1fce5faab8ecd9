//! What is due from time to time: restarts, and a look at the lag.

use std::time::Instant;

use pulselake_source::UNKNOWN_END;
use pulselake_telemetry::set_consumer_lag;

use super::{RunError, Supervisor};

impl Supervisor {
    pub(super) async fn on_check(&mut self) -> Result<(), RunError> {
        let now = Instant::now();
        for shard in 0..self.slots.len() {
            if self.slots[shard].restart_at.is_some_and(|at| at <= now) {
                self.start_shard(shard).await?;
            }
        }
        if self.next_lag <= now {
            self.next_lag = now + self.pipeline.settings.lag_interval;
            self.measure_lag();
        }
        Ok(())
    }

    /// Looks at the ends of the partitions, beside the streams: a broker that does not answer must not stop anything.
    fn measure_lag(&self) {
        let partitions: Vec<i32> =
            self.slots.iter().flat_map(|slot| slot.partitions.iter().copied()).collect();
        let (source, status) = (self.pipeline.source.clone(), self.pipeline.status.clone());
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
                    set_consumer_lag(partition, u64::try_from(entry.lag_records).unwrap_or(0));
                });
            }
        });
    }
}
