//! PartitionConsumer: reads one partition, decodes it, and passes each batch to the aggregator and the writer.
//!
//! One batch is in flight at a time: the next one is read when both have taken the last. That is the whole of
//! back-pressure; when it lasts, the partition is paused at the source, so that nothing piles up in the client
//! either, while the client goes on polling and stays in its group.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use arrow::array::{Array, AsArray, RecordBatch};
use pulselake_ledger::LastSeen;
use pulselake_model::RawBatch;
use pulselake_source::{PartitionReader, Polled, ReaderState, SourceError};
use pulselake_telemetry::{ActorMetrics, SourceMetrics, events};
use tokio::sync::oneshot;

use crate::aggregator::VelocityAggregator;
use crate::bronze_writer::BronzeWriter;
use crate::heartbeat::Heartbeat;
use crate::kill_switch::{DeathGuard, FailureClass};
use crate::messages::*;
use crate::pipeline::Pipeline;
use crate::prepare::{Piece, Preparer};
use crate::recovery::StartError;
use crate::refill::Refill;
use crate::same_topic::verify;
use crate::status::{EngineStatus, now_us};

/// How long a reader waits that has less than a full batch but is not at its end: more is on its way.
const REFILL_PAUSE: Duration = Duration::from_millis(5);
/// Back-pressure longer than this pauses the partition at the source.
const PAUSE_AFTER: Duration = Duration::from_millis(500);

/// How long the commit may take of what was read before retention overtook the reader.
const OVERTAKEN_FLUSH: Duration = Duration::from_secs(30);

/// One piece's messages to the aggregator and to the writer, where they need it.
type SinkMessages = (Option<Aggregate>, Option<WriteBatch>);

/// Where the reader stands behind a batch, and what follows.
#[derive(Clone, Copy)]
struct Reached {
    position: i64,
    state: ReaderState,
    pause: Duration,
}

/// What a consumer is made of.
pub struct ConsumerParts {
    /// The shard's run.
    pub key: GenerationKey,
    /// Source topic.
    pub topic: String,
    /// Source partition.
    pub partition: i32,
    /// Its reader, standing at the plan's `read_from`.
    pub reader: Box<dyn PartitionReader>,
    /// Decodes for the sinks, each from where it stands.
    pub preparer: Preparer,
    /// Records that must look as they did.
    pub verify: Vec<LastSeen>,
    /// What the aggregator gets out of bronze first.
    pub(crate) refill: Option<Refill>,
    /// Where bronze is read.
    pub pipeline: Pipeline,
    /// Records of bronze that retention removed unread; reported with the first batch.
    pub bronze_lost: u64,
    /// Whether to go on behind records that retention removed unread.
    pub continue_on_data_loss: bool,
    /// The partition's aggregator.
    pub aggregator: Addr<VelocityAggregator>,
    /// The shard's bronze writer.
    pub writer: Addr<BronzeWriter>,
    /// Records of one batch at most.
    pub batch_records: usize,
    /// Bytes of one batch at most.
    pub batch_bytes: usize,
    /// How long a reader at its end waits for more.
    pub batch_wait: Duration,
    /// How long to stand at the end before windows close.
    pub idle_timeout: Duration,
    /// How often to beat.
    pub heartbeat_interval: Duration,
    /// Told when a bounded reader has delivered everything.
    pub finished: tokio::sync::mpsc::UnboundedSender<(GenerationKey, i32)>,
    /// Shared status.
    pub status: EngineStatus,
    /// Death guard.
    pub guard: DeathGuard,
    /// Heartbeat.
    pub heartbeat: Heartbeat,
}

/// See the module.
pub struct PartitionConsumer {
    parts: ConsumerParts,
    metrics: ActorMetrics,
    source_metrics: SourceMetrics,
    delivering_since: Option<Instant>,
    paused: bool,
    at_end_since: Option<Instant>,
    idle_closed: bool,
    finished: bool,
    stop_requested: Vec<oneshot::Sender<()>>,
}

impl PartitionConsumer {
    /// A consumer that begins to read as soon as it is started.
    pub fn new(parts: ConsumerParts) -> Self {
        let metrics = ActorMetrics::new("PartitionConsumer", parts.partition);
        Self {
            source_metrics: SourceMetrics::new(parts.partition),
            parts,
            metrics,
            delivering_since: None,
            paused: false,
            at_end_since: None,
            idle_closed: false,
            finished: false,
            stop_requested: Vec::new(),
        }
    }

    fn is_stopping(&self) -> bool {
        !self.stop_requested.is_empty()
    }

    fn confirm_stop(&mut self) {
        for waiting in self.stop_requested.drain(..) {
            // Whoever asked may have gone: then nobody needs the answer.
            let _ = waiting.send(());
        }
    }

    fn fail(&mut self, class: FailureClass, reason: String, ctx: &mut Context<Self>) {
        self.parts.guard.fail(class, reason);
        self.parts.guard.disarm();
        ctx.stop();
    }

    fn source_failed(&mut self, error: &SourceError, ctx: &mut Context<Self>) {
        if matches!(error, SourceError::OffsetOutOfRange { .. }) {
            return self.overtaken(error, ctx);
        }
        self.fail(error.action().into(), error.to_string(), ctx);
    }

    /// Retention has overtaken the reader. What was read before may be nowhere else by now: it is committed first.
    fn overtaken(&mut self, error: &SourceError, ctx: &mut Context<Self>) {
        // With `continue` the next start counts the gap, if there is one, and goes on behind it.
        let class =
            if self.parts.continue_on_data_loss { FailureClass::Transient } else { FailureClass::Stop };
        let reason = error.to_string();
        self.finished = true;
        let flush = tokio::time::timeout(OVERTAKEN_FLUSH, self.parts.writer.send(Flush));
        // A flush that fails or takes too long changes nothing: the ledger says what was lost.
        ctx.spawn(flush.into_actor(self).map(move |_, actor, context| actor.fail(class, reason, context)));
    }

    fn read_next(&mut self, ctx: &mut Context<Self>) {
        if self.delivering_since.is_some() || self.finished {
            return;
        }
        if self.is_stopping() {
            self.finished = true;
            self.confirm_stop();
            return;
        }
        let polled = match self.parts.reader.poll(self.parts.batch_records, self.parts.batch_bytes) {
            Ok(polled) => polled,
            Err(error) => return self.source_failed(&error, ctx),
        };
        crate::failpoint::reach("consumer::polled");
        let pause = self.pause_after(&polled);
        if polled.batch.records.is_empty() {
            self.close_if_idle(polled.state);
        } else {
            self.at_end_since = None;
            self.idle_closed = false;
        }
        if !polled.batch.is_empty() {
            let reached = Reached { position: polled.batch.next_offset, state: polled.state, pause };
            self.deliver(polled.batch, reached, ctx);
        } else if polled.state == ReaderState::Finished {
            self.finish();
        } else {
            ctx.notify_later(ReadNext, pause);
        }
    }

    /// How long to wait before the next poll: not at all behind a full batch, so that a backlog is read at full speed;
    /// else long enough that batches do not become tiny.
    fn pause_after(&self, polled: &Polled) -> Duration {
        let half_full = 2 * polled.batch.records.len() >= self.parts.batch_records
            || 2 * polled.batch.bytes.len() >= self.parts.batch_bytes;
        match polled.state {
            _ if half_full => Duration::ZERO,
            ReaderState::AtEnd => self.parts.batch_wait,
            ReaderState::More | ReaderState::Finished => REFILL_PAUSE,
        }
    }

    /// Without records: closes the newest windows once the partition has stood at its end for long enough.
    fn close_if_idle(&mut self, state: ReaderState) {
        if state != ReaderState::AtEnd {
            return;
        }
        let since = *self.at_end_since.get_or_insert_with(Instant::now);
        if !self.idle_closed && since.elapsed() >= self.parts.idle_timeout {
            self.idle_closed = true;
            self.parts.aggregator.do_send(CloseIdleWindows);
        }
    }

    fn finish(&mut self) {
        self.finished = true;
        // The supervisor may be gone already: then the end of one partition is of no interest.
        let _ = self.parts.finished.send((self.parts.key, self.parts.partition));
    }

    fn deliver(&mut self, batch: RawBatch, reached: Reached, ctx: &mut Context<Self>) {
        if let Err(reason) = verify(&mut self.parts.verify, &batch) {
            let partition = self.parts.partition;
            return self.fail(FailureClass::Stop, format!("partition {partition}: {reason}"), ctx);
        }
        let messages = self.prepare(crate::sabotage::polled(batch));
        self.send(messages, Some(reached), ctx);
    }

    /// Gives the aggregator what the source can't give any more, slice by slice, before anything is read.
    fn refill(&mut self, refill: Refill, ctx: &mut Context<Self>) {
        let (aggregator, pipeline) = (self.parts.aggregator.clone(), self.parts.pipeline.clone());
        self.delivering_since = Some(Instant::now());
        let deliver = async move {
            for (from, to) in refill.slices() {
                let batch = Arc::new(refill.read(&pipeline, from, to).await?);
                if !matches!(aggregator.send(Aggregate { batch }).await, Ok(Ok(()))) {
                    return Ok(Err(Gone));
                }
            }
            let Some(gap) = refill.gap() else { return Ok(Ok(())) };
            let answer = aggregator.send(Aggregate { batch: Arc::new(gap) }).await;
            Ok(if matches!(answer, Ok(Ok(()))) { Ok(()) } else { Err(Gone) })
        };
        ctx.spawn(deliver.into_actor(self).map(
            |outcome: Result<Result<(), Gone>, StartError>, actor, context| match outcome {
                Ok(delivered) => actor.delivered(delivered, None, context),
                Err(error) => {
                    let class =
                        if error.is_transient() { FailureClass::Transient } else { FailureClass::Stop };
                    actor.fail(class, error.to_string(), context);
                }
            },
        ));
    }

    /// Sends messages to the sinks, one piece after the other; `reached` is where the reader stands after them.
    fn send(&mut self, messages: Vec<SinkMessages>, reached: Option<Reached>, ctx: &mut Context<Self>) {
        let (aggregator, writer) = (self.parts.aggregator.clone(), self.parts.writer.clone());
        self.delivering_since = Some(Instant::now());
        let delivery = async move {
            for (aggregate, write) in messages {
                let aggregated = async {
                    match aggregate {
                        Some(message) => matches!(aggregator.send(message).await, Ok(Ok(()))),
                        None => true,
                    }
                };
                let written = async {
                    match write {
                        Some(message) => matches!(writer.send(message).await, Ok(Ok(()))),
                        None => true,
                    }
                };
                let (aggregated, written) = futures::join!(aggregated, written);
                if !(aggregated && written) {
                    return Err(Gone);
                }
            }
            Ok(())
        };
        ctx.spawn(delivery.into_actor(self).map(move |delivered, actor, context| {
            actor.delivered(delivered, reached, context);
        }));
    }

    /// Decodes a batch piece by piece, for the sinks that need each piece.
    fn prepare(&mut self, batch: RawBatch) -> Vec<SinkMessages> {
        let pieces = self.parts.preparer.prepare(batch, now_us());
        pieces.into_iter().map(|piece| self.messages_of(piece)).collect()
    }

    fn messages_of(&mut self, piece: Piece) -> SinkMessages {
        let Piece { decoded, value_bytes, to_gold, mut write } = piece;
        match &mut write {
            Some(message) => {
                self.parts.status.count_records(decoded.record_count, message.rejected_offsets.len() as u64);
                self.source_metrics.received(decoded.record_count, value_bytes as u64);
                self.source_metrics.rejected(&decoded.invalid_by_code);
                if !message.rejected_offsets.is_empty() {
                    events::quarantined(
                        self.parts.partition,
                        &decoded.invalid_by_code,
                        &first_reason(&decoded.invalid),
                    );
                }
                message.lost = self.take_lost(decoded.first_offset);
            }
            None => self.source_metrics.replayed(decoded.record_count),
        }
        (to_gold.then(|| Aggregate { batch: Arc::new(decoded) }), write)
    }

    /// What retention removed unread is counted with the first batch behind it.
    fn take_lost(&mut self, first_offset: i64) -> u64 {
        let lost = std::mem::take(&mut self.parts.bronze_lost);
        if lost > 0 {
            self.source_metrics.lost(lost);
            events::data_loss_gap(
                &self.parts.topic,
                self.parts.partition,
                first_offset - lost as i64,
                first_offset,
            );
        }
        lost
    }

    fn delivered(&mut self, delivered: Result<(), Gone>, reached: Option<Reached>, ctx: &mut Context<Self>) {
        crate::failpoint::reach("consumer::delivered");
        if let Some(since) = self.delivering_since.take() {
            self.metrics.waited(since.elapsed());
        }
        if delivered.is_err() {
            // The receiver has tripped the switch, or will by its guard: this actor's end adds nothing.
            self.parts.guard.disarm();
            ctx.stop();
            return;
        }
        if let Some(Reached { position, .. }) = reached {
            self.parts.status.update_partition(self.parts.partition, |status| {
                status.position = position;
                status.end = status.end.max(position);
            });
        }
        if self.paused {
            self.paused = false;
            self.parts.status.set_paused(self.parts.partition, false);
            events::partition_paused(self.parts.partition, false);
            if let Err(error) = self.parts.reader.set_paused(false) {
                return self.source_failed(&error, ctx);
            }
        }
        match reached {
            Some(Reached { state: ReaderState::Finished, .. }) => {
                self.finish();
                self.confirm_stop();
            }
            Some(Reached { pause, .. }) if !pause.is_zero() && !self.is_stopping() => {
                ctx.notify_later(ReadNext, pause);
            }
            _ => ctx.notify(ReadNext),
        }
    }

    fn pause_if_blocked(&mut self) {
        let blocked = self.delivering_since.is_some_and(|since| since.elapsed() >= PAUSE_AFTER);
        if blocked && !self.paused {
            self.paused = self.parts.reader.set_paused(true).is_ok();
            self.parts.status.set_paused(self.parts.partition, self.paused);
            events::partition_paused(self.parts.partition, true);
        }
    }
}

/// An example for the log: why the batch's first rejected record was rejected.
fn first_reason(invalid: &RecordBatch) -> String {
    let reasons = invalid.column_by_name("error_reason").and_then(|column| column.as_string_opt::<i32>());
    reasons.filter(|column| !column.is_empty()).map_or_else(String::new, |column| column.value(0).to_string())
}

impl Actor for PartitionConsumer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(self.parts.heartbeat_interval, |actor, _| actor.parts.heartbeat.beat());
        ctx.run_interval(PAUSE_AFTER / 2, |actor, _| actor.pause_if_blocked());
        match self.parts.refill.take() {
            Some(refill) => self.refill(refill, ctx),
            None => ctx.notify(ReadNext),
        }
    }
}

impl Handler<ReadNext> for PartitionConsumer {
    type Result = ();

    fn handle(&mut self, _: ReadNext, ctx: &mut Self::Context) {
        self.read_next(ctx);
    }
}

impl Handler<StopReading> for PartitionConsumer {
    type Result = ResponseFuture<Result<(), Gone>>;

    fn handle(&mut self, _: StopReading, _: &mut Self::Context) -> Self::Result {
        let (sender, receiver) = oneshot::channel();
        self.stop_requested.push(sender);
        if self.delivering_since.is_none() {
            self.confirm_stop();
            self.finished = true;
        }
        Box::pin(async move { receiver.await.map_err(|_| Gone) })
    }
}

impl Handler<StopActor> for PartitionConsumer {
    type Result = ();

    fn handle(&mut self, _: StopActor, ctx: &mut Self::Context) {
        self.parts.guard.disarm();
        ctx.stop();
    }
}
