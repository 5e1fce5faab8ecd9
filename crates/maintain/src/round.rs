//! One round over one table: compaction, then the janitor, under one lease.
//!
//! A table with nothing to do is only looked at: no lease is taken and no snapshot made. A round that breaks off, or that
//! is killed, leaves the table as good as before; the next one goes on. One that is asked to stop gives its lease back.

use std::collections::HashSet;
use std::time::Duration;

use iceberg::TableIdent;
use serde::Serialize;

use crate::compaction::{CancelToken, Compaction, CompactionError, CompactionReport, compact_table};
use crate::health::{TableHealth, health_of};
use crate::janitor::{
    Lease, LeaseRefusal, MaintainError, Progress, SweepReport, SweepSettings, Tools, plan_sweep, run_sweep,
};

/// What a round does.
#[derive(Clone)]
pub struct RoundSettings {
    /// Compaction; `None` leaves the files as they are.
    pub compaction: Option<Compaction>,
    /// The janitor; `None` leaves snapshots and orphans alone.
    pub sweep: Option<SweepSettings>,
    /// Who it is, for the lease: a host and process, say.
    pub who: String,
    /// Asks the round to stop and to give its lease back; compaction is asked by the same one.
    pub cancel: CancelToken,
    /// Whether to look only.
    pub is_dry_run: bool,
}

/// What a round found and did.
#[derive(Clone, Debug, Serialize)]
pub struct RoundReport {
    /// `namespace.name`.
    pub table: String,
    /// The table before.
    pub before: TableHealth,
    /// The table after; as before where nothing was done.
    pub after: TableHealth,
    /// Compaction: what it did, or, in a dry run, would do.
    pub compaction: CompactionReport,
    /// The janitor: what it did, or would do.
    pub sweep: SweepReport,
    /// Whether anything was done.
    pub is_changed: bool,
}

/// Why a round ended early.
#[derive(Debug, thiserror::Error)]
pub enum RoundError {
    /// It was asked to stop. What it has committed stays, what remains is done by the next round.
    #[error("asked to stop; what remains is done by the next round")]
    Cancelled,
    /// In compaction.
    #[error(transparent)]
    Compaction(#[from] CompactionError),
    /// In the janitor, or about the lease.
    #[error(transparent)]
    Janitor(#[from] MaintainError),
}

impl RoundError {
    /// Who has the table, where that is the reason.
    pub fn held_by(&self) -> Option<&str> {
        match self {
            Self::Janitor(MaintainError::Lease(LeaseRefusal::Held { holder, .. })) => Some(holder),
            _ => None,
        }
    }

    /// Whether it was asked to stop.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled | Self::Compaction(CompactionError::Cancelled))
    }
}

/// Maintains one table once.
pub async fn maintain_table(
    tools: Tools<'_>,
    table: &TableIdent,
    settings: &RoundSettings,
    progress: Progress<'_>,
) -> Result<RoundReport, RoundError> {
    let before = look(tools, table).await?;
    let planned = match &settings.compaction {
        Some(compaction) => {
            let look_only = Compaction { dry_run: true, ..compaction.clone() };
            compact_table(tools.catalog, table, &look_only).await?
        }
        None => CompactionReport::default(),
    };
    let needed = HashSet::new();
    let plan = match &settings.sweep {
        Some(sweep) => {
            let planning = plan_sweep(tools, table, sweep, &needed, progress);
            Some(settings.cancel.unless_cancelled(planning).await.ok_or(RoundError::Cancelled)??)
        }
        None => None,
    };
    let has_compaction = !planned.planned.is_empty() || planned.manifests_planned;
    let has_sweep = plan.as_ref().is_some_and(|found| !found.is_empty());
    let mut report = RoundReport {
        table: table.to_string(),
        after: before.clone(),
        before,
        compaction: planned,
        sweep: plan.as_ref().map(|found| found.report()).unwrap_or_default(),
        is_changed: false,
    };
    if settings.is_dry_run || !(has_compaction || has_sweep) {
        return Ok(report);
    }
    let lease_settings = settings.sweep.unwrap_or_default().lease;
    let mut lease = Lease::take(tools.catalog, table, tools.limits, lease_settings, &settings.who).await?;
    let work = async {
        if let Some(compaction) = settings.compaction.as_ref().filter(|_| has_compaction) {
            report.compaction =
                compact_under(tools, table, compaction, &mut lease, lease_settings.duration).await?;
        }
        if let Some((sweep, found)) = settings.sweep.as_ref().zip(plan.as_ref()) {
            // The janitor may be killed at any point, and so may its work be dropped.
            let sweeping = run_sweep(tools, table, sweep, found, &needed, &mut lease, progress);
            report.sweep =
                settings.cancel.unless_cancelled(sweeping).await.ok_or(RoundError::Cancelled)??;
        }
        Ok::<(), RoundError>(())
    };
    let outcome = work.await;
    // Given back also after a failure: the next maintainer need not wait for it to run out.
    let released = lease.release().await;
    outcome?;
    released?;
    report.is_changed = true;
    report.after = look(tools, table).await?;
    Ok(report)
}

async fn look(tools: Tools<'_>, table: &TableIdent) -> Result<TableHealth, MaintainError> {
    let loaded = tools.catalog.load_existing(table).await?;
    health_of(&loaded).await
}

/// Compacts, and keeps the lease meanwhile. A lease that is lost stops compaction: another maintainer is at work.
async fn compact_under(
    tools: Tools<'_>,
    table: &TableIdent,
    compaction: &Compaction,
    lease: &mut Lease<'_>,
    lease_duration: Duration,
) -> Result<CompactionReport, RoundError> {
    let compacting = compact_table(tools.catalog, table, compaction);
    tokio::pin!(compacting);
    let mut lost = None;
    loop {
        tokio::select! {
            done = &mut compacting => {
                return match lost {
                    Some(error) => Err(error),
                    None => Ok(done?),
                };
            }
            () = tokio::time::sleep(lease_duration / 4), if lost.is_none() => {
                if let Err(error) = lease.keep_alive().await {
                    compaction.cancel.cancel();
                    lost = Some(RoundError::Janitor(error));
                }
            }
        }
    }
}
