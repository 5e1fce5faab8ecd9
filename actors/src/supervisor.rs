//! The supervisor: which shard runs which partitions, and what happens when one of them ends.
//!
//! It is the only one that starts and ends generations. A failure in a shard ends that shard's generation; a failure
//! of a shared service ends all of them, because what was in flight there is lost. Before the next generation reads
//! the ledger, the old one is closed at the committers. Fences and outages are waited out; crashes spend a budget, and
//! when that is spent, or a failure can't be helped by a restart, the service ends loudly.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use pulselake_source::{AssignmentEvent, SourceError};
use pulselake_telemetry::{ShardMetrics, events, set_assigned_partitions, set_consumer_lag};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::kill_switch::{Failure, FailureClass};
use crate::messages::GenerationKey;
use crate::pipeline::Pipeline;
use crate::recovery::StartError;
use crate::restarts::{RestartBudget, RestartPolicy};
use crate::services::Services;
use crate::shard::{Drained, RunningShard, ShardReports};
use crate::status::Phase;

/// How long a source event is waited for in one go, so that the thread notices the end.
const EVENT_WAIT: Duration = Duration::from_millis(200);
/// How often the supervisor looks at heartbeats and pending restarts.
const CHECK: Duration = Duration::from_millis(100);

/// Why a run ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// Every partition was read to the end that was asked for, and everything is committed.
    CaughtUp,
    /// It was asked to stop; everything read is committed.
    ShutDown,
    /// It was asked to stop, and the drain failed or took too long: the rest comes again at the next start.
    ShutDownUndrained,
}

/// Why a run ended badly.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Going on would lose or double records.
    #[error("{actor}: {reason}")]
    Stopped {
        /// Who noticed.
        actor: String,
        /// What, and what to do.
        reason: String,
    },
    /// Too many crashes.
    #[error(
        "gave up after {crashes} crashes within {window_s} s (supervision.restart_budget); the last one: {actor}: {reason}"
    )]
    BudgetSpent {
        /// How many.
        crashes: usize,
        /// Within which time.
        window_s: u64,
        /// Who crashed last.
        actor: String,
        /// Why.
        reason: String,
    },
    /// The source failed as a whole.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The shard can't start and no waiting helps.
    #[error(transparent)]
    Start(#[from] StartError),
}

struct ShardSlot {
    metrics: ShardMetrics,
    partitions: BTreeSet<i32>,
    running: Option<RunningShard>,
    started_at: Option<Instant>,
    restart_at: Option<Instant>,
    attempt: u32,
    last_generation: u64,
}

impl ShardSlot {
    fn new(shard: usize) -> Self {
        Self {
            metrics: ShardMetrics::new(shard),
            partitions: BTreeSet::new(),
            running: None,
            started_at: None,
            restart_at: None,
            attempt: 0,
            last_generation: 0,
        }
    }
}

/// See the module.
pub struct Supervisor {
    pipeline: Pipeline,
    services: Services,
    slots: Vec<ShardSlot>,
    budget: RestartBudget,
    stop_at: BTreeMap<i32, i64>,
    /// Partitions whose present run has delivered everything up to the end that was asked for.
    finished: BTreeSet<i32>,
    reports: ShardReports,
    finished_receiver: UnboundedReceiver<(GenerationKey, i32)>,
    ended_sender: UnboundedSender<usize>,
    ended_receiver: UnboundedReceiver<usize>,
    next_lag: Instant,
    last_check: Instant,
}

/// Runs a pipeline until it is caught up (bounded runs), until `shutdown` completes, or until it fails.
pub async fn run(pipeline: Pipeline, shutdown: impl Future<Output = ()>) -> Result<RunEnd, RunError> {
    let (committed, committed_receiver) = unbounded_channel();
    let (finished, finished_receiver) = unbounded_channel();
    forward_progress(&pipeline, committed_receiver);
    let events = forward_events(&pipeline);
    let supervisor =
        Supervisor::new(pipeline.clone(), ShardReports { finished, committed }, finished_receiver);
    let outcome = supervisor.run(events, shutdown).await;
    pipeline.status.set_phase(Phase::Stopped);
    let source = pipeline.source.clone();
    // Leaving the group is a courtesy to the others: its failure changes nothing here.
    let _ = tokio::task::spawn_blocking(move || source.close()).await;
    outcome
}

/// Group offsets follow the ledger, for lag tools only.
fn forward_progress(pipeline: &Pipeline, mut positions: UnboundedReceiver<Vec<(i32, i64)>>) {
    let source = pipeline.source.clone();
    std::thread::spawn(move || {
        while let Some(committed) = positions.blocking_recv() {
            source.note_progress(&committed);
        }
    });
}

fn forward_events(pipeline: &Pipeline) -> UnboundedReceiver<AssignmentEvent> {
    let (sender, receiver) = unbounded_channel();
    let source = pipeline.source.clone();
    std::thread::spawn(move || {
        while !sender.is_closed() {
            if let Some(event) = source.next_event(EVENT_WAIT)
                && sender.send(event).is_err()
            {
                return;
            }
        }
    });
    receiver
}

impl Supervisor {
    fn new(
        pipeline: Pipeline,
        reports: ShardReports,
        finished_receiver: UnboundedReceiver<(GenerationKey, i32)>,
    ) -> Self {
        let settings = &pipeline.settings;
        let policy = RestartPolicy {
            backoff_initial: settings.backoff_initial,
            backoff_max: settings.backoff_max,
            budget: settings.restart_budget,
            window: settings.restart_window,
        };
        let (ended_sender, ended_receiver) = unbounded_channel();
        Self {
            services: Services::start(&pipeline),
            slots: (0..settings.shards.max(1)).map(ShardSlot::new).collect(),
            budget: RestartBudget::new(policy),
            stop_at: BTreeMap::new(),
            finished: BTreeSet::new(),
            reports,
            finished_receiver,
            ended_sender,
            ended_receiver,
            next_lag: Instant::now(),
            last_check: Instant::now(),
            pipeline,
        }
    }

    async fn run(
        mut self,
        mut events: UnboundedReceiver<AssignmentEvent>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<RunEnd, RunError> {
        let mut checks = tokio::time::interval(CHECK);
        checks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        tokio::pin!(shutdown);
        let outcome = loop {
            let step = tokio::select! {
                () = &mut shutdown => break Ok(self.shut_down().await),
                Some(event) = events.recv() => self.on_assignment(event).await,
                Some(shard) = self.ended_receiver.recv() => self.on_ended(shard).await,
                () = self.services.kill_switch.tripped() => self.on_services_ended().await,
                Some((key, partition)) = self.finished_receiver.recv() => { self.on_finished(key, partition); Ok(()) }
                _ = checks.tick() => self.on_check().await,
            };
            if let Err(error) = step {
                break Err(error);
            }
            if self.is_caught_up() {
                match self.finish().await {
                    Ok(Drained::Committed) => break Ok(RunEnd::CaughtUp),
                    // What failed starts again from the ledger and reads to the same end.
                    Ok(Drained::GaveUp) => {}
                    Err(error) => break Err(error),
                }
            }
        };
        self.services.stop();
        outcome
    }

    fn shard_of(&self, partition: i32) -> usize {
        partition.unsigned_abs() as usize % self.slots.len()
    }

    fn shards_of(&self, partitions: &[i32]) -> BTreeSet<usize> {
        partitions.iter().map(|&partition| self.shard_of(partition)).collect()
    }

    async fn on_assignment(&mut self, event: AssignmentEvent) -> Result<(), RunError> {
        match event {
            AssignmentEvent::Failed(error) => return Err(error.into()),
            AssignmentEvent::Assigned(partitions) => {
                events::rebalanced(&partitions, &[]);
                self.note_ends(&partitions).await?;
                for shard in self.shards_of(&partitions) {
                    self.end_shard(shard, true, false).await;
                    let mine =
                        partitions.iter().filter(|&&partition| self.shard_of(partition) == shard).copied();
                    let mine: Vec<i32> = mine.collect();
                    self.slots[shard].partitions.extend(mine);
                    self.start_shard(shard).await?;
                }
            }
            AssignmentEvent::Revoked { partitions, done } => {
                events::rebalanced(&[], &partitions);
                let shards = self.shards_of(&partitions);
                for &shard in &shards {
                    self.end_shard(shard, true, false).await;
                }
                self.forget(&partitions);
                done.finish();
                for shard in shards {
                    self.start_shard(shard).await?;
                }
            }
            AssignmentEvent::Lost(partitions) => {
                events::rebalanced(&[], &partitions);
                let shards = self.shards_of(&partitions);
                for &shard in &shards {
                    self.end_shard(shard, false, false).await;
                }
                self.forget(&partitions);
                for shard in shards {
                    self.start_shard(shard).await?;
                }
            }
        }
        Ok(())
    }

    fn forget(&mut self, partitions: &[i32]) {
        for &partition in partitions {
            let shard = self.shard_of(partition);
            self.slots[shard].partitions.remove(&partition);
            self.finished.remove(&partition);
            self.pipeline.status.remove_partition(partition);
            self.pipeline.board.remove(partition);
        }
    }

    /// A bounded run ends at the offsets that were the ends when each partition came to us first.
    async fn note_ends(&mut self, partitions: &[i32]) -> Result<(), RunError> {
        if !self.pipeline.settings.until_caught_up || self.pipeline.source.is_bounded() {
            return Ok(());
        }
        let unknown: Vec<i32> =
            partitions.iter().copied().filter(|partition| !self.stop_at.contains_key(partition)).collect();
        let source = self.pipeline.source.clone();
        let read = move || -> Result<Vec<(i32, i64)>, SourceError> {
            unknown.into_iter().map(|partition| Ok((partition, source.bounds(partition)?.high))).collect()
        };
        let ends = tokio::task::spawn_blocking(read).await;
        let ends = ends.map_err(|error| StartError::Runtime { reason: error.to_string() })??;
        self.stop_at.extend(ends);
        Ok(())
    }

    async fn start_shard(&mut self, shard: usize) -> Result<(), RunError> {
        let partitions: Vec<i32> = self.slots[shard].partitions.iter().copied().collect();
        self.slots[shard].restart_at = None;
        if partitions.is_empty() {
            return Ok(());
        }
        let at_least = self.slots[shard].last_generation + 1;
        let started = RunningShard::start(
            &self.pipeline,
            &self.services.addresses,
            shard,
            &partitions,
            &self.stop_at,
            &self.reports,
            at_least,
        )
        .await;
        match started {
            Ok(running) => {
                events::generation_started(shard, running.key.generation, &partitions);
                set_assigned_partitions(self.slots.iter().map(|slot| slot.partitions.len()).sum());
                self.watch(shard, &running);
                let slot = &mut self.slots[shard];
                slot.last_generation = running.key.generation;
                slot.started_at = Some(Instant::now());
                slot.running = Some(running);
                self.update_phase(None);
                Ok(())
            }
            Err(error) if error.is_transient() => {
                let failure = Failure {
                    actor: "Supervisor".into(),
                    class: FailureClass::Transient,
                    reason: error.to_string(),
                };
                self.schedule_restart(shard, &failure)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Reports the end of a run exactly once, however it comes.
    fn watch(&self, shard: usize, running: &RunningShard) {
        let (kill_switch, ended) = (running.kill_switch.clone(), self.ended_sender.clone());
        actix::spawn(async move {
            kill_switch.tripped().await;
            // The supervisor may be gone.
            let _ = ended.send(shard);
        });
    }

    /// Ends a shard's run, drained or not, and closes its generation at the services.
    async fn end_shard(&mut self, shard: usize, drain: bool, close_windows: bool) -> Drained {
        let Some(running) = self.slots[shard].running.take() else { return Drained::Committed };
        self.forget_finished(shard);
        let mut drained = Drained::GaveUp;
        let started = Instant::now();
        if drain && !running.kill_switch.is_tripped() {
            let timeout = self.pipeline.settings.drain_timeout;
            events::drain_started(&running.key.to_string(), timeout);
            drained = running.drain(&self.services.addresses, close_windows, timeout).await;
            events::drain_finished(drained == Drained::Committed, started.elapsed());
        }
        running.stop();
        self.services.close_generation(running.key).await;
        drained
    }

    /// A report of a run that has ended meanwhile says nothing about the present one.
    fn on_finished(&mut self, key: GenerationKey, partition: i32) {
        if self.slots[key.shard].running.as_ref().is_some_and(|running| running.key == key) {
            self.finished.insert(partition);
        }
    }

    /// The shard's next run has to deliver its partitions to the end again: what it had read may not be committed.
    fn forget_finished(&mut self, shard: usize) {
        for partition in &self.slots[shard].partitions {
            self.finished.remove(partition);
        }
    }

    async fn on_ended(&mut self, shard: usize) -> Result<(), RunError> {
        // A run that was replaced meanwhile has been dealt with.
        let failure = self.slots[shard].running.as_ref().and_then(|running| running.kill_switch.failure());
        let Some(failure) = failure else { return Ok(()) };
        self.end_shard(shard, false, false).await;
        self.schedule_restart(shard, &failure)
    }

    fn schedule_restart(&mut self, shard: usize, failure: &Failure) -> Result<(), RunError> {
        match failure.class {
            FailureClass::Stop => {
                return Err(RunError::Stopped {
                    actor: failure.actor.clone(),
                    reason: failure.reason.clone(),
                });
            }
            FailureClass::Crash => {
                if let Err(spent) = self.budget.spend(Instant::now()) {
                    events::restart_budget_spent(shard, spent.crashes, spent.window, &failure.to_string());
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
        self.pipeline.status.count_restart();
        slot.metrics.restarted();
        slot.metrics.restarts_left(self.budget.left());
        events::generation_killed(
            shard,
            slot.last_generation,
            &failure.to_string(),
            pause,
            self.budget.left(),
        );
        self.update_phase(Some(failure.to_string()));
        Ok(())
    }

    fn update_phase(&self, reason: Option<String>) {
        let waiting = self.slots.iter().any(|slot| slot.restart_at.is_some());
        match (waiting, reason) {
            (true, Some(reason)) => self.pipeline.status.set_phase(Phase::Restarting(reason)),
            (true, None) => {}
            (false, _) => self.pipeline.status.set_phase(Phase::Running),
        }
    }

    /// A shared service has died: everything in flight there is lost, so every shard starts again with new services.
    async fn on_services_ended(&mut self) -> Result<(), RunError> {
        let failure = self.services.kill_switch.failure();
        for shard in 0..self.slots.len() {
            if let Some(running) = self.slots[shard].running.take() {
                running.stop();
                self.forget_finished(shard);
                self.slots[shard].restart_at = Some(Instant::now());
            }
        }
        self.services.stop();
        self.services = Services::start(&self.pipeline);
        let Some(failure) = failure else { return Ok(()) };
        self.schedule_restart(0, &failure)
    }

    async fn on_check(&mut self) -> Result<(), RunError> {
        self.check_heartbeats();
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

    fn check_heartbeats(&mut self) {
        let timeout = self.pipeline.settings.heartbeat_timeout;
        let since_last_check = std::mem::replace(&mut self.last_check, Instant::now()).elapsed();
        if since_last_check > timeout / 2 {
            // This thread was held up itself (a stopped process, a long drain): silence says nothing about the others.
            return;
        }
        for slot in &self.slots {
            if let Some(running) = &slot.running
                && let Some((actor, silence)) = running.heartbeats.silent_for(timeout)
            {
                events::heartbeat_missed(&actor, running.key.shard, running.key.generation, silence);
                let reason =
                    format!("no heartbeat for {} ms (supervision.heartbeat_timeout_ms)", silence.as_millis());
                running.kill_switch.trip(Failure { actor, class: FailureClass::Crash, reason });
            }
        }
        if let Some((actor, silence)) = self.services.heartbeats.silent_for(timeout) {
            let reason =
                format!("no heartbeat for {} ms (supervision.heartbeat_timeout_ms)", silence.as_millis());
            self.services.kill_switch.trip(Failure { actor, class: FailureClass::Crash, reason });
        }
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
                status.update_partition(partition, |entry| {
                    entry.end = bounds.high;
                    entry.lag_records = source.records_between(partition, entry.position, bounds.high);
                    set_consumer_lag(partition, u64::try_from(entry.lag_records).unwrap_or(0));
                });
            }
        });
    }

    fn is_caught_up(&self) -> bool {
        let bounded = self.pipeline.settings.until_caught_up || self.pipeline.source.is_bounded();
        let mut assigned = self.slots.iter().flat_map(|slot| slot.partitions.iter()).peekable();
        bounded && assigned.peek().is_some() && assigned.all(|partition| self.finished.contains(partition))
    }

    /// Closes every window and commits all of it. A shard that fails at that starts again; the others are through.
    async fn finish(&mut self) -> Result<Drained, RunError> {
        self.pipeline.status.set_phase(Phase::Draining);
        let mut outcome = Drained::Committed;
        for shard in 0..self.slots.len() {
            let kill_switch = self.slots[shard].running.as_ref().map(|running| running.kill_switch.clone());
            if self.end_shard(shard, true, true).await == Drained::Committed {
                self.finished.extend(&self.slots[shard].partitions);
                continue;
            }
            outcome = Drained::GaveUp;
            let failure = kill_switch.and_then(|tripped| tripped.failure()).unwrap_or_else(|| Failure {
                actor: "Supervisor".into(),
                class: FailureClass::Transient,
                reason: "the last commits failed or took longer than engine.drain_timeout_ms".into(),
            });
            self.schedule_restart(shard, &failure)?;
        }
        Ok(outcome)
    }

    async fn shut_down(&mut self) -> RunEnd {
        self.pipeline.status.set_phase(Phase::Draining);
        let mut end = RunEnd::ShutDown;
        for shard in 0..self.slots.len() {
            // A shard that waits to be started again has read what is not committed.
            let is_waiting = self.slots[shard].restart_at.is_some();
            if self.end_shard(shard, true, false).await == Drained::GaveUp || is_waiting {
                end = RunEnd::ShutDownUndrained;
            }
        }
        end
    }
}
