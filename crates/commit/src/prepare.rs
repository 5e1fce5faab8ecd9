//! One new snapshot on a given base: its manifests, its manifest list, its summary; everything but the metadata file.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use iceberg::spec::{
    FormatVersion, MAIN_BRANCH, ManifestContentType, ManifestFile, ManifestListWriter, Snapshot,
    SnapshotReference, SnapshotRetention, Summary, TableMetadata, TableMetadataBuilder,
};
use iceberg::table::Table;
use iceberg::{TableRequirement, TableUpdate};

use crate::change::{ChangeKind, Rewrite, TableChange};
use crate::commit::{CommitLimits, Riders};
use crate::manifests::{Filtered, Workshop};
use crate::retention::{History, references, surplus_snapshots};
use crate::rules::{self, Conflict, LiveFile};
use crate::schema_change::{NotEvolved, SchemaChange, evolved_schema};
use crate::summary::{FileChanges, snapshot_summary};

/// A change that is written but not yet known to any catalog.
pub(crate) struct Prepared {
    /// What must hold for it to land.
    pub requirements: Vec<TableRequirement>,
    /// The metadata changes that land it.
    pub updates: Vec<TableUpdate>,
    /// The manifest list, and the manifests in it.
    pub locations: Vec<String>,
}

/// Why a change could not be prepared on a base.
pub(crate) enum Unprepared {
    /// It can't land on this base or a later one.
    Conflict(Conflict),
    /// Reading or writing manifests failed.
    Iceberg(iceberg::Error),
}

impl From<iceberg::Error> for Unprepared {
    fn from(error: iceberg::Error) -> Self {
        Self::Iceberg(error)
    }
}

impl From<Conflict> for Unprepared {
    fn from(conflict: Conflict) -> Self {
        Self::Conflict(conflict)
    }
}

impl From<NotEvolved> for Unprepared {
    fn from(reason: NotEvolved) -> Self {
        match reason {
            NotEvolved::Conflict(conflict) => Self::Conflict(conflict),
            NotEvolved::Iceberg(error) => Self::Iceberg(error),
        }
    }
}

/// A random positive id that the table does not have yet.
pub(crate) fn new_snapshot_id(metadata: &TableMetadata) -> i64 {
    loop {
        let id = rand::random::<i64>() & i64::MAX;
        if id != 0 && metadata.snapshot_by_id(id).is_none() {
            return id;
        }
    }
}

/// Judges `change` on `base`, and writes the manifests and the manifest list of its snapshot.
pub(crate) async fn prepare(
    workshop: &mut Workshop,
    base: &Table,
    change: &TableChange,
    riders: &Riders,
    limits: &CommitLimits,
) -> Result<Prepared, Unprepared> {
    let metadata = base.metadata();
    if let ChangeKind::Expire { snapshot_ids } = &change.kind {
        return prepare_expiry(metadata, snapshot_ids);
    }
    if let ChangeKind::EvolveSchema { changes } = &change.kind {
        return prepare_evolution(metadata, changes);
    }
    let parent = metadata.current_snapshot().cloned();
    let inherited: Vec<ManifestFile> = match &parent {
        Some(snapshot) => {
            let list = base.manifest_list_reader(snapshot).load().await?;
            list.consume_entries()
                .into_iter()
                .filter(|manifest| manifest.has_added_files() || manifest.has_existing_files())
                .collect()
        }
        None => Vec::new(),
    };
    let (kept, filtered) = apply(workshop, base, &change.kind, inherited).await?;
    let mut manifests = match &change.kind {
        ChangeKind::RewriteManifests { target_bytes } => workshop.cluster(base, kept, *target_bytes).await?,
        _ => workshop.merge_small(base, kept, limits.manifests_to_merge).await?,
    };
    manifests.extend(workshop.write_added(base, &change.kind).await?);
    let mut locations: Vec<String> =
        manifests.iter().map(|manifest| manifest.manifest_path.clone()).collect();
    let written = write_list(workshop, base, manifests).await?;
    locations.push(written.location.clone());

    let (added, _) = change.kind.added_data();
    let changes = FileChanges {
        added: added.iter().chain(change.kind.added_deletes()).collect(),
        removed: filtered
            .iter()
            .flat_map(|part| part.removed.iter().map(|file| (file, part.spec.clone())))
            .collect(),
    };
    let mut summary = snapshot_summary(
        &changes,
        metadata.current_schema(),
        metadata.default_partition_spec(),
        parent.as_ref().map(|snapshot| snapshot.summary()),
        &change.commit_id,
    );
    summary.extend(riders.summary.clone());
    let now_ms = chrono::Utc::now().timestamp_millis();
    let builder = Snapshot::builder()
        .with_snapshot_id(workshop.snapshot_id())
        .with_parent_snapshot_id(metadata.current_snapshot_id())
        .with_sequence_number(metadata.next_sequence_number())
        // A clock that was set back must not make the table's history go backwards.
        .with_timestamp_ms(now_ms.max(metadata.last_updated_ms()))
        .with_manifest_list(written.location)
        .with_schema_id(metadata.current_schema_id())
        .with_summary(Summary { operation: change.kind.operation(), additional_properties: summary });
    let snapshot = match written.next_row_id {
        Some(next) => builder.with_row_range(metadata.next_row_id(), next - metadata.next_row_id()).build(),
        None => builder.build(),
    };
    let mut updates = vec![
        TableUpdate::AddSnapshot { snapshot },
        TableUpdate::SetSnapshotRef {
            ref_name: MAIN_BRANCH.to_string(),
            reference: SnapshotReference::new(
                workshop.snapshot_id(),
                SnapshotRetention::branch(None, None, None),
            ),
        },
    ];
    updates.extend(property_updates(&change.kind, riders));
    let history = History {
        max_snapshots: limits.max_snapshots,
        max_age_ms: i64::try_from(limits.history.as_millis()).unwrap_or(i64::MAX),
    };
    let surplus = surplus_snapshots(metadata, history, now_ms);
    if !surplus.is_empty() {
        updates.push(TableUpdate::RemoveSnapshots { snapshot_ids: surplus });
    }
    Ok(Prepared { requirements: requirements(metadata), updates, locations })
}

fn requirements(metadata: &TableMetadata) -> Vec<TableRequirement> {
    vec![
        TableRequirement::UuidMatch { uuid: metadata.uuid() },
        TableRequirement::RefSnapshotIdMatch {
            r#ref: MAIN_BRANCH.to_string(),
            snapshot_id: metadata.current_snapshot_id(),
        },
    ]
}

fn property_updates(kind: &ChangeKind, riders: &Riders) -> Vec<TableUpdate> {
    let mut set = riders.properties.clone();
    let mut removals = Vec::new();
    if let ChangeKind::Properties { set: wanted, remove } = kind {
        set.extend(wanted.clone());
        removals.clone_from(remove);
    }
    let mut updates = Vec::new();
    if !set.is_empty() {
        updates.push(TableUpdate::SetProperties { updates: set });
    }
    if !removals.is_empty() {
        updates.push(TableUpdate::RemoveProperties { removals });
    }
    updates
}

/// No snapshot: what is gone already is left out, and each branch and tag must be where it was.
fn prepare_expiry(metadata: &TableMetadata, snapshot_ids: &[i64]) -> Result<Prepared, Unprepared> {
    let references: HashMap<String, i64> = references(metadata).unwrap_or_default();
    rules::judge_expire(snapshot_ids, &references)?;
    let snapshot_ids: Vec<i64> =
        snapshot_ids.iter().copied().filter(|id| metadata.snapshot_by_id(*id).is_some()).collect();
    let mut requirements = vec![TableRequirement::UuidMatch { uuid: metadata.uuid() }];
    requirements.extend(references.into_iter().map(|(reference, snapshot_id)| {
        TableRequirement::RefSnapshotIdMatch { r#ref: reference, snapshot_id: Some(snapshot_id) }
    }));
    let updates = match snapshot_ids.is_empty() {
        true => Vec::new(),
        false => vec![TableUpdate::RemoveSnapshots { snapshot_ids }],
    };
    Ok(Prepared { requirements, updates, locations: Vec::new() })
}

/// No snapshot: the next schema, made of the current one, so that one must be where it was.
fn prepare_evolution(metadata: &TableMetadata, changes: &[SchemaChange]) -> Result<Prepared, Unprepared> {
    let requirements = vec![
        TableRequirement::UuidMatch { uuid: metadata.uuid() },
        TableRequirement::CurrentSchemaIdMatch { current_schema_id: metadata.current_schema_id() },
        TableRequirement::LastAssignedFieldIdMatch { last_assigned_field_id: metadata.last_column_id() },
    ];
    let updates = match evolved_schema(metadata, changes)? {
        None => Vec::new(),
        Some(schema) => vec![
            TableUpdate::AddSchema { schema },
            TableUpdate::SetCurrentSchema { schema_id: TableMetadataBuilder::LAST_ADDED },
        ],
    };
    Ok(Prepared { requirements, updates, locations: Vec::new() })
}

/// The inherited manifests with the files to be removed taken out, after the rules have been asked.
async fn apply(
    workshop: &mut Workshop,
    base: &Table,
    kind: &ChangeKind,
    inherited: Vec<ManifestFile>,
) -> Result<(Vec<ManifestFile>, Vec<Arc<Filtered>>), Unprepared> {
    let opened = open_what_matters(workshop, base, kind, &inherited).await?;
    {
        let mut live: Vec<LiveFile<'_>> = Vec::new();
        for read in &opened {
            live.extend(read.live());
        }
        match kind {
            ChangeKind::Rewrite(rewrite) => rules::judge_rewrite(rewrite, &live)?,
            ChangeKind::OverwritePartitions(overwrite) => {
                rules::judge_overwrite(overwrite, base.metadata().default_partition_spec_id(), &live)?;
            }
            ChangeKind::RowDelta(delta) => rules::judge_row_delta(delta, &live)?,
            _ => {}
        }
    }
    let Some(remove) = kind.removed().filter(|remove| !remove.is_empty()) else {
        return Ok((inherited, Vec::new()));
    };
    let opened_paths: HashSet<String> = opened.iter().map(|read| read.file.manifest_path.clone()).collect();
    let (mut manifests, mut filtered) = (Vec::with_capacity(inherited.len()), Vec::new());
    for manifest in inherited {
        let found = match opened_paths.contains(&manifest.manifest_path) {
            true => workshop.filter(base, &manifest, remove).await?,
            // All files to remove were found in others.
            false => None,
        };
        match found {
            Some(part) => {
                manifests.push(part.manifest.clone());
                filtered.push(part);
            }
            None => manifests.push(manifest),
        }
    }
    Ok((manifests, filtered))
}

/// Reads the manifests that a rule has to know about, and no others.
async fn open_what_matters(
    workshop: &mut Workshop,
    base: &Table,
    kind: &ChangeKind,
    inherited: &[ManifestFile],
) -> Result<Vec<Arc<crate::manifests::ReadManifest>>, Unprepared> {
    let mut opened = Vec::new();
    match kind {
        ChangeKind::OverwritePartitions(_) => {
            let spec_id = base.metadata().default_partition_spec_id();
            for manifest in inherited.iter().filter(|manifest| manifest.partition_spec_id == spec_id) {
                opened.push(workshop.read(base, manifest).await?);
            }
        }
        ChangeKind::RowDelta(delta) if !delta.must_exist.is_empty() => {
            let mut missing: HashSet<&str> = delta.must_exist.iter().map(String::as_str).collect();
            for manifest in newest_first(inherited, ManifestContentType::Data, &HashSet::new()) {
                if missing.is_empty() {
                    break;
                }
                let read = workshop.read(base, manifest).await?;
                for live in read.live() {
                    missing.remove(live.file.file_path());
                }
                opened.push(read);
            }
        }
        ChangeKind::Rewrite(rewrite) => {
            open_for_rewrite(workshop, base, rewrite, inherited, &mut opened).await?;
        }
        _ => {}
    }
    Ok(opened)
}

async fn open_for_rewrite(
    workshop: &mut Workshop,
    base: &Table,
    rewrite: &Rewrite,
    inherited: &[ManifestFile],
    opened: &mut Vec<Arc<crate::manifests::ReadManifest>>,
) -> Result<(), Unprepared> {
    let mut missing: HashSet<String> = rewrite.remove.clone();
    // The highest sequence number of a delete file that goes: older data files may still need it.
    let mut newest_dropped_delete = None;
    for manifest in inherited.iter().filter(|manifest| manifest.content == ManifestContentType::Deletes) {
        let read = workshop.read(base, manifest).await?;
        for live in read.live() {
            if missing.remove(live.file.file_path()) {
                newest_dropped_delete = newest_dropped_delete.max(Some(live.sequence_number));
            }
        }
        opened.push(read);
    }
    for manifest in newest_first(inherited, ManifestContentType::Data, &rewrite.seen_in) {
        let may_need_deletes =
            newest_dropped_delete.is_some_and(|newest| manifest.min_sequence_number <= newest);
        if missing.is_empty() && !may_need_deletes {
            continue;
        }
        let read = workshop.read(base, manifest).await?;
        for live in read.live() {
            missing.remove(live.file.file_path());
        }
        opened.push(read);
    }
    Ok(())
}

/// The manifests of one kind: first those that a plan named, then the newest.
fn newest_first<'a>(
    manifests: &'a [ManifestFile],
    content: ManifestContentType,
    named: &HashSet<String>,
) -> Vec<&'a ManifestFile> {
    let mut ordered: Vec<_> = manifests.iter().filter(|manifest| manifest.content == content).collect();
    ordered.sort_by_key(|manifest| {
        (!named.contains(&manifest.manifest_path), std::cmp::Reverse(manifest.sequence_number))
    });
    ordered
}

struct WrittenList {
    location: String,
    /// Format version 3: the first row id that is free after this snapshot.
    next_row_id: Option<u64>,
}

async fn write_list(
    workshop: &mut Workshop,
    base: &Table,
    manifests: Vec<ManifestFile>,
) -> iceberg::Result<WrittenList> {
    let metadata = base.metadata();
    let location = workshop.next_list(base);
    let output = base.file_io().new_output(&location)?.writer().await?;
    let (snapshot_id, parent_id) = (workshop.snapshot_id(), metadata.current_snapshot_id());
    let sequence_number = metadata.next_sequence_number();
    let mut list = match metadata.format_version() {
        FormatVersion::V1 => ManifestListWriter::v1(output, snapshot_id, parent_id),
        FormatVersion::V2 => ManifestListWriter::v2(output, snapshot_id, parent_id, sequence_number),
        FormatVersion::V3 => ManifestListWriter::v3(
            output,
            snapshot_id,
            parent_id,
            sequence_number,
            Some(metadata.next_row_id()),
        ),
    };
    list.add_manifests(manifests.into_iter())?;
    let next_row_id = list.next_row_id();
    list.close().await?;
    Ok(WrittenList { location, next_row_id })
}
