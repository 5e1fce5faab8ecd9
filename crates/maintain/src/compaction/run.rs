//! One compaction of one table, from the first plan to the last report.
//!
//! Each group is committed by itself. What others commit meanwhile is never waited for: where it touches a group, that
//! group is planned anew. A run ends when a plan is empty, or after some rounds on a table that keeps changing.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use iceberg::TableIdent;
use iceberg::spec::DataFile;
use iceberg::table::Table;
use pulselake_commit::{Catalog, ChangeKind, Landing, TableChange, back_off};
use pulselake_read::{BytesRead, PartitionPredicate, TablePlan, plan_table_without_statistics};

use super::budget::{Budget, MemoryMeter};
use super::commit_group::{Outcome, change, commit_change, group_change};
use super::error::CompactionError;
use super::facts::TableFacts;
use super::output::delete_quietly;
use super::planner::{CompactionPlan, Group, plan};
use super::policy::TablePolicy;
use super::report::{CompactionReport, GroupSummary, Progress, TableShape};
use super::rewrite::{GroupJob, OnBatch, now_ms, rewrite_group};
use super::throttle::{CancelToken, Throttle};
use crate::janitor::young::assert_young_enough;

/// Rounds of planning and rewriting in one run; a table at rest needs two or three, the last of which is empty.
const MAX_ROUNDS: u32 = 6;

/// How to compact.
#[derive(Clone)]
pub struct Compaction {
    /// What the table should look like.
    pub policy: TablePolicy,
    /// What may be used.
    pub budget: Budget,
    /// Lowered by ingestion when it needs the machine.
    pub throttle: Throttle,
    /// Stops the run.
    pub cancel: CancelToken,
    /// Counts memory.
    pub meter: MemoryMeter,
    /// Whether to plan only.
    pub dry_run: bool,
    /// Is told how far the run is; called often, from several threads: it must return at once.
    pub progress: Arc<dyn Fn(Progress) + Send + Sync>,
}

impl Compaction {
    /// A run by this policy, with all else as by default.
    pub fn new(policy: TablePolicy) -> Self {
        Self {
            policy,
            budget: Budget::default(),
            throttle: Throttle::default(),
            cancel: CancelToken::default(),
            meter: MemoryMeter::default(),
            dry_run: false,
            progress: Arc::new(|_| {}),
        }
    }
}

/// Compacts a table.
pub async fn compact_table(
    catalog: &dyn Catalog,
    ident: &TableIdent,
    compaction: &Compaction,
) -> Result<CompactionReport, CompactionError> {
    let begun = Instant::now();
    let mut run = Run {
        catalog,
        ident,
        compaction,
        policy: Arc::new(compaction.policy.clone()),
        bytes_read: BytesRead::default(),
        report: CompactionReport { table: ident.to_string(), ..CompactionReport::default() },
        packed_open: HashSet::new(),
    };
    run.all_rounds().await?;
    let mut report = run.report;
    report.bytes_read = run.bytes_read.get();
    report.elapsed_ms = begun.elapsed().as_millis() as u64;
    report.peak_memory_bytes = compaction.meter.peak_bytes();
    Ok(report)
}

/// A table with its live files and what should be done.
struct Planned {
    table: Table,
    files: TablePlan,
    facts: TableFacts,
    todo: CompactionPlan,
    shape: TableShape,
}

struct Run<'a> {
    catalog: &'a dyn Catalog,
    ident: &'a TableIdent,
    compaction: &'a Compaction,
    policy: Arc<TablePolicy>,
    bytes_read: BytesRead,
    report: CompactionReport,
    /// Open partitions that this run has packed: what arrives in them meanwhile is the next run's, or this one would
    /// never end beside a stream.
    packed_open: HashSet<String>,
}

impl Run<'_> {
    async fn all_rounds(&mut self) -> Result<(), CompactionError> {
        let mut planned = self.plan().await?;
        self.report.before = planned.shape;
        self.report.planned = planned.todo.groups.iter().map(|group| summary(&planned, group)).collect();
        self.report.manifests_planned = planned.todo.rewrite_manifests;
        let mut rounds = 0;
        while !self.compaction.dry_run && !planned.todo.groups.is_empty() && rounds < MAX_ROUNDS {
            if self.round(&planned).await? {
                rounds += 1;
            }
            planned = self.plan().await?;
        }
        if !self.compaction.dry_run && planned.todo.rewrite_manifests {
            self.compaction.cancel.check()?;
            let target_bytes = self.policy.manifest_bytes;
            let landing = self
                .land(&planned.table, &change(ChangeKind::RewriteManifests { target_bytes }), false)
                .await?;
            self.report.manifests_rewritten = landing.is_some();
            planned = self.plan().await?;
        }
        self.report.after = planned.shape;
        self.report.is_finished = planned.todo.is_empty();
        Ok(())
    }

    async fn plan(&self) -> Result<Planned, CompactionError> {
        let table = self.catalog.load_existing(self.ident).await?;
        let begun = Instant::now();
        let files = plan_table_without_statistics(&table, None, &PartitionPredicate::all()).await?;
        let plan_ms = begun.elapsed().as_millis() as u64;
        let facts = TableFacts::of_plan(&files, table.metadata(), &self.policy);
        let mut todo = plan(&facts, &self.policy, now_ms().saturating_mul(1_000));
        todo.groups.retain(|group| {
            let name = group.partition.map(|index| facts.partitions[index].name.as_str());
            !(group.is_open && name.is_some_and(|partition| self.packed_open.contains(partition)))
        });
        let shape = TableShape::of_plan(&files, plan_ms);
        Ok(Planned { table, files, facts, todo, shape })
    }

    /// Rewrites the groups of a plan; false where a conflict ended it early.
    async fn round(&mut self, planned: &Planned) -> Result<bool, CompactionError> {
        let mut progress = Progress {
            groups_done: 0,
            groups: planned.todo.groups.len() as u64,
            bytes_read: self.bytes_read.get(),
            bytes: planned.todo.groups.iter().map(|group| group.bytes).sum(),
        };
        for group in &planned.todo.groups {
            self.compaction.cancel.check()?;
            (self.compaction.progress)(progress);
            if !self.rewrite_and_land(planned, group, progress).await? {
                return Ok(false);
            }
            progress.groups_done += 1;
            progress.bytes_read = self.bytes_read.get();
        }
        (self.compaction.progress)(progress);
        Ok(true)
    }

    async fn rewrite_and_land(
        &mut self,
        planned: &Planned,
        group: &Group,
        progress: Progress,
    ) -> Result<bool, CompactionError> {
        if group.files.is_empty() {
            let change = group_change(&planned.files, group, Vec::new());
            let landing = self.land(&planned.table, &change, false).await?;
            if landing.is_some() {
                self.report.groups += 1;
                self.report.delete_files_removed += group.drop_deletes.len() as u64;
            }
            return Ok(landing.is_some());
        }
        let partition_path = summary(planned, group).partition;
        let rewritten = rewrite_group(self.job(planned, group, partition_path.clone(), progress)).await?;
        self.report.bytes_written += rewritten.files.iter().map(DataFile::file_size_in_bytes).sum::<u64>();
        if let Some(cpu_ms) = rewritten.cpu_ms {
            *self.report.cpu_ms.get_or_insert(0) += cpu_ms;
        }
        let safety_age_ms = i64::try_from(self.compaction.budget.safety_age.as_millis()).unwrap_or(i64::MAX);
        if let Err(source) = assert_young_enough(rewritten.begun_at_ms, now_ms(), safety_age_ms) {
            let files = rewritten.files.iter().map(DataFile::file_path);
            delete_quietly(planned.table.file_io(), files).await;
            let table = self.ident.to_string();
            return Err(CompactionError::TooSlow { table, partition: partition_path, source });
        }
        let files_added = rewritten.files.len() as u64;
        let kept = rewritten.counts.read - rewritten.counts.deleted;
        let has_folded = rewritten.rows_written < kept;
        let change = group_change(&planned.files, group, rewritten.files);
        if self.land(&planned.table, &change, has_folded).await?.is_none() {
            return Ok(false);
        }
        self.report.groups += 1;
        self.report.files_removed += group.files.len() as u64;
        self.report.files_added += files_added;
        self.report.delete_files_removed += group.drop_deletes.len() as u64;
        self.report.rows_read += rewritten.counts.read;
        self.report.rows_deleted += rewritten.counts.deleted;
        self.report.rows_written += rewritten.rows_written;
        if group.is_open {
            self.packed_open.insert(partition_path);
        }
        Ok(true)
    }

    fn job(&self, planned: &Planned, group: &Group, partition_path: String, progress: Progress) -> GroupJob {
        let files: Vec<_> = group.files.iter().map(|&index| planned.files.files[index].clone()).collect();
        let partition = files.first().map(|file| file.data.file().partition().clone());
        let (tell, counter) = (self.compaction.progress.clone(), self.bytes_read.clone());
        let on_batch: OnBatch = Arc::new(move || tell(Progress { bytes_read: counter.get(), ..progress }));
        GroupJob {
            table: planned.table.clone(),
            partition: partition.unwrap_or_else(iceberg::spec::Struct::empty),
            files,
            partition_path,
            policy: self.policy.clone(),
            budget: self.compaction.budget.clone(),
            meter: self.compaction.meter.clone(),
            throttle: self.compaction.throttle.clone(),
            cancel: self.compaction.cancel.clone(),
            bytes_read: self.bytes_read.clone(),
            on_batch,
        }
    }

    /// Commits a change; `None` where the table has changed so that it has to be planned anew.
    async fn land(
        &mut self,
        table: &Table,
        change: &TableChange,
        has_folded: bool,
    ) -> Result<Option<Landing>, CompactionError> {
        let budget = &self.compaction.budget;
        match commit_change(self.catalog, self.ident, table, change, has_folded, budget).await? {
            Outcome::Landed(landing) => {
                self.report.lost_races += u64::from(landing.conflicts);
                Ok(Some(*landing))
            }
            Outcome::PlanAnew(reason) => {
                self.report.conflicts += 1;
                let conflicts = u32::try_from(self.report.conflicts).unwrap_or(u32::MAX);
                tracing::info!(table = %self.ident, reason, conflicts, "a compaction group is planned anew");
                if conflicts > budget.max_conflicts {
                    return Err(CompactionError::Contended {
                        table: self.ident.to_string(),
                        conflicts,
                        reason,
                    });
                }
                back_off(conflicts).await;
                Ok(None)
            }
        }
    }
}

fn summary(planned: &Planned, group: &Group) -> GroupSummary {
    GroupSummary {
        partition: group
            .partition
            .map(|index| planned.facts.partitions[index].name.clone())
            .unwrap_or_default(),
        files: group.files.len(),
        bytes: group.bytes,
        delete_files: group.drop_deletes.len(),
        is_open: group.is_open,
    }
}
