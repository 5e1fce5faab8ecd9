//! Which snapshots leave a table's metadata.

use std::collections::{HashMap, HashSet};

use iceberg::spec::{MAIN_BRANCH, TableMetadata};

/// One snapshot of each such span stays in the history.
const HISTORY_STEP_MS: i64 = 3_600_000;

/// What the metadata keeps of a table's past.
#[derive(Clone, Copy, Debug)]
pub(crate) struct History {
    /// Newest snapshots of the current ancestry that stay, with the one being added.
    pub max_snapshots: usize,
    /// How far back one snapshot of each hour stays, milliseconds.
    pub max_age_ms: i64,
}

/// The snapshots to drop: all but the newest of the current ancestry, one of each hour as far as the history goes, and
/// those that a branch or tag leads to. At a commit each ten seconds seven days would be 60,000 snapshots, each written
/// with every commit; so they are some hundreds.
pub(crate) fn surplus_snapshots(metadata: &TableMetadata, history: History, now_ms: i64) -> Vec<i64> {
    let room = history.max_snapshots.max(1) - 1;
    let lineage = |from: Option<i64>| {
        std::iter::successors(from.and_then(|id| metadata.snapshot_by_id(id)), |snapshot| {
            snapshot.parent_snapshot_id().and_then(|parent| metadata.snapshot_by_id(parent))
        })
    };
    let mut kept: HashSet<i64> = HashSet::new();
    let mut hours: HashSet<i64> = HashSet::new();
    for recent in lineage(metadata.current_snapshot_id()).take(room) {
        kept.insert(recent.snapshot_id());
        hours.insert(recent.timestamp_ms().div_euclid(HISTORY_STEP_MS));
    }
    let mut others: Vec<_> =
        metadata.snapshots().filter(|snapshot| !kept.contains(&snapshot.snapshot_id())).collect();
    others.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.sequence_number()));
    others.retain(|snapshot| {
        let is_history = now_ms.saturating_sub(snapshot.timestamp_ms()) <= history.max_age_ms;
        !(is_history && hours.insert(snapshot.timestamp_ms().div_euclid(HISTORY_STEP_MS)))
    });
    // In batches, because finding branches and tags costs a walk through the whole metadata.
    if others.is_empty() || others.len() < history.max_snapshots / 10 {
        return Vec::new();
    }
    let Some(references) = references(metadata) else {
        return Vec::new();
    };
    let mut referenced: HashSet<i64> = HashSet::new();
    for (_, snapshot_id) in references.into_iter().filter(|(name, _)| name != MAIN_BRANCH) {
        referenced.extend(lineage(Some(snapshot_id)).map(|snapshot| snapshot.snapshot_id()));
    }
    let mut surplus: Vec<i64> = others.into_iter().map(|snapshot| snapshot.snapshot_id()).collect();
    surplus.retain(|snapshot_id| !referenced.contains(snapshot_id));
    surplus
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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use iceberg::spec::{
        FormatVersion, NestedField, Operation, PartitionSpec, PrimitiveType, Schema, Snapshot, SortOrder,
        Summary, TableMetadataBuilder, Type,
    };

    use super::*;

    const MINUTE_MS: i64 = 60_000;
    const HOUR_MS: i64 = 60 * MINUTE_MS;
    /// 2026-02-07T10:00:00Z.
    const START_MS: i64 = 1_770_458_400_000;

    /// A table with a snapshot each ten minutes, ids 1, 2, ….
    fn table(snapshots: i64) -> TableMetadata {
        let column = NestedField::required(1, "x", Type::Primitive(PrimitiveType::Int));
        let schema = Schema::builder().with_fields([column.into()]).build().unwrap();
        let mut builder = TableMetadataBuilder::new(
            schema,
            PartitionSpec::unpartition_spec(),
            SortOrder::unsorted_order(),
            "file:///t".to_string(),
            FormatVersion::V2,
            HashMap::new(),
        )
        .unwrap();
        for id in 1..=snapshots {
            let snapshot = Snapshot::builder()
                .with_snapshot_id(id)
                .with_parent_snapshot_id((id > 1).then_some(id - 1))
                .with_sequence_number(id)
                .with_timestamp_ms(START_MS + id * 10 * MINUTE_MS)
                .with_manifest_list(format!("file:///t/{id}"))
                .with_schema_id(0)
                .with_summary(Summary { operation: Operation::Append, additional_properties: HashMap::new() })
                .build();
            builder = builder.set_branch_snapshot(snapshot, MAIN_BRANCH).unwrap();
        }
        builder.build().unwrap().metadata
    }

    fn kept_of(metadata: &TableMetadata, max_snapshots: usize, max_age_ms: i64, now_ms: i64) -> Vec<i64> {
        let dropped = surplus_snapshots(metadata, History { max_snapshots, max_age_ms }, now_ms);
        let mut kept: Vec<i64> = metadata.snapshots().map(|snapshot| snapshot.snapshot_id()).collect();
        kept.retain(|id| !dropped.contains(id));
        kept.sort_unstable();
        kept
    }

    #[test]
    fn the_newest_stay_and_one_of_each_hour() {
        let metadata = table(30);
        let now_ms = START_MS + 300 * MINUTE_MS;
        // Snapshots 6n to 6n + 5 are of hour n; the newest of each past hour stays.
        assert_eq!(kept_of(&metadata, 5, 100 * HOUR_MS, now_ms), [5, 11, 17, 23, 27, 28, 29, 30]);
        assert_eq!(kept_of(&metadata, 5, 3 * HOUR_MS, now_ms), [17, 23, 27, 28, 29, 30]);
        assert_eq!(kept_of(&metadata, 5, 0, now_ms), [27, 28, 29, 30]);
    }

    #[test]
    fn few_are_left_for_the_next_commit() {
        let metadata = table(30);
        let dropped =
            surplus_snapshots(&metadata, History { max_snapshots: 300, max_age_ms: 0 }, START_MS + HOUR_MS);
        assert_eq!(dropped, [] as [i64; 0]);
    }
}
