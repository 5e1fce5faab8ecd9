//! VelocityAggregator: the event-time windows of one partition, as an actor around the pure state machine.

use std::time::Duration;

use actix::prelude::*;
use pulselake_ledger::LastSeen;
use pulselake_telemetry::{ActorMetrics, WindowCounts, WindowMetrics, events};
use pulselake_window::PartitionWindows;
use tokio::sync::oneshot;

use crate::board_feed::BoardFeed;
use crate::gold_writer::GoldWriter;
use crate::heartbeat::Heartbeat;
use crate::kill_switch::{DeathGuard, FailureClass};
use crate::messages::*;
use crate::prepare::last_seen;
use crate::refill::LostToGold;
use crate::status::EngineStatus;

/// What an aggregator is made of.
pub struct AggregatorParts {
    /// Source partition.
    pub partition: i32,
    /// The shard's run.
    pub key: GenerationKey,
    /// The windows, standing where gold's ledger says.
    pub windows: PartitionWindows,
    /// The process's gold writer.
    pub gold_writer: Addr<GoldWriter>,
    /// The way to the live board.
    pub(crate) board: BoardFeed,
    /// Rows at which an early collection is asked for; at twice as many no batch is taken.
    pub max_pending_rows: usize,
    /// The last record of gold's ledger.
    pub last: Option<LastSeen>,
    /// What retention took.
    pub lost: LostToGold,
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
pub struct VelocityAggregator {
    parts: AggregatorParts,
    metrics: ActorMetrics,
    window_metrics: WindowMetrics,
    counted: WindowCounts,
    announced: Announced,
    waiting_for_room: Vec<oneshot::Sender<()>>,
}

/// What the gold writer was told last, so that it is told changes alone.
#[derive(Default, PartialEq, Eq, Clone, Copy)]
struct Announced {
    closed_through_us: Option<i64>,
    has_windows: bool,
    has_corrections: bool,
    is_full: bool,
}

impl VelocityAggregator {
    /// An aggregator that waits for batches.
    pub fn new(parts: AggregatorParts) -> Self {
        let metrics = ActorMetrics::new("VelocityAggregator", parts.partition);
        let window_metrics = WindowMetrics::new(parts.partition);
        let counted = counts_of(&parts.windows);
        Self {
            parts,
            metrics,
            window_metrics,
            counted,
            announced: Announced::default(),
            waiting_for_room: Vec::new(),
        }
    }

    /// Tells the gold writer what waits, if that has changed.
    fn announce(&mut self) {
        let windows = &self.parts.windows;
        let now = Announced {
            closed_through_us: windows.closed_through_us(),
            has_windows: windows.has_pending_windows(),
            has_corrections: windows.has_pending_corrections(),
            is_full: windows.pending_rows() >= self.parts.max_pending_rows,
        };
        if now == self.announced || windows.is_replaying() {
            return;
        }
        self.announced = now;
        if now.has_windows || now.has_corrections {
            self.parts.gold_writer.do_send(GoldReady {
                partition: self.parts.partition,
                key: self.parts.key,
                closed_through_us: now.closed_through_us,
                has_windows: now.has_windows,
                pending_rows: windows.pending_rows(),
            });
        }
    }

    fn show(&mut self) {
        let windows = &self.parts.windows;
        let counts = counts_of(windows);
        self.window_metrics.counted(WindowCounts {
            late: counts.late.saturating_sub(self.counted.late),
            dropped: counts.dropped.saturating_sub(self.counted.dropped),
            duplicates: counts.duplicates.saturating_sub(self.counted.duplicates),
            evicted_ids: counts.evicted_ids.saturating_sub(self.counted.evicted_ids),
        });
        self.counted = counts;
        self.window_metrics.state(windows.open_windows(), windows.dedup_len(), windows.watermark_us());
        self.parts.status.update_partition(self.parts.partition, |status| {
            status.watermark_us = windows.watermark_us();
            status.open_windows = windows.open_windows();
        });
    }
}

/// The cumulative counts that metrics report the growth of.
fn counts_of(windows: &PartitionWindows) -> WindowCounts {
    WindowCounts {
        late: windows.counts().late,
        dropped: windows.counts().dropped,
        duplicates: windows.counts().duplicates,
        evicted_ids: windows.dedup_cap_evictions(),
    }
}

impl Actor for VelocityAggregator {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(self.parts.heartbeat_interval, |actor, _| {
            actor.parts.heartbeat.beat();
            actor.parts.board.show_size();
        });
    }
}

impl Handler<Aggregate> for VelocityAggregator {
    type Result = ResponseFuture<Result<(), Gone>>;

    fn handle(&mut self, message: Aggregate, ctx: &mut Self::Context) -> Self::Result {
        crate::failpoint::reach("aggregator::batch");
        let started = std::time::Instant::now();
        let was_replaying = self.parts.windows.is_replaying();
        let batch = crate::sabotage::aggregated(message.batch);
        if let Err(error) = self.parts.board.apply(&mut self.parts.windows, &batch) {
            self.parts.guard.fail(FailureClass::Crash, error.to_string());
            self.parts.guard.disarm();
            ctx.stop();
            return Box::pin(async { Err(Gone) });
        }
        if was_replaying && let Some(difference) = self.parts.windows.replay_difference() {
            events::replay_difference(
                self.parts.partition,
                difference.committed_open,
                difference.refilled_open,
            );
        }
        self.parts.last = last_seen(&batch).or(self.parts.last);
        self.metrics.worked(started.elapsed());
        self.show();
        self.announce();
        if self.parts.windows.pending_rows() < 2 * self.parts.max_pending_rows {
            return Box::pin(async { Ok(()) });
        }
        let (sender, receiver) = oneshot::channel();
        self.waiting_for_room.push(sender);
        Box::pin(async move { receiver.await.map_err(|_| Gone) })
    }
}

impl Handler<CloseIdleWindows> for VelocityAggregator {
    type Result = ();

    fn handle(&mut self, _: CloseIdleWindows, _: &mut Self::Context) {
        crate::failpoint::reach("aggregator::close");
        if self.parts.windows.is_replaying() {
            return;
        }
        let any_closed = self.parts.windows.close_idle();
        self.parts.board.idle(&self.parts.windows);
        if any_closed {
            self.show();
            self.announce();
        }
    }
}

impl Handler<TakeFlush> for VelocityAggregator {
    type Result = MessageResult<TakeFlush>;

    fn handle(&mut self, _: TakeFlush, _: &mut Self::Context) -> Self::Result {
        crate::failpoint::reach("aggregator::flush");
        // Nothing has happened since the last flush: a commit would say the same again.
        let windows = &mut self.parts.windows;
        let has_news = windows.pending_rows() > 0 || windows.has_unflushed_progress();
        let flush = if has_news { windows.flush() } else { None };
        self.announced = Announced::default();
        self.announced.closed_through_us = self.parts.windows.closed_through_us();
        for waiting in self.waiting_for_room.drain(..) {
            // A consumer that has gone needs no room.
            let _ = waiting.send(());
        }
        let Some(mut flush) = flush else { return MessageResult(None) };
        crate::sabotage::flushed(self.parts.partition, &mut flush);
        let lost = self.parts.lost.settle(&mut flush.position);
        MessageResult(Some(TakenFlush { flush, last: self.parts.last, lost }))
    }
}

impl Handler<StopActor> for VelocityAggregator {
    type Result = ();

    fn handle(&mut self, _: StopActor, ctx: &mut Self::Context) {
        self.parts.guard.disarm();
        ctx.stop();
    }
}
