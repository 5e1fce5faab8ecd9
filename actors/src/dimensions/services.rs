//! The committers of a stream of changes, on a thread of their own: one per table.

use actix::prelude::*;
use pulselake_model::tables::LakeTable;

use super::stream::DimensionStream;
use crate::committer::{Committer, CommitterParts};
use crate::heartbeat::{self, Heartbeats};
use crate::kill_switch::{DeathGuard, KillSwitch};
use crate::messages::{CloseGeneration, GenerationKey, StopActor, StopRetrying};
use crate::stream::StreamServices;

/// Mailbox of a committer: one request and a few control messages.
const COMMITTER_MAILBOX: usize = 16;

/// Where they are reached.
#[derive(Clone)]
pub(super) struct ChangeCommitters {
    /// Their thread.
    pub(super) thread: ArbiterHandle,
    /// Of `bronze.invalid_events_cdc_*`.
    pub(super) quarantine: Addr<Committer>,
    /// Of `dims.dim_*_history`.
    pub(super) history: Addr<Committer>,
    /// Of `dims.dim_*`.
    pub(super) dimension: Addr<Committer>,
}

impl ChangeCommitters {
    fn all(&self) -> [&Addr<Committer>; 3] {
        [&self.quarantine, &self.history, &self.dimension]
    }
}

/// The running committers.
pub struct ChangeServices {
    pub(super) committers: ChangeCommitters,
    kill_switch: KillSwitch,
    watch: tokio::task::JoinHandle<()>,
    arbiter: Arbiter,
}

impl ChangeServices {
    pub(super) fn start(stream: &DimensionStream) -> Self {
        let arbiter = Arbiter::new();
        let kill_switch = KillSwitch::default();
        let heartbeats = Heartbeats::default();
        let committer = |table: LakeTable| {
            let name = format!("Committer of {}", table.full_name());
            let parts = CommitterParts {
                table,
                lake: stream.lake.clone(),
                cluster_id: stream.source.identity().cluster_id.clone(),
                fingerprint: stream.cdc.fingerprint(),
                answer_timeout: stream.settings.heartbeat_timeout / 2,
                heartbeat_interval: stream.settings.heartbeat_interval,
                heartbeat: heartbeats.register(&name),
                guard: DeathGuard::new(kill_switch.clone(), name),
            };
            Committer::start_in_arbiter(&arbiter.handle(), move |ctx| {
                ctx.set_mailbox_capacity(COMMITTER_MAILBOX);
                Committer::new(parts)
            })
        };
        let committers = ChangeCommitters {
            thread: arbiter.handle(),
            quarantine: committer(stream.quarantine()),
            history: committer(stream.history()),
            dimension: committer(stream.table()),
        };
        let timeout = stream.settings.heartbeat_timeout;
        let run = format!("the committers of {}", stream.entity.as_str());
        let watch = heartbeat::watch(heartbeats, kill_switch.clone(), timeout, run);
        Self { committers, kill_switch, watch, arbiter }
    }

    async fn close(&self, keys: &[GenerationKey]) {
        for &key in keys {
            for committer in self.committers.all() {
                committer.do_send(StopRetrying { key });
            }
        }
        for &key in keys {
            let [quarantine, history, dimension] = self.committers.all();
            // A committer that has died has nothing in flight: its error says as much as its answer.
            let _ = futures::join!(
                quarantine.send(CloseGeneration { key }),
                history.send(CloseGeneration { key }),
                dimension.send(CloseGeneration { key }),
            );
        }
    }
}

impl StreamServices for ChangeServices {
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
        for committer in self.committers.all() {
            committer.do_send(StopActor);
        }
        self.arbiter.stop();
    }
}
