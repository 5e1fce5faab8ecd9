//! Whether a change may land on a base: pure rules over what is live there.
//!
//! Sequence numbers decide what a delete applies to (Iceberg spec, "Scan Planning"): an equality delete to data files of
//! its partition with a smaller one, a position delete to those with a smaller or equal one. An equality delete of an
//! unpartitioned spec applies to the whole table.

use std::collections::{HashMap, HashSet};

use iceberg::spec::{DataContentType, DataFile};

use crate::change::{OverwritePartitions, Rewrite, RowDelta};

/// A file that is live in the base.
#[derive(Clone, Copy, Debug)]
pub struct LiveFile<'a> {
    /// The file.
    pub file: &'a DataFile,
    /// Id of the partition spec it was written with.
    pub spec_id: i32,
    /// Its data sequence number.
    pub sequence_number: i64,
}

/// Why a change can't land on a base, nor on any later one: it has to be planned anew.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// Files to take out are not live any more.
    #[error("{count} files to be rewritten are not in the table any more, such as {example}")]
    InputsGone {
        /// How many.
        count: usize,
        /// One of them.
        example: String,
    },
    /// Position deletes arrived for files that were rewritten meanwhile.
    #[error("position deletes arrived for rewritten files ({delete_file})")]
    PositionDeletesArrived {
        /// The delete file.
        delete_file: String,
    },
    /// A delete file was to be dropped that still applies to a live file.
    #[error("delete file {delete_file} still applies to {data_file}")]
    DeleteStillApplies {
        /// The delete file.
        delete_file: String,
        /// A live data file.
        data_file: String,
    },
    /// The targets of added position deletes are gone.
    #[error("{count} files with deleted rows are not in the table any more, such as {example}")]
    TargetsGone {
        /// How many.
        count: usize,
        /// One of them.
        example: String,
    },
    /// A partition to be overwritten is not what the plan saw.
    #[error("a partition to be overwritten has changed: {file} was {what}")]
    PartitionChanged {
        /// The first file that differs.
        file: String,
        /// "added" or "removed".
        what: &'static str,
    },
    /// A snapshot to be dropped is a branch's or a tag's.
    #[error("snapshot {snapshot_id} can't be dropped: {reference} points to it")]
    SnapshotInUse {
        /// The snapshot.
        snapshot_id: i64,
        /// The branch or tag.
        reference: String,
    },
    /// A column can't hold what it should: no promotion leads there.
    #[error("column {column} is {found} in the table and can't become {wanted}")]
    ColumnType {
        /// Its name.
        column: String,
        /// The table's type.
        found: String,
        /// The type that was asked for.
        wanted: String,
    },
    /// A column to be widened is not in the table.
    #[error("column {column} can't be widened: the table has none of that name")]
    ColumnMissing {
        /// Its name.
        column: String,
    },
    /// A new column's name is taken: by a column in another spelling, by a part of one, or by a partition field.
    #[error("column {column} can't be added: the table has {existing} already")]
    ColumnNameTaken {
        /// Its name.
        column: String,
        /// What has it.
        existing: String,
    },
}

/// A rewrite fails if its inputs are gone, if position deletes arrived for them, or if it drops a delete that still
/// applies to somebody. `live` holds every delete file newer than the plan, every file that is to go, and, where delete
/// files are to go, every data file that one of them could apply to.
pub fn judge_rewrite(rewrite: &Rewrite, live: &[LiveFile<'_>]) -> Result<(), Conflict> {
    all_live(&rewrite.remove, live).map_err(|(count, example)| Conflict::InputsGone { count, example })?;
    for arrived in live.iter().filter(|file| file.sequence_number > rewrite.planned_sequence_number) {
        if deletes_positions_of(arrived, rewrite) {
            let delete_file = arrived.file.file_path().to_string();
            return Err(Conflict::PositionDeletesArrived { delete_file });
        }
    }
    let is_removed = |file: &LiveFile<'_>| rewrite.remove.contains(file.file.file_path());
    let surviving = || live.iter().filter(|file| !is_delete(file) && !is_removed(file));
    for delete in live.iter().filter(|file| is_delete(file) && is_removed(file)) {
        let still_needed = surviving().find(|data| applies(delete, data));
        if let Some(data) = still_needed {
            return Err(Conflict::DeleteStillApplies {
                delete_file: delete.file.file_path().to_string(),
                data_file: data.file.file_path().to_string(),
            });
        }
    }
    Ok(())
}

/// An overwrite fails if one of its partitions is not as it was planned on. `live` holds every file of the current spec
/// that could lie in them.
pub fn judge_overwrite(
    overwrite: &OverwritePartitions,
    spec_id: i32,
    live: &[LiveFile<'_>],
) -> Result<(), Conflict> {
    all_live(&overwrite.replaced, live)
        .map_err(|(_, file)| Conflict::PartitionChanged { file, what: "removed" })?;
    let added = live.iter().find(|file| {
        file.spec_id == spec_id
            && overwrite.partitions.contains(file.file.partition())
            && !overwrite.replaced.contains(file.file.file_path())
    });
    match added {
        Some(file) => {
            Err(Conflict::PartitionChanged { file: file.file.file_path().to_string(), what: "added" })
        }
        None => Ok(()),
    }
}

/// A row delta fails if a file is gone whose positions it deletes.
pub fn judge_row_delta(delta: &RowDelta, live: &[LiveFile<'_>]) -> Result<(), Conflict> {
    all_live(&delta.must_exist, live).map_err(|(count, example)| Conflict::TargetsGone { count, example })
}

/// A snapshot that a branch or tag points to can't be dropped.
pub fn judge_expire(snapshot_ids: &[i64], references: &HashMap<String, i64>) -> Result<(), Conflict> {
    let used = references.iter().find(|(_, snapshot_id)| snapshot_ids.contains(snapshot_id));
    match used {
        Some((reference, &snapshot_id)) => {
            Err(Conflict::SnapshotInUse { snapshot_id, reference: reference.clone() })
        }
        None => Ok(()),
    }
}

/// Whether `delete` could apply to `data`, by partition and sequence number.
pub fn applies(delete: &LiveFile<'_>, data: &LiveFile<'_>) -> bool {
    let same_partition = delete.spec_id == data.spec_id && delete.file.partition() == data.file.partition();
    match delete.file.content_type() {
        DataContentType::Data => false,
        DataContentType::EqualityDeletes => {
            let is_global = delete.file.partition().fields().is_empty();
            (same_partition || is_global) && data.sequence_number < delete.sequence_number
        }
        DataContentType::PositionDeletes => {
            let names_another =
                delete.file.referenced_data_file().is_some_and(|path| path != data.file.file_path());
            same_partition && data.sequence_number <= delete.sequence_number && !names_another
        }
    }
}

fn deletes_positions_of(arrived: &LiveFile<'_>, rewrite: &Rewrite) -> bool {
    if arrived.file.content_type() != DataContentType::PositionDeletes {
        return false;
    }
    match arrived.file.referenced_data_file() {
        Some(path) => rewrite.remove.contains(&path),
        None => rewrite.partitions.contains(&(arrived.spec_id, arrived.file.partition().clone())),
    }
}

fn is_delete(file: &LiveFile<'_>) -> bool {
    file.file.content_type() != DataContentType::Data
}

/// How many of `wanted` are not live, and the first of them by name.
fn all_live(wanted: &HashSet<String>, live: &[LiveFile<'_>]) -> Result<(), (usize, String)> {
    let found: HashSet<&str> = live.iter().map(|file| file.file.file_path()).collect();
    let missing = || wanted.iter().filter(|path| !found.contains(path.as_str()));
    match missing().min() {
        Some(example) => Err((missing().count(), example.clone())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
