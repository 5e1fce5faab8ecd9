//! Which snapshots leave a table's metadata.

use std::collections::{HashMap, HashSet};

use iceberg::spec::{MAIN_BRANCH, TableMetadata};

/// The snapshots to drop so that at most `max_snapshots` remain with the one being added: the oldest first, never one
/// of the newest of the current ancestry, nor one that a branch or tag leads to.
pub(crate) fn surplus_snapshots(metadata: &TableMetadata, max_snapshots: usize) -> Vec<i64> {
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
/// `None` where the metadata can't be written as JSON.
pub fn references(metadata: &TableMetadata) -> Option<HashMap<String, i64>> {
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
