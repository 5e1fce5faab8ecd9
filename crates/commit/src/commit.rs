//! The entrance: lands one change, at most once, however often it has to be tried.
//!
//! Every attempt loads the table as it is, asks the guard, judges conflicts, writes a manifest list on that base and
//! swaps. A lost race starts over on the new base; data files are never written again.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use iceberg::TableIdent;
use iceberg::io::FileIO;
use iceberg::spec::TableMetadata;
use iceberg::table::Table;
use rand::Rng;

use crate::CatalogError;
use crate::catalog::{Catalog, Swap};
use crate::change::TableChange;
use crate::manifests::Workshop;
use crate::prepare::{Prepared, Unprepared, new_snapshot_id, prepare};
use crate::rules::Conflict;
use crate::summary::COMMIT_ID;

/// Bounds of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitLimits {
    /// How long one commit may go on retrying lost races and locks.
    pub patience: Duration,
    /// How long to wait for the catalog's answer to one swap before its outcome counts as unknown.
    pub answer_timeout: Duration,
    /// Newest snapshots that a table keeps in its metadata; of older ones the next commit leaves one of each hour.
    pub max_snapshots: usize,
    /// How far back one snapshot of each hour is kept.
    pub history: Duration,
    /// A commit merges the small manifests of its base into one when there are this many.
    pub manifests_to_merge: usize,
    /// Age of a change (by the time in its `commit_id`) beyond which it is not committed any more: the janitor takes
    /// files that no snapshot refers to for orphans at twice this age.
    pub max_change_age: Duration,
}

impl Default for CommitLimits {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(60),
            answer_timeout: Duration::from_secs(20),
            max_snapshots: 500,
            history: Duration::from_secs(7 * 24 * 3_600),
            manifests_to_merge: 100,
            max_change_age: Duration::from_secs(36 * 3_600),
        }
    }
}

/// What travels with a snapshot beside its files.
#[derive(Clone, Debug, Default)]
pub struct Riders {
    /// Table properties to set in the same atomic change.
    pub properties: HashMap<String, String>,
    /// Fields of the snapshot's summary.
    pub summary: HashMap<String, String>,
}

/// A guard's answer to a base.
#[derive(Clone, Debug)]
pub enum Judgement {
    /// Go ahead, with these riders.
    Commit(Riders),
    /// An earlier call has landed this change already.
    AlreadyThere,
}

/// Decides, on every fresh base, whether the caller may still commit.
pub trait Guard: Send + Sync {
    /// Why it refuses.
    type Refusal: Send;

    /// Judges the base before anything is built on it.
    fn judge(&self, base: &TableMetadata) -> Result<Judgement, Self::Refusal>;

    /// Hears of an attempt whose outcome is unknown.
    fn outcome_unknown(&self, table: &TableIdent, commit_id: &str, reason: &str) {
        tracing::warn!(%table, commit_id, reason, "the outcome of a commit is unknown");
    }
}

/// Lets everything pass and adds nothing.
#[derive(Clone, Copy, Debug)]
pub struct Unguarded;

impl Guard for Unguarded {
    type Refusal = std::convert::Infallible;

    fn judge(&self, _base: &TableMetadata) -> Result<Judgement, Self::Refusal> {
        Ok(Judgement::Commit(Riders::default()))
    }
}

/// A change that is in the table.
#[derive(Clone, Debug)]
pub struct Landing {
    /// The table with it.
    pub table: Table,
    /// Its snapshot; where an earlier attempt had landed, or none was made, the table's current one.
    pub snapshot_id: Option<i64>,
    /// Whether an earlier call or attempt had landed already.
    pub already_there: bool,
    /// Attempts that lost against another commit.
    pub conflicts: u32,
    /// Attempts made, this one included.
    pub attempts: u32,
}

/// A change that was not confirmed. `R` is the guard's refusal.
#[derive(Debug)]
pub enum CommitFailure<R> {
    /// The guard refused. Not committed by this call.
    Refused {
        /// Its words.
        refusal: R,
        /// Whether no attempt at this change is in any snapshot of the table, nor can be.
        files_may_be_deleted: bool,
    },
    /// The table has changed so that the change can't be applied: plan it anew.
    Conflict {
        /// Which rule.
        conflict: Conflict,
        /// Whether no attempt at this change is in any snapshot of the table, nor can be.
        files_may_be_deleted: bool,
    },
    /// This call did not commit, and nothing of it will appear later. It may be tried again.
    Failed {
        /// Why.
        source: CatalogError,
        /// Whether this call saw the table without the change. False where it failed before: an earlier call of the
        /// same change may have landed.
        files_may_be_deleted: bool,
    },
    /// Nobody knows whether it is in the table. Its files must stay.
    OutcomeUnknown {
        /// What hid the outcome.
        source: CatalogError,
    },
}

impl<R> CommitFailure<R> {
    /// Whether the change's files are certainly not referred to by any snapshot.
    pub fn files_may_be_deleted(&self) -> bool {
        match self {
            Self::Refused { files_may_be_deleted, .. }
            | Self::Conflict { files_may_be_deleted, .. }
            | Self::Failed { files_may_be_deleted, .. } => *files_may_be_deleted,
            Self::OutcomeUnknown { .. } => false,
        }
    }
}

/// What became of one attempt.
enum Landed {
    Yes(Table),
    LostRace,
    No(CatalogError),
    Unknown(CatalogError),
}

/// What has happened so far in one call.
#[derive(Default)]
struct Progress {
    attempts: u32,
    conflicts: u32,
    /// The first attempt whose outcome is not known.
    unknown: Option<CatalogError>,
    /// Whether this call has seen the table without the change. Before that, an earlier call may have landed it.
    seen_absent: bool,
}

impl Progress {
    /// An error of known outcome, unless an earlier attempt's outcome is unknown.
    fn fail<R>(&mut self, source: CatalogError) -> CommitFailure<R> {
        match self.unknown.take() {
            None => CommitFailure::Failed { source, files_may_be_deleted: self.seen_absent },
            Some(hidden) => CommitFailure::OutcomeUnknown { source: hidden },
        }
    }

    /// Whether the change's files are certainly not in `base` nor in any of its snapshots, though an earlier call may
    /// have ended with an unknown outcome.
    fn files_may_be_deleted(&self, base: &Table, commit_id: &str) -> bool {
        self.unknown.is_none() && !has_landed(base.metadata(), commit_id)
    }
}

/// Whether a snapshot with this commit id is in the metadata.
fn has_landed(metadata: &TableMetadata, commit_id: &str) -> bool {
    metadata.snapshots().any(|snapshot| {
        snapshot.summary().additional_properties.get(COMMIT_ID).is_some_and(|found| found == commit_id)
    })
}

/// Lands `change` on `table`. Retries lost races, locks and unknown outcomes until [`CommitLimits::patience`] is spent.
///
/// Cancelling the future leaves an unknown outcome.
pub async fn commit<G: Guard>(
    catalog: &dyn Catalog,
    table: &TableIdent,
    change: &TableChange,
    guard: &G,
    limits: &CommitLimits,
) -> Result<Landing, CommitFailure<G::Refusal>> {
    let mut call = Call { catalog, table, change, limits, progress: Progress::default(), workshop: None };
    let result = call.run(guard).await;
    call.clean_up(&result).await;
    result
}

struct Call<'a> {
    catalog: &'a dyn Catalog,
    table: &'a TableIdent,
    change: &'a TableChange,
    limits: &'a CommitLimits,
    progress: Progress,
    /// Made with the first base, with which it is paired for its file access.
    workshop: Option<(Workshop, Table)>,
}

impl Call<'_> {
    async fn run<G: Guard>(&mut self, guard: &G) -> Result<Landing, CommitFailure<G::Refusal>> {
        let begun = Instant::now();
        let deadline = begun + self.limits.patience;
        loop {
            self.progress.attempts += 1;
            let base = match self.catalog.load_existing(self.table).await {
                Ok(base) => base,
                Err(error) if error.is_transient() && Instant::now() < deadline => {
                    back_off(self.progress.attempts).await;
                    continue;
                }
                Err(error) => return Err(self.progress.fail(error)),
            };
            let commit_id = &self.change.commit_id;
            let riders = match guard.judge(base.metadata()) {
                // A guard that knows repetitions has answered already; for the others the snapshots tell.
                Ok(Judgement::Commit(_))
                    if self.progress.unknown.is_some() && has_landed(base.metadata(), commit_id) =>
                {
                    return Ok(self.already_there(base));
                }
                Ok(Judgement::Commit(riders)) => riders,
                Ok(Judgement::AlreadyThere) => return Ok(self.already_there(base)),
                Err(refusal) => {
                    let files_may_be_deleted = self.progress.files_may_be_deleted(&base, commit_id);
                    return Err(CommitFailure::Refused { refusal, files_may_be_deleted });
                }
            };
            self.progress.seen_absent = true;
            if let Some(age) = self.change.age().filter(|age| *age > self.limits.max_change_age) {
                let too_old = CatalogError::TooOld {
                    table: self.table.to_string(),
                    age_s: age.as_secs(),
                    max_age_s: self.limits.max_change_age.as_secs(),
                };
                return Err(self.progress.fail(too_old));
            }
            let reason = match self.attempt(&base, &riders, deadline).await {
                Err(conflict) => {
                    let files_may_be_deleted = self.progress.files_may_be_deleted(&base, commit_id);
                    return Err(CommitFailure::Conflict { conflict, files_may_be_deleted });
                }
                Ok(Landed::Yes(landed)) => return Ok(self.landed(landed)),
                Ok(Landed::LostRace) => {
                    self.progress.conflicts += 1;
                    "another commit was faster".to_string()
                }
                Ok(Landed::No(error)) => return Err(self.progress.fail(error)),
                Ok(Landed::Unknown(error)) => {
                    let reason = error.to_string();
                    guard.outcome_unknown(self.table, commit_id, &reason);
                    self.progress.unknown.get_or_insert(error);
                    reason
                }
            };
            if Instant::now() >= deadline {
                let gave_up = CatalogError::Contended {
                    table: self.table.to_string(),
                    attempts: self.progress.attempts,
                    conflicts: self.progress.conflicts,
                    waited_ms: begun.elapsed().as_millis() as u64,
                    reason,
                };
                return Err(self.progress.fail(gave_up));
            }
            back_off(self.progress.conflicts).await;
        }
    }

    fn already_there(&self, base: Table) -> Landing {
        Landing {
            snapshot_id: base.metadata().current_snapshot_id(),
            table: base,
            already_there: true,
            conflicts: self.progress.conflicts,
            attempts: self.progress.attempts,
        }
    }

    fn landed(&self, table: Table) -> Landing {
        let made_one = self.change.kind.makes_snapshot();
        let own = self.workshop.as_ref().map(|(workshop, _)| workshop.snapshot_id()).filter(|_| made_one);
        if own.is_some_and(|own| table.metadata().snapshot_by_id(own).is_none()) {
            // The race was lost to an attempt of an earlier call, with a snapshot and manifests of its own.
            return self.already_there(table);
        }
        Landing {
            snapshot_id: own.or(table.metadata().current_snapshot_id()),
            table,
            already_there: false,
            conflicts: self.progress.conflicts,
            attempts: self.progress.attempts,
        }
    }

    /// One attempt on one base.
    async fn attempt(
        &mut self,
        base: &Table,
        riders: &Riders,
        deadline: Instant,
    ) -> Result<Landed, Conflict> {
        let (workshop, _) = self
            .workshop
            .get_or_insert_with(|| (Workshop::new(new_snapshot_id(base.metadata())), base.clone()));
        let prepared = match prepare(workshop, base, self.change, riders, self.limits).await {
            Ok(prepared) => prepared,
            Err(Unprepared::Conflict(conflict)) => return Err(conflict),
            Err(Unprepared::Iceberg(error)) => {
                let name = self.table.to_string();
                return Ok(Landed::No(CatalogError::iceberg("write the manifests of", &name)(error)));
            }
        };
        if prepared.updates.is_empty() {
            return Ok(Landed::Yes(base.clone()));
        }
        let Prepared { requirements, updates, locations } = prepared;
        let landed = self.swap(base, requirements, updates, deadline).await;
        if matches!(landed, Landed::LostRace | Landed::No(_))
            && let Some(list) = locations.last()
            && let Some((workshop, _)) = self.workshop.as_mut()
        {
            // Manifests serve the next attempt; a list belongs to one base.
            workshop.forget(list);
            delete_quietly(base.file_io(), list).await;
        }
        if matches!(landed, Landed::Yes(_)) {
            self.delete_unused(base, &locations).await;
        }
        Ok(landed)
    }

    async fn swap(
        &self,
        base: &Table,
        requirements: Vec<iceberg::TableRequirement>,
        updates: Vec<iceberg::TableUpdate>,
        deadline: Instant,
    ) -> Landed {
        let bounds = crate::catalog::SwapBounds { deadline, answer_timeout: self.limits.answer_timeout };
        match self.catalog.swap(base, requirements, updates, bounds).await {
            Swap::Done(table) => Landed::Yes(*table),
            Swap::Conflict => self.judge_lost_race().await,
            Swap::Refused(error) => Landed::No(error),
            Swap::Unknown(error) => Landed::Unknown(error),
        }
    }

    /// Conflict is also the answer to a request that was delivered twice, or that a proxy tried again: the first one
    /// has landed then, and its files must stay. The table itself tells.
    async fn judge_lost_race(&self) -> Landed {
        match self.catalog.load_existing(self.table).await {
            Ok(now) if has_landed(now.metadata(), &self.change.commit_id) => Landed::Yes(now),
            Ok(_) => Landed::LostRace,
            Err(error) => Landed::Unknown(error),
        }
    }

    /// What earlier attempts of this call wrote and the landed one does not use.
    async fn delete_unused(&mut self, base: &Table, used: &[String]) {
        let Some((workshop, _)) = self.workshop.as_mut() else { return };
        if self.progress.unknown.is_some() {
            return;
        }
        let in_use: HashSet<&str> = used.iter().map(String::as_str).collect();
        for location in workshop.written_beside(&in_use) {
            workshop.forget(&location);
            delete_quietly(base.file_io(), &location).await;
        }
    }

    /// After a call that certainly did not land: nothing refers to what it wrote.
    async fn clean_up<R>(&mut self, result: &Result<Landing, CommitFailure<R>>) {
        let certainly_not = match result {
            Err(CommitFailure::OutcomeUnknown { .. }) => false,
            Err(_) => self.progress.unknown.is_none(),
            Ok(landing) => landing.already_there && self.progress.unknown.is_none(),
        };
        let Some((workshop, base)) = self.workshop.take().filter(|_| certainly_not) else { return };
        for location in workshop.written_beside(&HashSet::new()) {
            delete_quietly(base.file_io(), &location).await;
        }
    }
}

/// Deletes a file that nothing refers to. What fails is the janitor's.
pub(crate) async fn delete_quietly(file_io: &FileIO, location: &str) {
    if let Err(error) = file_io.delete(location).await {
        tracing::warn!(location, %error, "could not delete a file that is not needed any more");
    }
}

/// Waits a random time that grows with the number of conflicts, so that competitors come apart.
pub async fn back_off(conflicts: u32) {
    let longest_ms = (8_u64 << conflicts.min(6)).min(400);
    let wait_ms = rand::rng().random_range(1..=longest_ms);
    tokio::time::sleep(Duration::from_millis(wait_ms)).await;
}
