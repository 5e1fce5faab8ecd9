//! One new snapshot on a given base: manifests, manifest list, summary; everything but the metadata file.

use std::collections::{HashMap, HashSet};

use iceberg::spec::{
    DataFile, MAIN_BRANCH, ManifestFile, ManifestListWriter, ManifestWriterBuilder, Operation, Snapshot,
    SnapshotReference, SnapshotRetention, SnapshotSummaryCollector, Summary, TableMetadata,
};
use iceberg::table::Table;
use iceberg::{Error, ErrorKind, Result, TableRequirement, TableUpdate};
use pulselake_ledger::PROPERTY;
use uuid::Uuid;

use crate::CommitLimits;
use crate::manifests::merge_small_manifests;

/// Snapshot summary key of the commit's id.
pub(crate) const COMMIT_ID: &str = "pulselake.commit-id";

/// What a snapshot adds.
pub(crate) struct Content<'a> {
    /// New data files; none for a change of the ledger alone.
    pub files: &'a [DataFile],
    /// The ledger after it, as JSON: goes into the property and the summary.
    pub ledger: String,
    /// Who made it.
    pub commit_id: &'a str,
}

/// A snapshot that is written but not yet known to any catalog.
pub(crate) struct Prepared {
    /// Its id.
    pub snapshot_id: i64,
    /// What must hold for it to land.
    pub requirements: Vec<TableRequirement>,
    /// The metadata changes that land it.
    pub updates: Vec<TableUpdate>,
}

/// Writes the files of snapshots, and remembers them so that a refused attempt can be taken back.
pub(crate) struct Attempt<'a> {
    base: &'a Table,
    id: Uuid,
    manifests: usize,
    /// Locations of all that was written for this attempt.
    pub written: Vec<String>,
}

impl<'a> Attempt<'a> {
    pub(crate) fn on(base: &'a Table) -> Self {
        Self { base, id: Uuid::now_v7(), manifests: 0, written: Vec::new() }
    }

    /// A name for the next manifest, noted as written.
    pub(crate) fn next_manifest(&mut self) -> String {
        let name = format!("{}-m{}.avro", self.id, self.manifests);
        self.manifests += 1;
        self.note(&name)
    }

    fn note(&mut self, name: &str) -> String {
        let location = format!("{}/metadata/{name}", self.base.metadata().location());
        self.written.push(location.clone());
        location
    }

    /// Writes manifests and manifest list of a snapshot with `content`.
    pub(crate) async fn prepare(&mut self, content: Content<'_>, limits: &CommitLimits) -> Result<Prepared> {
        let metadata = self.base.metadata();
        let parent = metadata.current_snapshot().cloned();
        let snapshot_id = new_snapshot_id(metadata);
        let inherited = match &parent {
            Some(snapshot) => {
                self.base.manifest_list_reader(snapshot).load().await?.consume_entries().into_iter().collect()
            }
            None => Vec::new(),
        };
        let mut manifests = merge_small_manifests(self, self.base, snapshot_id, inherited, limits).await?;
        if !content.files.is_empty() {
            manifests.push(self.write_added(snapshot_id, content.files).await?);
        }
        let list_location = self.note(&format!("snap-{snapshot_id}-0-{}.avro", self.id));
        let output = self.base.file_io().new_output(&list_location)?.writer().await?;
        let (parent_id, sequence) =
            (parent.as_ref().map(|snapshot| snapshot.snapshot_id()), metadata.next_sequence_number());
        let mut list = ManifestListWriter::v2(output, snapshot_id, parent_id, sequence);
        list.add_manifests(manifests.into_iter())?;
        list.close().await?;

        let summary = self.summary(&content, parent.as_ref().map(|snapshot| snapshot.summary()));
        let now_ms = chrono::Utc::now().timestamp_millis();
        let snapshot = Snapshot::builder()
            .with_snapshot_id(snapshot_id)
            .with_parent_snapshot_id(parent_id)
            .with_sequence_number(sequence)
            // A clock that was set back must not make the table's history go backwards.
            .with_timestamp_ms(now_ms.max(metadata.last_updated_ms()))
            .with_manifest_list(list_location)
            .with_schema_id(metadata.current_schema_id())
            .with_summary(Summary { operation: Operation::Append, additional_properties: summary })
            .build();
        let requirements = vec![
            TableRequirement::UuidMatch { uuid: metadata.uuid() },
            TableRequirement::RefSnapshotIdMatch { r#ref: MAIN_BRANCH.to_string(), snapshot_id: parent_id },
        ];
        let mut updates = vec![
            TableUpdate::AddSnapshot { snapshot },
            TableUpdate::SetSnapshotRef {
                ref_name: MAIN_BRANCH.to_string(),
                reference: SnapshotReference::new(snapshot_id, SnapshotRetention::branch(None, None, None)),
            },
            TableUpdate::SetProperties { updates: HashMap::from([(PROPERTY.to_string(), content.ledger)]) },
        ];
        let surplus = surplus_snapshots(metadata, limits.max_snapshots);
        if !surplus.is_empty() {
            updates.push(TableUpdate::RemoveSnapshots { snapshot_ids: surplus });
        }
        Ok(Prepared { snapshot_id, requirements, updates })
    }

    async fn write_added(&mut self, snapshot_id: i64, files: &[DataFile]) -> Result<ManifestFile> {
        let metadata = self.base.metadata();
        let output = self.base.file_io().new_output(self.next_manifest())?;
        let spec = metadata.default_partition_spec().as_ref().clone();
        let mut writer =
            ManifestWriterBuilder::new(output, Some(snapshot_id), metadata.current_schema().clone(), spec)
                .build_v2_data();
        for file in files {
            // −1: the sequence number is inherited from the snapshot.
            writer.add_file(file.clone(), -1)?;
        }
        writer.write_manifest_file().await
    }

    fn summary(&self, content: &Content<'_>, parent: Option<&Summary>) -> HashMap<String, String> {
        let metadata = self.base.metadata();
        let mut collector = SnapshotSummaryCollector::default();
        for file in content.files {
            collector.add_file(
                file,
                metadata.current_schema().clone(),
                metadata.default_partition_spec().clone(),
            );
        }
        let mut summary = collector.build();
        add_totals(&mut summary, parent);
        summary.insert(PROPERTY.to_string(), content.ledger.clone());
        summary.insert(COMMIT_ID.to_string(), content.commit_id.to_string());
        summary.insert("engine-name".to_string(), "pulselake".to_string());
        summary.insert("engine-version".to_string(), env!("CARGO_PKG_VERSION").to_string());
        summary
    }
}

/// A random positive id that the table does not have yet.
fn new_snapshot_id(metadata: &TableMetadata) -> i64 {
    loop {
        let id = rand::random::<i64>() & i64::MAX;
        if id != 0 && metadata.snapshot_by_id(id).is_none() {
            return id;
        }
    }
}

/// The `total-*` fields: the parent's plus what is added. Missing in the parent, a total stays missing.
fn add_totals(summary: &mut HashMap<String, String>, parent: Option<&Summary>) {
    for (total, added) in [
        ("total-data-files", "added-data-files"),
        ("total-delete-files", "added-delete-files"),
        ("total-records", "added-records"),
        ("total-files-size", "added-files-size"),
        ("total-position-deletes", "added-position-deletes"),
        ("total-equality-deletes", "added-equality-deletes"),
    ] {
        let number = |from: &HashMap<String, String>, key: &str| {
            from.get(key).and_then(|value| value.parse::<u64>().ok())
        };
        let before = match parent {
            None => Some(0),
            Some(summary_before) => number(&summary_before.additional_properties, total),
        };
        if let Some(before) = before {
            let after = before + number(summary, added).unwrap_or(0);
            summary.insert(total.to_string(), after.to_string());
        }
    }
}

/// The snapshots to drop so that at most `max_snapshots` remain with the one being added: the oldest first, never one
/// of the newest of the current ancestry, nor one that a branch or tag leads to.
fn surplus_snapshots(metadata: &TableMetadata, max_snapshots: usize) -> Vec<i64> {
    let room = max_snapshots.max(1) - 1;
    let excess = metadata.snapshots().len().saturating_sub(room);
    // In batches, because finding branches and tags costs a walk through the whole metadata.
    if excess == 0 || excess < max_snapshots / 10 {
        return Vec::new();
    }
    let Some(references) = references(metadata) else {
        return Vec::new();
    };
    let mut kept: HashSet<i64> = HashSet::new();
    let lineage = |from: Option<i64>| {
        std::iter::successors(from.and_then(|id| metadata.snapshot_by_id(id)), |snapshot| {
            snapshot.parent_snapshot_id().and_then(|parent| metadata.snapshot_by_id(parent))
        })
        .map(|snapshot| snapshot.snapshot_id())
    };
    kept.extend(lineage(metadata.current_snapshot_id()).take(room));
    for (name, snapshot_id) in references {
        if name != MAIN_BRANCH {
            kept.extend(lineage(Some(snapshot_id)));
        }
    }
    let mut candidates: Vec<_> =
        metadata.snapshots().filter(|snapshot| !kept.contains(&snapshot.snapshot_id())).collect();
    candidates.sort_by_key(|snapshot| snapshot.sequence_number());
    candidates.into_iter().take(excess).map(|snapshot| snapshot.snapshot_id()).collect()
}

/// Branches and tags with the snapshots they point to. The crate keeps them private, their JSON does not.
fn references(metadata: &TableMetadata) -> Option<HashMap<String, i64>> {
    #[derive(serde::Deserialize)]
    struct Refs {
        #[serde(default)]
        refs: HashMap<String, Reference>,
    }
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "kebab-case")]
    struct Reference {
        snapshot_id: i64,
    }
    let json = serde_json::to_vec(metadata).ok()?;
    let parsed: Refs = serde_json::from_slice(&json).ok()?;
    Some(parsed.refs.into_iter().map(|(name, reference)| (name, reference.snapshot_id)).collect())
}

/// Turns a requirement list into a check on a table as it was loaded.
pub(crate) fn check_requirements(requirements: &[TableRequirement], base: &Table) -> Result<()> {
    for requirement in requirements {
        requirement.check(Some(base.metadata())).map_err(|error| {
            Error::new(
                ErrorKind::PreconditionFailed,
                format!("base changed under the commit: {}", error.message()),
            )
        })?;
    }
    Ok(())
}
