//! The summary of a snapshot: what it added and removed, the totals, and what travels with it.

use std::collections::HashMap;

use iceberg::spec::{
    DataFile, PartitionSpecRef, SchemaRef, SnapshotSummaryCollector, Summary, TableMetadata,
};

/// Snapshot summary key of the commit's id.
pub const COMMIT_ID: &str = "pulselake.commit-id";

/// What a snapshot adds and removes, each removed file with the spec it was written with.
pub(crate) struct FileChanges<'a> {
    pub added: Vec<&'a DataFile>,
    pub removed: Vec<(&'a DataFile, PartitionSpecRef)>,
}

/// Iceberg's summary fields for these changes on top of `parent`, and ours.
pub(crate) fn snapshot_summary(
    changes: &FileChanges<'_>,
    schema: &SchemaRef,
    spec: &PartitionSpecRef,
    parent: Option<&Summary>,
    commit_id: &str,
) -> HashMap<String, String> {
    let mut collector = SnapshotSummaryCollector::default();
    for file in &changes.added {
        collector.add_file(file, schema.clone(), spec.clone());
    }
    for (file, written_with) in &changes.removed {
        collector.remove_file(file, schema.clone(), written_with.clone());
    }
    let mut summary = collector.build();
    add_totals(&mut summary, parent);
    summary.insert(COMMIT_ID.to_string(), commit_id.to_string());
    summary.insert("engine-name".to_string(), "pulselake".to_string());
    summary.insert("engine-version".to_string(), env!("CARGO_PKG_VERSION").to_string());
    summary
}

/// The value of a summary field in the nearest ancestor of the current snapshot that has it.
pub fn nearest_summary_value<'a>(metadata: &'a TableMetadata, key: &str) -> Option<&'a str> {
    nearest_summary_with(metadata, key)?.additional_properties.get(key).map(String::as_str)
}

/// The value of `key` that goes with the nearest `marker` in the ancestry of the current snapshot: that snapshot's, `None`
/// where its summary has none. Where no ancestor has the marker, the table property's.
pub fn value_beside<'a>(metadata: &'a TableMetadata, marker: &str, key: &str) -> Option<&'a str> {
    match nearest_summary_with(metadata, marker) {
        Some(summary) => summary.additional_properties.get(key).map(String::as_str),
        None => metadata.properties().get(key).map(String::as_str),
    }
}

fn nearest_summary_with<'a>(metadata: &'a TableMetadata, key: &str) -> Option<&'a Summary> {
    let mut snapshot = metadata.current_snapshot();
    while let Some(current) = snapshot {
        if current.summary().additional_properties.contains_key(key) {
            return Some(current.summary());
        }
        snapshot = current.parent_snapshot_id().and_then(|parent| metadata.snapshot_by_id(parent));
    }
    None
}

/// The `total-*` fields: the parent's, plus what is added, less what is removed. Missing in the parent, or smaller than
/// what is removed, a total stays missing: somebody else did not keep it.
fn add_totals(summary: &mut HashMap<String, String>, parent: Option<&Summary>) {
    for (total, added, removed) in [
        ("total-data-files", "added-data-files", "deleted-data-files"),
        ("total-delete-files", "added-delete-files", "removed-delete-files"),
        ("total-records", "added-records", "deleted-records"),
        ("total-files-size", "added-files-size", "removed-files-size"),
        ("total-position-deletes", "added-position-deletes", "removed-position-deletes"),
        ("total-equality-deletes", "added-equality-deletes", "removed-equality-deletes"),
    ] {
        let number = |from: &HashMap<String, String>, key: &str| {
            from.get(key).and_then(|value| value.parse::<u64>().ok())
        };
        let before = match parent {
            None => Some(0),
            Some(summary_before) => number(&summary_before.additional_properties, total),
        };
        let Some(before) = before else { continue };
        let with_added = before + number(summary, added).unwrap_or(0);
        if let Some(after) = with_added.checked_sub(number(summary, removed).unwrap_or(0)) {
            summary.insert(total.to_string(), after.to_string());
        }
    }
}
