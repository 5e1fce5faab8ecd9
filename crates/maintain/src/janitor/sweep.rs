//! One pass of the janitor over one table: time to live, expiry, orphans.

use std::collections::HashSet;
use std::time::Duration;

use chrono::Utc;
use iceberg::TableIdent;
use pulselake_commit::{Catalog, CommitLimits};
use serde::Serialize;

use super::delete::delete_files;
use super::error::MaintainError;
use super::expire::{ExpireReport, Expiring, expire, preview};
use super::lease::{Lease, LeaseSettings};
use super::orphans::{OrphanReport, OrphanScan, OrphanSettings, find_orphans};
use super::retention::RetentionRules;
use super::store::FileStore;
use super::ttl::{TtlReport, apply_ttl, plan_ttl};
use super::{Phase, Progress};

/// What maintenance works with.
#[derive(Clone, Copy)]
pub struct Tools<'a> {
    /// The catalog.
    pub catalog: &'a dyn Catalog,
    /// The store under the tables.
    pub store: &'a dyn FileStore,
    /// Bounds of each commit.
    pub limits: &'a CommitLimits,
}

/// What a pass does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SweepSettings {
    /// Which snapshots stay.
    pub retention: RetentionRules,
    /// Which files count as orphans; `None` leaves them alone, and the location unlisted.
    pub orphans: Option<OrphanSettings>,
    /// How long rows live; `None` for ever.
    pub time_to_live: Option<Duration>,
    /// The lease that it works under.
    pub lease: LeaseSettings,
}

impl Default for SweepSettings {
    fn default() -> Self {
        Self {
            retention: RetentionRules::default(),
            orphans: Some(OrphanSettings::default()),
            time_to_live: None,
            lease: LeaseSettings::default(),
        }
    }
}

/// What there is to do.
#[derive(Clone, Debug, Default)]
pub struct SweepPlan {
    /// Partitions whose time is over.
    pub time_to_live: TtlReport,
    /// Snapshots that expire, and the files that go with them.
    pub expire: ExpireReport,
    /// Orphans; they may be deleted whenever the plan is carried out.
    pub orphans: OrphanScan,
}

impl SweepPlan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.time_to_live.partitions == 0 && self.expire.snapshots == 0 && self.orphans.orphans.is_empty()
    }

    /// The plan as a report of a dry run.
    pub fn report(&self) -> SweepReport {
        SweepReport {
            time_to_live: self.time_to_live.clone(),
            expire: self.expire.clone(),
            orphans: self.orphans.report(),
            done: false,
        }
    }
}

/// What a pass did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SweepReport {
    /// Partitions dropped for their age.
    pub time_to_live: TtlReport,
    /// Snapshots expired, and their files.
    pub expire: ExpireReport,
    /// Orphans.
    pub orphans: OrphanReport,
    /// Whether it was done; false for a dry run, and where there was nothing to do.
    pub done: bool,
}

impl SweepReport {
    /// How many files the store did not delete, which are orphans now, and its words about the first of them; `None` where it
    /// deleted all.
    pub fn refused_deletes(&self) -> Option<(u64, &str)> {
        let both = [&self.expire.deleted, &self.orphans.deleted];
        let first = both.iter().find_map(|deleted| deleted.first_failure.as_deref())?;
        Some((both.iter().map(|deleted| deleted.failed).sum(), first))
    }
}

/// Looks at `table` and says what there is to do. `needed` are the snapshots that unfinished plans read.
pub async fn plan_sweep(
    tools: Tools<'_>,
    table: &TableIdent,
    settings: &SweepSettings,
    needed: &HashSet<i64>,
    progress: Progress<'_>,
) -> Result<SweepPlan, MaintainError> {
    let loaded = tools.catalog.load_existing(table).await?;
    let time_to_live = match settings.time_to_live {
        Some(keep) => plan_ttl(&loaded, keep, Utc::now()).await?.report,
        None => TtlReport::default(),
    };
    let which = Expiring::ByAge { rules: settings.retention, needed };
    let expiry = preview(&loaded, which).await?;
    let orphans = match settings.orphans {
        Some(rules) => find_orphans(tools.catalog, tools.store, table, rules, progress).await?,
        None => OrphanScan::default(),
    };
    Ok(SweepPlan { time_to_live, expire: expiry, orphans })
}

/// Carries a plan out. Expiry and time to live are planned anew on the table as it is now; the orphans are the plan's.
pub async fn run_sweep(
    tools: Tools<'_>,
    table: &TableIdent,
    settings: &SweepSettings,
    plan: &SweepPlan,
    needed: &HashSet<i64>,
    lease: &mut Lease<'_>,
    progress: Progress<'_>,
) -> Result<SweepReport, MaintainError> {
    let mut report = plan.report();
    report.done = true;
    if let Some(keep) = settings.time_to_live {
        report.time_to_live = apply_ttl(tools.catalog, table, tools.limits, keep, lease).await?;
    }
    let which = Expiring::ByAge { rules: settings.retention, needed };
    report.expire = expire(tools.catalog, tools.store, table, tools.limits, which, lease, progress).await?;
    let files: Vec<String> = plan.orphans.orphans.iter().map(|orphan| orphan.location.clone()).collect();
    report.orphans.deleted =
        delete_files(tools.store, &files, Phase::DeletingOrphans, lease, progress).await?;
    Ok(report)
}

/// Plans, and where there is something to do and it is no dry run, takes the lease as `who`, does it, and gives it back.
///
/// Fails with [`super::LeaseRefusal::Held`] while another maintainer has the table.
pub async fn sweep(
    tools: Tools<'_>,
    table: &TableIdent,
    settings: &SweepSettings,
    who: &str,
    is_dry_run: bool,
    progress: Progress<'_>,
) -> Result<SweepReport, MaintainError> {
    let needed = HashSet::new();
    let plan = plan_sweep(tools, table, settings, &needed, progress).await?;
    if is_dry_run || plan.is_empty() {
        return Ok(plan.report());
    }
    let mut lease = Lease::take(tools.catalog, table, tools.limits, settings.lease, who).await?;
    let outcome = run_sweep(tools, table, settings, &plan, &needed, &mut lease, progress).await;
    let released = lease.release().await;
    let report = outcome?;
    released?;
    Ok(report)
}
