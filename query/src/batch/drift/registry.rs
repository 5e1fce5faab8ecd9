//! `silver.payload_fields`: which fields the payloads have had, and what became of each.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, NaiveDate};

use crate::batch::payload_column::{PayloadColumn, PayloadType};

use super::known::KnownField;
use super::names::CONFLICT_SUFFIX;

/// What became of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FieldStatus {
    /// One of silver's own columns, which has taken every value.
    Known,
    /// It has a column, which has taken every value.
    Column,
    /// It has a column, and values that did not fit it are in the string column beside that one.
    Conflict,
    /// Counted, without a column: there are as many as there may be, or its key is too long for one.
    OverCap,
    /// Without a column so far: no day has had it in two events with a value.
    Pending,
}

impl FieldStatus {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Known, Self::Column, Self::Conflict, Self::OverCap, Self::Pending];

    /// Its name in the registry.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Known => "known",
            Self::Column => "column",
            Self::Conflict => "conflict",
            Self::OverCap => "over_cap",
            Self::Pending => "pending",
        }
    }

    /// The status of that name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }
}

impl fmt::Display for FieldStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// One field.
#[derive(Clone, Debug, PartialEq)]
pub struct RegisteredField {
    /// Its column in silver. Once given, it is the field's for ever.
    pub column_name: Option<String>,
    /// The type of that; without one, the type that would take every value so far. Never changes once there is a column.
    pub column_type: Option<PayloadType>,
    /// What became of it.
    pub status: FieldStatus,
    /// Event time of the first event that has it, microseconds since the epoch; with null as its value, too.
    pub first_seen_us: i64,
    /// The same of the last one. Its day is the newest day.
    pub last_seen_us: i64,
    /// Of the newest day that has one, the first value, cut.
    pub sample: Option<String>,
    /// Events of the newest day with a value.
    pub events: u64,
    /// Their share of all events of that day.
    pub share: f64,
    /// Values of the newest day that did not fit the column.
    pub conflicts: u64,
    /// The field that it may have taken the place of: a guess.
    pub renamed_from: Option<String>,
}

impl RegisteredField {
    /// Whether it has a column that is not one of silver's own.
    pub fn has_further_column(&self, key: &str) -> bool {
        self.column_name.is_some() && KnownField::of_name(key).is_none()
    }
}

/// What is counted without a field's name.
#[derive(Clone, Debug, PartialEq)]
pub struct Remainder {
    /// Event time of the first, microseconds since the epoch.
    pub first_seen_us: i64,
    /// Event time of the last.
    pub last_seen_us: i64,
    /// One of them, cut.
    pub sample: Option<String>,
    /// How many on the newest day.
    pub events: u64,
    /// The same for each event of that day.
    pub share: f64,
}

/// All fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Registry {
    /// By their keys.
    pub fields: BTreeMap<String, RegisteredField>,
    /// Values of keys that are not among them.
    pub overflow: Option<Remainder>,
    /// Bodies that are not one JSON object.
    pub no_object: Option<Remainder>,
}

impl Registry {
    /// The columns that silver fills out of the payloads, beside those that it always has: by first appearance, then name.
    /// Of those that it always has, the ones with misfits.
    pub fn columns(&self) -> Vec<PayloadColumn> {
        let mut found: Vec<(i64, PayloadColumn)> = self
            .fields
            .iter()
            .filter_map(|(key, field)| Some((field.first_seen_us, column(key, field)?)))
            .collect();
        found.sort_by(|(one_seen, one), (other_seen, other)| {
            (one_seen, &one.column_name).cmp(&(other_seen, &other.column_name))
        });
        found.into_iter().map(|(_, column)| column).collect()
    }

    /// The names of the columns of fields that were first seen on `date` or before.
    pub fn columns_until(&self, date: NaiveDate) -> Vec<&str> {
        let is_seen = |field: &RegisteredField| {
            DateTime::from_timestamp_micros(field.first_seen_us)
                .is_some_and(|first| first.date_naive() <= date)
        };
        let named = self.fields.iter().filter(|(key, field)| field.has_further_column(key) && is_seen(field));
        named.filter_map(|(_, field)| field.column_name.as_deref()).collect()
    }
}

fn column(key: &str, field: &RegisteredField) -> Option<PayloadColumn> {
    let is_known = KnownField::of_name(key).is_some();
    let has_misfits = field.status == FieldStatus::Conflict;
    if is_known && !has_misfits {
        return None;
    }
    let column_name = field.column_name.clone()?;
    Some(PayloadColumn {
        field: key.to_owned(),
        conflict_column: has_misfits.then(|| format!("{column_name}{CONFLICT_SUFFIX}")),
        column_name,
        column_type: field.column_type?,
        is_known,
    })
}
