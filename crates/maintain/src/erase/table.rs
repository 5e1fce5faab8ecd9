//! Erases an id from one table.
//!
//! Each round plans on the table as it is, finds the files that hold the id, rewrites them in groups, and commits each
//! group as a rewrite. A group that loses against another commit makes a new round. A round without a lost group has
//! removed every row of the snapshot it was planned on: had one been moved to another file, its group would have lost.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use chrono::Utc;
use iceberg::TableIdent;
use iceberg::spec::{DataFile, TableMetadata};
use iceberg::table::Table;
use pulselake_commit::{ChangeKind, CommitLimits, Rewrite, TableChange, back_off, commit, references};
use pulselake_read::{BytesRead, Deletes, PartitionPredicate, PlannedFile, TablePlan, plan_table};
use uuid::Uuid;

use super::EraseSettings;
use super::counts::{ErasedCounts, add_counts};
use super::group::{Candidate, Group, group};
use super::guard::EraseGuard;
use super::history::{Holders, Verdicts, find_holders};
use super::report::EraseTableReport;
use super::rewrite::{Rewriter, Rewritten};
use super::subject::Subject;
use super::target::Target;
use crate::janitor::young::assert_young_enough;
use crate::janitor::{
    Expiring, Lease, LeaseRefusal, MaintainError, Phase, Progress, Step, Tools, expire, unless_conflict,
};

/// Size of the manifests that are written so that none names removed files any more.
const MANIFEST_BYTES: u64 = 8 << 20;

/// One erasure in one table.
pub(super) struct TableErasure<'a> {
    pub tools: Tools<'a>,
    pub table: &'a TableIdent,
    pub subject: &'a Subject,
    pub settings: &'a EraseSettings,
    pub who: &'a str,
    pub target: Target,
    pub progress: Progress<'a>,
}

/// What a round has to do.
struct Round {
    base: Table,
    plan: TablePlan,
    /// Places in `plan.files`.
    dirty_files: HashSet<usize>,
    /// Places in `plan.deletes`.
    dirty_deletes: Vec<usize>,
}

impl Round {
    fn is_clean(&self) -> bool {
        self.dirty_files.is_empty() && self.dirty_deletes.is_empty()
    }
}

impl TableErasure<'_> {
    pub(super) async fn run(&self, is_dry_run: bool) -> Result<EraseTableReport, MaintainError> {
        let mut report = EraseTableReport { table: self.table.to_string(), ..EraseTableReport::default() };
        let mut verdicts = Verdicts::default();
        let mut lease = None;
        let outcome = match is_dry_run {
            true => self.look(&mut verdicts, &mut report).await,
            false => self.erase(&mut lease, &mut verdicts, &mut report).await,
        };
        let released = match lease.take() {
            Some(held) => Lease::release(held).await,
            None => Ok(()),
        };
        outcome?;
        released?;
        report.unreferenced_files_until_ms =
            Utc::now().timestamp_millis() + self.settings.safety_age.as_millis() as i64;
        Ok(report)
    }

    async fn look(
        &self,
        verdicts: &mut Verdicts,
        report: &mut EraseTableReport,
    ) -> Result<(), MaintainError> {
        let round = self.plan_round(verdicts).await?;
        report.files_found = round.dirty_files.len() as u64;
        report.delete_files_found = round.dirty_deletes.len() as u64;
        report.complete = round.is_clean();
        let holders = find_holders(&round.base, &self.target, verdicts, self.progress).await?;
        self.tell_holders(round.base.metadata(), &holders, report)
    }

    async fn erase<'l>(
        &'l self,
        lease: &mut Option<Lease<'l>>,
        verdicts: &mut Verdicts,
        report: &mut EraseTableReport,
    ) -> Result<(), MaintainError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let round = self.plan_round(verdicts).await?;
            if round.is_clean() {
                report.complete = true;
                break;
            }
            if attempt > self.settings.max_rounds {
                report.files_arrived_meanwhile = round.dirty_files.len() as u64;
                break;
            }
            report.files_found += round.dirty_files.len() as u64;
            report.delete_files_found += round.dirty_deletes.len() as u64;
            let held = self.hold(lease).await?;
            match self.rewrite_all(&round, held, report).await? {
                true => report.complete = true,
                false => back_off(attempt).await,
            }
        }
        let mut base = self.tools.catalog.load_existing(self.table).await?;
        let mut holders = find_holders(&base, &self.target, verdicts, self.progress).await?;
        if holders.current_names_it && report.complete {
            let held = self.hold(lease).await?;
            self.renew_manifests(held, report).await?;
            base = self.tools.catalog.load_existing(self.table).await?;
            holders = find_holders(&base, &self.target, verdicts, self.progress).await?;
        }
        if self.settings.expire_now && !holders.snapshots.is_empty() {
            let held = self.hold(lease).await?;
            let Tools { catalog, store, limits } = self.tools;
            let which = Expiring::Exactly(&holders.snapshots);
            report.expired = expire(catalog, store, self.table, limits, which, held, self.progress).await?;
            base = catalog.load_existing(self.table).await?;
            holders.snapshots.retain(|id| base.metadata().snapshot_by_id(*id).is_some());
        }
        self.tell_holders(base.metadata(), &holders, report)
    }

    async fn plan_round(&self, verdicts: &mut Verdicts) -> Result<Round, MaintainError> {
        let base = self.tools.catalog.load_existing(self.table).await?;
        let plan = plan_table(&base, None, &PartitionPredicate::all()).await?;
        let data = plan.files.iter().map(|planned| (planned.data.file(), planned.data.spec_id));
        let deletes = plan.deletes.iter().map(|delete| (delete.file(), delete.spec_id));
        verdicts.search(&base, &self.target, data.chain(deletes), false, self.progress).await?;
        let places = |holds: Vec<bool>| {
            holds
                .into_iter()
                .enumerate()
                .filter(|(_, found)| *found)
                .map(|(place, _)| place)
                .collect::<Vec<_>>()
        };
        let of_data = plan.files.iter().map(|planned| verdicts.holds(planned.data.file())).collect();
        let of_deletes = plan.deletes.iter().map(|delete| verdicts.holds(delete.file())).collect();
        let (dirty_files, dirty_deletes) = (places(of_data).into_iter().collect(), places(of_deletes));
        Ok(Round { base, plan, dirty_files, dirty_deletes })
    }

    /// The lease, taken if it is not there yet; waits while another maintainer has it.
    async fn hold<'s, 'l>(
        &'l self,
        lease: &'s mut Option<Lease<'l>>,
    ) -> Result<&'s mut Lease<'l>, MaintainError> {
        if lease.is_none() {
            let deadline = Instant::now() + self.settings.lease_patience;
            let mut attempt = 0;
            *lease = Some(loop {
                let Tools { catalog, limits, .. } = self.tools;
                match Lease::take(catalog, self.table, limits, self.settings.lease, self.who).await {
                    Err(MaintainError::Lease(LeaseRefusal::Held { .. })) if Instant::now() < deadline => {
                        attempt += 1;
                        back_off(attempt).await;
                    }
                    outcome => break outcome?,
                }
            });
        }
        let held = lease.as_mut().ok_or(LeaseRefusal::Lost { now_held_by: None })?;
        held.keep_alive().await?;
        Ok(held)
    }

    /// Rewrites the files of a round; false where a group lost against another commit.
    async fn rewrite_all(
        &self,
        round: &Round,
        lease: &mut Lease<'_>,
        report: &mut EraseTableReport,
    ) -> Result<bool, MaintainError> {
        let candidates: Vec<Candidate> = round
            .plan
            .files
            .iter()
            .enumerate()
            .map(|(place, planned)| candidate(round, place, planned))
            .collect();
        let groups = group(&candidates, round.dirty_deletes.len(), self.settings.group_bytes);
        let total = Some(groups.iter().map(|found| found.files.len() as u64).sum());
        let (mut done, mut all_landed) = (0, true);
        for found in groups {
            let files: Vec<&PlannedFile> =
                found.files.iter().map(|place| &round.plan.files[*place]).collect();
            let begun_ms = Utc::now().timestamp_millis();
            let mut rewritten = Rewritten::default();
            let written = self.write_group(round, &files, lease, &mut rewritten, (&mut done, total)).await;
            let landed = match written {
                Ok(()) => self.commit_group(round, &found, &rewritten, begun_ms, lease).await,
                Err(error) => {
                    delete_new_files(&round.base, &rewritten.added).await;
                    Err(error)
                }
            }?;
            if !landed {
                report.conflicts += 1;
                all_landed = false;
                continue;
            }
            count_group(report, &files, &rewritten);
        }
        Ok(all_landed)
    }

    async fn write_group(
        &self,
        round: &Round,
        files: &[&PlannedFile],
        lease: &mut Lease<'_>,
        rewritten: &mut Rewritten,
        (done, total): (&mut u64, Option<u64>),
    ) -> Result<(), MaintainError> {
        let owned: Vec<PlannedFile> = files.iter().map(|planned| (*planned).clone()).collect();
        let deletes = Deletes::new(&round.base, &owned, BytesRead::default())?;
        let rewriter = Rewriter::new(&round.base, &self.target)?;
        for planned in files {
            lease.keep_alive().await?;
            rewriter.rewrite(planned, &deletes, rewritten).await?;
            *done += 1;
            (self.progress)(Step { phase: Phase::Rewriting, done: *done, total });
        }
        Ok(())
    }

    /// False where it lost against another commit; its files are deleted then.
    async fn commit_group(
        &self,
        round: &Round,
        found: &Group,
        rewritten: &Rewritten,
        begun_ms: i64,
        lease: &mut Lease<'_>,
    ) -> Result<bool, MaintainError> {
        let files = found.files.iter().map(|place| &round.plan.files[*place].data);
        let deletes =
            found.deletes.iter().map(|delete| round.plan.deletes[round.dirty_deletes[*delete]].as_ref());
        let all = || files.clone().chain(deletes.clone());
        let rewrite = Rewrite {
            planned_sequence_number: round.plan.sequence_number,
            remove: all().map(|entry| entry.file().file_path().to_string()).collect(),
            partitions: files
                .clone()
                .map(|entry| (entry.spec_id, entry.file().partition().clone()))
                .collect(),
            seen_in: all().map(|entry| entry.manifest.to_string()).collect(),
            add: rewritten.added.clone(),
        };
        let safety_age_ms = self.settings.safety_age.as_millis() as i64;
        if let Err(too_old) = assert_young_enough(begun_ms, Utc::now().timestamp_millis(), safety_age_ms) {
            delete_new_files(&round.base, &rewritten.added).await;
            return Err(too_old.into());
        }
        let change =
            TableChange { commit_id: Uuid::now_v7().to_string(), kind: ChangeKind::Rewrite(rewrite) };
        let guard = EraseGuard {
            lease: lease.guard(),
            subject: self.subject,
            rows: rewritten.rows_erased,
            counts: &rewritten.counts,
            counts_lost: AtomicBool::new(false),
        };
        let Tools { catalog, limits, .. } = self.tools;
        match commit(catalog, self.table, &change, &guard, limits).await {
            Ok(_) => {
                if guard.counts_lost.load(Ordering::Relaxed) {
                    tracing::warn!(
                        table = %self.table,
                        "table property pulselake.erased could not be read and was begun anew: an audit sees gaps that earlier erasures made"
                    );
                }
                Ok(true)
            }
            Err(failure) => {
                if failure.files_may_be_deleted() {
                    delete_new_files(&round.base, &rewritten.added).await;
                }
                unless_conflict(self.table, failure).map(|conflict| {
                    tracing::info!(table = %self.table, %conflict, "a part of the erasure is planned anew");
                    false
                })
            }
        }
    }

    /// Writes the manifests of the current snapshot anew: bounds of removed files may name the id.
    async fn renew_manifests(
        &self,
        lease: &mut Lease<'_>,
        report: &mut EraseTableReport,
    ) -> Result<(), MaintainError> {
        let merging = CommitLimits { manifests_to_merge: 2, ..*self.tools.limits };
        // The second, of no files, merges the delete manifests.
        let nothing = ChangeKind::Properties { set: Default::default(), remove: Vec::new() };
        for kind in [ChangeKind::RewriteManifests { target_bytes: MANIFEST_BYTES }, nothing] {
            let change = TableChange { commit_id: Uuid::now_v7().to_string(), kind };
            match commit(self.tools.catalog, self.table, &change, &lease.guard(), &merging).await {
                Ok(_) => report.commits += 1,
                Err(failure) => {
                    unless_conflict(self.table, failure)?;
                    report.conflicts += 1;
                }
            }
        }
        Ok(())
    }

    fn tell_holders(
        &self,
        metadata: &TableMetadata,
        holders: &Holders,
        report: &mut EraseTableReport,
    ) -> Result<(), MaintainError> {
        let referenced = references(metadata)
            .ok_or_else(|| MaintainError::NoReferences { table: self.table.to_string() })?;
        let times = || {
            metadata
                .snapshots()
                .filter(|snapshot| holders.snapshots.contains(&snapshot.snapshot_id()))
                .map(|snapshot| snapshot.timestamp_ms())
        };
        report.snapshots_holding = times().count() as u64;
        report.oldest_holding_ms = times().min();
        report.gone_after_ms = times().max().map(|newest| newest + self.settings.retention.max_age_ms);
        let current = metadata.current_snapshot_id();
        report.held_by_references = referenced
            .into_iter()
            .filter(|(_, id)| Some(*id) != current && holders.snapshots.contains(id))
            .map(|(name, _)| name)
            .collect();
        report.held_by_references.sort();
        report.named_by_current_manifests = holders.current_names_it;
        Ok(())
    }
}

fn candidate(round: &Round, place: usize, planned: &PlannedFile) -> Candidate {
    let applies = |delete: usize| {
        let wanted = round.plan.deletes[delete].file().file_path();
        planned.deletes.iter().any(|found| found.file().file_path() == wanted)
    };
    Candidate {
        bytes: planned.data.file().file_size_in_bytes(),
        is_dirty: round.dirty_files.contains(&place),
        dirty_deletes: (0..round.dirty_deletes.len())
            .filter(|delete| applies(round.dirty_deletes[*delete]))
            .collect(),
    }
}

fn count_group(report: &mut EraseTableReport, files: &[&PlannedFile], rewritten: &Rewritten) {
    report.commits += 1;
    report.rows_erased += rewritten.rows_erased;
    let mut total = ErasedCounts::new();
    std::mem::swap(&mut total, &mut report.erased_by_source);
    add_counts(&mut total, &rewritten.counts);
    report.erased_by_source = total;
    report.files_rewritten += files.len() as u64;
    report.bytes_rewritten +=
        files.iter().map(|planned| planned.data.file().file_size_in_bytes()).sum::<u64>();
    report.files_written += rewritten.added.len() as u64;
    report.bytes_written += rewritten.added.iter().map(DataFile::file_size_in_bytes).sum::<u64>();
}

/// Deletes files that no commit refers to. What fails is the orphan pass's.
async fn delete_new_files(base: &Table, files: &[DataFile]) {
    for file in files {
        if let Err(error) = base.file_io().delete(file.file_path()).await {
            tracing::warn!(location = file.file_path(), %error, "could not delete a file of a part of the erasure that did not land");
        }
    }
}
