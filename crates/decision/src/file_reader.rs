//! Reads values out of a TOML table and notes everything that is wrong with it, not only the first.

use std::fmt;
use std::ops::RangeInclusive;

use toml::{Table, Value};

/// One thing that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileProblem {
    /// Which key, such as `cooldown_s` or `cohort[2].region`.
    pub key: String,
    /// The value that it has; `None` where it is missing.
    pub found: Option<String>,
    /// What is allowed.
    pub allowed: String,
}

impl fmt::Display for FileProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, found, allowed } = self;
        match found {
            Some(value) => write!(formatter, "{key}: found {value}; allowed: {allowed}"),
            None => write!(formatter, "{key}: missing; allowed: {allowed}"),
        }
    }
}

/// Why a file is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// It is no TOML. The text has line and column.
    #[error("no TOML: {0}")]
    NoToml(String),
    /// Everything that is wrong with its values.
    #[error("{}", problems_text(.0))]
    Invalid(Vec<FileProblem>),
    /// Other numbers under the version that is in force. Actions and baselines name the version: it must say one thing.
    #[error(
        "version: found {version:?} with other numbers than the rules in force have under it ({changed}); allowed: a version that was not used before"
    )]
    SameVersion {
        /// The version.
        version: String,
        /// The keys that differ, with both values.
        changed: String,
    },
}

fn problems_text(problems: &[FileProblem]) -> String {
    let texts: Vec<String> = problems.iter().map(FileProblem::to_string).collect();
    texts.join("\n")
}

/// One table of a file. Each read takes a key; [`TableReader::finish`] notes those that nobody has asked for.
pub(crate) struct TableReader<'file, 'problems> {
    table: &'file Table,
    prefix: String,
    asked: Vec<&'static str>,
    problems: &'problems mut Vec<FileProblem>,
}

/// The text as a TOML table.
pub(crate) fn parse_toml(text: &str) -> Result<Table, FileError> {
    text.parse::<Table>().map_err(|error| FileError::NoToml(error.to_string().trim_end().to_owned()))
}

impl<'file, 'problems> TableReader<'file, 'problems> {
    /// `prefix` stands before the keys in problems: empty, or `global.`.
    pub(crate) fn new(
        table: &'file Table,
        prefix: String,
        problems: &'problems mut Vec<FileProblem>,
    ) -> Self {
        Self { table, prefix, asked: Vec::new(), problems }
    }

    /// The value of a key, noted as asked for.
    fn value(&mut self, key: &'static str) -> Option<&'file Value> {
        self.asked.push(key);
        self.table.get(key)
    }

    fn note(&mut self, key: &str, found: Option<&Value>, allowed: String) {
        let full_key = format!("{}{key}", self.prefix);
        self.problems.push(FileProblem { key: full_key, found: found.map(shown), allowed });
    }

    /// A text of 1 to `longest` characters without control characters and blanks around it. Empty, and noted, where it is not.
    pub(crate) fn text(&mut self, key: &'static str, longest: usize) -> String {
        let found = self.value(key);
        let is_good = |text: &&str| {
            !text.is_empty()
                && text.trim() == *text
                && text.chars().count() <= longest
                && !text.chars().any(char::is_control)
        };
        if let Some(text) = found.and_then(Value::as_str).filter(is_good) {
            return text.to_owned();
        }
        let allowed = format!(
            "a text of 1 to {longest} characters, without blanks around it and without control characters"
        );
        self.note(key, found, allowed);
        String::new()
    }

    /// A number, whole or not, within the bounds. 0, and noted, where it is not.
    pub(crate) fn number(&mut self, key: &'static str, bounds: RangeInclusive<f64>) -> f64 {
        let found = self.value(key);
        let given = found.and_then(|value| value.as_float().or_else(|| value.as_integer().map(|n| n as f64)));
        if let Some(number) = given.filter(|number| bounds.contains(number)) {
            return number;
        }
        self.note(key, found, format!("a number from {} to {}", bounds.start(), bounds.end()));
        0.0
    }

    /// A whole number within the bounds; `unit` is for the message, such as ` (seconds)`. 0, and noted, where it is not.
    pub(crate) fn whole(&mut self, key: &'static str, bounds: RangeInclusive<i64>, unit: &str) -> i64 {
        let found = self.value(key);
        if let Some(number) = found.and_then(Value::as_integer).filter(|number| bounds.contains(number)) {
            return number;
        }
        self.note(key, found, format!("a whole number from {} to {}{unit}", bounds.start(), bounds.end()));
        0
    }

    /// As [`TableReader::whole`], where the key may be absent.
    pub(crate) fn whole_if_given(&mut self, key: &'static str, bounds: RangeInclusive<i64>) -> Option<i64> {
        if self.table.contains_key(key) {
            return Some(self.whole(key, bounds, ""));
        }
        self.asked.push(key);
        None
    }

    /// A table.
    pub(crate) fn table(&mut self, key: &'static str) -> Option<&'file Table> {
        let found = self.value(key);
        let table = found.and_then(Value::as_table);
        if table.is_none() {
            self.note(key, found, format!("a table, [{key}]"));
        }
        table
    }

    /// A list of tables; empty where the key is absent.
    pub(crate) fn tables(&mut self, key: &'static str) -> Vec<&'file Table> {
        let Some(found) = self.value(key) else { return Vec::new() };
        let tables = found.as_array().and_then(|list| list.iter().map(Value::as_table).collect());
        tables.unwrap_or_else(|| {
            self.note(key, Some(found), format!("a list of tables, [[{key}]]"));
            Vec::new()
        })
    }

    /// Notes every key that is none.
    pub(crate) fn finish(mut self) {
        let unknown: Vec<(&String, &Value)> =
            self.table.iter().filter(|(key, _)| !self.asked.contains(&key.as_str())).collect();
        let allowed = format!("the keys {}", self.asked.join(", "));
        for (key, value) in unknown {
            self.note(key, Some(value), allowed.clone());
        }
    }
}

/// A value in a message: one line, and not endless.
fn shown(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = match value {
        Value::Table(_) => "a table".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::String(text) => format!("{text:?}"),
        other => other.to_string(),
    };
    if text.chars().count() <= LONGEST {
        return text;
    }
    let beginning: String = text.chars().take(LONGEST).collect();
    format!("{beginning}…")
}
