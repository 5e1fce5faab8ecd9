//! The registry as people and programs ask for it.

use std::fmt::Write;

use chrono::{DateTime, NaiveDate};
use serde::Serialize;

use super::known::KnownField;
use super::registry::{FieldStatus, RegisteredField, Registry, Remainder};
use crate::batch::payload_column::PayloadType;

/// Characters of a key or a sample in a line.
const SHOWN_CHARACTERS: usize = 40;

/// What there is to tell of the payload fields.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DriftReport {
    /// The newest day that has any field.
    pub newest_day: Option<NaiveDate>,
    /// Fields first seen on this day or later are new.
    pub new_since: Option<NaiveDate>,
    /// The fields, the newest first.
    pub fields: Vec<FieldReport>,
    /// Values of keys that are not listed.
    pub overflow: Option<RemainderReport>,
    /// Bodies that are no JSON object.
    pub no_object: Option<RemainderReport>,
}

/// One field.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FieldReport {
    /// The key.
    pub field: String,
    /// Its column in silver.
    pub column_name: Option<String>,
    /// The type of that, or the one that it would have.
    #[serde(rename = "type")]
    pub column_type: Option<PayloadType>,
    /// What became of it.
    pub status: &'static str,
    /// Whether it appeared since [`DriftReport::new_since`]; never one of silver's own.
    pub is_new: bool,
    /// Whether the newest day does not have it.
    pub is_gone: bool,
    /// Moment of the first event that has it, RFC 3339.
    pub first_seen: String,
    /// The same of the last one.
    pub last_seen: String,
    /// Events with a value on the newest day that has it.
    pub events: u64,
    /// Their share of that day's events.
    pub share: f64,
    /// Values of that day that did not fit the column.
    pub conflicts: u64,
    /// Where those are.
    pub conflict_column: Option<String>,
    /// The field that it may have taken the place of.
    pub renamed_from: Option<String>,
    /// One of its values, cut.
    pub sample: Option<String>,
}

/// What is counted without a field's name.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RemainderReport {
    /// How many on the newest day that has any.
    pub count: u64,
    /// The same for each event of that day.
    pub share: f64,
    /// Moment of the first, RFC 3339.
    pub first_seen: String,
    /// The same of the last one.
    pub last_seen: String,
    /// One of them, cut.
    pub sample: Option<String>,
}

impl DriftReport {
    /// The report; fields are new since the newest day where no other is given.
    pub fn new(registry: &Registry, new_since: Option<NaiveDate>) -> Self {
        let of_remainders = [&registry.overflow, &registry.no_object].into_iter().flatten();
        let last_seen_us = registry
            .fields
            .values()
            .map(|field| field.last_seen_us)
            .chain(of_remainders.map(|found| found.last_seen_us))
            .max();
        let newest_day = last_seen_us.and_then(day_of);
        let new_since = new_since.or(newest_day);
        let columns = registry.columns();
        let mut fields: Vec<(i64, FieldReport)> = registry
            .fields
            .iter()
            .map(|(key, field)| {
                let of_key = columns.iter().find(|column| column.field == *key);
                let conflict_column = of_key.and_then(|column| column.conflict_column.clone());
                (field.first_seen_us, report_of(key, field, conflict_column, newest_day, new_since))
            })
            .collect();
        fields.sort_by(|(one_seen, one), (other_seen, other)| {
            other_seen.cmp(one_seen).then_with(|| one.field.cmp(&other.field))
        });
        Self {
            newest_day,
            new_since,
            fields: fields.into_iter().map(|(_, field)| field).collect(),
            overflow: registry.overflow.as_ref().map(remainder),
            no_object: registry.no_object.as_ref().map(remainder),
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        let Some(newest_day) = self.newest_day else {
            return "no payload fields are known yet: `pulselake batch run --date DATE` finds those of a day\n".to_owned();
        };
        let mut text = format!("{} payload fields, newest day {newest_day}", self.fields.len());
        for status in [FieldStatus::Conflict, FieldStatus::OverCap, FieldStatus::Pending] {
            let count = self.fields.iter().filter(|field| field.status == status.as_str()).count();
            if count > 0 {
                // Writing into a text can't fail, here and below.
                let _ = write!(text, ", {count} {status}");
            }
        }
        text.push_str("\n\n");
        let head = ["FIELD", "COLUMN", "TYPE", "STATUS", "FIRST SEEN", "SHARE", "CONFLICTS", "NOTES"];
        let lines: Vec<[String; 8]> =
            std::iter::once(head.map(ToOwned::to_owned)).chain(self.fields.iter().map(line)).collect();
        let width =
            |column: usize| lines.iter().map(|cells| cells[column].chars().count()).max().unwrap_or_default();
        let widths: [usize; 8] = std::array::from_fn(width);
        for cells in &lines {
            let padded: Vec<String> = cells
                .iter()
                .zip(widths)
                .enumerate()
                .map(|(column, (cell, width))| match column {
                    5 | 6 => format!("{cell:>width$}"),
                    _ => format!("{cell:<width$}"),
                })
                .collect();
            let _ = writeln!(text, "{}", padded.join("  ").trim_end());
        }
        for (found, what) in [
            (&self.overflow, "values of keys that are not listed"),
            (&self.no_object, "bodies that are no JSON object"),
        ] {
            if let Some(found) = found {
                let sample = found
                    .sample
                    .as_deref()
                    .map_or(String::new(), |sample| format!(", such as {}", shown(sample)));
                let _ = writeln!(text, "\n{} {what}, last {}{sample}", found.count, found.last_seen);
            }
        }
        text
    }
}

fn report_of(
    key: &str,
    field: &RegisteredField,
    conflict_column: Option<String>,
    newest_day: Option<NaiveDate>,
    new_since: Option<NaiveDate>,
) -> FieldReport {
    FieldReport {
        field: key.to_owned(),
        column_name: field.column_name.clone(),
        column_type: field.column_type,
        status: field.status.as_str(),
        is_new: KnownField::of_name(key).is_none() && day_of(field.first_seen_us) >= new_since,
        is_gone: day_of(field.last_seen_us) < newest_day,
        first_seen: moment(field.first_seen_us),
        last_seen: moment(field.last_seen_us),
        events: field.events,
        share: field.share,
        conflicts: field.conflicts,
        conflict_column,
        renamed_from: field.renamed_from.clone(),
        sample: field.sample.clone(),
    }
}

fn remainder(found: &Remainder) -> RemainderReport {
    RemainderReport {
        count: found.events,
        share: found.share,
        first_seen: moment(found.first_seen_us),
        last_seen: moment(found.last_seen_us),
        sample: found.sample.clone(),
    }
}

fn line(field: &FieldReport) -> [String; 8] {
    let mut notes = Vec::new();
    if field.is_new {
        notes.push("new".to_owned());
    }
    if field.is_gone {
        notes.push(format!("last seen {}", &field.last_seen));
    }
    if let Some(old) = &field.renamed_from {
        notes.push(format!("was {}?", shown(old)));
    }
    if let Some(beside) = &field.conflict_column {
        notes.push(format!("misfits in {beside}"));
    }
    if let Some(sample) = &field.sample {
        notes.push(format!("such as {}", shown(sample)));
    }
    [
        shown(&field.field),
        field.column_name.clone().unwrap_or_else(|| "-".to_owned()),
        field.column_type.map_or("-", PayloadType::as_str).to_owned(),
        field.status.to_owned(),
        field.first_seen.clone(),
        format!("{:.1} %", field.share * 100.0),
        field.conflicts.to_string(),
        notes.join("; "),
    ]
}

/// A text of some client, so that it can't do anything to a terminal.
fn shown(text: &str) -> String {
    let signs: String = text
        .chars()
        .take(SHOWN_CHARACTERS)
        .map(|sign| match sign {
            '"' | '\'' | '\\' => sign.to_string(),
            _ => sign.escape_debug().to_string(),
        })
        .collect();
    let cut = if text.chars().nth(SHOWN_CHARACTERS).is_some() { "…" } else { "" };
    if signs.is_empty() { "\"\"".to_owned() } else { format!("{signs}{cut}") }
}

fn day_of(moment_us: i64) -> Option<NaiveDate> {
    DateTime::from_timestamp_micros(moment_us).map(|moment| moment.date_naive())
}

fn moment(moment_us: i64) -> String {
    let written = |moment: DateTime<chrono::Utc>| moment.format("%Y-%m-%dT%H:%M:%SZ").to_string();
    DateTime::from_timestamp_micros(moment_us).map_or_else(|| moment_us.to_string(), written)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_US: i64 = 86_400_000_000;

    fn field(first_day: i64, last_day: i64) -> RegisteredField {
        RegisteredField {
            column_name: None,
            column_type: Some(PayloadType::Long),
            status: FieldStatus::Pending,
            first_seen_us: first_day * DAY_US,
            last_seen_us: last_day * DAY_US + 3_600_000_000,
            sample: Some("5\u{1b}[2J".to_owned()),
            events: 3,
            share: 0.125,
            conflicts: 0,
            renamed_from: None,
        }
    }

    fn registry() -> Registry {
        let mut registry = Registry::default();
        let known = RegisteredField {
            column_name: Some("watch_time_ms".to_owned()),
            status: FieldStatus::Conflict,
            conflicts: 2,
            ..field(20_490, 20_491)
        };
        registry.fields.insert("watch_time_ms".to_owned(), known);
        registry.fields.insert("gone".to_owned(), field(20_490, 20_490));
        let new = RegisteredField { renamed_from: Some("gone".to_owned()), ..field(20_491, 20_491) };
        registry.fields.insert("new one".to_owned(), new);
        registry
    }

    #[test]
    fn the_newest_come_first_and_say_why_they_stand_there() {
        let report = DriftReport::new(&registry(), None);
        let names: Vec<&str> = report.fields.iter().map(|field| field.field.as_str()).collect();
        assert_eq!(names, ["new one", "gone", "watch_time_ms"]);
        let flags: Vec<(bool, bool)> =
            report.fields.iter().map(|field| (field.is_new, field.is_gone)).collect();
        assert_eq!(flags, [(true, false), (false, true), (false, false)]);
        let text = report.text();
        for part in [
            "3 payload fields, newest day 2026-02-07, 1 conflict, 2 pending\n",
            "new one        -              long  pending   2026-02-07T00:00:00Z  12.5 %          0  new; was gone?; such as 5\\u{1b}[2J\n",
            "last seen 2026-02-06T01:00:00Z",
            "misfits in watch_time_ms_text",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert!(!text.contains('\u{1b}'));
        let earlier = DriftReport::new(&registry(), NaiveDate::from_ymd_opt(2026, 2, 6));
        assert_eq!(
            earlier.fields.iter().filter(|field| field.is_new).count(),
            2,
            "never one of silver's own"
        );
    }

    #[test]
    fn a_registry_without_fields_says_what_to_do() {
        assert!(DriftReport::new(&Registry::default(), None).text().contains("pulselake batch run"));
    }
}
