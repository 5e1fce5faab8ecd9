//! Which snapshots of a table expire: a pure rule.
//!
//! A snapshot goes when it is older than the age, unless it is one of the newest of the current ancestry, a branch or
//! tag points to it, or an unfinished maintenance plan still reads it. The current snapshot never goes.

use std::collections::{HashMap, HashSet};

use iceberg::spec::TableMetadata;

/// A day in milliseconds.
pub const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// How long snapshots are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionRules {
    /// Snapshots older than this may go, milliseconds.
    pub max_age_ms: i64,
    /// So many of the newest of the current ancestry stay, whatever their age.
    pub min_snapshots: usize,
}

impl Default for RetentionRules {
    fn default() -> Self {
        Self { max_age_ms: 7 * DAY_MS, min_snapshots: 100 }
    }
}

/// What the rule knows about a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotFacts {
    /// Its id.
    pub snapshot_id: i64,
    /// The snapshot it was made on, which may be gone.
    pub parent_id: Option<i64>,
    /// When it was made, milliseconds since the epoch.
    pub timestamp_ms: i64,
}

/// The snapshots of a table, in any order.
#[derive(Clone, Debug, Default)]
pub struct SnapshotGraph {
    /// All of them.
    pub snapshots: Vec<SnapshotFacts>,
    /// The one that readers see.
    pub current: Option<i64>,
    /// What branches and tags point to.
    pub referenced: HashSet<i64>,
}

impl SnapshotGraph {
    /// The graph of a table; `references` as [`pulselake_commit::references`] returns them.
    pub fn of(metadata: &TableMetadata, references: &HashMap<String, i64>) -> Self {
        let snapshots = metadata.snapshots().map(|snapshot| SnapshotFacts {
            snapshot_id: snapshot.snapshot_id(),
            parent_id: snapshot.parent_snapshot_id(),
            timestamp_ms: snapshot.timestamp_ms(),
        });
        Self {
            snapshots: snapshots.collect(),
            current: metadata.current_snapshot_id(),
            referenced: references.values().copied().collect(),
        }
    }
}

/// The ids of the snapshots that expire at `now_ms` (milliseconds since the epoch), oldest first. `needed` are the
/// snapshots that unfinished plans read.
pub fn expiring(
    graph: &SnapshotGraph,
    needed: &HashSet<i64>,
    rules: RetentionRules,
    now_ms: i64,
) -> Vec<i64> {
    let by_id: HashMap<i64, &SnapshotFacts> =
        graph.snapshots.iter().map(|snapshot| (snapshot.snapshot_id, snapshot)).collect();
    let mut newest: HashSet<i64> = HashSet::new();
    let mut next = graph.current;
    while let Some(snapshot) = next.and_then(|id| by_id.get(&id)) {
        let is_repeated = newest.contains(&snapshot.snapshot_id);
        if is_repeated || newest.len() >= rules.min_snapshots {
            break;
        }
        newest.insert(snapshot.snapshot_id);
        next = snapshot.parent_id;
    }
    let is_kept = |id: i64| {
        graph.current == Some(id)
            || newest.contains(&id)
            || graph.referenced.contains(&id)
            || needed.contains(&id)
    };
    let mut leaving: Vec<(i64, i64)> = graph
        .snapshots
        .iter()
        .filter(|snapshot| now_ms.saturating_sub(snapshot.timestamp_ms) > rules.max_age_ms)
        .filter(|snapshot| !is_kept(snapshot.snapshot_id))
        .map(|snapshot| (snapshot.timestamp_ms, snapshot.snapshot_id))
        .collect();
    leaving.sort_unstable();
    leaving.into_iter().map(|(_, id)| id).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Snapshots 1, 2, … in one line, made at 1, 2, … ms.
    fn line(count: i64) -> SnapshotGraph {
        let snapshots = (1..=count).map(|id| SnapshotFacts {
            snapshot_id: id,
            parent_id: (id > 1).then_some(id - 1),
            timestamp_ms: id,
        });
        SnapshotGraph { snapshots: snapshots.collect(), current: Some(count), referenced: HashSet::new() }
    }

    fn rules(max_age_ms: i64, min_snapshots: usize) -> RetentionRules {
        RetentionRules { max_age_ms, min_snapshots }
    }

    /// Name, graph, needed, rules, now, what expires.
    type Case = (&'static str, SnapshotGraph, HashSet<i64>, RetentionRules, i64, Vec<i64>);

    #[test]
    fn named_cases() {
        let none = HashSet::new();
        let cases: [Case; 8] = [
            ("no snapshots", SnapshotGraph::default(), none.clone(), rules(0, 0), 100, vec![]),
            ("all young", line(5), none.clone(), rules(100, 0), 50, vec![]),
            ("exactly as old as allowed", line(3), none.clone(), rules(9, 1), 10, vec![]),
            ("the current one stays, however old", line(3), none.clone(), rules(1, 0), 1000, vec![1, 2]),
            ("the newest stay", line(5), none.clone(), rules(1, 3), 1000, vec![1, 2]),
            (
                "a tag holds its snapshot alone",
                SnapshotGraph { referenced: HashSet::from([2]), ..line(5) },
                none.clone(),
                rules(1, 1),
                1000,
                vec![1, 3, 4],
            ),
            (
                "an unfinished plan holds its snapshot",
                line(4),
                HashSet::from([2]),
                rules(1, 1),
                1000,
                vec![1, 3],
            ),
            (
                "rolled back: the newer ones are no ancestry",
                SnapshotGraph { current: Some(2), ..line(4) },
                none,
                rules(1, 4),
                1000,
                vec![3, 4],
            ),
        ];
        for (name, graph, needed, rules, now_ms, expected) in cases {
            assert_eq!(expiring(&graph, &needed, rules, now_ms), expected, "{name}");
        }
    }

    #[test]
    fn a_circle_of_parents_ends() {
        let mut graph = line(2);
        graph.snapshots[0].parent_id = Some(2);
        assert_eq!(expiring(&graph, &HashSet::new(), rules(0, 100), 1000), Vec::<i64>::new());
    }

    fn graphs() -> impl Strategy<Value = (SnapshotGraph, HashSet<i64>)> {
        prop::collection::vec((0_i64..200, any::<prop::sample::Index>(), any::<bool>()), 1..40).prop_flat_map(
            |rows| {
                let count = rows.len() as i64;
                let snapshots: Vec<SnapshotFacts> = rows
                    .iter()
                    .zip(1..)
                    .map(|((timestamp_ms, parent, has_parent), id)| SnapshotFacts {
                        snapshot_id: id,
                        parent_id: (*has_parent && id > 1)
                            .then(|| 1 + parent.index((id - 1) as usize) as i64),
                        timestamp_ms: *timestamp_ms,
                    })
                    .collect();
                let ids = || prop::collection::hash_set(1..=count, 0..4);
                (Just(snapshots).prop_shuffle(), prop::option::of(1..=count), ids(), ids()).prop_map(
                    |(snapshots, current, referenced, needed)| {
                        (SnapshotGraph { snapshots, current, referenced }, needed)
                    },
                )
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_needed_never_expires(
            (graph, needed) in graphs(),
            max_age_ms in 0_i64..200,
            min_snapshots in 0_usize..10,
            now_ms in 0_i64..400,
        ) {
            let leaving = expiring(&graph, &needed, rules(max_age_ms, min_snapshots), now_ms);
            for id in &leaving {
                prop_assert!(graph.current != Some(*id));
                prop_assert!(!graph.referenced.contains(id) && !needed.contains(id));
                let snapshot = graph.snapshots.iter().find(|found| found.snapshot_id == *id).unwrap();
                prop_assert!(now_ms - snapshot.timestamp_ms > max_age_ms);
            }
        }

        #[test]
        fn the_order_does_not_matter((graph, needed) in graphs(), now_ms in 0_i64..400) {
            let mut sorted = graph.clone();
            sorted.snapshots.sort_by_key(|snapshot| snapshot.snapshot_id);
            let rules = rules(50, 3);
            prop_assert_eq!(expiring(&graph, &needed, rules, now_ms), expiring(&sorted, &needed, rules, now_ms));
        }

        #[test]
        fn a_second_run_finds_nothing((graph, needed) in graphs(), now_ms in 0_i64..400) {
            let rules = rules(50, 3);
            let leaving: HashSet<i64> = expiring(&graph, &needed, rules, now_ms).into_iter().collect();
            let mut rest = graph.clone();
            rest.snapshots.retain(|snapshot| !leaving.contains(&snapshot.snapshot_id));
            prop_assert!(expiring(&rest, &needed, rules, now_ms).is_empty());
        }
    }
}
