//! One run (generation) of a stream of changes: a thread with the consumers of its partitions and the upserter.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use actix::prelude::*;
use futures::FutureExt;
use pulselake_cdc::{Columns, Upserter, VersionIndex};
use pulselake_source::{PartitionReader, UNKNOWN_END};

use super::catch_up::catch_up_with_history;
use super::consumer::{CdcConsumer, CdcConsumerParts};
use super::recovery::{ChangeLedgers, RecoveredChanges, answered, columns, load_index, recover};
use super::services::ChangeServices;
use super::stream::DimensionStream;
use super::upserter::{DimensionUpserter, UpserterParts};
use crate::heartbeat::{self, Heartbeats};
use crate::kill_switch::{DeathGuard, KillSwitch};
use crate::messages::{Flush, GenerationKey, StopActor, StopReading};
use crate::recovery::{StartError, panic_message};
use crate::route::Routing;
use crate::stream::{Drained, ShardStart, StreamRun, StreamServices};

/// A running stream of changes.
pub struct RunningUpserts {
    key: GenerationKey,
    kill_switch: KillSwitch,
    watch: tokio::task::JoinHandle<()>,
    arbiter: Arbiter,
    consumers: Vec<Addr<CdcConsumer>>,
    upserter: Addr<DimensionUpserter>,
}

/// What a run starts from.
struct Prepared {
    key: GenerationKey,
    opened: Vec<(RecoveredChanges, Box<dyn PartitionReader>)>,
    columns: Columns,
    index: VersionIndex,
}

impl RunningUpserts {
    pub(super) async fn start(
        stream: &DimensionStream,
        services: &ChangeServices,
        start: ShardStart<'_>,
    ) -> Result<Self, StartError> {
        // Nothing runs yet: whatever goes wrong so far leaves nothing behind that a ledger does not know.
        let prepared = AssertUnwindSafe(prepare(stream, services, start)).catch_unwind();
        let prepared = match prepared.await {
            Ok(outcome) => outcome?,
            Err(panic) => return Err(StartError::Panicked { reason: panic_message(&*panic) }),
        };
        Ok(build(stream, services, start, prepared))
    }
}

async fn prepare(
    stream: &DimensionStream,
    services: &ChangeServices,
    start: ShardStart<'_>,
) -> Result<Prepared, StartError> {
    let ledgers = answered(stream, "reading the ledgers", ChangeLedgers::read(stream)).await??;
    let newest_generation = ledgers.newest_generation(stream.topic(), start.partitions);
    let generation = (newest_generation + 1).max(start.at_least_generation);
    let key = GenerationKey { shard: start.shard, generation };
    let mut recovered = recover(stream, &ledgers, start.partitions).await?;
    let columns = columns(stream).await?;
    let index = load_index(stream).await?;
    let committers = &services.committers;
    catch_up_with_history(stream, committers, key, &columns, &index, &mut recovered).await?;
    if let Some(cache) = &stream.cache {
        cache.load(stream).await?;
    }
    let mut opened = Vec::new();
    for partition in recovered {
        let number = partition.partition;
        let (source, from) = (stream.source.clone(), partition.plan.reading.read_from);
        // Another owner may have gone on behind the end that was seen here first: what it committed is read to its end.
        let committed = partition.plan.reading.bronze_next;
        let stop = start.stop_at.get(&number).map(|&end| end.max(committed));
        let reader = tokio::task::spawn_blocking(move || source.open(number, from, stop)).await;
        let reader = reader.map_err(|error| StartError::Runtime { reason: error.to_string() })??;
        opened.push((partition, reader));
    }
    Ok(Prepared { key, opened, columns, index })
}

fn build(
    stream: &DimensionStream,
    services: &ChangeServices,
    start: ShardStart<'_>,
    prepared: Prepared,
) -> RunningUpserts {
    let Prepared { key, mut opened, columns, index } = prepared;
    let arbiter = Arbiter::new();
    let kill_switch = KillSwitch::default();
    let heartbeats = Heartbeats::default();
    let name = format!("DimensionUpserter of {}", stream.entity.as_str());
    let heads: BTreeMap<_, _> =
        opened.iter().map(|(found, _)| (found.partition, found.heads.clone())).collect();
    let quarantined = opened
        .iter_mut()
        .map(|(found, _)| (found.partition, std::mem::take(&mut found.quarantined)))
        .collect();
    let parts = UpserterParts {
        key,
        stream: stream.clone(),
        committers: services.committers.clone(),
        heads,
        quarantined,
        committed: start.reports.committed.clone(),
        heartbeat: heartbeats.register(&name),
        guard: DeathGuard::new(kill_switch.clone(), name),
    };
    let capacity = stream.settings.mailbox_batches;
    let upserter_state = Upserter::new(stream.entity, stream.cdc.clone(), columns, index);
    let upserter = DimensionUpserter::start_in_arbiter(&arbiter.handle(), move |ctx| {
        ctx.set_mailbox_capacity(capacity);
        DimensionUpserter::new(parts, upserter_state)
    });
    let mut consumers = Vec::new();
    for (found, reader) in opened {
        show_start(stream, &found);
        let parts = CdcConsumerParts {
            key,
            topic: stream.topic().to_string(),
            reader,
            routing: Routing::new(&found.plan.reading),
            verify: found.plan.reading.verify,
            lost: found.plan.reading.bronze_lost,
            continue_on_data_loss: stream.settings.continue_on_data_loss,
            schemas: stream.schemas.clone(),
            upserter: upserter.clone(),
            batch_records: stream.settings.batch_records,
            batch_bytes: stream.settings.batch_bytes,
            batch_wait: stream.settings.batch_wait,
            heartbeat_interval: stream.settings.heartbeat_interval,
            finished: start.reports.finished.clone(),
            status: stream.status.clone(),
            heartbeat: heartbeats.register(&format!("CdcConsumer of {}-{}", stream.topic(), found.partition)),
            guard: DeathGuard::new(
                kill_switch.clone(),
                format!("CdcConsumer of {}-{}", stream.topic(), found.partition),
            ),
        };
        consumers.push(CdcConsumer::start_in_arbiter(&arbiter.handle(), move |ctx| {
            ctx.set_mailbox_capacity(capacity);
            CdcConsumer::new(parts)
        }));
    }
    let run = format!("{} of {}", key, stream.entity.as_str());
    let watch = heartbeat::watch(heartbeats, kill_switch.clone(), stream.settings.heartbeat_timeout, run);
    RunningUpserts { key, kill_switch, watch, arbiter, consumers, upserter }
}

fn show_start(stream: &DimensionStream, found: &RecoveredChanges) {
    let plan = &found.plan.reading;
    stream.status.update_partition(found.partition, |status| {
        status.started_at = plan.bronze_next;
        status.position = plan.read_from;
        status.end = if found.end == UNKNOWN_END { plan.read_from } else { found.end.max(status.end) };
        status.bronze_next = plan.bronze_next;
    });
    stream.status.set_paused(found.partition, false);
}

impl StreamRun for RunningUpserts {
    type Services = ChangeServices;

    fn key(&self) -> GenerationKey {
        self.key
    }

    fn kill_switch(&self) -> &KillSwitch {
        &self.kill_switch
    }

    async fn drain(&self, services: &ChangeServices, _: bool, timeout: Duration) -> Drained {
        let drain = async {
            let stops = self.consumers.iter().map(|consumer| consumer.send(StopReading));
            let stopped = futures::future::join_all(stops).await;
            if stopped.iter().any(|answer| !matches!(answer, Ok(Ok(())))) {
                return Drained::GaveUp;
            }
            match self.upserter.send(Flush).await {
                Ok(Ok(())) if !self.kill_switch.is_tripped() => Drained::Committed,
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
        self.upserter.do_send(StopActor);
        self.arbiter.stop();
    }
}
