//! What an erasure found and did.

use serde::Serialize;

use super::counts::ErasedCounts;
use crate::janitor::ExpireReport;

/// An erasure over all tables.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EraseReport {
    /// `user` or `video`.
    pub subject: String,
    /// Stands for the id; see [`super::Subject::hash`].
    pub hash: String,
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// The tables that have such a column, in the catalog's order.
    pub tables: Vec<EraseTableReport>,
    /// Tables where it failed; run it again.
    pub failed: Vec<FailedTable>,
}

impl EraseReport {
    /// Whether no table failed and none was left with rows that were there at the start.
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty() && self.tables.iter().all(|table| table.complete)
    }
}

/// A table where the erasure failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FailedTable {
    /// `namespace.name`.
    pub table: String,
    /// Why, and what to do.
    pub error: String,
}

/// An erasure in one table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EraseTableReport {
    /// `namespace.name`.
    pub table: String,
    /// Whether no row is left of those that the table had when the erasure began. In a dry run, whether it had none.
    pub complete: bool,
    /// Rows erased that a reader could see; 0 in a dry run, which does not count them.
    pub rows_erased: u64,
    /// Those by topic and source partition, where the table knows them.
    pub erased_by_source: ErasedCounts,
    /// Data files found with the id.
    pub files_found: u64,
    /// Equality delete files found with the id.
    pub delete_files_found: u64,
    /// Data files rewritten: those found, and those that a delete file with the id applied to.
    pub files_rewritten: u64,
    /// Their size, bytes.
    pub bytes_rewritten: u64,
    /// Data files written.
    pub files_written: u64,
    /// Their size, bytes.
    pub bytes_written: u64,
    /// Commits that landed.
    pub commits: u64,
    /// Plans that lost against another commit.
    pub conflicts: u64,
    /// Files with the id that the last look found after all rounds were used up: where `complete`, the stream brought
    /// them meanwhile. Run it again when it has stopped.
    pub files_arrived_meanwhile: u64,
    /// Snapshots from which the id can still be read.
    pub snapshots_holding: u64,
    /// When the oldest of those was made, milliseconds since the epoch.
    pub oldest_holding_ms: Option<i64>,
    /// From when on maintenance expires the last of those, if enough newer snapshots exist; milliseconds since the epoch.
    pub gone_after_ms: Option<i64>,
    /// Branches and tags that hold it: drop them, they never expire.
    pub held_by_references: Vec<String>,
    /// Whether a manifest of the current snapshot still names the id as a bound of a removed file.
    pub named_by_current_manifests: bool,
    /// What was expired and deleted at once.
    pub expired: ExpireReport,
    /// Until when files may exist below the location that no snapshot leads to any more; the orphan pass removes them.
    /// Milliseconds since the epoch.
    pub unreferenced_files_until_ms: i64,
}
