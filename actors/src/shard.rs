//! One run (generation) of one shard: a thread with the consumers and aggregators of some partitions and a bronze
//! writer. It is started from the ledgers, and ends by a drain or by its kill switch; it is never repaired.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use actix::prelude::*;
use futures::FutureExt;
use pulselake_decode::EventDecoder;
use pulselake_lake::TableView;
use pulselake_source::{PartitionReader, UNKNOWN_END};
use pulselake_window::PartitionWindows;

use crate::aggregator::{AggregatorParts, VelocityAggregator};
use crate::board_feed::{Beginning, BoardFeed};
use crate::board_refill::BoardRefill;
use crate::bronze_open::OpenFlush;
use crate::bronze_writer::{BronzeWriter, BronzeWriterParts};
use crate::consumer::{ConsumerParts, PartitionConsumer};
use crate::gold_writer::RegisterPartitions;
use crate::heartbeat::{self, Heartbeats};
use crate::kill_switch::{DeathGuard, KillSwitch};
use crate::messages::*;
use crate::pipeline::Pipeline;
use crate::prepare::Preparer;
use crate::recovery::{
    Ledgers, RecoveredPartition, StartError, answer_timeout, answered, panic_message, recover,
};
use crate::refill::LostToGold;
use crate::route::Routing;
use crate::services::{ServiceAddresses, Services};
use crate::stream::{Drained, ShardReports, ShardStart, StreamRun, StreamServices};

/// A running shard.
pub struct RunningShard {
    key: GenerationKey,
    kill_switch: KillSwitch,
    watch: tokio::task::JoinHandle<()>,
    arbiter: Arbiter,
    consumers: Vec<Addr<PartitionConsumer>>,
    aggregators: Vec<Addr<VelocityAggregator>>,
    writer: Addr<BronzeWriter>,
}

impl RunningShard {
    /// Reads the ledgers and starts the shard's next generation on them.
    pub async fn start(
        pipeline: &Pipeline,
        services: &ServiceAddresses,
        start: ShardStart<'_>,
    ) -> Result<Self, StartError> {
        let ShardStart { shard, partitions, stop_at, reports, at_least_generation } = start;
        // Nothing runs yet: whatever goes wrong so far leaves nothing behind.
        let prepared = AssertUnwindSafe(prepare(pipeline, partitions, stop_at)).catch_unwind();
        let prepared = match prepared.await {
            Ok(outcome) => outcome?,
            Err(panic) => return Err(StartError::Panicked { reason: panic_message(&*panic) }),
        };
        let Prepared { newest_generation, gold, opened, open } = prepared;
        let key = GenerationKey { shard, generation: (newest_generation + 1).max(at_least_generation) };
        crate::failpoint::reach("supervisor::before_build");
        let builder = ShardBuilder {
            pipeline,
            services,
            key,
            reports,
            arbiter: Arbiter::new(),
            kill_switch: KillSwitch::default(),
            heartbeats: Heartbeats::default(),
        };
        let refill = builder.begin_on_board(&opened, gold);
        let running = builder.build(opened, open);
        if let Some(missing) = refill {
            running.arbiter.spawn(missing.run());
        }
        Ok(running)
    }
}

impl StreamRun for RunningShard {
    type Services = Services;

    fn key(&self) -> GenerationKey {
        self.key
    }

    fn kill_switch(&self) -> &KillSwitch {
        &self.kill_switch
    }

    async fn drain(&self, services: &Services, close_windows: bool, timeout: Duration) -> Drained {
        let drain = async {
            let stops = self.consumers.iter().map(|consumer| consumer.send(StopReading));
            let stopped = futures::future::join_all(stops).await;
            if stopped.iter().any(|answer| !matches!(answer, Ok(Ok(())))) {
                return Drained::GaveUp;
            }
            if close_windows {
                for aggregator in &self.aggregators {
                    if aggregator.send(CloseIdleWindows).await.is_err() {
                        return Drained::GaveUp;
                    }
                }
            }
            let (bronze, gold) =
                futures::join!(self.writer.send(Flush), services.addresses.gold_writer.send(DrainGold));
            match (bronze, gold) {
                (Ok(Ok(())), Ok(Ok(()))) if !self.kill_switch.is_tripped() => Drained::Committed,
                _ => Drained::GaveUp,
            }
        };
        tokio::select! {
            drained = drain => drained,
            () = self.kill_switch.tripped() => Drained::GaveUp,
            () = services.kill_switch().tripped() => Drained::GaveUp,
            () = tokio::time::sleep(timeout) => Drained::GaveUp,
        }
    }

    fn stop(&self) {
        self.watch.abort();
        for consumer in &self.consumers {
            consumer.do_send(StopActor);
        }
        for aggregator in &self.aggregators {
            aggregator.do_send(StopActor);
        }
        self.writer.do_send(StopActor);
        self.arbiter.stop();
    }
}

/// What a generation starts from.
struct Prepared {
    newest_generation: u64,
    /// Gold as the partitions were recovered from it.
    gold: TableView,
    opened: Vec<(RecoveredPartition, Box<dyn PartitionReader>)>,
    open: OpenFlush,
}

async fn prepare(
    pipeline: &Pipeline,
    partitions: &[i32],
    stop_at: &BTreeMap<i32, i64>,
) -> Result<Prepared, StartError> {
    let ledgers = answered(pipeline, "reading the ledgers", Ledgers::read(pipeline)).await??;
    let newest_generation = ledgers.newest_generation(&pipeline.source.identity().topic, partitions);
    let recovered = recover(pipeline, &ledgers, partitions).await?;
    crate::failpoint::reach("recovery::open");
    let open = OpenFlush::new(&pipeline.lake, pipeline.writer_options).await?;
    let mut opened = Vec::new();
    for partition in recovered {
        let (source, number, from) = (pipeline.source.clone(), partition.partition, partition.plan.read_from);
        // Another owner may have gone on behind the end that was seen here first: what it committed is read to its end.
        let committed = partition.plan.bronze_next.max(partition.gold.next);
        let stop = stop_at.get(&number).map(|&end| end.max(committed));
        let reader = tokio::task::spawn_blocking(move || source.open(number, from, stop)).await;
        let reader = reader.map_err(|error| StartError::Runtime { reason: error.to_string() })??;
        opened.push((partition, reader));
    }
    Ok(Prepared { newest_generation, gold: ledgers.gold_view().clone(), opened, open })
}

/// Puts the actors of one generation together.
struct ShardBuilder<'a> {
    pipeline: &'a Pipeline,
    services: &'a ServiceAddresses,
    key: GenerationKey,
    reports: &'a ShardReports,
    arbiter: Arbiter,
    kill_switch: KillSwitch,
    heartbeats: Heartbeats,
}

impl ShardBuilder<'_> {
    /// From here on the board hears this run alone. What gold has for the board is read beside the run.
    fn begin_on_board(
        &self,
        opened: &[(RecoveredPartition, Box<dyn PartitionReader>)],
        gold: TableView,
    ) -> Option<BoardRefill> {
        let board = &self.pipeline.board;
        let mut closed_through_us = BTreeMap::new();
        for (recovered, _) in opened {
            let closed_us = recovered.resume.and_then(|resume| resume.closed_through_us);
            // What was not closed then is read again, whole.
            board.begin(recovered.partition, self.key.generation, closed_us);
            closed_through_us.extend(closed_us.map(|closed_us| (recovered.partition, closed_us)));
        }
        BoardRefill::new(board, gold, self.key, &closed_through_us, answer_timeout(&self.pipeline.settings))
    }

    fn build(
        self,
        opened: Vec<(RecoveredPartition, Box<dyn PartitionReader>)>,
        open: OpenFlush,
    ) -> RunningShard {
        let heads =
            opened.iter().map(|(recovered, _)| (recovered.partition, recovered.heads.clone())).collect();
        let writer = self.start_writer(heads, open);
        let mut consumers = Vec::new();
        let mut aggregators = Vec::new();
        let mut registered = Vec::new();
        let mut readers = Vec::new();
        for (recovered, reader) in opened {
            let partition = recovered.partition;
            self.pipeline.status.update_partition(partition, |status| {
                status.started_at = recovered.plan.bronze_next;
                status.position = recovered.plan.read_from;
                status.end = if recovered.end == UNKNOWN_END {
                    recovered.plan.read_from
                } else {
                    recovered.end.max(status.end)
                };
                status.bronze_next = recovered.plan.bronze_next;
                status.gold_next = recovered.gold.next;
            });
            self.pipeline.status.set_paused(partition, false);
            let aggregator = self.start_aggregator(&recovered);
            registered.push((partition, aggregator.clone(), recovered.gold.clone()));
            aggregators.push(aggregator.clone());
            readers.push((recovered, reader, aggregator));
        }
        // Registered before anything is read: no aggregator speaks to a writer that does not know it.
        self.services.gold_writer.do_send(RegisterPartitions {
            key: self.key,
            kill_switch: self.kill_switch.clone(),
            partitions: registered,
        });
        for (recovered, reader, aggregator) in readers {
            consumers.push(self.start_consumer(recovered, reader, aggregator, writer.clone()));
        }
        let timeout = self.pipeline.settings.heartbeat_timeout;
        let watch =
            heartbeat::watch(self.heartbeats, self.kill_switch.clone(), timeout, self.key.to_string());
        RunningShard {
            key: self.key,
            kill_switch: self.kill_switch,
            watch,
            arbiter: self.arbiter,
            consumers,
            aggregators,
            writer,
        }
    }

    fn start_writer(
        &self,
        heads: BTreeMap<i32, crate::bronze_writer::BronzeHeads>,
        open: OpenFlush,
    ) -> Addr<BronzeWriter> {
        let name = format!("IcebergWriter of {}", self.key);
        let settings = &self.pipeline.settings;
        let parts = BronzeWriterParts {
            key: self.key,
            topic: self.pipeline.source.identity().topic.clone(),
            lake: self.pipeline.lake.clone(),
            options: self.pipeline.writer_options,
            commit_interval: settings.bronze_commit_interval,
            flush_bytes: settings.bronze_flush_bytes,
            max_open_hours: settings.bronze_max_open_hours,
            heads,
            commits: self.services.thread.clone(),
            quarantine_committer: self.services.quarantine_committer.clone(),
            bronze_committer: self.services.bronze_committer.clone(),
            committed: self.reports.committed.clone(),
            step_timeout: settings.heartbeat_timeout / 2,
            heartbeat_interval: settings.heartbeat_interval,
            status: self.pipeline.status.clone(),
            heartbeat: self.heartbeats.register(&name),
            guard: DeathGuard::new(self.kill_switch.clone(), name),
        };
        let capacity = settings.mailbox_batches;
        BronzeWriter::start_in_arbiter(&self.arbiter.handle(), move |ctx| {
            ctx.set_mailbox_capacity(capacity);
            BronzeWriter::new(parts, open)
        })
    }

    fn start_aggregator(&self, recovered: &RecoveredPartition) -> Addr<VelocityAggregator> {
        let name = format!("VelocityAggregator of partition {}", recovered.partition);
        let settings = &self.pipeline.settings;
        let windows =
            PartitionWindows::new(self.pipeline.windows, recovered.resume, recovered.plan.gold_from);
        let board = BoardFeed::new(
            self.pipeline.board.clone(),
            recovered.partition,
            self.key.generation,
            Beginning::of(recovered.resume, recovered.plan.gold_from),
            &windows,
        );
        let parts = AggregatorParts {
            partition: recovered.partition,
            key: self.key,
            windows,
            gold_writer: self.services.gold_writer.clone(),
            board,
            max_pending_rows: settings.gold_max_pending_rows,
            last: recovered.gold.last,
            lost: LostToGold::new(&recovered.plan, recovered.gold.counts.lost),
            heartbeat_interval: settings.heartbeat_interval,
            status: self.pipeline.status.clone(),
            heartbeat: self.heartbeats.register(&name),
            guard: DeathGuard::new(self.kill_switch.clone(), name),
        };
        let capacity = settings.mailbox_batches;
        VelocityAggregator::start_in_arbiter(&self.arbiter.handle(), move |ctx| {
            ctx.set_mailbox_capacity(capacity);
            VelocityAggregator::new(parts)
        })
    }

    fn start_consumer(
        &self,
        recovered: RecoveredPartition,
        reader: Box<dyn PartitionReader>,
        aggregator: Addr<VelocityAggregator>,
        writer: Addr<BronzeWriter>,
    ) -> Addr<PartitionConsumer> {
        let name = format!("PartitionConsumer of partition {}", recovered.partition);
        let settings = &self.pipeline.settings;
        let parts = ConsumerParts {
            topic: self.pipeline.source.identity().topic.clone(),
            partition: recovered.partition,
            reader,
            preparer: Preparer::new(
                EventDecoder::new(self.pipeline.decode.clone()),
                Routing::new(&recovered.plan),
                recovered.quarantined,
            ),
            verify: recovered.plan.verify,
            refill: recovered.refill,
            pipeline: self.pipeline.clone(),
            bronze_lost: recovered.plan.bronze_lost,
            continue_on_data_loss: settings.continue_on_data_loss,
            aggregator,
            writer,
            batch_records: settings.batch_records,
            batch_bytes: settings.batch_bytes,
            batch_wait: settings.batch_wait,
            idle_timeout: settings.idle_timeout,
            heartbeat_interval: settings.heartbeat_interval,
            key: self.key,
            finished: self.reports.finished.clone(),
            status: self.pipeline.status.clone(),
            heartbeat: self.heartbeats.register(&name),
            guard: DeathGuard::new(self.kill_switch.clone(), name),
        };
        let capacity = settings.mailbox_batches;
        PartitionConsumer::start_in_arbiter(&self.arbiter.handle(), move |ctx| {
            ctx.set_mailbox_capacity(capacity);
            PartitionConsumer::new(parts)
        })
    }
}
