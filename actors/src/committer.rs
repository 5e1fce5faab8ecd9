//! Committer: the one place of the process that commits to a table.
//!
//! Requests that wait together become one snapshot. A request that is fenced is taken out and the others go ahead.
//! What may pass (a locked catalog, a full disk, an answer that was lost) is tried again with the same commit id
//! until the outcome is known or the run is over: the streams wait behind it, and nothing is lost. The files of a
//! refused commit are deleted only when it is certain that no snapshot refers to them.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use iceberg::spec::DataFile;
use pulselake_lake::{CommitAction, CommitError, Lake, LedgeredAppend, Receipt};
use pulselake_model::tables::LakeTable;
use pulselake_telemetry::{ActorMetrics, CommitFigures, TableMetrics, events};
use tokio::sync::{Notify, oneshot};
use uuid::Uuid;

use crate::heartbeat::{Heartbeat, StepClock};
use crate::kill_switch::DeathGuard;
use crate::messages::*;

/// How long the first request waits for others to share its snapshot.
const LINGER: Duration = Duration::from_millis(100);
/// One attempt may take this many times the lake's patience: it ends with patience, but each answer may be late.
const PATIENCES: u32 = 3;
const RETRY_INITIAL: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(10);

/// What a committer is made of.
pub struct CommitterParts {
    /// Its table.
    pub table: LakeTable,
    /// The tables.
    pub lake: Lake,
    /// Identity of the source, for the ledger.
    pub cluster_id: String,
    /// The decoder's fingerprint, for the ledger.
    pub fingerprint: String,
    /// How long a store may let one question wait, beside the lake's own patience, before the heartbeat is withheld.
    pub answer_timeout: Duration,
    /// How often to beat.
    pub heartbeat_interval: Duration,
    /// Death guard.
    pub guard: DeathGuard,
    /// Heartbeat.
    pub heartbeat: Heartbeat,
}

type Reply = oneshot::Sender<Result<Committed, CommitRefused>>;

struct Waiting {
    request: CommitFiles,
    reply: Reply,
}

/// See the module.
pub struct Committer {
    parts: CommitterParts,
    metrics: ActorMetrics,
    table_metrics: Rc<TableMetrics>,
    queue: VecDeque<Waiting>,
    /// Runs that have work in the commit under way.
    under_way: HashSet<GenerationKey>,
    is_committing: bool,
    /// The newest closed run of each shard: generations rise.
    closed: ClosedRuns,
    close_waiters: Vec<(GenerationKey, oneshot::Sender<()>)>,
    ending: Rc<EndingRuns>,
    asking: StepClock,
}

/// Runs that are over: of each shard the newest, and with it all before.
#[derive(Default)]
struct ClosedRuns(HashMap<usize, u64>);

impl ClosedRuns {
    fn close(&mut self, key: GenerationKey) {
        let newest = self.0.entry(key.shard).or_default();
        *newest = key.generation.max(*newest);
    }

    fn has(&self, key: &GenerationKey) -> bool {
        self.0.get(&key.shard).is_some_and(|newest| key.generation <= *newest)
    }
}

/// Runs whose commits are not tried again: whoever ends them waits, and the ledger gives their records again.
#[derive(Default)]
struct EndingRuns {
    keys: RefCell<ClosedRuns>,
    changed: Notify,
}

impl Committer {
    /// A committer with nothing to do.
    pub fn new(parts: CommitterParts) -> Self {
        Self {
            metrics: ActorMetrics::new("Committer", parts.table.name()),
            table_metrics: Rc::new(TableMetrics::new(parts.table)),
            asking: StepClock::new(parts.answer_timeout + parts.lake.limits().patience * PATIENCES),
            parts,
            queue: VecDeque::new(),
            under_way: HashSet::new(),
            is_committing: false,
            closed: ClosedRuns::default(),
            close_waiters: Vec::new(),
            ending: Rc::default(),
        }
    }

    fn pump(&mut self, ctx: &mut Context<Self>) {
        self.metrics.mailbox_depth(self.queue.len());
        if self.is_committing || self.queue.is_empty() {
            return;
        }
        self.is_committing = true;
        ctx.run_later(LINGER, |actor, context| actor.commit_all(context));
    }

    fn commit_all(&mut self, ctx: &mut Context<Self>) {
        let batch = self.next_batch();
        if batch.is_empty() {
            self.is_committing = false;
            return;
        }
        self.under_way = batch.iter().flat_map(|waiting| waiting.request.keys.iter().copied()).collect();
        let attempt = CommitAttempt {
            table: self.parts.table,
            lake: self.parts.lake.clone(),
            cluster_id: self.parts.cluster_id.clone(),
            fingerprint: self.parts.fingerprint.clone(),
            metrics: self.table_metrics.clone(),
            ending: self.ending.clone(),
            asking: self.asking.clone(),
        };
        let started = Instant::now();
        ctx.spawn(attempt.run(batch).into_actor(self).map(move |(), actor, context| {
            actor.metrics.worked(started.elapsed());
            actor.is_committing = false;
            actor.under_way.clear();
            actor.answer_close_waiters();
            actor.pump(context);
        }));
    }

    /// What becomes one snapshot: all that waits. But deletes apply to the rows of earlier snapshots alone, so two upserts of
    /// a key would both stay: a request with deletes goes by itself.
    fn next_batch(&mut self) -> Vec<Waiting> {
        let is_upsert = |waiting: &Waiting| !waiting.request.deletes.is_empty();
        let appends = self.queue.iter().take_while(|waiting| !is_upsert(waiting)).count();
        let length = appends.max(1).min(self.queue.len());
        self.queue.drain(..length).collect()
    }

    /// Deletes files that no snapshot refers to.
    fn delete(&self, files: Vec<DataFile>, ctx: &mut Context<Self>) {
        let (lake, table) = (self.parts.lake.clone(), self.parts.table);
        ctx.spawn(async move { delete_files(&lake, table, &files).await }.into_actor(self));
    }

    fn has_work_of(&self, key: &GenerationKey) -> bool {
        self.under_way.contains(key) || self.queue.iter().any(|waiting| waiting.request.keys.contains(key))
    }

    fn answer_close_waiters(&mut self) {
        for (key, waiting) in std::mem::take(&mut self.close_waiters) {
            if self.has_work_of(&key) {
                self.close_waiters.push((key, waiting));
            } else {
                // Whoever asked may have gone.
                let _ = waiting.send(());
            }
        }
    }
}

/// One snapshot's worth of requests on its way into the table.
struct CommitAttempt {
    table: LakeTable,
    lake: Lake,
    cluster_id: String,
    fingerprint: String,
    metrics: Rc<TableMetrics>,
    ending: Rc<EndingRuns>,
    /// Times every question to catalog and warehouse.
    asking: StepClock,
}

impl CommitAttempt {
    /// Commits the requests together and answers each.
    async fn run(self, mut batch: Vec<Waiting>) {
        let commit_id = Uuid::now_v7().to_string();
        let mut pause = RETRY_INITIAL;
        let mut attempt = 0;
        // Stays false once an outcome was unknown: that attempt may be in the table, below what others committed since.
        let mut files_may_be_deleted = true;
        let started = Instant::now();
        while !batch.is_empty() {
            attempt += 1;
            let request = self.merged(&commit_id, &batch);
            let outcome = self.asking.time(append(&self.lake, self.table, &request)).await;
            crate::failpoint::reach("committer::after");
            let error = match outcome {
                Ok(receipt) => return self.accept(batch, &receipt, started.elapsed()),
                Err(error) => error,
            };
            files_may_be_deleted &= error.files_may_be_deleted();
            match error.action() {
                CommitAction::Fence => self.refuse_fenced(&mut batch, &error, files_may_be_deleted).await,
                CommitAction::Stop => {
                    let refusal = CommitRefused::Stop(error.to_string());
                    return self.refuse_all(batch, &refusal, files_may_be_deleted).await;
                }
                CommitAction::StartOver => {
                    // As after a fence: the ledger gives the records again, and no restart budget is spent.
                    let refusal = CommitRefused::Fenced(error.to_string());
                    return self.refuse_all(batch, &refusal, files_may_be_deleted).await;
                }
                CommitAction::Retry | CommitAction::RestartGeneration => {
                    self.metrics.attempt_failed();
                    if error.action() == CommitAction::RestartGeneration {
                        self.metrics.outcome_unknown();
                        events::commit_outcome_unknown(self.table, &commit_id, &error.to_string());
                    }
                    events::commit_retry(self.table, attempt, pause, &error.to_string());
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        // A permit is kept while nobody waits, so no end of a run is missed.
                        () = self.ending.changed.notified() => {}
                    }
                    self.give_up_ending(&mut batch, files_may_be_deleted).await;
                    pause = (pause * 2).min(RETRY_MAX);
                }
            }
        }
    }

    fn merged(&self, commit_id: &str, batch: &[Waiting]) -> LedgeredAppend {
        LedgeredAppend {
            commit_id: commit_id.to_string(),
            cluster_id: self.cluster_id.clone(),
            fingerprint: self.fingerprint.clone(),
            advances: batch.iter().flat_map(|waiting| waiting.request.advances.iter().cloned()).collect(),
            files: batch_files(batch),
            deletes: batch.iter().flat_map(|waiting| waiting.request.deletes.iter().cloned()).collect(),
            replayed: None,
        }
    }

    fn accept(&self, batch: Vec<Waiting>, receipt: &Receipt, took: Duration) {
        let files = batch_files(&batch);
        let figures = CommitFigures {
            rows: files.iter().map(DataFile::record_count).sum(),
            files: files.len() as u64,
            bytes: files.iter().map(DataFile::file_size_in_bytes).sum(),
            duration: took,
        };
        for _ in 0..receipt.conflicts {
            self.metrics.conflicted();
        }
        self.metrics.committed(figures);
        let partitions = batch.iter().map(|waiting| waiting.request.advances.len()).sum();
        events::commit_done(self.table, receipt.snapshot_id, figures, partitions);
        for waiting in batch {
            // A run that has ended meanwhile reads the ledger instead of this answer.
            let _ = waiting.reply.send(Ok(Committed { snapshot_id: receipt.snapshot_id }));
        }
    }

    /// Takes the request out that owns the fenced partition.
    async fn refuse_fenced(&self, batch: &mut Vec<Waiting>, error: &CommitError, files_may_be_deleted: bool) {
        let CommitError::Fenced { reason, .. } = error else { return };
        self.metrics.fenced();
        let owns = |waiting: &Waiting| {
            let mut advances = waiting.request.advances.iter();
            advances.any(|advance| advance.partition == reason.partition && advance.topic == reason.topic)
        };
        // A fence names one of the advances of this batch; if it did not, all would have to go.
        let at = batch.iter().position(owns).unwrap_or(0);
        let waiting = batch.remove(at);
        let generation = waiting.request.keys.first().map_or(0, |key| key.generation);
        events::fenced(self.table, reason.partition, generation, &error.to_string());
        if files_may_be_deleted {
            self.delete(&waiting.request).await;
        }
        let _ = waiting.reply.send(Err(CommitRefused::Fenced(error.to_string())));
    }

    async fn refuse_all(&self, batch: Vec<Waiting>, refusal: &CommitRefused, files_may_be_deleted: bool) {
        for waiting in batch {
            if files_may_be_deleted {
                self.delete(&waiting.request).await;
            }
            let _ = waiting.reply.send(Err(refusal.clone()));
        }
    }

    async fn delete(&self, request: &CommitFiles) {
        self.asking.time(delete_files(&self.lake, self.table, &request.written())).await;
    }

    /// Takes the requests out that a run has a part in which is being ended. No attempt is on its way at this moment.
    async fn give_up_ending(&self, batch: &mut Vec<Waiting>, files_may_be_deleted: bool) {
        let is_ending = |waiting: &mut Waiting| {
            let ending = self.ending.keys.borrow();
            waiting.request.keys.iter().any(|key| ending.has(key))
        };
        let given_up: Vec<Waiting> = batch.extract_if(.., is_ending).collect();
        for waiting in given_up {
            if files_may_be_deleted {
                self.delete(&waiting.request).await;
            }
            // The run itself waits for no answer any more; another one that shares the request does.
            let _ = waiting.reply.send(Err(CommitRefused::Closed));
        }
    }
}

async fn append(lake: &Lake, table: LakeTable, request: &LedgeredAppend) -> Result<Receipt, CommitError> {
    crate::failpoint::reach_store("committer::before").await;
    lake.append(table, request).await
}

/// Deletes data files of a commit that is certainly not in the table; what resists is logged.
pub(crate) async fn delete_files(lake: &Lake, table: LakeTable, files: &[DataFile]) {
    for file in files {
        if let Err(error) = lake.delete_file(table, file.file_path()).await {
            events::orphan_left(table, file.file_path(), &error.to_string());
        }
    }
}

fn batch_files(batch: &[Waiting]) -> Vec<DataFile> {
    batch.iter().flat_map(|waiting| waiting.request.files.iter().cloned()).collect()
}

impl Actor for Committer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(self.parts.heartbeat_interval, |actor, _| {
            actor.parts.heartbeat.beat_unless_overdue(&actor.asking);
        });
    }
}

impl Handler<CommitFiles> for Committer {
    type Result = ResponseFuture<Result<Committed, CommitRefused>>;

    fn handle(&mut self, request: CommitFiles, ctx: &mut Self::Context) -> Self::Result {
        crate::failpoint::reach("committer::received");
        if request.keys.iter().any(|key| self.closed.has(key)) {
            self.delete(request.written(), ctx);
            return Box::pin(async { Err(CommitRefused::Closed) });
        }
        let (reply, receiver) = oneshot::channel();
        self.queue.push_back(Waiting { request, reply });
        self.pump(ctx);
        Box::pin(async move { receiver.await.unwrap_or(Err(CommitRefused::Closed)) })
    }
}

impl Handler<StopRetrying> for Committer {
    type Result = ();

    fn handle(&mut self, message: StopRetrying, _: &mut Self::Context) {
        self.ending.keys.borrow_mut().close(message.key);
        self.ending.changed.notify_one();
    }
}

impl Handler<CloseGeneration> for Committer {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, message: CloseGeneration, ctx: &mut Self::Context) -> Self::Result {
        crate::failpoint::reach("committer::close");
        self.closed.close(message.key);
        // What is this run's alone and not under way is dropped. It was never tried: its files belong to nobody.
        let (dropped, kept) = self.queue.drain(..).partition(|waiting| waiting.request.keys == [message.key]);
        self.queue = kept;
        let dropped: VecDeque<Waiting> = dropped;
        self.delete(dropped.into_iter().flat_map(|waiting| waiting.request.written()).collect(), ctx);
        if !self.has_work_of(&message.key) {
            return Box::pin(async {});
        }
        let (sender, receiver) = oneshot::channel();
        self.close_waiters.push((message.key, sender));
        // A lost answer means that the committer died, and with it whatever was in flight here.
        Box::pin(async move { drop(receiver.await) })
    }
}

impl Handler<StopActor> for Committer {
    type Result = ();

    fn handle(&mut self, _: StopActor, ctx: &mut Self::Context) {
        self.parts.guard.disarm();
        ctx.stop();
    }
}
