//! What a day's payloads make of the registry. Pure: the same registry, day and columns give the same result, and a day that
//! is applied again changes nothing.
//!
//! - A field gets a column on the first day that has it in [`MIN_EVENTS`] events with a value, the most frequent first, while
//!   there are fewer than [`Limits::max_columns`]. Type and name are given then, and never change.
//! - Values that a column does not take are counted, and belong into the string column beside it.
//! - `first_seen` and `last_seen` move apart, days may come in any order. Counts, share and sample are those of the newest day.
//! - Every field of the day is in the registry afterwards, or its values are in the overflow. Fields with a column are never
//!   forgotten.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::known::KnownField;
use super::names::{CONFLICT_SUFFIX, NameBook};
use super::profile::{DayProfile, FieldProfile, Unlisted};
use super::profiler::MAX_KEY_BYTES;
use super::registry::{FieldStatus, RegisteredField, Registry, Remainder};
use crate::batch::payload_column::PayloadType;

/// In how many events of a day a field is, at least, that gets a column.
pub const MIN_EVENTS: u64 = 2;
/// A share that fell by less is no sign of a field that was renamed.
const MIN_FALL: f64 = 0.02;
/// How far the new field's share may be from what the old one lost, in proportion to that.
const FALL_TOLERANCE: f64 = 0.25;
/// How long the registry lists a field without a column that is not seen any more.
const FORGOTTEN_AFTER_DAYS: i64 = 90;
const DAY_US: i64 = 86_400_000_000;

/// How many there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Fields with columns, beside silver's own.
    pub max_columns: usize,
    /// Fields without columns that the registry lists.
    pub max_listed: usize,
}

/// The columns that silver has now, by name; the type is `None` where no payload field has one of that type.
#[derive(Clone, Debug, Default)]
pub struct SilverColumns {
    /// Those that every silver has, and names that no column may have.
    pub fixed: Vec<String>,
    /// The others.
    pub further: BTreeMap<String, Option<PayloadType>>,
}

impl SilverColumns {
    /// Whether a column of this name and type is there, or can be added.
    fn can_have(&self, name: &str, column_type: PayloadType) -> bool {
        let lower = name.to_lowercase();
        self.further
            .iter()
            .filter(|(existing, _)| existing.to_lowercase() == lower)
            .all(|(existing, found)| existing == name && *found == Some(column_type))
    }
}

/// The registry after a day.
pub fn with_day(registry: &Registry, day: &DayProfile, silver: &SilverColumns, limits: Limits) -> Registry {
    let mut next = registry.clone();
    for (key, seen) in &day.fields {
        let share = share_of(seen.kinds.values(), day.events);
        match next.fields.get_mut(key) {
            Some(field) => update(field, seen, share),
            None => {
                next.fields.insert(key.clone(), new_field(key, seen, share));
            }
        }
    }
    give_columns(&mut next, day, silver, limits.max_columns);
    count_conflicts(&mut next, day);
    guess_renamed(registry, &mut next, day);
    let mut overflow = day.overflow.clone();
    let forgotten = shorten(registry, &mut next, day, limits.max_listed, &mut overflow);
    next.overflow = remainder(next.overflow, &overflow, day.events);
    if let Some((first_seen_us, last_seen_us)) = forgotten {
        let row = next.overflow.get_or_insert(Remainder {
            first_seen_us,
            last_seen_us,
            sample: None,
            events: 0,
            share: 0.0,
        });
        row.first_seen_us = row.first_seen_us.min(first_seen_us);
        row.last_seen_us = row.last_seen_us.max(last_seen_us);
    }
    next.no_object = remainder(next.no_object, &day.no_object, day.events);
    next
}

fn day_of(moment_us: i64) -> i64 {
    moment_us.div_euclid(DAY_US)
}

fn share_of(count: u64, events: u64) -> f64 {
    if events == 0 { 0.0 } else { count as f64 / events as f64 }
}

fn new_field(key: &str, seen: &FieldProfile, share: f64) -> RegisteredField {
    let known = KnownField::of_name(key);
    RegisteredField {
        column_name: known.map(|field| field.name().to_owned()),
        column_type: known.map(KnownField::column_type).or_else(|| seen.kinds.inferred()),
        status: if known.is_some() { FieldStatus::Known } else { FieldStatus::Pending },
        first_seen_us: seen.first_seen_us,
        last_seen_us: seen.last_seen_us,
        sample: seen.sample().map(ToOwned::to_owned),
        events: seen.kinds.values(),
        share,
        conflicts: 0,
        renamed_from: None,
    }
}

fn update(field: &mut RegisteredField, seen: &FieldProfile, share: f64) {
    if day_of(seen.first_seen_us) < day_of(field.first_seen_us) {
        // What was guessed on a later day: the field was there before.
        field.renamed_from = None;
    }
    if day_of(seen.last_seen_us) >= day_of(field.last_seen_us) {
        field.events = seen.kinds.values();
        field.share = share;
        field.sample = seen.sample().map(ToOwned::to_owned).or(field.sample.take());
    }
    field.first_seen_us = field.first_seen_us.min(seen.first_seen_us);
    field.last_seen_us = field.last_seen_us.max(seen.last_seen_us);
    if field.column_name.is_none() {
        field.column_type = match (field.column_type, seen.kinds.inferred()) {
            (Some(one), Some(other)) => Some(one.joined(other)),
            (one, other) => one.or(other),
        };
    }
}

/// Gives columns to fields of the day, while there may be more.
fn give_columns(next: &mut Registry, day: &DayProfile, silver: &SilverColumns, max_columns: usize) {
    let mut book = NameBook::new(silver.fixed.iter().map(String::as_str));
    let mut given = 0;
    for (key, field) in &next.fields {
        if let (Some(column), true) = (&field.column_name, field.has_further_column(key)) {
            book.enter(column, field.column_type != Some(PayloadType::String));
            given += 1;
        }
    }
    let mut candidates: Vec<(Reverse<u64>, i64, &str)> = day
        .fields
        .iter()
        .filter(|(key, seen)| {
            let is_without = next.fields.get(*key).is_some_and(|field| field.column_name.is_none());
            is_without && (seen.kinds.values() >= MIN_EVENTS || key.len() > MAX_KEY_BYTES)
        })
        .map(|(key, seen)| {
            let first_seen_us = next.fields.get(key).map_or(seen.first_seen_us, |field| field.first_seen_us);
            (Reverse(seen.kinds.values()), first_seen_us, key.as_str())
        })
        .collect();
    candidates.sort_unstable();
    for (_, _, key) in candidates {
        let Some(field) = next.fields.get_mut(key) else { continue };
        let Some(column_type) =
            field.column_type.filter(|_| key.len() <= MAX_KEY_BYTES && given < max_columns)
        else {
            field.status = FieldStatus::OverCap;
            continue;
        };
        let can_conflict = column_type != PayloadType::String;
        let is_usable = |name: &str| {
            let beside = format!("{name}{CONFLICT_SUFFIX}");
            silver.can_have(name, column_type)
                && (!can_conflict || silver.can_have(&beside, PayloadType::String))
        };
        field.column_name = Some(book.give(key, can_conflict, is_usable));
        field.status = FieldStatus::Column;
        given += 1;
    }
}

/// Counts the day's values that don't fit their column.
fn count_conflicts(next: &mut Registry, day: &DayProfile) {
    for (key, seen) in &day.fields {
        let Some(field) = next.fields.get_mut(key) else { continue };
        let Some(column_type) = field.column_type.filter(|_| field.column_name.is_some()) else { continue };
        let misfits = match KnownField::of_name(key) {
            Some(_) => seen.known_misfits,
            None => seen.kinds.misfits_of(column_type),
        };
        if misfits > 0 {
            field.status = FieldStatus::Conflict;
        }
        if day_of(seen.last_seen_us) >= day_of(field.last_seen_us) {
            field.conflicts = misfits;
        }
    }
}

/// Looks for the field that a new one has taken the place of: one of the same type whose share fell, since the newest day
/// that the registry knew, by about the share that the new one has. Of a day that is older than that, nothing is guessed.
fn guess_renamed(before: &Registry, next: &mut Registry, day: &DayProfile) {
    let Some(day_before) = before.fields.values().map(|field| day_of(field.last_seen_us)).max() else {
        return;
    };
    let was_there =
        |old: &RegisteredField| old.column_name.is_some() && day_of(old.last_seen_us) == day_before;
    for (key, seen) in day.fields.iter().filter(|(key, _)| !before.fields.contains_key(*key)) {
        let Some(field) = next.fields.get_mut(key) else { continue };
        let is_too_rare = seen.kinds.values() < MIN_EVENTS;
        if KnownField::of_name(key).is_some() || is_too_rare || day_of(seen.first_seen_us) <= day_before {
            continue;
        }
        let mut best: Option<(f64, &String)> = None;
        for (old_key, old) in before.fields.iter().filter(|(_, old)| was_there(old)) {
            if old.column_type != field.column_type {
                continue;
            }
            let values = day.fields.get(old_key).map_or(0, |still| still.kinds.values());
            let fall = old.share - share_of(values, day.events);
            let distance = (field.share - fall).abs();
            let is_alike = fall >= MIN_FALL && distance <= fall * FALL_TOLERANCE;
            if is_alike && best.is_none_or(|(least, _)| distance < least) {
                best = Some((distance, old_key));
            }
        }
        field.renamed_from = best.map(|(_, old_key)| old_key.clone());
    }
}

/// Forgets fields without a column that were not seen for long, and new ones for which there is no room. The day's values of
/// these go into `overflow`; returns first and last sight of those that the day does not have.
fn shorten(
    before: &Registry,
    next: &mut Registry,
    day: &DayProfile,
    max_listed: usize,
    overflow: &mut Unlisted,
) -> Option<(i64, i64)> {
    let newest_day = next.fields.values().map(|field| day_of(field.last_seen_us)).max()?;
    let mut forgotten = Vec::new();
    let mut new = Vec::new();
    let mut listed = 0;
    for (key, field) in next.fields.iter().filter(|(_, field)| field.column_name.is_none()) {
        if day_of(field.last_seen_us) + FORGOTTEN_AFTER_DAYS < newest_day {
            forgotten.push(key.clone());
        } else if before.fields.contains_key(key) {
            listed += 1;
        } else {
            new.push((Reverse(field.events), field.first_seen_us, key.clone()));
        }
    }
    new.sort_unstable();
    let room = max_listed.saturating_sub(listed);
    forgotten.extend(new.into_iter().skip(room).map(|(_, _, key)| key));
    let mut sight: Option<(i64, i64)> = None;
    for key in forgotten {
        let Some(field) = next.fields.remove(&key) else { continue };
        if let Some(seen) = day.fields.get(&key) {
            overflow.add_field(&key, seen);
            continue;
        }
        let (first_us, last_us) = sight.unwrap_or((field.first_seen_us, field.last_seen_us));
        sight = Some((first_us.min(field.first_seen_us), last_us.max(field.last_seen_us)));
    }
    sight
}

/// The row with the day's count.
fn remainder(row: Option<Remainder>, seen: &Unlisted, events: u64) -> Option<Remainder> {
    if seen.count == 0 {
        return row;
    }
    let of_the_day = Remainder {
        first_seen_us: seen.first_seen_us,
        last_seen_us: seen.last_seen_us,
        sample: seen.sample().map(ToOwned::to_owned),
        events: seen.count,
        share: share_of(seen.count, events),
    };
    let Some(row) = row else { return Some(of_the_day) };
    let first_seen_us = row.first_seen_us.min(seen.first_seen_us);
    let last_seen_us = row.last_seen_us.max(seen.last_seen_us);
    let newest = if day_of(seen.last_seen_us) >= day_of(row.last_seen_us) { of_the_day } else { row };
    Some(Remainder { first_seen_us, last_seen_us, ..newest })
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
