//! IcebergWriter of one shard for `bronze.raw_events` and the quarantine.
//!
//! Batches are encoded as they come. When time has come (`flush_timing`), or earlier when enough bytes or hour
//! partitions are open, the files are closed and committed while the next ones are filled: one commit is in flight at
//! most, and when the next is due before it has landed, batches wait. Quarantine commits before bronze does (rule 5),
//! so that whatever bronze's ledger has passed is in quarantine if it belongs there.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use actix::prelude::*;
use pulselake_lake::{Lake, LakeError, WriterOptions};
use pulselake_ledger::{Advance, PartitionLedger};
use pulselake_model::tables::LakeTable;
use pulselake_telemetry::{ActorMetrics, TableMetrics};
use tokio::sync::oneshot;

use crate::bronze_open::{FlushedRange, OpenFlush, split_at_row};
use crate::committer::Committer;
use crate::flush_commit::FlushCommit;
use crate::flush_timing::FlushTiming;
use crate::heartbeat::{Heartbeat, StepClock};
use crate::kill_switch::{DeathGuard, FailureClass};
use crate::latency::observe_latency;
use crate::messages::*;
use crate::status::{EngineStatus, now_us};

/// How often the writer looks whether a flush is due.
const FLUSH_CHECK: Duration = Duration::from_millis(50);

/// One partition's ledger entries in the two tables.
#[derive(Clone, Debug, Default)]
pub struct BronzeHeads {
    /// `bronze.raw_events`.
    pub bronze: PartitionLedger,
    /// The quarantine.
    pub quarantine: PartitionLedger,
}

/// What a bronze writer is made of.
pub struct BronzeWriterParts {
    /// The shard's run.
    pub key: GenerationKey,
    /// Source topic.
    pub topic: String,
    /// The tables.
    pub lake: Lake,
    /// Parquet options.
    pub options: WriterOptions,
    /// Longest time between two commits; the first may come earlier.
    pub commit_interval: Duration,
    /// Bytes at which a commit is made early.
    pub flush_bytes: usize,
    /// Hour partitions that one commit may touch.
    pub max_open_hours: usize,
    /// Ledger entries that this run starts from.
    pub heads: BTreeMap<i32, BronzeHeads>,
    /// The committers' thread.
    pub commits: ArbiterHandle,
    /// Committer of the quarantine.
    pub quarantine_committer: Addr<Committer>,
    /// Committer of bronze.
    pub bronze_committer: Addr<Committer>,
    /// Told the committed positions.
    pub committed: tokio::sync::mpsc::UnboundedSender<Vec<(i32, i64)>>,
    /// How long an encoding or closing step may take before the heartbeat is withheld.
    pub step_timeout: Duration,
    /// How often to beat.
    pub heartbeat_interval: Duration,
    /// Shared status.
    pub status: EngineStatus,
    /// Death guard.
    pub guard: DeathGuard,
    /// Heartbeat.
    pub heartbeat: Heartbeat,
}

/// See the module.
pub struct BronzeWriter {
    parts: BronzeWriterParts,
    metrics: ActorMetrics,
    table_metrics: TableMetrics,
    /// `None` while a step works on it.
    open: Option<OpenFlush>,
    queue: VecDeque<(WriteBatch, oneshot::Sender<()>)>,
    flush_waiters: Vec<oneshot::Sender<()>>,
    flush_due: bool,
    timing: FlushTiming,
    /// Times each encoding or closing step.
    step: StepClock,
    commit_in_flight: bool,
}

enum Step {
    /// The batch is in the files.
    Written(oneshot::Sender<()>),
    /// The first part is in the files; the second needs a flush first.
    Cut(WriteBatch, oneshot::Sender<()>),
}

impl BronzeWriter {
    /// A writer that starts from the given ledger entries.
    pub fn new(parts: BronzeWriterParts, open: OpenFlush) -> Self {
        let metrics = ActorMetrics::new("IcebergWriter", parts.key.shard as i32);
        Self {
            step: StepClock::new(parts.step_timeout),
            timing: FlushTiming::new(parts.commit_interval),
            parts,
            metrics,
            table_metrics: TableMetrics::new(LakeTable::RawEvents),
            open: Some(open),
            queue: VecDeque::new(),
            flush_waiters: Vec::new(),
            flush_due: false,
            commit_in_flight: false,
        }
    }

    fn fail(&mut self, class: FailureClass, reason: String, ctx: &mut Context<Self>) {
        self.parts.guard.fail(class, reason);
        self.parts.guard.disarm();
        ctx.stop();
    }

    fn lake_failed(&mut self, error: &LakeError, ctx: &mut Context<Self>) {
        let class = if error.is_transient() { FailureClass::Transient } else { FailureClass::Crash };
        self.fail(class, error.to_string(), ctx);
    }

    fn check_flush(&mut self, ctx: &mut Context<Self>) {
        let Some(open) = &self.open else { return };
        let full = open.buffered_bytes() >= self.parts.flush_bytes;
        if !open.is_empty() && (full || self.timing.is_due(now_us())) {
            self.flush_due = true;
            self.pump(ctx);
        }
    }

    /// Takes the next step that is possible now: a due flush first, else the next batch.
    fn pump(&mut self, ctx: &mut Context<Self>) {
        self.metrics.mailbox_depth(self.queue.len());
        let Some(open) = &self.open else { return };
        if self.flush_due && !open.is_empty() {
            if !self.commit_in_flight {
                self.close_files(ctx);
            }
            return;
        }
        if self.flush_due {
            self.flush_done();
        }
        if let Some((batch, reply)) = self.queue.pop_front() {
            self.write(batch, reply, ctx);
        }
    }

    /// Nothing is open: whoever waits for a flush waits for the commit in flight alone.
    fn flush_done(&mut self) {
        self.flush_due = false;
        if self.commit_in_flight {
            return;
        }
        for waiting in self.flush_waiters.drain(..) {
            // Whoever asked may have gone.
            let _ = waiting.send(());
        }
    }

    fn write(&mut self, batch: WriteBatch, reply: oneshot::Sender<()>, ctx: &mut Context<Self>) {
        let Some(mut open) = self.open.take() else { return };
        let cap = self.parts.max_open_hours;
        let step = async move {
            crate::failpoint::reach_store("writer::batch").await;
            let fits = open.rows_that_fit(&batch.events, cap);
            if fits == batch.events.num_rows() {
                open.write(&batch).await?;
                return Ok((open, Step::Written(reply)));
            }
            if fits == 0 {
                return Ok((open, Step::Cut(batch, reply)));
            }
            let (now, later) = split_at_row(batch, fits);
            open.write(&now).await?;
            Ok((open, Step::Cut(later, reply)))
        };
        let (clock, started) = (self.step.clone(), Instant::now());
        let timed = async move { clock.time(step).await };
        ctx.spawn(timed.into_actor(self).map(move |done, actor, context| {
            actor.metrics.worked(started.elapsed());
            actor.written(done, context);
        }));
    }

    fn written(&mut self, done: Result<(OpenFlush, Step), LakeError>, ctx: &mut Context<Self>) {
        let (open, step) = match done {
            Ok(done) => done,
            // Not committed, so nothing is lost: the next generation reads these records again.
            Err(error) => return self.lake_failed(&error, ctx),
        };
        // Here too: under load the timer may find a batch being written each time it looks.
        self.flush_due |= open.buffered_bytes() >= self.parts.flush_bytes || self.timing.is_due(now_us());
        self.open = Some(open);
        match step {
            // A consumer that has gone needs no answer.
            Step::Written(reply) => drop(reply.send(())),
            Step::Cut(later, reply) => {
                self.queue.push_front((later, reply));
                self.flush_due = true;
            }
        }
        self.pump(ctx);
    }

    /// Closes the files and commits them, on the committers' thread: what was begun goes on to its end when this run is
    /// ended meanwhile, so that no file is left behind.
    fn close_files(&mut self, ctx: &mut Context<Self>) {
        let Some(open) = self.open.take() else { return };
        self.timing.flushed(now_us());
        self.flush_due = false;
        self.commit_in_flight = true;
        let ranges = open.ranges.clone();
        let (quarantine_advances, bronze_advances) =
            (self.quarantine_advances(&ranges), self.bronze_advances(&ranges));
        let commit = FlushCommit {
            key: self.parts.key,
            lake: self.parts.lake.clone(),
            quarantine: self.parts.quarantine_committer.clone(),
            bronze: self.parts.bronze_committer.clone(),
        };
        let (lake, options) = (self.parts.lake.clone(), self.parts.options);
        let (opened_sender, opened) = oneshot::channel();
        let (outcome_sender, outcome) = oneshot::channel();
        self.parts.commits.spawn(async move {
            let step = async {
                crate::failpoint::reach_store("writer::before_close").await;
                let fresh = OpenFlush::new(&lake, options).await?;
                Ok::<_, LakeError>((open.close(&lake).await?, fresh))
            };
            // A run that has ended meanwhile fills no more files, and reads the ledger instead of the answer.
            match step.await {
                Ok((closed, fresh)) => {
                    drop(opened_sender.send(Ok((fresh, closed.events.len() as u64))));
                    drop(outcome_sender.send(commit.run(closed, quarantine_advances, bronze_advances).await));
                }
                Err(error) => drop(opened_sender.send(Err(error))),
            }
        });
        let clock = self.step.clone();
        let closing = async move { clock.time(opened).await };
        ctx.spawn(closing.into_actor(self).map(move |done, actor, context| match done {
            Ok(Ok((fresh, files))) => {
                actor.open = Some(fresh);
                actor.wait_for_commit(ranges, files, outcome, context);
                actor.pump(context);
            }
            Ok(Err(error)) => actor.lake_failed(&error, context),
            Err(_) => {
                actor.fail(FailureClass::Crash, "closing the files ended without an answer".into(), context);
            }
        }));
    }

    fn wait_for_commit(
        &mut self,
        ranges: BTreeMap<i32, FlushedRange>,
        files: u64,
        outcome: oneshot::Receiver<Result<Committed, CommitRefused>>,
        ctx: &mut Context<Self>,
    ) {
        let commit = async move { outcome.await.unwrap_or(Err(CommitRefused::Lost)) };
        ctx.spawn(commit.into_actor(self).map(move |done, actor, context| match done {
            Ok(committed) => actor.committed(&ranges, files, &committed, context),
            Err(refused) => {
                let (class, reason) = refused.into_failure();
                actor.fail(class, reason, context);
            }
        }));
    }

    fn bronze_advances(&self, ranges: &BTreeMap<i32, FlushedRange>) -> Vec<Advance> {
        let advances = ranges.iter().map(|(&partition, range)| {
            let head = self
                .parts
                .heads
                .get(&partition)
                .map_or_else(PartitionLedger::default, |heads| heads.bronze.clone());
            self.advance(partition, bronze_entry(&head, range, self.parts.key.generation))
        });
        advances.collect()
    }

    fn quarantine_advances(&self, ranges: &BTreeMap<i32, FlushedRange>) -> Vec<Advance> {
        let with_rows = ranges.iter().filter(|(_, range)| range.quarantine_rows > 0);
        let advances = with_rows.map(|(&partition, range)| {
            let heads = self.parts.heads.get(&partition).cloned().unwrap_or_default();
            let bronze = bronze_entry(&heads.bronze, range, self.parts.key.generation);
            self.advance(partition, quarantine_entry(&heads.quarantine, &bronze, range))
        });
        advances.collect()
    }

    /// `entry.seq` still is the one that the entry was built on.
    fn advance(&self, partition: i32, entry: PartitionLedger) -> Advance {
        Advance { topic: self.parts.topic.clone(), partition, built_on_seq: entry.seq, entry }
    }

    fn committed(
        &mut self,
        ranges: &BTreeMap<i32, FlushedRange>,
        files: u64,
        committed: &Committed,
        ctx: &mut Context<Self>,
    ) {
        crate::failpoint::reach("writer::committed");
        let mut positions = Vec::new();
        for (&partition, range) in ranges {
            let heads = self.parts.heads.entry(partition).or_default();
            let bronze = bronze_entry(&heads.bronze, range, self.parts.key.generation);
            if range.quarantine_rows > 0 {
                heads.quarantine = quarantine_entry(&heads.quarantine, &bronze, range);
                heads.quarantine.seq += 1;
            }
            heads.bronze = bronze;
            heads.bronze.seq += 1;
            positions.push((partition, range.next));
            self.parts.status.count_committed_records(range.records, range.quarantined);
            self.parts.status.update_partition(partition, |status| status.bronze_next = range.next);
        }
        let newest =
            ranges.values().filter_map(|range| range.stream_time_span_us).map(|(_, newest)| newest).max();
        let rows = ranges.values().map(|range| range.records - range.quarantined).sum();
        self.parts.status.committed(LakeTable::RawEvents, committed.snapshot_id, files, rows, newest);
        for range in ranges.values() {
            observe_latency(
                &self.table_metrics,
                range.stream_time_span_us,
                range.records - range.quarantined,
            );
        }
        // The supervisor may be gone: group offsets are for lag tools only.
        let _ = self.parts.committed.send(positions);
        self.commit_in_flight = false;
        if self.open.as_ref().is_some_and(OpenFlush::is_empty) {
            self.flush_done();
        } else if !self.flush_waiters.is_empty() {
            self.flush_due = true;
        }
        self.pump(ctx);
    }
}

/// Bronze's entry after a flush; `seq` stays the one it was built on.
pub(crate) fn bronze_entry(head: &PartitionLedger, range: &FlushedRange, generation: u64) -> PartitionLedger {
    let mut entry = head.clone();
    entry.next = range.next;
    entry.replay_from = range.next;
    entry.generation = generation;
    entry.last = range.last.or(head.last);
    entry.counts.records += range.records;
    entry.counts.quarantined += range.quarantined;
    entry.counts.gaps += range.gaps;
    entry.counts.lost += range.lost;
    entry
}

/// The quarantine's entry beside it. The quarantine may be ahead of bronze after a crash between the two commits.
pub(crate) fn quarantine_entry(
    head: &PartitionLedger,
    bronze: &PartitionLedger,
    range: &FlushedRange,
) -> PartitionLedger {
    let quarantined = head.counts.quarantined + range.quarantine_rows;
    let mut entry = if head.next > bronze.next { head.clone() } else { bronze.clone() };
    entry.seq = head.seq;
    entry.generation = bronze.generation;
    entry.fingerprint_from = bronze.fingerprint_from;
    entry.counts.quarantined = quarantined;
    entry
}

impl Actor for BronzeWriter {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(self.parts.heartbeat_interval, |actor, _| {
            actor.parts.heartbeat.beat_unless_overdue(&actor.step);
        });
        ctx.run_interval(FLUSH_CHECK, |actor, context| actor.check_flush(context));
    }
}

impl Handler<WriteBatch> for BronzeWriter {
    type Result = ResponseFuture<Result<(), Gone>>;

    fn handle(&mut self, batch: WriteBatch, ctx: &mut Self::Context) -> Self::Result {
        let (sender, receiver) = oneshot::channel();
        self.timing.received(now_us());
        self.queue.push_back((crate::sabotage::received(batch), sender));
        self.pump(ctx);
        Box::pin(async move { receiver.await.map_err(|_| Gone) })
    }
}

impl Handler<Flush> for BronzeWriter {
    type Result = ResponseFuture<Result<(), Gone>>;

    fn handle(&mut self, _: Flush, ctx: &mut Self::Context) -> Self::Result {
        let (sender, receiver) = oneshot::channel();
        self.flush_waiters.push(sender);
        self.flush_due = true;
        self.pump(ctx);
        Box::pin(async move { receiver.await.map_err(|_| Gone) })
    }
}

impl Handler<StopActor> for BronzeWriter {
    type Result = ();

    fn handle(&mut self, _: StopActor, ctx: &mut Self::Context) {
        self.parts.guard.disarm();
        ctx.stop();
    }
}
