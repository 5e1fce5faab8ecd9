//! The failpoints of the streams of changes as the source has them, and how a test gets the engine to pass each.

use std::collections::BTreeMap;
use std::fs;

use crate::common::repository;

const SOURCES: &str = "actors/src/dimensions";

/// A failpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// Its name.
    pub name: String,
    /// Whether a store is asked there, whose answer can be made to stay away.
    pub asks_a_store: bool,
}

/// What has to happen for a point to be passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed {
    /// Records come: many times a second.
    WithEachBatch,
    /// Something is committed: some times a second.
    WithEachCommit,
    /// A stream's run starts.
    AtStart,
    /// The last run ended between the commits of history and dimension.
    WithHistoryAhead,
    /// The source has gained a column: once for each of the two tables.
    WithNewColumn,
}

impl Point {
    /// How the point is passed.
    pub fn passed(&self) -> Passed {
        match self.name.as_str() {
            "cdc_consumer::polled" | "cdc_consumer::delivered" | "upserter::applied" => Passed::WithEachBatch,
            "upserter::settle"
            | "upserter::look_up"
            | "upserter::write"
            | "upserter::between_quarantine_and_history"
            | "upserter::between_history_and_dimension"
            | "upserter::committed" => Passed::WithEachCommit,
            "upserter::ledgers" | "upserter::plan" | "upserter::load_index" => Passed::AtStart,
            "upserter::catch_up" => Passed::WithHistoryAhead,
            "upserter::evolved" => Passed::WithNewColumn,
            name => panic!("say in Point::passed how {name} is passed"),
        }
    }
}

/// All points of the source, by name.
pub fn all_points() -> Vec<Point> {
    let mut found: BTreeMap<String, bool> = BTreeMap::new();
    for entry in fs::read_dir(repository(SOURCES)).unwrap() {
        let path = entry.unwrap().path();
        assert!(path.is_file(), "{} is not looked through", path.display());
        for line in fs::read_to_string(&path).unwrap().lines() {
            for (call, asks_a_store) in [("failpoint::reach(", false), ("failpoint::reach_store(", true)] {
                let Some((_, behind)) = line.split_once(call) else { continue };
                let name = behind.trim_start_matches('"').split('"').next().unwrap();
                found.insert(name.to_owned(), asks_a_store);
            }
        }
    }
    found.into_iter().map(|(name, asks_a_store)| Point { name, asks_a_store }).collect()
}
