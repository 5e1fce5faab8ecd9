//! Ending runs: by a drain or at once, for a rebalance, at the end of a bounded run, or for good.

use std::collections::BTreeSet;
use std::time::Instant;

use pulselake_telemetry::events;

use super::{RunEnd, RunError, Supervisor};
use crate::kill_switch::{Failure, FailureClass, KillSwitch};
use crate::messages::GenerationKey;
use crate::status::Phase;
use crate::stream::{Drained, Stream, StreamRun, StreamServices};

/// How runs end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// At once: what is not committed is read again.
    Kill,
    /// What was read is committed first.
    Drain,
    /// Every window seen so far is closed, then as `Drain`.
    CloseWindows,
}

/// A run that has ended.
pub(super) struct Ended {
    pub(super) shard: usize,
    pub(super) drained: Drained,
    /// What its actors reported, if anything.
    pub(super) failure: Option<Failure>,
}

impl<S: Stream> Supervisor<S> {
    /// Ends the runs of these shards together, under one deadline, and closes their generations at the services.
    pub(super) async fn end_shards(&mut self, shards: &BTreeSet<usize>, ending: Ending) -> Vec<Ended> {
        let mut runs: Vec<(usize, S::Run)> = Vec::new();
        for &shard in shards {
            if let Some(watch) = self.slots[shard].watch.take() {
                watch.abort();
            }
            if let Some(running) = self.slots[shard].running.take() {
                self.forget_finished(shard);
                runs.push((shard, running));
            }
        }
        if runs.is_empty() {
            return Vec::new();
        }
        crate::failpoint::reach("supervisor::before_drain");
        let drained = self.drain(&runs, ending).await;
        crate::failpoint::reach("supervisor::drained");
        let keys: Vec<GenerationKey> = runs.iter().map(|(_, running)| running.key()).collect();
        let mut all_ended = Vec::new();
        for ((shard, running), drained) in runs.into_iter().zip(drained) {
            let failure = running.kill_switch().failure();
            running.stop();
            all_ended.push(Ended { shard, drained, failure });
        }
        crate::failpoint::reach("supervisor::before_close");
        self.services.close_generations(&keys).await;
        crate::failpoint::reach("supervisor::closed");
        all_ended
    }

    async fn drain(&self, runs: &[(usize, S::Run)], ending: Ending) -> Vec<Drained> {
        if ending == Ending::Kill {
            return vec![Drained::GaveUp; runs.len()];
        }
        let timeout = self.stream.settings().drain_timeout;
        let started = Instant::now();
        events::drain_started(&format!("{} shards", runs.len()), timeout);
        let close_windows = ending == Ending::CloseWindows;
        let services = &self.services;
        let drains = runs.iter().map(|(_, running)| running.drain(services, close_windows, timeout));
        let drained = futures::future::join_all(drains).await;
        let failures =
            runs.iter().map(|(_, running)| running.kill_switch()).chain([self.services.kill_switch()]);
        let failure = failures.filter_map(KillSwitch::failure).next();
        let complete = drained.iter().all(|outcome| *outcome == Drained::Committed);
        let reason = failure.map_or_else(|| "no time left".to_owned(), |failed| failed.to_string());
        events::drain_finished(complete, started.elapsed(), &reason);
        drained
    }

    /// Ends runs whose partitions change. What fails meanwhile counts as any failure does, but is not waited for: the
    /// shard starts again anyway.
    pub(super) async fn end_for_rebalance(
        &mut self,
        shards: &BTreeSet<usize>,
        ending: Ending,
    ) -> Result<(), RunError> {
        for ended in self.end_shards(shards, ending).await {
            if let Some(failure) = ended.failure {
                self.schedule_restart(ended.shard, &failure)?;
            }
        }
        Ok(())
    }

    pub(super) fn is_caught_up(&self) -> bool {
        let bounded = self.stream.settings().until_caught_up || self.stream.source().is_bounded();
        let mut assigned = self.slots.iter().flat_map(|slot| slot.partitions.iter()).peekable();
        bounded && assigned.peek().is_some() && assigned.all(|partition| self.finished.contains(partition))
    }

    /// Closes every window and commits all of it. A shard that fails at that starts again; the others are through.
    pub(super) async fn finish(&mut self) -> Result<Drained, RunError> {
        self.stream.status().set_phase(Phase::Draining);
        let mut outcome = Drained::Committed;
        let mut of_the_services = None;
        for ended in self.end_shards(&self.all_shards(), Ending::CloseWindows).await {
            if ended.drained == Drained::Committed {
                self.finished.extend(&self.slots[ended.shard].partitions);
                continue;
            }
            if outcome == Drained::Committed {
                // A dead service is everybody's failure, and booked once.
                of_the_services = self.services.kill_switch().failure();
            }
            outcome = Drained::GaveUp;
            let failure = ended.failure.or_else(|| of_the_services.take()).unwrap_or_else(|| Failure {
                actor: "Supervisor".into(),
                class: FailureClass::Transient,
                reason: "the last commits failed or took longer than engine.drain_timeout_ms".into(),
            });
            self.schedule_restart(ended.shard, &failure)?;
        }
        Ok(outcome)
    }

    pub(super) async fn shut_down(&mut self) -> Result<RunEnd, RunError> {
        self.stream.status().set_phase(Phase::Draining);
        // A shard that waits to be started again has read what is not committed.
        let mut end = if self.slots.iter().any(|slot| slot.restart_at.is_some()) {
            RunEnd::ShutDownUndrained
        } else {
            RunEnd::ShutDown
        };
        for ended in self.end_shards(&self.all_shards(), Ending::Drain).await {
            match ended.failure {
                Some(failure) if failure.class == FailureClass::Stop => {
                    return Err(RunError::Stopped { actor: failure.actor, reason: failure.reason });
                }
                _ if ended.drained == Drained::GaveUp => end = RunEnd::ShutDownUndrained,
                _ => {}
            }
        }
        Ok(end)
    }

    fn all_shards(&self) -> BTreeSet<usize> {
        (0..self.slots.len()).collect()
    }

    /// The shard's next run has to deliver its partitions to the end again: what it had read may not be committed.
    pub(super) fn forget_finished(&mut self, shard: usize) {
        for partition in &self.slots[shard].partitions {
            self.finished.remove(partition);
        }
    }
}
