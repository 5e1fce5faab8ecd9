//! What a job has read, as far as it decides whether the job has to be done again.

use std::collections::BTreeMap;
use std::fmt;

use chrono::NaiveDate;
use pulselake_model::Entity;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::inputs::Facts;
use super::job::{Input, Job};
use super::plan::shifted;
use super::run_log::RunLog;

/// One input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Fact {
    /// How many rows.
    Count(u64),
    /// Anything else that is another where the input is.
    Text(String),
}

/// The rows of bronze, among the inputs.
const BRONZE: &str = "bronze_rows";
const OPEN_SESSIONS: &str = "open_sessions";

/// All inputs of a job for a day, by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(BTreeMap<String, Fact>);

impl Fingerprint {
    /// The inputs of `job` for `date` as they are now. What can't be told any more is taken from when the day was made.
    pub fn of(job: &Job, date: NaiveDate, facts: &Facts, log: &RunLog) -> Self {
        let before = log.made(job.name, date).map(|run| Self::of_text(&run.input_fingerprint));
        let mut inputs = BTreeMap::new();
        for input in job.inputs {
            let (name, fact) = match input {
                Input::Bronze => (BRONZE.to_owned(), Some(Fact::Count(facts.bronze_rows_of(date)))),
                Input::Versions(entity) => {
                    (versions_name(*entity), Some(Fact::Count(facts.versions_before_end_of(*entity, date))))
                }
                Input::OpenSessions => {
                    let known = facts.open_sessions_of(date).map(|text| Fact::Text(text.to_owned()));
                    let last = || before.as_ref().and_then(|made| made.0.get(OPEN_SESSIONS).cloned());
                    (OPEN_SESSIONS.to_owned(), known.or_else(last))
                }
                Input::PayloadColumns => {
                    let known = facts.payload_columns_of(date).map(|text| Fact::Text(text.to_owned()));
                    ("payload_columns".to_owned(), known)
                }
                Input::RealTime => {
                    ("real_time".to_owned(), Some(Fact::Text(facts.real_time_of(date).to_owned())))
                }
                Input::Made { job: other, shift } => {
                    let made = shifted(date, *shift).and_then(|day| log.made(other, day));
                    (made_name(other, *shift), made.map(|run| Fact::Text(run.identity())))
                }
            };
            if let Some(known) = fact {
                inputs.insert(name, known);
            }
        }
        Self(inputs)
    }

    /// Reads what [`Display`](fmt::Display) has written; nothing of what is something else.
    pub fn of_text(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    /// Rows of bronze, where they are an input.
    pub fn bronze_rows(&self) -> Option<u64> {
        match self.0.get(BRONZE) {
            Some(Fact::Count(rows)) => Some(*rows),
            _ => None,
        }
    }

    /// The names of the inputs that are others than in `before`, each with both values.
    pub fn changes_since(&self, before: &Self) -> Vec<String> {
        let names = self.0.keys().chain(before.0.keys().filter(|name| !self.0.contains_key(*name)));
        let shown = |fact: Option<&Fact>| match fact {
            None => "none".to_owned(),
            Some(Fact::Count(count)) => count.to_string(),
            Some(Fact::Text(text)) => text.clone(),
        };
        names
            .filter(|name| self.0.get(*name) != before.0.get(*name))
            .map(|name| {
                format!("{name}: {} before, {} now", shown(before.0.get(name)), shown(self.0.get(name)))
            })
            .collect()
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A map of texts and numbers always has a JSON form.
        formatter.write_str(&serde_json::to_string(self).unwrap_or_default())
    }
}

fn versions_name(entity: Entity) -> String {
    format!("{}_versions", entity.as_str())
}

fn made_name(job: &str, shift: i64) -> String {
    match shift {
        0 => job.to_owned(),
        days => format!("{job}{days:+}d"),
    }
}

/// A short text that is another where `text` is.
pub fn short_hash(text: &str) -> String {
    format!("{:016x}", xxh3_64(text.as_bytes()))
}
