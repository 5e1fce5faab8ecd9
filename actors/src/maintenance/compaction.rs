//! The actor that compacts one table.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use pulselake_maintain::RoundSettings;

use super::pace::share_percent;
use super::schedule::{Facts, due};
use super::work::{TableWork, Totals};
use super::{MaintenancePace, Stop};
use crate::status::EngineStatus;

/// How often the share of the thread is set anew.
const PACE_INTERVAL: Duration = Duration::from_secs(1);

/// Looks at its table again and again, and compacts it when it is due.
pub(super) struct CompactionActor {
    work: Arc<TableWork>,
    pace: MaintenancePace,
    status: EngineStatus,
    is_busy: bool,
    last_round: Option<Instant>,
    files_at_last_plan: u64,
    fullest_partition_files: u64,
    /// Whether that is of the newest round. Before the first one and after one that failed the manifests tell, at each look:
    /// where compaction fails is where files grow.
    is_fullest_known: bool,
    lag_before: i64,
}

impl CompactionActor {
    pub(super) fn new(work: Arc<TableWork>, pace: MaintenancePace, status: EngineStatus) -> Self {
        Self {
            work,
            pace,
            status,
            is_busy: false,
            last_round: None,
            files_at_last_plan: 0,
            fullest_partition_files: 0,
            is_fullest_known: false,
            lag_before: 0,
        }
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        if self.is_busy {
            return;
        }
        self.is_busy = true;
        let (work, reads_manifests) = (self.work.clone(), !self.is_fullest_known);
        let looking = async move { work.totals(reads_manifests).await };
        ctx.spawn(looking.into_actor(self).map(|totals, actor, context| {
            actor.is_busy = false;
            if let Some(found) = totals {
                actor.fullest_partition_files =
                    found.fullest_partition_files.unwrap_or(actor.fullest_partition_files);
                actor.work.show(found, actor.fullest_partition_files);
                actor.compact_if_due(found, context);
            }
        }));
    }

    fn compact_if_due(&mut self, totals: Totals, ctx: &mut Context<Self>) {
        let facts = Facts {
            since_last: self.last_round.map(|ended| ended.elapsed()),
            files: totals.data_files,
            files_at_last_plan: self.files_at_last_plan,
        };
        let Some(why) = due(facts, self.pace.interval, self.pace.urgent_files) else { return };
        self.is_busy = true;
        let (work, retry_in) = (self.work.clone(), self.pace.check_interval);
        let compacting = async move {
            let settings = RoundSettings { sweep: None, ..work.table.round.clone() };
            let begun = Instant::now();
            let report = work.round(why, &settings, retry_in).await;
            (report, begun.elapsed())
        };
        ctx.spawn(compacting.into_actor(self).map(|(report, took), actor, _| {
            actor.is_busy = false;
            // After a failure it stays due: the next look begins another.
            actor.is_fullest_known = report.is_some();
            let Some(done) = report else { return };
            actor.last_round = Some(Instant::now());
            actor.files_at_last_plan = done.after.data_files.count;
            actor.fullest_partition_files = done.after.fullest_partition_files();
            if done.is_changed {
                let compaction = &done.compaction;
                actor.work.metrics.compacted(compaction.bytes_read, took, compaction.conflicts);
            }
        }));
    }

    fn set_pace(&mut self) {
        let Some(compaction) = &self.work.table.round.compaction else { return };
        let lag = self.status.lag();
        let is_paused = self.status.partitions().iter().any(|(_, partition)| partition.paused);
        let share = share_percent(self.pace.cpu_share_percent, lag, self.lag_before, is_paused);
        compaction.throttle.set_share_percent(share);
        self.lag_before = lag;
    }
}

impl Actor for CompactionActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.set_pace();
        ctx.run_interval(PACE_INTERVAL, |actor, _| actor.set_pace());
        ctx.run_interval(self.pace.check_interval, Self::look);
    }
}

impl Handler<Stop> for CompactionActor {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        ctx.stop();
    }
}
