//! A round as both actors make it: one at a time for a table, panics and errors turned into a log line and a count.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures::FutureExt;
use pulselake_commit::CommitLimits;
use pulselake_lake::Lake;
use pulselake_maintain::health::health_of;
use pulselake_maintain::janitor::Tools;
use pulselake_maintain::{RoundReport, RoundSettings, maintain_table};
use pulselake_telemetry::{MaintenanceMetrics, TableFiles, events};

use super::MaintainedTable;

/// One table, shared by its two actors.
pub(super) struct TableWork {
    pub(super) lake: Lake,
    pub(super) table: MaintainedTable,
    pub(super) limits: CommitLimits,
    pub(super) metrics: MaintenanceMetrics,
    /// Held by the round under way.
    pub(super) turn: tokio::sync::Mutex<()>,
}

/// What a table holds by the summary of its current snapshot: no manifest is read for it, unless that is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) data_files: u64,
    pub(super) data_bytes: u64,
    pub(super) delete_files: u64,
    pub(super) snapshots: u64,
    /// By the manifests, where they were asked for and can be read.
    pub(super) fullest_partition_files: Option<u64>,
}

impl TableWork {
    /// Makes a round; `None` where it failed, or somebody else has the table.
    pub(super) async fn round(
        &self,
        why: &'static str,
        settings: &RoundSettings,
        retry_in: Duration,
    ) -> Option<RoundReport> {
        let _turn = self.turn.lock().await;
        if self.table.round.cancel.is_cancelled() {
            return None;
        }
        let name = self.table.ident.to_string();
        let begun = Instant::now();
        let tools = Tools {
            catalog: self.lake.catalog().as_ref(),
            store: self.lake.warehouse(),
            limits: &self.limits,
        };
        let round = maintain_table(tools, &self.table.ident, settings, &|_| {});
        // A panic is a failed round: nothing of a round is kept in this process.
        let outcome = AssertUnwindSafe(round).catch_unwind().await;
        let error = match outcome {
            Ok(Ok(report)) => {
                if report.is_changed {
                    events::maintenance_done(&name, &describe(&report), begun.elapsed());
                }
                if let Some((refused, first)) = report.sweep.refused_deletes() {
                    self.metrics.failed();
                    let reason = format!(
                        "{refused} files that nothing refers to could not be deleted; the first: {first}"
                    );
                    events::maintenance_failed(&name, why, retry_in, &reason);
                }
                return Some(report);
            }
            Ok(Err(error)) => error,
            Err(_) => {
                self.metrics.failed();
                events::maintenance_failed(&name, why, retry_in, "a panic; its message is above");
                return None;
            }
        };
        if let Some(holder) = error.held_by() {
            events::maintenance_left_to_another(&name, holder);
        } else if !error.is_cancelled() {
            self.metrics.failed();
            events::maintenance_failed(&name, why, retry_in, &error.to_string());
        }
        None
    }

    /// Asks the round under way to stop, and lets no other begin.
    pub(super) fn cancel(&self) {
        self.table.round.cancel.cancel();
    }

    /// Reads the totals, out of the manifests too where `reads_manifests`; `None` where the catalog does not answer: the next
    /// look will tell.
    pub(super) async fn totals(&self, reads_manifests: bool) -> Option<Totals> {
        let loaded = self.lake.catalog().load_existing(&self.table.ident).await.ok()?;
        let health = if reads_manifests { health_of(&loaded).await.ok() } else { None };
        let metadata = loaded.metadata();
        let summary = metadata.current_snapshot().map(|snapshot| snapshot.summary());
        let total = |key: &str| {
            summary.and_then(|found| found.additional_properties.get(key)?.parse().ok()).unwrap_or(0)
        };
        Some(Totals {
            data_files: total("total-data-files"),
            data_bytes: total("total-files-size"),
            delete_files: total("total-delete-files"),
            snapshots: metadata.snapshots().len() as u64,
            fullest_partition_files: health.map(|found| found.fullest_partition_files()),
        })
    }

    /// Shows what the table holds.
    pub(super) fn show(&self, totals: Totals, fullest_partition_files: u64) {
        self.metrics.files(TableFiles {
            data_files: totals.data_files,
            data_bytes: totals.data_bytes,
            delete_files: totals.delete_files,
            fullest_partition_files,
            snapshots: totals.snapshots,
        });
    }
}

fn describe(report: &RoundReport) -> String {
    let (compaction, sweep) = (&report.compaction, &report.sweep);
    format!(
        "{} files into {}, {} delete files applied; {} snapshots expired, {} files and {} orphans removed",
        compaction.files_removed,
        compaction.files_added,
        compaction.delete_files_removed,
        sweep.expire.snapshots,
        sweep.expire.deleted.files,
        sweep.orphans.deleted.files,
    )
}
