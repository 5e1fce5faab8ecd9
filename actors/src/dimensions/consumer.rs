//! CdcConsumer: reads one partition of changes and passes its records to the upserter, a batch at a time.
//!
//! The next batch is read when the last one was taken: that is the whole of back-pressure. Records are not decoded here:
//! what a change means depends on the columns that the table has by then, which the upserter knows. What it can't know is
//! fetched here: the schemas that records in Avro name. While the registry is away the batch waits, and the partition with it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use pulselake_cdc::{WriterSchemas, named_schemas};
use pulselake_ledger::LastSeen;
use pulselake_model::RawBatch;
use pulselake_source::{PartitionReader, Polled, ReaderState, SourceError};
use pulselake_telemetry::{ActorMetrics, events};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::messages::ApplyChanges;
use super::schemas::SchemaBook;
use super::upserter::DimensionUpserter;
use crate::heartbeat::Heartbeat;
use crate::kill_switch::{DeathGuard, FailureClass};
use crate::messages::{Flush, GenerationKey, Gone, ReadNext, StopActor, StopReading};
use crate::route::Routing;
use crate::same_topic::verify;
use crate::status::EngineStatus;

/// How long a reader waits that has less than a full batch but is not at its end: more is on its way.
const REFILL_PAUSE: Duration = Duration::from_millis(5);
/// Back-pressure longer than this pauses the partition at the source.
const PAUSE_AFTER: Duration = Duration::from_millis(500);
/// How long the commit may take of what was read before retention overtook the reader.
const OVERTAKEN_FLUSH: Duration = Duration::from_secs(30);

/// Where the reader stands behind a batch, and what follows.
#[derive(Clone, Copy)]
struct Reached {
    position: i64,
    state: ReaderState,
    pause: Duration,
}

/// Records of a batch that are judged in one way.
struct Piece {
    batch: RawBatch,
    is_settled_by_quarantine: bool,
    lost: u64,
}

impl Piece {
    fn into_message(self, schemas: Arc<WriterSchemas>) -> ApplyChanges {
        let Self { batch, is_settled_by_quarantine, lost } = self;
        ApplyChanges { batch, schemas, is_settled_by_quarantine, lost }
    }
}

/// What a consumer of changes is made of.
pub(super) struct CdcConsumerParts {
    /// The stream's run.
    pub(super) key: GenerationKey,
    /// Source topic.
    pub(super) topic: String,
    /// Its reader, standing at the plan's `read_from`.
    pub(super) reader: Box<dyn PartitionReader>,
    /// Where the history and the quarantine stand.
    pub(super) routing: Routing,
    /// Records that must look as they did.
    pub(super) verify: Vec<LastSeen>,
    /// Records that retention removed unread; reported with the first batch.
    pub(super) lost: u64,
    /// Whether to go on behind records that retention removed unread.
    pub(super) continue_on_data_loss: bool,
    /// Schemas of records in Avro, where there is a registry.
    pub(super) schemas: Option<SchemaBook>,
    /// The stream's upserter.
    pub(super) upserter: Addr<DimensionUpserter>,
    /// Records of one batch at most.
    pub(super) batch_records: usize,
    /// Bytes of one batch at most.
    pub(super) batch_bytes: usize,
    /// How long a reader at its end waits for more.
    pub(super) batch_wait: Duration,
    /// How often to beat.
    pub(super) heartbeat_interval: Duration,
    /// Told when a bounded reader has delivered everything.
    pub(super) finished: UnboundedSender<(GenerationKey, i32)>,
    /// The stream's status.
    pub(super) status: EngineStatus,
    /// Death guard.
    pub(super) guard: DeathGuard,
    /// Heartbeat.
    pub(super) heartbeat: Heartbeat,
}

/// See the module.
pub(super) struct CdcConsumer {
    parts: CdcConsumerParts,
    partition: i32,
    metrics: ActorMetrics,
    delivering_since: Option<Instant>,
    /// The wait for the registry, while there is one: nothing of the batch is delivered yet.
    asking: Option<SpawnHandle>,
    paused: bool,
    finished: bool,
    stop_requested: Vec<oneshot::Sender<()>>,
}

impl CdcConsumer {
    /// A consumer that begins to read as soon as it is started.
    pub(super) fn new(parts: CdcConsumerParts) -> Self {
        let partition = parts.reader.partition();
        Self {
            metrics: ActorMetrics::new("CdcConsumer", format!("{}-{partition}", parts.topic)),
            parts,
            partition,
            delivering_since: None,
            asking: None,
            paused: false,
            finished: false,
            stop_requested: Vec::new(),
        }
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
        let flush = tokio::time::timeout(OVERTAKEN_FLUSH, self.parts.upserter.send(Flush));
        // A flush that fails or takes too long changes nothing: the ledger says what was lost.
        ctx.spawn(flush.into_actor(self).map(move |_, actor, context| actor.fail(class, reason, context)));
    }

    fn read_next(&mut self, ctx: &mut Context<Self>) {
        if self.delivering_since.is_some() || self.finished {
            return;
        }
        if !self.stop_requested.is_empty() {
            self.finished = true;
            self.confirm_stop();
            return;
        }
        let polled = match self.parts.reader.poll(self.parts.batch_records, self.parts.batch_bytes) {
            Ok(polled) => polled,
            Err(error) => return self.source_failed(&error, ctx),
        };
        crate::failpoint::reach("cdc_consumer::polled");
        let pause = self.pause_after(&polled);
        if !polled.batch.is_empty() {
            let reached = Reached { position: polled.batch.next_offset, state: polled.state, pause };
            self.deliver(polled.batch, reached, ctx);
        } else if polled.state == ReaderState::Finished {
            self.finish();
        } else {
            ctx.notify_later(ReadNext, pause);
        }
    }

    /// As for events: not at all behind a full batch, else long enough that batches do not become tiny.
    fn pause_after(&self, polled: &Polled) -> Duration {
        let half_full = 2 * polled.batch.records.len() >= self.parts.batch_records
            || 2 * polled.batch.bytes.len() >= self.parts.batch_bytes;
        match polled.state {
            _ if half_full => Duration::ZERO,
            ReaderState::AtEnd => self.parts.batch_wait,
            ReaderState::More | ReaderState::Finished => REFILL_PAUSE,
        }
    }

    fn finish(&mut self) {
        self.finished = true;
        // The supervisor may be gone already: then the end of one partition is of no interest.
        let _ = self.parts.finished.send((self.parts.key, self.partition));
    }

    fn deliver(&mut self, batch: RawBatch, reached: Reached, ctx: &mut Context<Self>) {
        if let Err(reason) = verify(&mut self.parts.verify, &batch) {
            let place = format!("{}-{}", self.parts.topic, self.partition);
            return self.fail(FailureClass::Stop, format!("{place}: {reason}"), ctx);
        }
        let pieces = self.pieces_of(batch);
        self.delivering_since = Some(Instant::now());
        let Some(book) = self.parts.schemas.clone() else {
            return self.send(pieces, &Arc::default(), reached, ctx);
        };
        let wanted: BTreeSet<u32> = pieces.iter().flat_map(|piece| named_schemas(&piece.batch)).collect();
        if let Some(schemas) = book.known(&wanted) {
            return self.send(pieces, &schemas, reached, ctx);
        }
        // As long as it takes: that a schema can't be fetched is no reason to reject a record. A stop ends the waiting.
        let asked = async move { book.ask(&wanted).await };
        let asking = ctx.spawn(asked.into_actor(self).map(move |schemas, actor, context| {
            actor.asking = None;
            actor.send(pieces, &schemas, reached, context);
        }));
        self.asking = Some(asking);
    }

    fn send(
        &mut self,
        pieces: Vec<Piece>,
        schemas: &Arc<WriterSchemas>,
        reached: Reached,
        ctx: &mut Context<Self>,
    ) {
        let upserter = self.parts.upserter.clone();
        let messages: Vec<_> = pieces.into_iter().map(|piece| piece.into_message(schemas.clone())).collect();
        let delivery = async move {
            for message in messages {
                if !matches!(upserter.send(message).await, Ok(Ok(()))) {
                    return Err(Gone);
                }
            }
            Ok(())
        };
        ctx.spawn(delivery.into_actor(self).map(move |delivered, actor, context| {
            actor.delivered(delivered, reached, context);
        }));
    }

    /// The pieces that the history does not have yet.
    fn pieces_of(&mut self, batch: RawBatch) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for piece in self.parts.routing.cut(batch) {
            let route = self.parts.routing.route(piece.first_offset);
            if route.to_bronze {
                let lost = self.take_lost(piece.first_offset);
                let is_settled_by_quarantine = route.quarantined_decides;
                pieces.push(Piece { batch: piece, is_settled_by_quarantine, lost });
            }
        }
        pieces
    }

    /// What retention removed unread is counted with the first batch behind it.
    fn take_lost(&mut self, first_offset: i64) -> u64 {
        let lost = std::mem::take(&mut self.parts.lost);
        if lost > 0 {
            let from = first_offset - lost as i64;
            events::data_loss_gap(&self.parts.topic, self.partition, from, first_offset);
        }
        lost
    }

    fn delivered(&mut self, delivered: Result<(), Gone>, reached: Reached, ctx: &mut Context<Self>) {
        crate::failpoint::reach("cdc_consumer::delivered");
        if let Some(since) = self.delivering_since.take() {
            self.metrics.waited(since.elapsed());
        }
        if delivered.is_err() {
            // The receiver has tripped the switch, or will by its guard: this actor's end adds nothing.
            self.parts.guard.disarm();
            ctx.stop();
            return;
        }
        self.parts.status.update_partition(self.partition, |status| {
            status.position = reached.position;
            status.end = status.end.max(reached.position);
        });
        if self.paused {
            self.paused = false;
            self.parts.status.set_paused(self.partition, false);
            if let Err(error) = self.parts.reader.set_paused(false) {
                return self.source_failed(&error, ctx);
            }
        }
        match reached {
            Reached { state: ReaderState::Finished, .. } => {
                self.finish();
                self.confirm_stop();
            }
            Reached { pause, .. } if !pause.is_zero() && self.stop_requested.is_empty() => {
                ctx.notify_later(ReadNext, pause);
            }
            _ => ctx.notify(ReadNext),
        }
    }

    fn pause_if_blocked(&mut self) {
        let blocked = self.delivering_since.is_some_and(|since| since.elapsed() >= PAUSE_AFTER);
        if blocked && !self.paused {
            self.paused = self.parts.reader.set_paused(true).is_ok();
            self.parts.status.set_paused(self.partition, self.paused);
        }
    }
}

impl Actor for CdcConsumer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(self.parts.heartbeat_interval, |actor, _| actor.parts.heartbeat.beat());
        ctx.run_interval(PAUSE_AFTER / 2, |actor, _| actor.pause_if_blocked());
        ctx.notify(ReadNext);
    }
}

impl Handler<ReadNext> for CdcConsumer {
    type Result = ();

    fn handle(&mut self, _: ReadNext, ctx: &mut Self::Context) {
        self.read_next(ctx);
    }
}

impl Handler<StopReading> for CdcConsumer {
    type Result = ResponseFuture<Result<(), Gone>>;

    fn handle(&mut self, _: StopReading, ctx: &mut Self::Context) -> Self::Result {
        let (sender, receiver) = oneshot::channel();
        self.stop_requested.push(sender);
        // Of what waits for the registry nothing is delivered: whoever reads the partition next reads it again.
        if let Some(asking) = self.asking.take() {
            ctx.cancel_future(asking);
            self.delivering_since = None;
        }
        if self.delivering_since.is_none() {
            self.confirm_stop();
            self.finished = true;
        }
        Box::pin(async move { receiver.await.map_err(|_| Gone) })
    }
}

impl Handler<StopActor> for CdcConsumer {
    type Result = ();

    fn handle(&mut self, _: StopActor, ctx: &mut Self::Context) {
        self.parts.guard.disarm();
        ctx.stop();
    }
}
