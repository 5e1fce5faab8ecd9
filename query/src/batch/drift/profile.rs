//! What the bodies of one day are made of. Profiles of parts of a day add up, in any order, to that of the day.

use std::collections::BTreeMap;

use super::names::cut;
use super::value::{ValueKind, as_text};
use crate::batch::payload_column::PayloadType;

/// Bytes of a sample.
const MAX_SAMPLE_BYTES: usize = 120;
/// Behind what was cut.
const CUT: char = '…';

/// How many values there were of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KindCounts([u64; ValueKind::ALL.len()]);

impl KindCounts {
    /// Counts one more.
    pub fn add(&mut self, kind: ValueKind) {
        // The kinds are numbered as they stand in `ALL`.
        self.0[kind as usize] += 1;
    }

    fn add_all(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count += more;
        }
    }

    fn of(&self, is_meant: impl Fn(ValueKind) -> bool) -> u64 {
        ValueKind::ALL
            .into_iter()
            .zip(self.0)
            .filter(|(kind, _)| is_meant(*kind))
            .map(|(_, count)| count)
            .sum()
    }

    /// Values, nulls left out.
    pub fn values(&self) -> u64 {
        self.of(|kind| kind != ValueKind::Null)
    }

    /// Values and nulls.
    pub fn all(&self) -> u64 {
        self.of(|_| true)
    }

    /// Values that a column of this type does not take.
    pub fn misfits_of(&self, column_type: PayloadType) -> u64 {
        self.of(|kind| kind != ValueKind::Null && !column_type.takes(kind))
    }

    /// The type that takes all of them: long for whole numbers that are all written as such, else double for numbers, else
    /// boolean, else string. `None` where there is no value.
    pub fn inferred(&self) -> Option<PayloadType> {
        let has_only = |column_type: PayloadType| self.misfits_of(column_type) == 0 && self.values() > 0;
        // `5.0` fits a long, but whoever writes it will write 5.5 too.
        let are_written_whole = self.of(|kind| kind == ValueKind::WholeFloat) == 0;
        PayloadType::ALL.into_iter().find(|column_type| {
            has_only(*column_type) && (*column_type != PayloadType::Long || are_written_whole)
        })
    }
}

/// Something at the moment of its event. The earliest is shown; of the same moment, the least text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sample {
    seen_us: i64,
    text: String,
}

/// Keeps the earlier of two samples in `kept`.
fn keep_earlier(kept: &mut Option<Sample>, other: Option<Sample>) {
    *kept = match (kept.take(), other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
}

/// Takes a sample, but only where it can be the earliest.
fn take_sample(kept: &mut Option<Sample>, seen_us: i64, text: &str) {
    if kept.as_ref().is_some_and(|earlier| earlier.seen_us < seen_us) {
        return;
    }
    keep_earlier(kept, Some(Sample { seen_us, text: shortened(text) }));
}

fn shortened(text: &str) -> String {
    match cut(text, MAX_SAMPLE_BYTES) {
        whole if whole.len() == text.len() => whole.to_owned(),
        part => format!("{part}{CUT}"),
    }
}

/// One field on one day.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldProfile {
    /// Its values by kind.
    pub kinds: KindCounts,
    /// Values that silver's own column does not take; for a known field.
    pub known_misfits: u64,
    /// Event time of the first event that has it, microseconds since the epoch.
    pub first_seen_us: i64,
    /// The same of the last one.
    pub last_seen_us: i64,
    sample: Option<Sample>,
}

impl FieldProfile {
    /// A field that was not seen yet.
    pub fn unseen() -> Self {
        Self {
            kinds: KindCounts::default(),
            known_misfits: 0,
            first_seen_us: i64::MAX,
            last_seen_us: i64::MIN,
            sample: None,
        }
    }

    /// Adds a value that is written as `raw`, of an event at that moment.
    pub fn add(&mut self, raw: &str, seen_us: i64) {
        self.kinds.add(ValueKind::of(raw));
        self.first_seen_us = self.first_seen_us.min(seen_us);
        self.last_seen_us = self.last_seen_us.max(seen_us);
        if self.sample.as_ref().is_some_and(|earlier| earlier.seen_us < seen_us) {
            return;
        }
        if let Some(text) = as_text(raw) {
            take_sample(&mut self.sample, seen_us, &text);
        }
    }

    /// Adds what another part of the day has.
    pub fn merge(&mut self, other: Self) {
        self.kinds.add_all(&other.kinds);
        self.known_misfits += other.known_misfits;
        self.first_seen_us = self.first_seen_us.min(other.first_seen_us);
        self.last_seen_us = self.last_seen_us.max(other.last_seen_us);
        keep_earlier(&mut self.sample, other.sample);
    }

    /// The first value, cut.
    pub fn sample(&self) -> Option<&str> {
        self.sample.as_ref().map(|sample| sample.text.as_str())
    }
}

/// What is counted without a field's name.
#[derive(Clone, Debug, PartialEq)]
pub struct Unlisted {
    /// How many.
    pub count: u64,
    /// Event time of the first, microseconds since the epoch.
    pub first_seen_us: i64,
    /// The same of the last one.
    pub last_seen_us: i64,
    sample: Option<Sample>,
}

impl Default for Unlisted {
    fn default() -> Self {
        Self { count: 0, first_seen_us: i64::MAX, last_seen_us: i64::MIN, sample: None }
    }
}

impl Unlisted {
    /// Counts one, which shows itself as `text`.
    pub fn add(&mut self, text: &str, seen_us: i64) {
        self.count += 1;
        self.first_seen_us = self.first_seen_us.min(seen_us);
        self.last_seen_us = self.last_seen_us.max(seen_us);
        take_sample(&mut self.sample, seen_us, text);
    }

    /// Counts the values of a field that loses its name.
    pub fn add_field(&mut self, key: &str, field: &FieldProfile) {
        let values = field.kinds.values();
        if values == 0 {
            return;
        }
        self.count += values;
        self.first_seen_us = self.first_seen_us.min(field.first_seen_us);
        self.last_seen_us = self.last_seen_us.max(field.last_seen_us);
        take_sample(&mut self.sample, field.first_seen_us, key);
    }

    /// Adds what another part of the day has.
    pub fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.first_seen_us = self.first_seen_us.min(other.first_seen_us);
        self.last_seen_us = self.last_seen_us.max(other.last_seen_us);
        keep_earlier(&mut self.sample, other.sample);
    }

    /// The first of them, cut.
    pub fn sample(&self) -> Option<&str> {
        self.sample.as_ref().map(|sample| sample.text.as_str())
    }
}

/// The bodies of one day.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DayProfile {
    /// Events, those included whose body is no object.
    pub events: u64,
    /// Fields that were seen, by their keys.
    pub fields: BTreeMap<String, FieldProfile>,
    /// Values of keys that are not among them.
    pub overflow: Unlisted,
    /// Bodies that are not one JSON object.
    pub no_object: Unlisted,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inferred(values: &[&str]) -> Option<PayloadType> {
        let mut kinds = KindCounts::default();
        values.iter().for_each(|raw| kinds.add(ValueKind::of(raw)));
        kinds.inferred()
    }

    #[test]
    fn the_type_is_the_narrowest_that_takes_all_values() {
        use PayloadType::{Boolean, Double, Long, String};
        for (values, expected) in [
            (&["null"][..], None),
            (&[], None),
            (&["1", "null", "-9223372036854775808"], Some(Long)),
            (&["1", "2.5"], Some(Double)),
            (&["1.0", "2.0"], Some(Double)),
            (&["1.0", "2"], Some(Double)),
            (&["9007199254740993", "0.5"], Some(String)),
            (&["9223372036854775808"], Some(String)),
            (&["1e400", "1"], Some(String)),
            (&["true", "false"], Some(Boolean)),
            (&["true", "1"], Some(String)),
            (&["\"1\""], Some(String)),
            (&["{}", "1"], Some(String)),
        ] {
            assert_eq!(inferred(values), expected, "{values:?}");
        }
    }

    #[test]
    fn kinds_are_numbered_as_they_are_listed() {
        for (number, kind) in ValueKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, number, "{kind:?}");
        }
    }

    #[test]
    fn parts_add_up_in_any_order() {
        let values = [("null", 5), ("3", 9), ("\"b\"", 7), ("\"a\"", 7), ("2", 8)];
        let of = |values: &[(&str, i64)]| {
            let mut field = FieldProfile::unseen();
            values.iter().for_each(|(raw, seen_us)| field.add(raw, *seen_us));
            field
        };
        let whole = of(&values);
        assert_eq!((whole.first_seen_us, whole.last_seen_us, whole.sample()), (5, 9, Some("a")));
        for middle in 0..=values.len() {
            let (mut front, mut back) = (of(&values[..middle]), of(&values[middle..]));
            let (front_again, back_again) = (front.clone(), back.clone());
            front.merge(back_again);
            back.merge(front_again);
            assert_eq!((&front, &back), (&whole, &whole));
        }
    }

    #[test]
    fn samples_are_cut() {
        let mut field = FieldProfile::unseen();
        field.add(&format!("\"{}\"", "ä".repeat(1_000)), 1);
        let sample = field.sample().unwrap();
        assert!(sample.len() <= MAX_SAMPLE_BYTES + CUT.len_utf8() && sample.ends_with(CUT), "{sample}");
    }
}
