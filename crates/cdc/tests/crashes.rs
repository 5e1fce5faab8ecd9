//! Whatever the order of deliveries, batches and crashes: the history is the set of distinct versions, and the dimension the
//! last one of each key. The expectation is worked out in `common` without anything of the crate.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::collections::BTreeSet;

use common::{Cut, Engine, Entry, Outcome, PARTITIONS, Step, expected, resolved};
use proptest::prelude::*;

fn position() -> impl Strategy<Value = Option<i64>> {
    prop_oneof![1 => Just(None), 4 => (0..12_i64).prop_map(Some)]
}

fn entry() -> impl Strategy<Value = Entry> {
    let operation = prop::sample::select(vec!["c", "u", "u", "d", "r"]);
    prop_oneof![
        12 => (0..4_u8, operation, position(), 0..3_i64, 0..3_u8).prop_map(
            |(key, operation, position, moment_ms, content)| Entry::Change { key, operation, position, moment_ms, content }
        ),
        2 => (0..4_u8, 0..4_u8, position(), 0..3_i64, 0..3_u8).prop_map(
            |(old, new, position, moment_ms, content)| Entry::Rename { old, new, position, moment_ms, content }
        ),
        1 => Just(Entry::Tombstone),
        1 => Just(Entry::Invalid),
        4 => (0..6_usize).prop_map(Entry::Again),
    ]
}

fn logs() -> impl Strategy<Value = Vec<Vec<Entry>>> {
    let log = prop::collection::vec(entry(), 0..40).prop_map(|entries| resolved(&entries));
    prop::collection::vec(log, usize::from(PARTITIONS))
}

fn step() -> impl Strategy<Value = Step> {
    let cut = prop::sample::select(vec![
        Cut::BeforeAll,
        Cut::BetweenEvolutions,
        Cut::AfterEvolutions,
        Cut::AfterQuarantine,
        Cut::AfterHistory,
        Cut::AfterDimension,
    ]);
    prop_oneof![
        8 => (0..PARTITIONS, 1..9_usize).prop_map(|(partition, records)| Step::Apply { partition, records }),
        1 => Just(Step::LookUp),
        2 => Just(Step::Flush(Cut::Nowhere)),
        2 => cut.prop_map(Step::Flush),
        1 => Just(Step::Crash),
    ]
}

fn reached(logs: &[Vec<Entry>], steps: &[Step], max_index_keys: usize) -> Outcome {
    let engine = steps.iter().fold(Engine::new(logs, max_index_keys), |engine, step| engine.step(step));
    let tables = engine.finish();
    let said = tables.said();
    let history: BTreeSet<_> = said.iter().cloned().collect();
    assert_eq!(history.len(), said.len(), "a version stands twice in the history");
    Outcome { history, dimension: tables.dimension, quarantine: tables.quarantine, counts: tables.counts }
}

proptest! {
    #[test]
    fn every_way_leads_to_the_same_tables(logs in logs(), steps in prop::collection::vec(step(), 0..40)) {
        prop_assert_eq!(reached(&logs, &steps, usize::MAX), expected(&logs));
    }

    #[test]
    fn a_bounded_index_leads_there_too(
        logs in logs(), steps in prop::collection::vec(step(), 0..40), max_index_keys in 1..6_usize,
    ) {
        prop_assert_eq!(reached(&logs, &steps, max_index_keys), expected(&logs));
    }
}
