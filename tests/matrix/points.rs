//! The failpoints as the source has them, and how a test gets the engine to pass each.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::common::repository;

/// Where the points of the event stream are. Those of maintenance (`crates/maintain`) are met in `tests/maintenance`, those
/// of the streams of changes in `tests/dimensions`, those of decisions in `tests/decisions`.
const SOURCES: [&str; 4] = ["actors/src", "crates/lake/src", "crates/commit/src", "crates/store/src"];

/// A failpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// Its name.
    pub name: String,
    /// How the answer of a store can be made to stay away there, if one is asked.
    pub stall: Option<&'static str>,
}

/// What has to happen for a point to be passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed {
    /// Records come: many times a second.
    WithEachBatch,
    /// Something is committed: about once a second.
    WithEachCommit,
    /// The same, and by the start of the process too.
    WithEachCatalogRead,
    /// A shard starts.
    AtStart,
    /// A run ends: by SIGTERM, or because one of its actors has failed.
    AtEnd,
    /// The run drains: by SIGTERM.
    AtDrain,
    /// A bounded run has read everything.
    AtTheLastWindows,
    /// A shared service fails.
    WhenServicesFail,
    /// Another member of the group comes.
    OnRevoke,
    /// The decoder has changed since the last run.
    AtRefill,
    /// The last run died between the commits of quarantine and bronze.
    WithQuarantineAhead,
}

impl Point {
    /// How the point is passed.
    pub fn passed(&self) -> Passed {
        match self.name.as_str() {
            "aggregator::close" => Passed::AtTheLastWindows,
            "gold::close" | "committer::close" | "supervisor::before_close" | "supervisor::closed" => {
                Passed::AtEnd
            }
            "supervisor::before_drain" | "supervisor::drained" => Passed::AtDrain,
            "supervisor::services_ended" => Passed::WhenServicesFail,
            "supervisor::revoked" | "supervisor::before_letting_go" => Passed::OnRevoke,
            "recovery::refill" => Passed::AtRefill,
            "recovery::quarantined" => Passed::WithQuarantineAhead,
            "lake::catalog_read" => Passed::WithEachCatalogRead,
            "supervisor::before_build" | "supervisor::started" => Passed::AtStart,
            "consumer::polled" | "consumer::delivered" | "aggregator::batch" | "writer::batch" => {
                Passed::WithEachBatch
            }
            name => match name.split_once("::") {
                Some(("recovery", _)) => Passed::AtStart,
                Some(("consumer" | "aggregator" | "writer" | "gold" | "committer" | "lake", _)) => {
                    Passed::WithEachCommit
                }
                _ => panic!("say in Point::passed how {name} is passed"),
            },
        }
    }

    /// Whether the supervisor itself passes it, outside of what it can catch.
    pub fn is_the_supervisors(&self) -> bool {
        self.name.starts_with("supervisor::")
    }

    /// Whether it is passed while a start is prepared: a panic is caught there.
    pub fn is_of_preparing(&self) -> bool {
        self.name.starts_with("recovery::") && self.passed() != Passed::AtRefill
    }

    /// Whether it is passed on the supervisor's thread: when that hangs, the process ends.
    pub fn is_on_the_main_thread(&self) -> bool {
        self.is_the_supervisors() || self.is_of_preparing()
    }
}

/// All points of the source, by name.
pub fn all_points() -> Vec<Point> {
    let mut found = BTreeMap::new();
    for directory in SOURCES {
        collect(&repository(directory), &mut found);
    }
    let point = |(name, asks_a_store): (String, bool)| {
        let is_request = name.starts_with("lake::catalog_") || name.starts_with("lake::store_");
        let stall = match asks_a_store {
            true => Some("return(stall)"),
            false if is_request => Some("return(late:3600000)"),
            false => None,
        };
        Point { name, stall }
    };
    // The first make the engine wrong, for the audit to find: nothing happens to a thread there. The others only the daily batch passes
    // (`tests/batch`, `batch_days` of the query's tests).
    let is_elsewhere = |name: &str| name.starts_with("sabotage::") || name.starts_with("batch::");
    found.into_iter().filter(|(name, _)| !is_elsewhere(name)).map(point).collect()
}

fn collect(directory: &Path, found: &mut BTreeMap<String, bool>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && (path.ends_with("dimensions") || path.ends_with("decisions")) {
            continue;
        }
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
                // Every other piece between quotes is a literal.
                for name in line.split('"').skip(1).step_by(2).filter(|literal| is_name(literal)) {
                    *found.entry(name.to_owned()).or_default() |=
                        line.contains("reach_store(") || line.contains("read_all(");
                }
            }
        }
    }
}

/// Whether a literal has the form `part::step`.
fn is_name(literal: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty() && word.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_')
    };
    literal.split_once("::").is_some_and(|(part, step)| is_word(part) && is_word(step))
}
