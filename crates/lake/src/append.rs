//! The commit: data files and the ledger in one atomic change, at most once per `commit_id`.
//!
//! Every attempt loads the table as it is, judges its ancestry, decides by `seq` and `commit_id`, builds manifests on
//! that base and swaps. A conflict starts over on the new base; data files are never written again.

use std::time::{Duration, Instant};

use iceberg::spec::DataFile;
use iceberg::table::Table;
use pulselake_ledger::{Advance, Decision, Ledger, ReplayLedger, apply_advances};
use pulselake_model::tables::HotTable;
use pulselake_telemetry::events;
use rand::Rng;

use crate::decision::decide_request;
use crate::lake::trusted_ledger;
use crate::landing::Landed;
use crate::snapshot::{Attempt, COMMIT_ID, Content};
use crate::{CommitError, Lake, LakeError};

/// A commit that advances the ledger.
#[derive(Clone, Debug)]
pub struct LedgeredAppend {
    /// UUID v7, new for each piece of work and the same for all attempts at it.
    pub commit_id: String,
    /// Identity of the source.
    pub cluster_id: String,
    /// The decoder's version and the settings that decide validity.
    pub fingerprint: String,
    /// The partitions that move on, each with the `seq` it was built on.
    pub advances: Vec<Advance>,
    /// Data files to add; none for a change of the ledger alone.
    pub files: Vec<DataFile>,
    /// Quarantine replay: the topic and its entry as it should be afterwards. Its `seq` is one above the one that the
    /// replay was built on; its `commit_id` is set by the commit.
    pub replayed: Option<(String, ReplayLedger)>,
}

impl LedgeredAppend {
    /// The ledger after this commit on a table whose ledger is `head`.
    pub fn ledger_after(&self, head: Option<&Ledger>) -> Ledger {
        let mut ledger = match head {
            // A replay alone takes nothing from the stream: source and decoder of the stream stay as they are.
            Some(known) if self.advances.is_empty() => known.clone(),
            _ => apply_advances(head, &self.cluster_id, &self.fingerprint, &self.commit_id, &self.advances),
        };
        if let Some((topic, entry)) = &self.replayed {
            let committed = ReplayLedger { commit_id: self.commit_id.clone(), ..entry.clone() };
            ledger.replayed.insert(topic.clone(), committed);
        }
        ledger
    }
}

/// A commit that is in the table.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// Its snapshot; where an earlier attempt had landed, the table's current one.
    pub snapshot_id: i64,
    /// Whether an earlier attempt had landed already.
    pub already_there: bool,
    /// Attempts that lost against another commit.
    pub conflicts: u32,
    /// Attempts made, this one included.
    pub attempts: u32,
    /// The table's ledger after it.
    pub ledger: Ledger,
}

/// What has happened so far in one call.
#[derive(Default)]
struct Progress {
    attempts: u32,
    conflicts: u32,
    /// The first attempt whose outcome is not known.
    unknown: Option<LakeError>,
    /// Whether this call has seen the table without the commit. Before that, an earlier call may have landed it.
    seen_absent: bool,
}

impl Progress {
    /// An error of known outcome, unless an earlier attempt's outcome is unknown.
    fn fail(self, table: HotTable, source: LakeError) -> CommitError {
        let name = table.full_name().to_string();
        match self.unknown {
            None => CommitError::Failed { table: name, source, files_may_be_deleted: self.seen_absent },
            Some(hidden) => CommitError::OutcomeUnknown { table: name, source: hidden },
        }
    }

    /// Whether the request's files are certainly not in `base` nor in any of its snapshots, though an earlier call may
    /// have ended with an unknown outcome.
    fn files_may_be_deleted(&self, base: &Table, commit_id: &str) -> bool {
        let landed = base.metadata().snapshots().any(|snapshot| {
            snapshot.summary().additional_properties.get(COMMIT_ID).is_some_and(|found| found == commit_id)
        });
        self.unknown.is_none() && !landed
    }
}

impl Lake {
    /// Commits `request`, at most once for its `commit_id`, however often it is called and whatever the answers were.
    ///
    /// Retries conflicts, locks and unknown outcomes until [`crate::CommitLimits::patience`] is spent. Cancelling the
    /// future leaves an unknown outcome.
    pub async fn append(&self, table: HotTable, request: &LedgeredAppend) -> Result<Receipt, CommitError> {
        let begun = Instant::now();
        let deadline = begun + self.limits().patience;
        let mut progress = Progress::default();
        loop {
            progress.attempts += 1;
            let base = match self.load(table).await {
                Ok(base) => base,
                Err(error) if error.is_transient() && Instant::now() < deadline => {
                    back_off(progress.attempts).await;
                    continue;
                }
                Err(error) => return Err(progress.fail(table, error)),
            };
            let head = match trusted_ledger(table, base.metadata()) {
                Ok(head) => head,
                Err(source) => {
                    return Err(CommitError::Stopped {
                        source,
                        files_may_be_deleted: progress.files_may_be_deleted(&base, &request.commit_id),
                    });
                }
            };
            match decide_request(
                head.as_ref(),
                &request.commit_id,
                &request.advances,
                request.replayed.as_ref(),
            ) {
                Decision::Commit => progress.seen_absent = true,
                Decision::AlreadyThere => return Ok(already_there(&base, head, &progress, request)),
                Decision::Fenced(reason) => {
                    return Err(CommitError::Fenced {
                        table: table.full_name().to_string(),
                        reason,
                        files_may_be_deleted: progress.files_may_be_deleted(&base, &request.commit_id),
                    });
                }
            }
            let ledger = request.ledger_after(head.as_ref());
            let content =
                Content { files: &request.files, ledger: ledger.to_json(), commit_id: &request.commit_id };
            let (snapshot_id, landed) = self.attempt(table, &base, content, deadline).await;
            let reason = match landed {
                Landed::Yes => {
                    return Ok(Receipt {
                        snapshot_id,
                        already_there: false,
                        conflicts: progress.conflicts,
                        attempts: progress.attempts,
                        ledger,
                    });
                }
                Landed::Conflict => {
                    progress.conflicts += 1;
                    "another commit was faster".to_string()
                }
                Landed::No(error) => return Err(progress.fail(table, error)),
                Landed::Unknown(error) => {
                    events::commit_outcome_unknown(table, &request.commit_id, &error.to_string());
                    let reason = error.to_string();
                    progress.unknown.get_or_insert(error);
                    reason
                }
            };
            if Instant::now() >= deadline {
                let gave_up = LakeError::Contended {
                    table: table.full_name().to_string(),
                    attempts: progress.attempts,
                    conflicts: progress.conflicts,
                    waited_ms: begun.elapsed().as_millis() as u64,
                    reason,
                };
                return Err(progress.fail(table, gave_up));
            }
            back_off(progress.conflicts).await;
        }
    }

    /// One attempt on one base. What it wrote is deleted again when it is certainly not in the table.
    pub(crate) async fn attempt(
        &self,
        table: HotTable,
        base: &Table,
        content: Content<'_>,
        deadline: Instant,
    ) -> (i64, Landed) {
        let mut attempt = Attempt::on(base);
        let (snapshot_id, landed) = match attempt.prepare(content, self.limits()).await {
            Ok(prepared) => {
                let snapshot_id = prepared.snapshot_id;
                (snapshot_id, self.land(table, base, &mut attempt, prepared, deadline).await)
            }
            Err(error) => {
                (0, Landed::No(LakeError::iceberg("write the manifests of", table.full_name())(error)))
            }
        };
        if matches!(landed, Landed::Conflict | Landed::No(_)) {
            for location in &attempt.written {
                self.delete_quietly(location).await;
            }
        }
        (snapshot_id, landed)
    }
}

fn already_there(
    base: &Table,
    head: Option<Ledger>,
    progress: &Progress,
    request: &LedgeredAppend,
) -> Receipt {
    Receipt {
        snapshot_id: base.metadata().current_snapshot_id().unwrap_or_default(),
        already_there: true,
        conflicts: progress.conflicts,
        attempts: progress.attempts,
        // Already there means that the table has a ledger.
        ledger: head.unwrap_or_else(|| request.ledger_after(None)),
    }
}

/// Waits a random time that grows with the number of conflicts, so that competitors come apart.
pub(crate) async fn back_off(conflicts: u32) {
    let longest_ms = (8_u64 << conflicts.min(6)).min(400);
    let wait_ms = rand::rng().random_range(1..=longest_ms);
    tokio::time::sleep(Duration::from_millis(wait_ms)).await;
}
