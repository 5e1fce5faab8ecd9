//! The actors that serve every shard: one committer per table and the gold writer, on a thread of their own.

use actix::prelude::*;
use pulselake_model::tables::LakeTable;

use crate::committer::{Committer, CommitterParts};
use crate::gold_writer::{GoldWriter, GoldWriterParts};
use crate::heartbeat::{self, Heartbeats};
use crate::kill_switch::{DeathGuard, KillSwitch};
use crate::messages::{CloseGeneration, GenerationKey, StopActor, StopRetrying};
use crate::pipeline::Pipeline;
use crate::stream::StreamServices;

/// Mailbox of a service: a request per shard and a few control messages.
const SERVICE_MAILBOX: usize = 64;

/// Addresses of the running services.
#[derive(Clone)]
pub struct ServiceAddresses {
    /// Their thread.
    pub thread: ArbiterHandle,
    /// Committer of the quarantine.
    pub quarantine_committer: Addr<Committer>,
    /// Committer of bronze.
    pub bronze_committer: Addr<Committer>,
    /// Committer of gold.
    pub gold_committer: Addr<Committer>,
    /// The gold writer.
    pub gold_writer: Addr<GoldWriter>,
}

/// The running services.
pub struct Services {
    /// Where they are reached.
    pub addresses: ServiceAddresses,
    kill_switch: KillSwitch,
    watch: tokio::task::JoinHandle<()>,
    arbiter: Arbiter,
}

impl Services {
    /// Starts them.
    pub fn start(pipeline: &Pipeline) -> Self {
        let arbiter = Arbiter::new();
        let kill_switch = KillSwitch::default();
        let heartbeats = Heartbeats::default();
        let committer = |table: LakeTable| {
            let name = format!("Committer of {}", table.full_name());
            let parts = CommitterParts {
                table,
                lake: pipeline.lake.clone(),
                cluster_id: pipeline.source.identity().cluster_id.clone(),
                fingerprint: pipeline.decode.fingerprint(),
                answer_timeout: pipeline.settings.heartbeat_timeout / 2,
                heartbeat_interval: pipeline.settings.heartbeat_interval,
                heartbeat: heartbeats.register(&name),
                guard: DeathGuard::new(kill_switch.clone(), name),
            };
            Committer::start_in_arbiter(&arbiter.handle(), move |ctx| {
                ctx.set_mailbox_capacity(SERVICE_MAILBOX);
                Committer::new(parts)
            })
        };
        let quarantine_committer = committer(LakeTable::InvalidEventsContent);
        let bronze_committer = committer(LakeTable::RawEvents);
        let gold_committer = committer(LakeTable::VideoStats1Min);
        let gold_parts = GoldWriterParts {
            topic: pipeline.source.identity().topic.clone(),
            lake: pipeline.lake.clone(),
            options: pipeline.writer_options,
            collect_wait: pipeline.settings.gold_collect_wait,
            correction_interval: pipeline.settings.gold_correction_interval,
            max_pending_rows: pipeline.settings.gold_max_pending_rows,
            answer_timeout: pipeline.settings.heartbeat_timeout / 2,
            write_timeout: pipeline.settings.heartbeat_timeout / 2,
            committer: gold_committer.clone(),
            heartbeat_interval: pipeline.settings.heartbeat_interval,
            status: pipeline.status.clone(),
            heartbeat: heartbeats.register("GoldWriter"),
            guard: DeathGuard::new(kill_switch.clone(), "GoldWriter"),
        };
        let gold_writer = GoldWriter::start_in_arbiter(&arbiter.handle(), move |ctx| {
            ctx.set_mailbox_capacity(SERVICE_MAILBOX);
            GoldWriter::new(gold_parts)
        });
        let addresses = ServiceAddresses {
            thread: arbiter.handle(),
            quarantine_committer,
            bronze_committer,
            gold_committer,
            gold_writer,
        };
        let timeout = pipeline.settings.heartbeat_timeout;
        let watch =
            heartbeat::watch(heartbeats, kill_switch.clone(), timeout, "the shared services".to_owned());
        Self { addresses, kill_switch, watch, arbiter }
    }

    async fn close(&self, keys: &[GenerationKey]) {
        let ServiceAddresses { quarantine_committer, bronze_committer, gold_committer, gold_writer, .. } =
            &self.addresses;
        for &key in keys {
            for committer in [quarantine_committer, bronze_committer, gold_committer] {
                committer.do_send(StopRetrying { key });
            }
        }
        for &key in keys {
            // The gold writer first: its requests carry rows of other shards too, and must not meet a closed committer.
            // A service that has died has nothing in flight: its error says as much as its answer.
            let _ = gold_writer.send(CloseGeneration { key }).await;
            let _ = futures::join!(
                quarantine_committer.send(CloseGeneration { key }),
                bronze_committer.send(CloseGeneration { key }),
                gold_committer.send(CloseGeneration { key }),
            );
        }
    }
}

impl StreamServices for Services {
    fn kill_switch(&self) -> &KillSwitch {
        &self.kill_switch
    }

    async fn close_generations(&self, keys: &[GenerationKey]) {
        tokio::select! {
            () = self.close(keys) => {}
            () = self.kill_switch.tripped() => {}
        }
    }

    fn stop(&self) {
        self.watch.abort();
        let ServiceAddresses { quarantine_committer, bronze_committer, gold_committer, gold_writer, .. } =
            &self.addresses;
        gold_writer.do_send(StopActor);
        for committer in [quarantine_committer, bronze_committer, gold_committer] {
            committer.do_send(StopActor);
        }
        self.arbiter.stop();
    }
}
