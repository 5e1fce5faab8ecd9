//! DimensionUpserter: turns the records of an entity's partitions into versions, and flushes them into the tables.
//!
//! Records are applied as they come. When a flush is due, changes that memory can't place are looked up in the history,
//! and columns that the source has gained are added to the tables; then files are written and committed while the next
//! flush fills. One commit is in flight at most.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use actix::prelude::*;
use arrow::array::{AsArray, RecordBatch};
use arrow::compute;
use arrow::datatypes::Int64Type;
use pulselake_cdc::{Flush as TakenChanges, Upserter};
use pulselake_telemetry::{ActorMetrics, ChangeCounts, ChangeMetrics, TableMetrics, events};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::flush::{ChangeHeads, FlushFailure, Settled, commit_flush, flushed_heads, landed_heads, settle};
use super::messages::ApplyChanges;
use super::services::ChangeCommitters;
use super::stream::DimensionStream;
use crate::flush_timing::FlushTiming;
use crate::heartbeat::{Heartbeat, StepClock};
use crate::kill_switch::{DeathGuard, FailureClass};
use crate::latency::observe_latency;
use crate::messages::{CommitRefused, Committed, Flush, GenerationKey, Gone, StopActor};
use crate::recovery::StartError;
use crate::status::now_us;

/// How often the upserter looks whether a flush is due.
const FLUSH_CHECK: Duration = Duration::from_millis(50);

/// What an upserter is made of.
pub(super) struct UpserterParts {
    /// The stream's run.
    pub(super) key: GenerationKey,
    /// The stream.
    pub(super) stream: DimensionStream,
    /// Where its flushes are committed.
    pub(super) committers: ChangeCommitters,
    /// Ledger entries that this run starts from.
    pub(super) heads: BTreeMap<i32, ChangeHeads>,
    /// Offsets in quarantine, where they decide.
    pub(super) quarantined: BTreeMap<i32, HashSet<i64>>,
    /// Told the committed positions.
    pub(super) committed: UnboundedSender<Vec<(i32, i64)>>,
    /// Death guard.
    pub(super) guard: DeathGuard,
    /// Heartbeat.
    pub(super) heartbeat: Heartbeat,
}

/// See the module.
pub(super) struct DimensionUpserter {
    parts: UpserterParts,
    metrics: ActorMetrics,
    change_metrics: ChangeMetrics,
    table_metrics: TableMetrics,
    /// `None` while the tables are asked before a flush.
    upserter: Option<Box<Upserter>>,
    queue: VecDeque<(ApplyChanges, oneshot::Sender<()>)>,
    flush_waiters: Vec<oneshot::Sender<()>>,
    flush_due: bool,
    /// Records that retention removed unread, by partition, not yet in a commit.
    lost: BTreeMap<i32, u64>,
    timing: FlushTiming,
    /// Times what is asked of the tables before a flush.
    step: StepClock,
    commit_in_flight: bool,
}

impl DimensionUpserter {
    /// An upserter that goes on from the given state.
    pub(super) fn new(parts: UpserterParts, upserter: Upserter) -> Self {
        let stream = &parts.stream;
        Self {
            metrics: ActorMetrics::new("DimensionUpserter", stream.entity.as_str()),
            change_metrics: ChangeMetrics::new(stream.entity),
            table_metrics: TableMetrics::new(stream.table()),
            step: StepClock::new(stream.settings.heartbeat_timeout / 2),
            timing: FlushTiming::new(stream.dimension.commit_interval),
            parts,
            upserter: Some(Box::new(upserter)),
            queue: VecDeque::new(),
            flush_waiters: Vec::new(),
            flush_due: false,
            lost: BTreeMap::new(),
            commit_in_flight: false,
        }
    }

    fn fail(&mut self, class: FailureClass, reason: String, ctx: &mut Context<Self>) {
        self.parts.guard.fail(class, reason);
        self.parts.guard.disarm();
        ctx.stop();
    }

    fn start_failed(&mut self, error: &StartError, ctx: &mut Context<Self>) {
        let class = match error {
            passing if passing.is_transient() => FailureClass::Transient,
            _ => FailureClass::Crash,
        };
        self.fail(class, error.to_string(), ctx);
    }

    fn is_full(&self, upserter: &Upserter) -> bool {
        let limits = &self.parts.stream.dimension;
        upserter.pending_rows() >= limits.max_pending_rows
            || upserter.pending_bytes() >= limits.max_pending_bytes
    }

    fn check_flush(&mut self, ctx: &mut Context<Self>) {
        let Some(upserter) = &self.upserter else { return };
        if upserter.has_records() && (self.is_full(upserter) || self.timing.is_due(now_us())) {
            self.flush_due = true;
            self.pump(ctx);
        }
    }

    /// Takes the next step that is possible now: a due flush first, else the next batch.
    fn pump(&mut self, ctx: &mut Context<Self>) {
        loop {
            self.metrics.mailbox_depth(self.queue.len());
            let Some(upserter) = &self.upserter else { return };
            if self.flush_due && upserter.is_empty() {
                self.flush_done();
            } else if self.flush_due && !self.commit_in_flight {
                self.begin_flush(ctx);
                return;
            } else if self.flush_due && self.is_full(upserter) {
                return;
            }
            // A flush that waits for the commit in flight takes along what comes meanwhile: else commits that take longer
            // than their interval would carry a batch each.
            let Some((changes, reply)) = self.queue.pop_front() else { return };
            self.apply(&changes);
            // A consumer that has gone needs no answer.
            let _ = reply.send(());
        }
    }

    /// Nothing waits: whoever waits for a flush waits for the commit in flight alone.
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

    fn apply(&mut self, changes: &ApplyChanges) {
        let Some(upserter) = &mut self.upserter else { return };
        let started = Instant::now();
        let partition = changes.batch.partition;
        let quarantined = self.parts.quarantined.get(&partition).filter(|_| changes.is_settled_by_quarantine);
        upserter.use_schemas(changes.schemas.clone());
        let applied = upserter.apply(&changes.batch, now_us(), quarantined);
        *self.lost.entry(partition).or_default() += changes.lost;
        let counts = ChangeCounts {
            records: applied.records,
            tombstones: applied.tombstones,
            rejected_by_code: applied.rejected_by_code,
        };
        self.change_metrics.received(&counts);
        events::changes_quarantined(self.parts.stream.entity, &counts.rejected_by_code);
        self.parts.stream.status.count_records(applied.records, applied.rejected());
        self.metrics.worked(started.elapsed());
        crate::failpoint::reach("upserter::applied");
        let is_full = self.upserter.as_ref().is_some_and(|open| self.is_full(open));
        let has_records = self.upserter.as_ref().is_some_and(|open| open.has_records());
        self.flush_due |= is_full || has_records && self.timing.is_due(now_us());
    }

    /// Asks the tables what is needed before files can be written: look-ups and new columns.
    fn begin_flush(&mut self, ctx: &mut Context<Self>) {
        let Some(upserter) = self.upserter.take() else { return };
        self.timing.flushed(now_us());
        self.flush_due = false;
        self.commit_in_flight = true;
        let (clock, stream, started) = (self.step.clone(), self.parts.stream.clone(), Instant::now());
        let asking = async move { settle(&stream, &clock, upserter).await };
        ctx.spawn(asking.into_actor(self).map(move |outcome, actor, context| {
            actor.metrics.worked(started.elapsed());
            match outcome {
                Ok(settled) => actor.write(settled, context),
                Err(error) => actor.start_failed(&error, context),
            }
        }));
    }

    /// Writes and commits on the committers' thread: what was begun goes on to its end when this run is ended meanwhile,
    /// so that no file is left behind.
    fn write(&mut self, settled: Settled, ctx: &mut Context<Self>) {
        let Settled { mut upserter, looked_up_keys, changed_columns } = settled;
        self.change_metrics.looked_up(looked_up_keys);
        self.change_metrics.schema_changed(changed_columns);
        let taken = match upserter.take_flush() {
            Ok(taken) => taken,
            Err(error) => return self.fail(FailureClass::Crash, error.to_string(), ctx),
        };
        self.change_metrics.index(upserter.index().len(), upserter.index().memory_bytes());
        self.upserter = Some(upserter);
        let lost = std::mem::take(&mut self.lost);
        let heads = flushed_heads(&self.parts.heads, &taken, &lost, self.parts.key.generation);
        let (sender, outcome) = oneshot::channel();
        let (stream, committers) = (self.parts.stream.clone(), self.parts.committers.clone());
        let (key, before, after) = (self.parts.key, self.parts.heads.clone(), heads.clone());
        self.parts.committers.thread.spawn(async move {
            let committed = commit_flush(&stream, &committers, key, &taken, &before, &after).await;
            // A run that has ended meanwhile reads the ledger instead of the answer.
            drop(sender.send(committed.map(|done| (done, taken))));
        });
        let waiting = async move { outcome.await.unwrap_or(Err(CommitRefused::Lost.into())) };
        ctx.spawn(waiting.into_actor(self).map(move |done, actor, context| match done {
            Ok((committed, flushed)) => actor.committed(heads, &committed, &flushed, context),
            Err(failure) => actor.not_committed(failure, context),
        }));
        self.pump(ctx);
    }

    /// Not committed, so nothing is lost: the next generation reads these records again.
    fn not_committed(&mut self, failure: FlushFailure, ctx: &mut Context<Self>) {
        let (class, reason) = match failure {
            FlushFailure::Unwritten(error) if error.is_transient() => {
                (FailureClass::Transient, error.to_string())
            }
            FlushFailure::Unwritten(error) => (FailureClass::Crash, error.to_string()),
            FlushFailure::Unanswered(error) => (FailureClass::Transient, error.to_string()),
            FlushFailure::Refused(refused) => refused.into_failure(),
        };
        self.fail(class, reason, ctx);
    }

    fn committed(
        &mut self,
        heads: BTreeMap<i32, ChangeHeads>,
        committed: &Committed,
        flushed: &TakenChanges,
        ctx: &mut Context<Self>,
    ) {
        crate::failpoint::reach("upserter::committed");
        let stream = &self.parts.stream;
        let (mut positions, mut records, mut quarantined) = (Vec::new(), 0, 0);
        let (mut repeated, mut late) = (0, 0);
        for (&partition, position) in &flushed.positions {
            positions.push((partition, position.next));
            records += position.records;
            quarantined += position.quarantined;
            repeated += position.duplicates;
            late += position.late;
            stream.status.update_partition(partition, |status| status.bronze_next = position.next);
        }
        self.change_metrics.flushed(repeated, late);
        stream.status.count_committed_records(records, quarantined);
        let rows = flushed.upserts.num_rows() as u64;
        let span_us = source_ts_span_us(&flushed.upserts);
        let newest_us = span_us.map(|(_, newest)| newest);
        stream.status.committed(stream.table(), committed.snapshot_id, 0, rows, newest_us);
        observe_latency(&self.table_metrics, span_us, rows);
        if let Some(cache) = &stream.cache {
            cache.apply(&flushed.upserts, &flushed.deleted);
        }
        let landed = landed_heads(&self.parts.heads, heads);
        self.parts.heads.extend(landed);
        // The supervisor may be gone: group offsets are for lag tools only.
        let _ = self.parts.committed.send(positions);
        self.commit_in_flight = false;
        if self.upserter.as_ref().is_some_and(|open| open.is_empty()) {
            self.flush_done();
        } else if !self.flush_waiters.is_empty() {
            self.flush_due = true;
        }
        self.pump(ctx);
    }
}

/// Oldest and newest moment (µs) at which these rows changed in their source.
fn source_ts_span_us(upserts: &RecordBatch) -> Option<(i64, i64)> {
    let moments = upserts.column_by_name("source_ts_ms")?.as_primitive_opt::<Int64Type>()?;
    Some((compute::min(moments)?.saturating_mul(1_000), compute::max(moments)?.saturating_mul(1_000)))
}

impl Actor for DimensionUpserter {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let interval = self.parts.stream.settings.heartbeat_interval;
        ctx.run_interval(interval, |actor, _| actor.parts.heartbeat.beat_unless_overdue(&actor.step));
        ctx.run_interval(FLUSH_CHECK, |actor, context| actor.check_flush(context));
    }
}

impl Handler<ApplyChanges> for DimensionUpserter {
    type Result = ResponseFuture<Result<(), Gone>>;

    fn handle(&mut self, changes: ApplyChanges, ctx: &mut Self::Context) -> Self::Result {
        let (sender, receiver) = oneshot::channel();
        self.timing.received(now_us());
        self.queue.push_back((changes, sender));
        self.pump(ctx);
        Box::pin(async move { receiver.await.map_err(|_| Gone) })
    }
}

impl Handler<Flush> for DimensionUpserter {
    type Result = ResponseFuture<Result<(), Gone>>;

    fn handle(&mut self, _: Flush, ctx: &mut Self::Context) -> Self::Result {
        let (sender, receiver) = oneshot::channel();
        self.flush_waiters.push(sender);
        self.flush_due = true;
        self.pump(ctx);
        Box::pin(async move { receiver.await.map_err(|_| Gone) })
    }
}

impl Handler<StopActor> for DimensionUpserter {
    type Result = ();

    fn handle(&mut self, _: StopActor, ctx: &mut Self::Context) {
        self.parts.guard.disarm();
        ctx.stop();
    }
}
