//! What a commit does to a table, as one value that can be applied to any base.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use iceberg::spec::{DataFile, Operation, Struct};

use crate::schema_change::SchemaChange;

/// One change of one table.
#[derive(Clone, Debug)]
pub struct TableChange {
    /// UUID v7, the same for all attempts at this piece of work; goes into the snapshot's summary.
    pub commit_id: String,
    /// What it does.
    pub kind: ChangeKind,
}

/// The kinds of change. All file paths are full locations, as manifests name them.
#[derive(Clone, Debug)]
pub enum ChangeKind {
    /// Adds data files; none for a snapshot that carries properties and summary alone. Never conflicts.
    Append {
        /// Data files of the current partition spec.
        files: Vec<DataFile>,
    },
    /// Adds data and delete files.
    RowDelta(RowDelta),
    /// Exchanges files for others with the same rows.
    Rewrite(Rewrite),
    /// Exchanges all that is in some partitions.
    OverwritePartitions(OverwritePartitions),
    /// Writes manifests anew, ordered by partition; no file changes.
    RewriteManifests {
        /// Size at which a manifest is full, bytes.
        target_bytes: u64,
    },
    /// Drops snapshots from the metadata; makes no snapshot, so riders of a guard do not travel with it. Refused for a
    /// snapshot that a branch or tag points to; one that is gone already counts as dropped.
    Expire {
        /// Their ids.
        snapshot_ids: Vec<i64>,
    },
    /// Adds optional columns and widens types, on whatever schema the base has; makes no snapshot. What the base has
    /// already is left as it is. Refused where a column contradicts the table's.
    EvolveSchema {
        /// The columns as they are wanted.
        changes: Vec<SchemaChange>,
    },
    /// Changes properties, by a snapshot without files: REST's requirements protect nothing but snapshots.
    Properties {
        /// Properties to set.
        set: HashMap<String, String>,
        /// Properties to remove.
        remove: Vec<String>,
    },
}

/// New rows, and deletes of old ones. Equality deletes apply to rows of earlier commits alone, so a row delta that
/// holds both a delete and a row for a key is an upsert.
#[derive(Clone, Debug, Default)]
pub struct RowDelta {
    /// Data files to add.
    pub data: Vec<DataFile>,
    /// Equality and position delete files to add.
    pub deletes: Vec<DataFile>,
    /// Data files that must still be live: the targets of the position deletes.
    pub must_exist: HashSet<String>,
}

/// The same rows in other files.
#[derive(Clone, Debug)]
pub struct Rewrite {
    /// Data sequence number of the snapshot that was read. The new files keep it, so that equality deletes of later
    /// commits still apply to their rows.
    pub planned_sequence_number: i64,
    /// Live data and delete files to take out. A delete file may only go when no live file is left that it applies to.
    pub remove: HashSet<String>,
    /// Partitions of the data files to take out, with their spec's id.
    pub partitions: HashSet<(i32, Struct)>,
    /// Manifests in which the plan saw the files to take out: a hint where to look first.
    pub seen_in: HashSet<String>,
    /// Data files to add, of the current partition spec.
    pub add: Vec<DataFile>,
}

/// Other rows in the place of whole partitions of the current spec.
#[derive(Clone, Debug)]
pub struct OverwritePartitions {
    /// The partitions.
    pub partitions: HashSet<Struct>,
    /// Every file, data and deletes, that the plan saw live in them.
    pub replaced: HashSet<String>,
    /// Data files to add.
    pub add: Vec<DataFile>,
}

impl TableChange {
    /// Time since its commit id was made; `None` where that is not a UUID v7. Zero for one of the future.
    pub fn age(&self) -> Option<Duration> {
        let made_at = uuid::Uuid::parse_str(&self.commit_id).ok()?.get_timestamp()?;
        let (seconds, nanoseconds) = made_at.to_unix();
        let made_at = UNIX_EPOCH + Duration::new(seconds, nanoseconds);
        Some(SystemTime::now().duration_since(made_at).unwrap_or_default())
    }
}

impl ChangeKind {
    /// Iceberg's name for what the snapshot does.
    pub fn operation(&self) -> Operation {
        match self {
            Self::Append { .. } => Operation::Append,
            Self::RowDelta(delta) if delta.deletes.is_empty() => Operation::Append,
            Self::RowDelta(delta) if delta.data.is_empty() => Operation::Delete,
            Self::RowDelta(_) | Self::OverwritePartitions(_) => Operation::Overwrite,
            Self::Rewrite(_) | Self::RewriteManifests { .. } => Operation::Replace,
            // Readers take an append of no files for what it is: nothing.
            Self::Expire { .. } | Self::EvolveSchema { .. } | Self::Properties { .. } => Operation::Append,
        }
    }

    /// Whether it makes a snapshot; else riders do not travel with it, and it can be found again by its effect alone.
    pub fn makes_snapshot(&self) -> bool {
        !matches!(self, Self::Expire { .. } | Self::EvolveSchema { .. })
    }

    /// Data files that it adds, and the data sequence number they keep; `None` inherits the commit's.
    pub fn added_data(&self) -> (&[DataFile], Option<i64>) {
        match self {
            Self::Append { files } => (files, None),
            Self::RowDelta(delta) => (&delta.data, None),
            Self::Rewrite(rewrite) => (&rewrite.add, Some(rewrite.planned_sequence_number)),
            Self::OverwritePartitions(overwrite) => (&overwrite.add, None),
            Self::RewriteManifests { .. }
            | Self::Expire { .. }
            | Self::EvolveSchema { .. }
            | Self::Properties { .. } => (&[], None),
        }
    }

    /// Delete files that it adds.
    pub fn added_deletes(&self) -> &[DataFile] {
        match self {
            Self::RowDelta(delta) => &delta.deletes,
            _ => &[],
        }
    }

    /// Files that it takes out.
    pub fn removed(&self) -> Option<&HashSet<String>> {
        match self {
            Self::Rewrite(rewrite) => Some(&rewrite.remove),
            Self::OverwritePartitions(overwrite) => Some(&overwrite.replaced),
            _ => None,
        }
    }
}
