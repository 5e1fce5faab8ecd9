//! What a compaction did, in numbers.

use pulselake_read::TablePlan;
use serde::Serialize;

/// The shape of a table at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct TableShape {
    /// Data files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their rows, deleted ones included.
    pub records: u64,
    /// Their average size, bytes.
    pub average_file_bytes: u64,
    /// Delete files.
    pub delete_files: u64,
    /// Manifests.
    pub manifests: u64,
    /// How long it took to plan a full read, milliseconds.
    pub plan_ms: u64,
}

impl TableShape {
    pub(crate) fn of_plan(plan: &TablePlan, plan_ms: u64) -> Self {
        let files = plan.files.len() as u64;
        let bytes: u64 = plan.files.iter().map(|file| file.data.file().file_size_in_bytes()).sum();
        Self {
            files,
            bytes,
            records: plan.files.iter().map(|file| file.data.file().record_count()).sum(),
            average_file_bytes: bytes / files.max(1),
            delete_files: plan.deletes.len() as u64,
            manifests: plan.manifests.len() as u64,
            plan_ms,
        }
    }
}

/// A group that was planned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GroupSummary {
    /// Its partition's path; empty for one that only drops delete files, and for tables without partitions.
    pub partition: String,
    /// Data files to rewrite.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Delete files to drop.
    pub delete_files: usize,
    /// Whether the partition is still growing.
    pub is_open: bool,
}

/// What a compaction did, or, as a dry run, would do first.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CompactionReport {
    /// `namespace.name`.
    pub table: String,
    /// The table before.
    pub before: TableShape,
    /// The table after; as before in a dry run.
    pub after: TableShape,
    /// The first plan, the most urgent group first.
    pub planned: Vec<GroupSummary>,
    /// Whether the first plan also asks for new manifests.
    pub manifests_planned: bool,
    /// Whether a further run would find nothing to do, as far as this one has seen.
    pub is_finished: bool,
    /// Groups that were committed.
    pub groups: u64,
    /// Whether the manifests were written anew.
    pub manifests_rewritten: bool,
    /// Groups that were planned anew because the table had changed.
    pub conflicts: u64,
    /// Commit attempts that lost a race and were repeated; no files were written again.
    pub lost_races: u64,
    /// Data files taken out.
    pub files_removed: u64,
    /// Data files added.
    pub files_added: u64,
    /// Delete files dropped.
    pub delete_files_removed: u64,
    /// Rows read, deleted ones included.
    pub rows_read: u64,
    /// Of these, deleted.
    pub rows_deleted: u64,
    /// Rows written; fewer than were read and not deleted where rows were folded.
    pub rows_written: u64,
    /// Bytes read from the store, those of refused groups included.
    pub bytes_read: u64,
    /// Bytes written to the store, those of refused groups included.
    pub bytes_written: u64,
    /// Processor time of the rewriting thread, milliseconds; `None` where the system does not say.
    pub cpu_ms: Option<u64>,
    /// Time of the whole run, milliseconds.
    pub elapsed_ms: u64,
    /// The most memory that was reserved at once, bytes.
    pub peak_memory_bytes: u64,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Groups of this round that are done.
    pub groups_done: u64,
    /// Groups of this round.
    pub groups: u64,
    /// Bytes of input that were read in this run.
    pub bytes_read: u64,
    /// Bytes of input of this round.
    pub bytes: u64,
}
