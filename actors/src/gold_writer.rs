//! IcebergWriter of the whole process for `gold.rt_video_stats_1min`.
//!
//! Gold rows are few, and one file per bucket and minute is enough for all shards: so one writer collects from every
//! aggregator. The first partition that closes a minute starts a short wait for the others; corrections ride along,
//! or go after their own interval. A collection takes each partition's rows together with the position that they
//! stand for, so that rows and ledger always land in the same commit.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use actix::prelude::*;
use arrow::array::RecordBatch;
use iceberg::spec::DataFile;
use pulselake_lake::{Lake, LakeError, TableWriter, WriterOptions};
use pulselake_ledger::{Advance, Counts, PartitionLedger};
use pulselake_model::tables::LakeTable;
use pulselake_telemetry::{ActorMetrics, TableMetrics};
use pulselake_window::window_end_us;
use tokio::sync::oneshot;

use crate::aggregator::VelocityAggregator;
use crate::committer::Committer;
use crate::gold_rows::{PartitionRows, to_batch};
use crate::heartbeat::{Heartbeat, StepClock};
use crate::kill_switch::{DeathGuard, Failure, FailureClass, KillSwitch};
use crate::latency::observe_latency;
use crate::messages::*;
use crate::status::{EngineStatus, now_us};

const CHECK: Duration = Duration::from_millis(50);

/// What the gold writer is made of.
pub struct GoldWriterParts {
    /// Source topic.
    pub topic: String,
    /// The tables.
    pub lake: Lake,
    /// Parquet options.
    pub options: WriterOptions,
    /// How long the first closed minute waits for other partitions.
    pub collect_wait: Duration,
    /// Longest wait of a correction.
    pub correction_interval: Duration,
    /// Pending rows of a partition that are collected at once.
    pub max_pending_rows: usize,
    /// How long an aggregator may take to hand its rows over before its run counts as hung.
    pub answer_timeout: Duration,
    /// How long the writing of one commit's files may take before the heartbeat is withheld.
    pub write_timeout: Duration,
    /// Gold's committer.
    pub committer: Addr<Committer>,
    /// How often to beat.
    pub heartbeat_interval: Duration,
    /// Shared status.
    pub status: EngineStatus,
    /// Death guard.
    pub guard: DeathGuard,
    /// Heartbeat.
    pub heartbeat: Heartbeat,
}

/// To the gold writer: these partitions are collected from now on.
#[derive(Message)]
#[rtype(result = "()")]
pub struct RegisterPartitions {
    /// The shard's run.
    pub key: GenerationKey,
    /// Its kill switch: a commit that fails ends the runs whose rows were in it.
    pub kill_switch: KillSwitch,
    /// Aggregator and gold's ledger entry per partition.
    pub partitions: Vec<(i32, Addr<VelocityAggregator>, PartitionLedger)>,
}

struct Registered {
    key: GenerationKey,
    kill_switch: KillSwitch,
    aggregator: Addr<VelocityAggregator>,
    head: PartitionLedger,
    closed_through_us: Option<i64>,
}

/// One partition's part in a collection.
struct Collected {
    partition: i32,
    key: GenerationKey,
    taken: TakenFlush,
}

/// See the module.
pub struct GoldWriter {
    parts: GoldWriterParts,
    metrics: ActorMetrics,
    table_metrics: TableMetrics,
    /// Times the writing of files; how long a commit takes is the committer's to judge.
    writing: StepClock,
    partitions: BTreeMap<i32, Registered>,
    collect_at: Option<Instant>,
    corrections_at: Option<Instant>,
    in_flight: bool,
    drain_waiters: Vec<oneshot::Sender<()>>,
    close_waiters: Vec<oneshot::Sender<()>>,
}

impl GoldWriter {
    /// A writer without partitions.
    pub fn new(parts: GoldWriterParts) -> Self {
        Self {
            writing: StepClock::new(parts.write_timeout),
            parts,
            metrics: ActorMetrics::new("GoldWriter", 0),
            table_metrics: TableMetrics::new(LakeTable::VideoStats1Min),
            partitions: BTreeMap::new(),
            collect_at: None,
            corrections_at: None,
            in_flight: false,
            drain_waiters: Vec::new(),
            close_waiters: Vec::new(),
        }
    }

    fn check(&mut self, ctx: &mut Context<Self>) {
        let now = Instant::now();
        let is_due = |at: Option<Instant>| at.is_some_and(|due| due <= now);
        let due = is_due(self.collect_at) || is_due(self.corrections_at) || !self.drain_waiters.is_empty();
        if due && !self.in_flight {
            self.collect(ctx);
        }
    }

    /// Whether every partition has closed what the furthest one has: then nobody needs to be waited for.
    fn everyone_has_closed(&self) -> bool {
        let furthest = self.partitions.values().filter_map(|registered| registered.closed_through_us).max();
        self.partitions.values().all(|registered| registered.closed_through_us >= furthest)
    }

    fn collect(&mut self, ctx: &mut Context<Self>) {
        crate::failpoint::reach("gold::collect");
        self.collect_at = None;
        self.corrections_at = None;
        self.in_flight = true;
        let drained = std::mem::take(&mut self.drain_waiters);
        let timeout = self.parts.answer_timeout;
        let asked: Vec<_> = self
            .partitions
            .iter()
            .map(|(&partition, registered)| {
                let answer = registered.aggregator.send(TakeFlush);
                let key = registered.key;
                let kill_switch = registered.kill_switch.clone();
                async move {
                    match tokio::time::timeout(timeout, answer).await {
                        Ok(answered) => {
                            answered.ok().flatten().map(|taken| Collected { partition, key, taken })
                        }
                        Err(_) => {
                            // Its rows may be taken when nobody waits for them any more: the run has to start again.
                            let actor = format!("VelocityAggregator of partition {partition}");
                            let reason = format!("gave no answer for {} ms", timeout.as_millis());
                            kill_switch.trip(Failure { actor, class: FailureClass::Crash, reason });
                            None
                        }
                    }
                }
            })
            .collect();
        let collecting = futures::future::join_all(asked).into_actor(self);
        ctx.spawn(collecting.map(move |answers, actor, context| {
            // A run that ended while the answers came starts again from the ledger: its part is void.
            actor.partitions.retain(|_, registered| !registered.kill_switch.is_tripped());
            let current = |collected: &Collected| {
                let registered = actor.partitions.get(&collected.partition);
                registered.is_some_and(|registered| registered.key == collected.key)
            };
            let collected: Vec<Collected> = answers.into_iter().flatten().filter(current).collect();
            actor.write(collected, drained, context);
        }));
    }

    fn write(
        &mut self,
        collected: Vec<Collected>,
        drained: Vec<oneshot::Sender<()>>,
        ctx: &mut Context<Self>,
    ) {
        if collected.is_empty() {
            return self.collection_done(drained, ctx);
        }
        let started = Instant::now();
        let mut advances = Vec::new();
        let mut rows = Vec::new();
        for part in &collected {
            let Some(registered) = self.partitions.get(&part.partition) else { continue };
            let entry = gold_entry(&registered.head, &part.taken, part.key.generation);
            rows.push(PartitionRows {
                partition: part.partition,
                rows: &part.taken.flush.rows,
                correction_revision: i32::try_from(entry.seq + 1).unwrap_or(i32::MAX),
            });
            let topic = self.parts.topic.clone();
            advances.push(Advance { topic, partition: part.partition, built_on_seq: entry.seq, entry });
        }
        let batch = to_batch(&rows, now_us());
        let mut keys: Vec<GenerationKey> = collected.iter().map(|part| part.key).collect();
        keys.sort_unstable();
        keys.dedup();
        let (lake, options, committer) =
            (self.parts.lake.clone(), self.parts.options, self.parts.committer.clone());
        let writing = self.writing.clone();
        let commit = async move {
            let batch = batch.map_err(|error| (FailureClass::Crash, error.to_string()))?;
            let files = writing
                .time(write_files(&lake, options, &batch))
                .await
                .map_err(|error| (lake_class(&error), error.to_string()))?;
            crate::failpoint::reach("gold::before_commit");
            let file_count = files.len() as u64;
            let request = CommitFiles { keys, advances, files, deletes: Vec::new() };
            let outcome = committer.send(request).await.unwrap_or(Err(CommitRefused::Closed));
            Ok::<_, (FailureClass, String)>(outcome.map(|committed| (committed, file_count)))
        };
        ctx.spawn(commit.into_actor(self).map(move |outcome, actor, context| {
            actor.metrics.worked(started.elapsed());
            match outcome {
                Ok(Ok((committed, files))) => actor.committed(&collected, &committed, files),
                Ok(Err(CommitRefused::Fenced(reason))) => {
                    actor.end_runs(&collected, FailureClass::Fenced, &reason);
                }
                Ok(Err(CommitRefused::Stop(reason))) => {
                    actor.end_runs(&collected, FailureClass::Stop, &reason);
                }
                Ok(Err(CommitRefused::Lost)) => {
                    actor.end_runs(&collected, FailureClass::Crash, "the commit ended without an answer");
                }
                Ok(Err(CommitRefused::Closed)) => {
                    actor.end_runs(&collected, FailureClass::Fenced, "a run in this commit was closed");
                }
                Err((class, reason)) => actor.end_runs(&collected, class, &reason),
            }
            actor.collection_done(drained, context);
        }));
    }

    fn committed(&mut self, collected: &[Collected], committed: &Committed, files: u64) {
        crate::failpoint::reach("gold::committed");
        let mut rows = 0;
        let mut newest = None;
        for part in collected {
            let Some(registered) = self.partitions.get_mut(&part.partition) else { continue };
            if registered.key != part.key {
                continue;
            }
            let mut entry = gold_entry(&registered.head, &part.taken, part.key.generation);
            entry.seq += 1;
            registered.head = entry;
            rows += part.taken.flush.rows.len() as u64;
            let position = part.taken.flush.position;
            newest = newest.max(position.closed_through_us);
            self.parts.status.update_partition(part.partition, |status| status.gold_next = position.next);
            let windows = part
                .taken
                .flush
                .rows
                .iter()
                .filter(|row| !row.is_correction)
                .map(|row| window_end_us(row.window_start_us));
            let span = windows.clone().min().zip(windows.clone().max());
            observe_latency(&self.table_metrics, span, windows.count() as u64);
        }
        self.parts.status.committed(LakeTable::VideoStats1Min, committed.snapshot_id, files, rows, newest);
    }

    /// The aggregators have given their rows away: their runs can only start again from the ledger. Until then nothing
    /// more is taken from them: a later flush would move the ledger past the rows that were lost.
    fn end_runs(&mut self, collected: &[Collected], class: FailureClass, reason: &str) {
        self.partitions.retain(|_, registered| {
            let is_lost = collected.iter().any(|part| part.key == registered.key);
            if is_lost {
                let actor = "GoldWriter".to_string();
                registered.kill_switch.trip(Failure { actor, class, reason: reason.to_string() });
            }
            !is_lost
        });
    }

    fn collection_done(&mut self, drained: Vec<oneshot::Sender<()>>, ctx: &mut Context<Self>) {
        self.in_flight = false;
        for waiting in drained.into_iter().chain(self.close_waiters.drain(..)) {
            // Whoever asked may have gone.
            let _ = waiting.send(());
        }
        self.check(ctx);
    }
}

async fn write_files(
    lake: &Lake,
    options: WriterOptions,
    batch: &RecordBatch,
) -> Result<Vec<DataFile>, LakeError> {
    crate::failpoint::reach_store("gold::before_write").await;
    if batch.num_rows() == 0 {
        return Ok(Vec::new());
    }
    let mut writer = TableWriter::new(lake, LakeTable::VideoStats1Min, options).await?;
    writer.write(batch).await?;
    writer.close().await
}

fn lake_class(error: &LakeError) -> FailureClass {
    if error.is_transient() { FailureClass::Transient } else { FailureClass::Crash }
}

/// Gold's entry after a flush; `seq` stays the one it was built on.
pub(crate) fn gold_entry(head: &PartitionLedger, taken: &TakenFlush, generation: u64) -> PartitionLedger {
    let position = taken.flush.position;
    PartitionLedger {
        next: position.next,
        seq: head.seq,
        commit_id: String::new(),
        fingerprint: String::new(),
        fingerprint_from: 0,
        generation,
        closed_through: position.closed_through_us,
        replay_from: position.replay_from,
        replay_stream_time: position.replay_stream_time_us,
        watermark: position.watermark_us,
        last: taken.last,
        counts: Counts {
            records: position.records,
            quarantined: position.quarantined,
            duplicates: position.duplicates,
            late: position.late,
            dropped: position.dropped,
            open: position.open,
            gaps: position.gaps,
            lost: taken.lost,
            tombstones: 0,
        },
    }
}

impl Actor for GoldWriter {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(self.parts.heartbeat_interval, |actor, _| {
            actor.parts.heartbeat.beat_unless_overdue(&actor.writing);
        });
        ctx.run_interval(CHECK, |actor, context| actor.check(context));
    }
}

impl Handler<RegisterPartitions> for GoldWriter {
    type Result = ();

    fn handle(&mut self, message: RegisterPartitions, _: &mut Self::Context) {
        for (partition, aggregator, head) in message.partitions {
            let closed_through_us = head.closed_through;
            let kill_switch = message.kill_switch.clone();
            self.partitions.insert(
                partition,
                Registered { key: message.key, kill_switch, aggregator, head, closed_through_us },
            );
        }
    }
}

impl Handler<GoldReady> for GoldWriter {
    type Result = ();

    fn handle(&mut self, ready: GoldReady, ctx: &mut Self::Context) {
        let Some(registered) = self.partitions.get_mut(&ready.partition) else { return };
        if registered.key != ready.key {
            return;
        }
        registered.closed_through_us = ready.closed_through_us;
        let now = Instant::now();
        if ready.pending_rows >= self.parts.max_pending_rows
            || (ready.has_windows && self.everyone_has_closed())
        {
            self.collect_at = Some(now);
        } else if ready.has_windows {
            self.collect_at.get_or_insert(now + self.parts.collect_wait);
        } else {
            self.corrections_at.get_or_insert(now + self.parts.correction_interval);
        }
        self.check(ctx);
    }
}

impl Handler<DrainGold> for GoldWriter {
    type Result = ResponseFuture<Result<(), Gone>>;

    fn handle(&mut self, _: DrainGold, ctx: &mut Self::Context) -> Self::Result {
        let (sender, receiver) = oneshot::channel();
        self.drain_waiters.push(sender);
        self.check(ctx);
        Box::pin(async move { receiver.await.map_err(|_| Gone) })
    }
}

impl Handler<CloseGeneration> for GoldWriter {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, message: CloseGeneration, _: &mut Self::Context) -> Self::Result {
        crate::failpoint::reach("gold::close");
        self.partitions.retain(|_, registered| registered.key != message.key);
        if !self.in_flight {
            return Box::pin(async {});
        }
        let (sender, receiver) = oneshot::channel();
        self.close_waiters.push(sender);
        // A lost answer means that the writer died, and with it whatever was in flight here.
        Box::pin(async move { drop(receiver.await) })
    }
}

impl Handler<StopActor> for GoldWriter {
    type Result = ();

    fn handle(&mut self, _: StopActor, ctx: &mut Self::Context) {
        self.parts.guard.disarm();
        ctx.stop();
    }
}
