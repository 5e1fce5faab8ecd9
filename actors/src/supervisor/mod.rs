//! The supervisor: which shard runs which partitions, and what happens when one of them ends.
//!
//! It is the only one that starts and ends generations. A failure in a shard ends that shard's generation; a failure
//! of a shared service ends all of them, because what was in flight there is lost. Before the next generation reads
//! the ledger, the old one is closed at the committers. Fences and outages are waited out; crashes spend a budget, and
//! when that is spent, or a failure can't be helped by a restart, the service ends loudly.

mod ending;
mod starting;
mod watching;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pulselake_source::{AssignmentEvent, Source, SourceError};
use pulselake_telemetry::{ShardMetrics, events};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::kill_switch::KillSwitch;
use crate::messages::GenerationKey;
use crate::recovery::StartError;
use crate::restarts::{RestartBudget, RestartPolicy};
use crate::status::Phase;
use crate::stream::{Drained, EVENTS, ShardReports, Stream, StreamRun, StreamServices};
use crate::watchdog::Watchdog;
use ending::Ending;
use watching::Unassigned;

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

/// One shard: which partitions are its own, and its present run.
struct ShardSlot<R> {
    metrics: ShardMetrics,
    partitions: BTreeSet<i32>,
    running: Option<R>,
    /// Reports the end of the present run.
    watch: Option<tokio::task::JoinHandle<()>>,
    started_at: Option<Instant>,
    restart_at: Option<Instant>,
    attempt: u32,
    last_generation: u64,
}

impl<R> ShardSlot<R> {
    fn new(name: &str) -> Self {
        Self {
            metrics: ShardMetrics::new(name),
            partitions: BTreeSet::new(),
            running: None,
            watch: None,
            started_at: None,
            restart_at: None,
            attempt: 0,
            last_generation: 0,
        }
    }
}

/// See the module.
pub struct Supervisor<S: Stream> {
    stream: S,
    services: S::Services,
    slots: Vec<ShardSlot<S::Run>>,
    budget: RestartBudget,
    stop_at: BTreeMap<i32, i64>,
    /// Partitions whose present run has delivered everything up to the end that was asked for.
    finished: BTreeSet<i32>,
    reports: ShardReports,
    finished_receiver: UnboundedReceiver<(GenerationKey, i32)>,
    ended_sender: UnboundedSender<usize>,
    ended_receiver: UnboundedReceiver<usize>,
    next_lag: Instant,
    unassigned: Unassigned,
}

/// Runs a stream until it is caught up (bounded runs), until `shutdown` completes, or until it fails.
pub async fn run<S: Stream>(stream: S, shutdown: impl Future<Output = ()>) -> Result<RunEnd, RunError> {
    // A spare that never gets a partition shows that it has none: one that shows nothing can't be told from one that is down.
    stream.show_assigned(0);
    let (committed, committed_receiver) = unbounded_channel();
    let (finished, finished_receiver) = unbounded_channel();
    forward_progress(stream.source().clone(), committed_receiver);
    let events = forward_events(stream.source().clone());
    let _watchdog = Watchdog::start(stream.settings().heartbeat_timeout);
    let supervisor = Supervisor::new(stream.clone(), ShardReports { finished, committed }, finished_receiver);
    let outcome = supervisor.run(events, shutdown).await;
    stream.status().set_phase(Phase::Stopped);
    let source = stream.source().clone();
    // Leaving the group is a courtesy to the others: its failure changes nothing here.
    let _ = tokio::task::spawn_blocking(move || source.close()).await;
    outcome
}

/// Group offsets follow the ledger, for lag tools only.
fn forward_progress(source: Arc<dyn Source>, mut positions: UnboundedReceiver<Vec<(i32, i64)>>) {
    std::thread::spawn(move || {
        while let Some(committed) = positions.blocking_recv() {
            source.note_progress(&committed);
        }
    });
}

fn forward_events(source: Arc<dyn Source>) -> UnboundedReceiver<AssignmentEvent> {
    let (sender, receiver) = unbounded_channel();
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

/// A shard's name in logs and metrics.
fn shard_name(stream: &impl Stream, shard: usize) -> String {
    match stream.name() {
        EVENTS => shard.to_string(),
        name => format!("{name}-{shard}"),
    }
}

/// A future of its own: what is selected on must not borrow what the other branches change.
async fn tripped(kill_switch: KillSwitch) {
    kill_switch.tripped().await;
}

impl<S: Stream> Supervisor<S> {
    fn new(
        stream: S,
        reports: ShardReports,
        finished_receiver: UnboundedReceiver<(GenerationKey, i32)>,
    ) -> Self {
        let settings = stream.settings();
        let policy = RestartPolicy {
            backoff_initial: settings.backoff_initial,
            backoff_max: settings.backoff_max,
            budget: settings.restart_budget,
            window: settings.restart_window,
        };
        let (ended_sender, ended_receiver) = unbounded_channel();
        Self {
            services: stream.start_services(),
            slots: (0..stream.shards()).map(|shard| ShardSlot::new(&shard_name(&stream, shard))).collect(),
            budget: RestartBudget::new(policy),
            stop_at: BTreeMap::new(),
            finished: BTreeSet::new(),
            reports,
            finished_receiver,
            ended_sender,
            ended_receiver,
            next_lag: Instant::now(),
            unassigned: Unassigned::new(Instant::now()),
            stream,
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
                // In this order: the signals are listened for before anything is started.
                biased;
                () = &mut shutdown => break self.shut_down().await,
                Some(event) = events.recv() => self.on_assignment(event).await,
                Some(shard) = self.ended_receiver.recv() => self.on_ended(shard).await,
                () = tripped(self.services.kill_switch().clone()) => self.on_services_ended().await,
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
            AssignmentEvent::Failed(error) => Err(error.into()),
            AssignmentEvent::Assigned(partitions) => {
                events::rebalanced(self.stream.name(), &partitions, &[]);
                let shards = self.shards_of(&partitions);
                self.end_for_rebalance(&shards, Ending::Drain).await?;
                for partition in partitions {
                    let shard = self.shard_of(partition);
                    self.slots[shard].partitions.insert(partition);
                }
                self.start_shards(&shards).await
            }
            AssignmentEvent::Revoked { partitions, done } => {
                events::rebalanced(self.stream.name(), &[], &partitions);
                let shards = self.shards_of(&partitions);
                crate::failpoint::reach("supervisor::revoked");
                let ended = self.end_for_rebalance(&shards, Ending::Drain).await;
                self.forget(&partitions);
                crate::failpoint::reach("supervisor::before_letting_go");
                done.finish();
                ended?;
                self.start_shards(&shards).await
            }
            AssignmentEvent::Lost(partitions) => {
                events::rebalanced(self.stream.name(), &[], &partitions);
                let shards = self.shards_of(&partitions);
                let ended = self.end_for_rebalance(&shards, Ending::Kill).await;
                self.forget(&partitions);
                ended?;
                self.start_shards(&shards).await
            }
        }
    }

    async fn start_shards(&mut self, shards: &BTreeSet<usize>) -> Result<(), RunError> {
        for &shard in shards {
            self.start_shard(shard).await?;
        }
        Ok(())
    }

    fn forget(&mut self, partitions: &[i32]) {
        for &partition in partitions {
            let shard = self.shard_of(partition);
            self.slots[shard].partitions.remove(&partition);
            self.finished.remove(&partition);
            self.stream.status().remove_partition(partition);
            self.stream.forget_partition(partition);
        }
    }

    /// A report of a run that has ended meanwhile says nothing about the present one.
    fn on_finished(&mut self, key: GenerationKey, partition: i32) {
        if self.slots[key.shard].running.as_ref().is_some_and(|running| running.key() == key) {
            self.finished.insert(partition);
        }
    }

    fn update_phase(&self, reason: Option<String>) {
        self.stream.show_assigned(self.slots.iter().map(|slot| slot.partitions.len()).sum());
        let waiting = self.slots.iter().any(|slot| slot.restart_at.is_some());
        match (waiting, reason) {
            (true, Some(reason)) => self.stream.status().set_phase(Phase::Restarting(reason)),
            (true, None) => {}
            (false, _) => self.stream.status().set_phase(Phase::Running),
        }
    }
}
