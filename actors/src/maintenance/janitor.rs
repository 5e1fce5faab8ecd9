//! The actor that expires one table's snapshots and removes its orphans.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use pulselake_maintain::RoundSettings;

use super::work::TableWork;
use super::{MaintenancePace, Stop};

/// Sweeps its table once per interval, the first time after one look of the compaction actor.
pub(super) struct SnapshotJanitor {
    work: Arc<TableWork>,
    pace: MaintenancePace,
    is_busy: bool,
}

impl SnapshotJanitor {
    pub(super) fn new(work: Arc<TableWork>, pace: MaintenancePace) -> Self {
        Self { work, pace, is_busy: false }
    }

    fn sweep(&mut self, ctx: &mut Context<Self>) {
        if self.is_busy {
            return;
        }
        self.is_busy = true;
        let (work, retry_in) = (self.work.clone(), self.first_after());
        let sweeping = async move {
            let settings = RoundSettings { compaction: None, ..work.table.round.clone() };
            work.round("expiry and orphans", &settings, retry_in).await
        };
        ctx.spawn(sweeping.into_actor(self).map(|report, actor, context| {
            actor.is_busy = false;
            if report.as_ref().is_none_or(|done| done.sweep.refused_deletes().is_some()) {
                context.run_later(actor.first_after(), Self::sweep);
            }
            let Some(done) = report.filter(|done| done.is_changed) else { return };
            let (expire, orphans) = (&done.sweep.expire, &done.sweep.orphans);
            actor.work.metrics.expired(expire.snapshots, expire.deleted.files);
            actor.work.metrics.removed_orphans(orphans.deleted.files);
        }));
    }

    /// Before the first round of compaction would be too early: it makes the files whose predecessors expire.
    fn first_after(&self) -> Duration {
        self.pace.check_interval * 2
    }
}

impl Actor for SnapshotJanitor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_later(self.first_after(), |actor, context| actor.sweep(context));
        ctx.run_interval(self.pace.interval, Self::sweep);
    }
}

impl Handler<Stop> for SnapshotJanitor {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        ctx.stop();
    }
}
