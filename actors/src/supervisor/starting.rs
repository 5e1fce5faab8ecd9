//! Starting a shard's next run, and deciding after a failure when that is.

use std::time::{Duration, Instant};

use pulselake_source::SourceError;
use pulselake_telemetry::events;

use super::{Ending, RunError, Supervisor, shard_name};
use crate::kill_switch::{Failure, FailureClass};
use crate::recovery::StartError;
use crate::stream::{ShardStart, Stream, StreamRun, StreamServices};

impl<S: Stream> Supervisor<S> {
    /// A bounded run ends at the offsets that were the ends when each partition came to us first.
    async fn note_ends(&mut self, partitions: &[i32]) -> Result<(), StartError> {
        if !self.stream.settings().until_caught_up || self.stream.source().is_bounded() {
            return Ok(());
        }
        let unknown: Vec<i32> =
            partitions.iter().copied().filter(|partition| !self.stop_at.contains_key(partition)).collect();
        let source = self.stream.source().clone();
        let read = move || -> Result<Vec<(i32, i64)>, SourceError> {
            unknown.into_iter().map(|partition| Ok((partition, source.bounds(partition)?.high))).collect()
        };
        let ends = tokio::task::spawn_blocking(read).await;
        let ends = ends.map_err(|error| StartError::Runtime { reason: error.to_string() })??;
        self.stop_at.extend(ends);
        Ok(())
    }

    pub(super) async fn start_shard(&mut self, shard: usize) -> Result<(), RunError> {
        let partitions: Vec<i32> = self.slots[shard].partitions.iter().copied().collect();
        self.slots[shard].restart_at = None;
        if partitions.is_empty() {
            self.update_phase(None);
            return Ok(());
        }
        if let Err(error) = self.note_ends(&partitions).await {
            return self.start_failed(shard, error);
        }
        let at_least = self.slots[shard].last_generation + 1;
        let start = ShardStart {
            shard,
            partitions: &partitions,
            stop_at: &self.stop_at,
            reports: &self.reports,
            at_least_generation: at_least,
        };
        match self.stream.start_run(&self.services, start).await {
            Ok(running) => {
                let generation = running.key().generation;
                events::generation_started(&shard_name(&self.stream, shard), generation, &partitions);
                let watch = self.watch(shard, &running);
                let slot = &mut self.slots[shard];
                slot.last_generation = generation;
                slot.started_at = Some(Instant::now());
                slot.running = Some(running);
                slot.watch = Some(watch);
                self.update_phase(None);
                crate::failpoint::reach("supervisor::started");
                Ok(())
            }
            Err(error) => self.start_failed(shard, error),
        }
    }

    /// What may pass is waited out; the rest ends the service.
    fn start_failed(&mut self, shard: usize, error: StartError) -> Result<(), RunError> {
        let class = match &error {
            crash if crash.is_crash() => FailureClass::Crash,
            passing if passing.is_transient() => FailureClass::Transient,
            _ => return Err(error.into()),
        };
        let failure = Failure { actor: "Supervisor".into(), class, reason: error.to_string() };
        self.schedule_restart(shard, &failure)
    }

    /// Reports the end of a run exactly once, however it comes.
    fn watch(&self, shard: usize, running: &S::Run) -> tokio::task::JoinHandle<()> {
        let (kill_switch, ended) = (running.kill_switch().clone(), self.ended_sender.clone());
        actix::spawn(async move {
            kill_switch.tripped().await;
            // The supervisor may be gone.
            let _ = ended.send(shard);
        })
    }

    pub(super) async fn on_ended(&mut self, shard: usize) -> Result<(), RunError> {
        // A run that was replaced meanwhile has been dealt with.
        let failure = self.slots[shard].running.as_ref().and_then(|running| running.kill_switch().failure());
        let Some(failure) = failure else { return Ok(()) };
        self.end_shards(&[shard].into(), Ending::Kill).await;
        self.schedule_restart(shard, &failure)
    }

    /// A shared service has died: everything in flight there is lost, so every shard starts again with new services.
    pub(super) async fn on_services_ended(&mut self) -> Result<(), RunError> {
        crate::failpoint::reach("supervisor::services_ended");
        let failure = self.services.kill_switch().failure();
        let mut first_running = None;
        for shard in 0..self.slots.len() {
            if let Some(running) = self.slots[shard].running.take() {
                running.stop();
                self.forget_finished(shard);
                self.slots[shard].restart_at = Some(Instant::now());
                first_running = first_running.or(Some(shard));
            }
        }
        self.services.stop();
        self.services = self.stream.start_services();
        // One failure is booked once, on a shard that has something to start.
        match (first_running, failure) {
            (Some(shard), Some(failure)) => self.schedule_restart(shard, &failure),
            _ => Ok(()),
        }
    }

    pub(super) fn schedule_restart(&mut self, shard: usize, failure: &Failure) -> Result<(), RunError> {
        match failure.class {
            FailureClass::Stop => {
                return Err(RunError::Stopped {
                    actor: failure.actor.clone(),
                    reason: failure.reason.clone(),
                });
            }
            FailureClass::Crash => {
                if let Err(spent) = self.budget.spend(Instant::now()) {
                    events::restart_budget_spent(
                        &shard_name(&self.stream, shard),
                        spent.crashes,
                        spent.window,
                        &failure.to_string(),
                    );
                    return Err(RunError::BudgetSpent {
                        crashes: spent.crashes,
                        window_s: spent.window.as_secs(),
                        actor: failure.actor.clone(),
                        reason: failure.reason.clone(),
                    });
                }
            }
            FailureClass::Fenced | FailureClass::Transient => {}
        }
        let lasted = self.slots[shard].started_at.take().map_or(Duration::ZERO, |started| started.elapsed());
        let is_stable = self.budget.is_stable(lasted);
        let slot = &mut self.slots[shard];
        if is_stable {
            slot.attempt = 0;
        }
        let pause = self.budget.backoff(slot.attempt);
        slot.attempt += 1;
        slot.restart_at = Some(Instant::now() + pause);
        let name = shard_name(&self.stream, shard);
        let restarts_left = self.budget.left(Instant::now());
        self.stream.status().count_restart(&name, &failure.to_string(), restarts_left);
        slot.metrics.restarted();
        events::generation_killed(&name, slot.last_generation, &failure.to_string(), pause, restarts_left);
        self.show_restarts_left();
        self.update_phase(Some(failure.to_string()));
        Ok(())
    }
}
