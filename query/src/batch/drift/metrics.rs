//! The registry as metrics, for node_exporter's textfile collector.
//!
//! They tell how things stand on the newest day that has payload fields, whichever run wrote them.

use std::fmt::Write;

use super::known::KnownField;
use super::registry::{FieldStatus, Registry};
use crate::batch::metrics_file::head;

const DAY_US: i64 = 86_400_000_000;
const DAY_S: i64 = 86_400;

/// The text that Prometheus reads; none for a registry without anything in it.
pub fn text(registry: &Registry) -> String {
    let remainders = || [&registry.overflow, &registry.no_object].into_iter().flatten();
    let moments = registry.fields.values().map(|field| field.last_seen_us);
    let Some(newest_us) = moments.chain(remainders().map(|found| found.last_seen_us)).max() else {
        return String::new();
    };
    let newest_day = day_of(newest_us);
    let is_of_newest_day = |moment_us: i64| day_of(moment_us) == newest_day;
    let mut new_fields = 0_u64;
    let mut conflicts = 0;
    let mut without_column = 0;
    for (key, field) in registry.fields.iter().filter(|(_, field)| is_of_newest_day(field.last_seen_us)) {
        let is_new = is_of_newest_day(field.first_seen_us) && KnownField::of_name(key).is_none();
        new_fields += u64::from(is_new);
        conflicts += field.conflicts;
        without_column += if field.column_name.is_none() { field.events } else { 0 };
    }
    let of_newest_day = |found: &Option<super::registry::Remainder>| {
        found.as_ref().filter(|found| is_of_newest_day(found.last_seen_us)).map_or(0, |found| found.events)
    };
    without_column += of_newest_day(&registry.overflow);
    let mut text = String::new();
    head(&mut text, "pulselake_payload_fields", "Fields that the registry lists, by what became of them.");
    for status in FieldStatus::ALL {
        let count = registry.fields.values().filter(|field| field.status == status).count();
        // Writing to a text can't fail.
        let _ = writeln!(text, "pulselake_payload_fields{{status=\"{status}\"}} {count}");
    }
    for (name, help, value) in [
        ("pulselake_payload_new_fields", "Fields that the newest day has first.", new_fields),
        (
            "pulselake_payload_conflicting_values",
            "Values of the newest day that did not fit their column, and went to the one beside it.",
            conflicts,
        ),
        (
            "pulselake_payload_values_without_column",
            "Values of the newest day that are in bronze alone.",
            without_column,
        ),
        (
            "pulselake_payload_bodies_without_object",
            "Bodies of the newest day that are no JSON object.",
            of_newest_day(&registry.no_object),
        ),
    ] {
        head(&mut text, name, help);
        let _ = writeln!(text, "{name} {value}");
    }
    let name = "pulselake_payload_newest_day_timestamp_seconds";
    head(&mut text, name, "Start of the newest day that has payload fields.");
    let _ = writeln!(text, "{name} {}", newest_day * DAY_S);
    text
}

fn day_of(moment_us: i64) -> i64 {
    moment_us.div_euclid(DAY_US)
}
