use std::collections::{BTreeSet, HashSet};

use proptest::prelude::*;

use super::super::profiler::{Joined, MAX_NEW_KEYS, Profiler, joined};
use super::*;

const DAY: i64 = 20_491;
const LIMITS: Limits = Limits { max_columns: 100, max_listed: 1_000 };

fn silver() -> SilverColumns {
    SilverColumns {
        fixed: ["event_id", "category", "watch_time_ms", "watch_time_ms_text"]
            .map(ToOwned::to_owned)
            .to_vec(),
        further: BTreeMap::new(),
    }
}

/// The bodies as events of a day, a second apart.
fn profile_of(day: i64, bodies: &[&str]) -> DayProfile {
    let mut profiler = Profiler::first([], MAX_NEW_KEYS);
    let at = |place: usize| day * DAY_US + i64::try_from(place).unwrap() * 1_000_000;
    profiler.add_all(bodies.iter().enumerate().map(|(place, body)| (*body, at(place))));
    match joined([profiler]) {
        Joined::Whole(profile) => profile,
        Joined::TooManyKeys(_) => panic!("too many keys"),
    }
}

fn after(registry: &Registry, day: i64, bodies: &[&str]) -> Registry {
    with_day(registry, &profile_of(day, bodies), &silver(), LIMITS)
}

fn after_days(days: &[&[&str]]) -> Registry {
    (DAY..).zip(days).fold(Registry::default(), |registry, (day, bodies)| after(&registry, day, bodies))
}

fn of<'a>(registry: &'a Registry, key: &str) -> &'a RegisteredField {
    registry.fields.get(key).unwrap_or_else(|| panic!("{key} is not registered: {registry:?}"))
}

/// Column, type and status of a field.
fn shown(registry: &Registry, key: &str) -> (String, Option<PayloadType>, FieldStatus) {
    let field = of(registry, key);
    (field.column_name.clone().unwrap_or_default(), field.column_type, field.status)
}

fn column(
    name: &str,
    column_type: PayloadType,
    status: FieldStatus,
) -> (String, Option<PayloadType>, FieldStatus) {
    (name.to_owned(), Some(column_type), status)
}

#[test]
fn a_new_field_gets_a_column_of_the_type_that_takes_its_values() {
    let body =
        r#"{"watch_time_ms":5,"playbackRate":1.25,"n":7,"ok":true,"experiment":{"b":1},"category":"x"}"#;
    let registry = after_days(&[&[body, body]]);
    assert_eq!(
        shown(&registry, "watch_time_ms"),
        column("watch_time_ms", PayloadType::Long, FieldStatus::Known)
    );
    assert_eq!(
        shown(&registry, "playbackRate"),
        column("playback_rate", PayloadType::Double, FieldStatus::Column)
    );
    assert_eq!(shown(&registry, "n"), column("n", PayloadType::Long, FieldStatus::Column));
    assert_eq!(shown(&registry, "ok"), column("ok", PayloadType::Boolean, FieldStatus::Column));
    assert_eq!(
        shown(&registry, "experiment"),
        column("experiment", PayloadType::String, FieldStatus::Column)
    );
    assert_eq!(shown(&registry, "category"), column("x_category", PayloadType::String, FieldStatus::Column));
    let field = of(&registry, "playbackRate");
    assert_eq!((field.first_seen_us, field.last_seen_us), (DAY * DAY_US, DAY * DAY_US + 1_000_000));
    assert_eq!((field.events, field.share, field.conflicts), (2, 1.0, 0));
    assert_eq!(field.sample.as_deref(), Some("1.25"));
}

#[test]
fn what_is_seen_once_or_only_null_waits() {
    let registry = after_days(&[&[r#"{"once":1,"nothing":null}"#, r#"{"nothing":null}"#]]);
    assert_eq!(shown(&registry, "once"), (String::new(), Some(PayloadType::Long), FieldStatus::Pending));
    assert_eq!(shown(&registry, "nothing"), (String::new(), None, FieldStatus::Pending));
    assert_eq!(of(&registry, "nothing").events, 0);
    // The type has to take what was seen before.
    let later = after(&registry, DAY + 1, &[r#"{"once":1.5,"nothing":2}"#, r#"{"once":2,"nothing":null}"#]);
    assert_eq!(shown(&later, "once"), column("once", PayloadType::Double, FieldStatus::Column));
    assert_eq!(of(&later, "once").first_seen_us, DAY * DAY_US);
    assert_eq!(shown(&later, "nothing"), (String::new(), Some(PayloadType::Long), FieldStatus::Pending));
}

#[test]
fn values_that_do_not_fit_are_a_conflict_and_the_type_stays() {
    let registry = after_days(&[
        &[r#"{"n":1}"#, r#"{"n":2}"#],
        &[r#"{"n":1.5}"#, r#"{"n":"three"}"#, r#"{"n":4.0}"#, r#"{"n":null}"#],
    ]);
    assert_eq!(shown(&registry, "n"), column("n", PayloadType::Long, FieldStatus::Conflict));
    assert_eq!(of(&registry, "n").conflicts, 2);
    let later = after(&registry, DAY + 2, &[r#"{"n":5}"#]);
    assert_eq!(of(&later, "n").conflicts, 0, "of the newest day");
    assert_eq!(of(&later, "n").status, FieldStatus::Conflict, "the column beside it stays");
    let columns = later.columns();
    assert_eq!(columns[0].conflict_column.as_deref(), Some("n_text"));
}

#[test]
fn known_fields_have_misfits_by_their_own_rule() {
    let registry =
        after_days(&[&[r#"{"watch_time_ms":5400.0,"app_version":14}"#, r#"{"watch_time_ms":-1}"#]]);
    assert_eq!(
        shown(&registry, "watch_time_ms"),
        column("watch_time_ms", PayloadType::Long, FieldStatus::Conflict)
    );
    assert_eq!(of(&registry, "app_version").status, FieldStatus::Known);
    let columns = registry.columns();
    assert_eq!(columns.len(), 1, "{columns:?}");
    assert!(columns[0].is_known);
    assert_eq!(columns[0].conflict_column.as_deref(), Some("watch_time_ms_text"));
}

#[test]
fn there_are_no_more_columns_than_allowed_and_the_most_frequent_have_them() {
    let limits = Limits { max_columns: 2, ..LIMITS };
    let profile = profile_of(DAY, &[r#"{"a":1,"b":1,"c":1}"#, r#"{"a":1,"b":1,"c":1}"#, r#"{"b":1,"c":1}"#]);
    let registry = with_day(&Registry::default(), &profile, &silver(), limits);
    assert_eq!(of(&registry, "a").status, FieldStatus::OverCap);
    assert_eq!(
        (of(&registry, "b").status, of(&registry, "c").status),
        (FieldStatus::Column, FieldStatus::Column)
    );
    let wider = with_day(&registry, &profile, &silver(), Limits { max_columns: 3, ..LIMITS });
    assert_eq!(of(&wider, "a").status, FieldStatus::Column);
    let narrower = with_day(&wider, &profile, &silver(), Limits { max_columns: 0, ..LIMITS });
    assert_eq!(narrower, wider, "what there is stays");
}

#[test]
fn keys_that_come_to_one_name_have_columns_of_their_own() {
    let body = r#"{"playbackRate":1,"playback_rate":2,"playback.rate":3,"":4,"…":5,"Watch_Time_MS":6}"#;
    let registry = after_days(&[&[body, body]]);
    let name = |key: &str| of(&registry, key).column_name.clone().unwrap();
    assert_eq!(name("playback.rate"), "playback_rate", "the first by key");
    assert_eq!(name("playbackRate"), "playback_rate_2");
    assert_eq!(name("playback_rate"), "playback_rate_3");
    assert_eq!((name("").as_str(), name("…").as_str()), ("field", "field_2"));
    assert_eq!(name("Watch_Time_MS"), "x_watch_time_ms");
}

#[test]
fn a_key_that_is_too_long_never_gets_a_column() {
    let body = format!(r#"{{"{}":1}}"#, "k".repeat(MAX_KEY_BYTES + 1));
    let registry = after_days(&[&[&body, &body]]);
    let (key, field) = registry.fields.first_key_value().unwrap();
    assert!(key.starts_with("kkk") && key.contains('…'), "{key}");
    assert_eq!((field.status, field.column_name.as_deref()), (FieldStatus::OverCap, None));
}

#[test]
fn an_older_day_moves_the_first_sight_back_and_nothing_else() {
    let newer = after(&Registry::default(), DAY, &[r#"{"n":1}"#, r#"{"n":2}"#]);
    let both = after(&newer, DAY - 3, &[r#"{"n":3.5}"#, r#"{"n":4}"#, "{}"]);
    let expected = RegisteredField {
        first_seen_us: (DAY - 3) * DAY_US,
        status: FieldStatus::Conflict,
        ..of(&newer, "n").clone()
    };
    assert_eq!(of(&both, "n"), &expected);
}

#[test]
fn a_renamed_field_is_suspected() {
    let old = r#"{"video_duration_ms":9,"device_os":"iOS"}"#;
    let new = r#"{"duration_ms":9,"device_os":"iOS","mood":"x","level":3}"#;
    let registry = after_days(&[&[old; 10], &[old, old, old, old, old, old, new, new, new, new]]);
    let suspect = |key: &str| of(&registry, key).renamed_from.as_deref();
    assert_eq!(suspect("duration_ms"), Some("video_duration_ms"));
    assert_eq!(suspect("mood"), None, "another type, and device_os is as frequent as it was");
    assert_eq!(suspect("level"), Some("video_duration_ms"), "nothing tells these two apart");
    let again = after(&registry, DAY + 1, &[old, old, old, old, old, old, new, new, new, new]);
    assert_eq!(again, registry);
    let later = after(&registry, DAY + 2, &[new; 10]);
    assert_eq!(of(&later, "duration_ms").renamed_from.as_deref(), Some("video_duration_ms"));
    let before = after(&registry, DAY - 1, &[new; 10]);
    assert_eq!(of(&before, "duration_ms").renamed_from, None, "it was there before");
    // What had gone before the new one came has nothing to do with it, nor what is known of a later day alone.
    let gone_first = after_days(&[&[old; 10], &[r#"{"device_os":"iOS"}"#; 10], &[new; 10]]);
    assert_eq!(of(&gone_first, "duration_ms").renamed_from, None);
    let older = after(&after_days(&[&[old; 10]]), DAY - 1, &[new; 10]);
    assert_eq!(of(&older, "duration_ms").renamed_from, None);
}

#[test]
fn a_column_that_silver_has_already_is_taken_up_or_left_alone() {
    let profile = profile_of(DAY, &[r#"{"a":1,"b":1,"c":1}"#, r#"{"a":1,"b":1,"c":1}"#]);
    let mut columns = silver();
    columns.further = BTreeMap::from([
        ("a".to_owned(), Some(PayloadType::Long)),
        ("b".to_owned(), Some(PayloadType::String)),
        ("C".to_owned(), Some(PayloadType::Long)),
    ]);
    let registry = with_day(&Registry::default(), &profile, &columns, LIMITS);
    let name = |key: &str| of(&registry, key).column_name.clone().unwrap();
    assert_eq!((name("a").as_str(), name("b").as_str(), name("c").as_str()), ("a", "b_2", "c_2"));
}

#[test]
fn bodies_without_fields_are_counted() {
    let registry = after_days(&[&["[1]", "{}", "not json", r#"{"a":1"#]]);
    assert!(registry.fields.is_empty());
    let no_object = registry.no_object.unwrap();
    assert_eq!((no_object.events, no_object.share, no_object.sample.as_deref()), (3, 0.75, Some("[1]")));
    assert_eq!(registry.overflow, None);
}

#[test]
fn fields_without_a_column_are_listed_up_to_a_number() {
    let limits = Limits { max_columns: 0, max_listed: 2 };
    let profile = profile_of(DAY, &[r#"{"a":1,"b":1,"c":1,"watch_time_ms":1}"#, r#"{"b":1,"c":1}"#]);
    let registry = with_day(&Registry::default(), &profile, &silver(), limits);
    assert_eq!(registry.fields.keys().collect::<Vec<_>>(), ["b", "c", "watch_time_ms"]);
    let overflow = registry.overflow.clone().unwrap();
    assert_eq!((overflow.events, overflow.sample.as_deref()), (1, Some("a")));
    assert_eq!(with_day(&registry, &profile, &silver(), limits), registry);
    // Others find no room while these are seen, and are counted.
    let later = profile_of(DAY + 1, &[r#"{"d":1,"e":1}"#; 3]);
    let full = with_day(&registry, &later, &silver(), limits);
    assert_eq!(full.fields, registry.fields);
    let overflow = full.overflow.clone().unwrap();
    assert_eq!((overflow.first_seen_us, overflow.events), (DAY * DAY_US, 6));
    // What was not seen for long makes room.
    let much_later = profile_of(DAY + 1 + FORGOTTEN_AFTER_DAYS, &[r#"{"d":1,"e":1}"#; 3]);
    let renewed = with_day(&full, &much_later, &silver(), limits);
    assert_eq!(renewed.fields.keys().collect::<Vec<_>>(), ["d", "e", "watch_time_ms"]);
    assert_eq!(renewed.overflow, full.overflow);
    assert_eq!(with_day(&renewed, &much_later, &silver(), limits), renewed);
}

fn any_value() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("null"),
        Just("1"),
        Just("2.5"),
        Just("3.0"),
        Just("12345678901234567"),
        Just("1e400"),
        Just("true"),
        Just("\"text\""),
        Just("[1]"),
    ]
    .prop_map(ToOwned::to_owned)
}

fn any_key() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("watch_time_ms".to_owned()),
        Just("category".to_owned()),
        "[aA_b.]{0,3}",
        "[ab](_text)?(_2)?",
        Just("k".repeat(MAX_KEY_BYTES + 5)),
    ]
}

fn any_body() -> impl Strategy<Value = String> {
    let object = prop::collection::vec((any_key(), any_value()), 0..5).prop_map(|fields| {
        let text =
            |(key, value): &(String, String)| format!("{}:{value}", serde_json::to_string(key).unwrap());
        format!("{{{}}}", fields.iter().map(text).collect::<Vec<_>>().join(","))
    });
    prop_oneof![9 => object, 1 => Just("[]".to_owned())]
}

fn any_days() -> impl Strategy<Value = Vec<DayProfile>> {
    let day = prop::collection::vec(any_body(), 0..8);
    // Far enough apart that some are forgotten.
    prop::collection::vec(day, 1..5).prop_map(|days| {
        (DAY..)
            .step_by(40)
            .zip(days)
            .map(|(day, bodies)| profile_of(day, &bodies.iter().map(String::as_str).collect::<Vec<_>>()))
            .collect()
    })
}

fn any_limits() -> impl Strategy<Value = Limits> {
    (0..6_usize, 0..6_usize).prop_map(|(max_columns, max_listed)| Limits { max_columns, max_listed })
}

/// Silver after the columns that the registry asks for were added.
fn grown(mut columns: SilverColumns, registry: &Registry) -> SilverColumns {
    for column in registry.columns() {
        if !column.is_known {
            columns.further.insert(column.column_name, Some(column.column_type));
        }
        if let Some(beside) = column.conflict_column.filter(|_| !column.is_known) {
            columns.further.insert(beside, Some(PayloadType::String));
        }
    }
    columns
}

proptest! {
    #[test]
    fn the_registry_keeps_its_promises(days in any_days(), limits in any_limits(), is_backwards in any::<bool>()) {
        let mut registry = Registry::default();
        let mut columns = silver();
        let in_order: Vec<&DayProfile> = if is_backwards { days.iter().rev().collect() } else { days.iter().collect() };
        for day in in_order {
            let next = with_day(&registry, day, &columns, limits);
            prop_assert_eq!(&with_day(&next, day, &grown(columns.clone(), &next), limits), &next, "the same day again");
            for (key, before) in registry.fields.iter().filter(|(_, field)| field.column_name.is_some()) {
                let field = of(&next, key);
                prop_assert_eq!((&field.column_name, field.column_type), (&before.column_name, before.column_type));
                let may_become = [before.status, FieldStatus::Conflict];
                prop_assert!(may_become.contains(&field.status), "{} -> {}", before.status, field.status);
            }
            let further = next.fields.iter().filter(|(key, field)| field.has_further_column(key)).count();
            let before = registry.fields.iter().filter(|(key, field)| field.has_further_column(key)).count();
            prop_assert!(further <= limits.max_columns.max(before));
            let listed = next.fields.values().filter(|field| field.column_name.is_none()).count();
            prop_assert!(listed <= limits.max_listed);
            let mut names: HashSet<String> = columns.fixed.iter().cloned().collect();
            for column in next.columns().into_iter().filter(|column| !column.is_known) {
                prop_assert!(names.insert(column.column_name.clone()), "{}", column.column_name);
                if let Some(beside) = column.conflict_column {
                    prop_assert!(names.insert(beside.clone()), "{beside}");
                }
            }
            // Nothing of the day is without an account.
            let mut unlisted = 0;
            for (key, seen) in &day.fields {
                let Some(field) = next.fields.get(key) else {
                    unlisted += seen.kinds.values();
                    continue;
                };
                prop_assert!(field.first_seen_us <= seen.first_seen_us && field.last_seen_us >= seen.last_seen_us);
                match field.status {
                    FieldStatus::Column => prop_assert_eq!(seen.kinds.misfits_of(field.column_type.unwrap()), 0),
                    FieldStatus::Known => prop_assert_eq!(seen.known_misfits, 0),
                    FieldStatus::Conflict => prop_assert!(field.column_name.is_some()),
                    FieldStatus::OverCap | FieldStatus::Pending => prop_assert!(field.column_name.is_none()),
                }
            }
            if unlisted > 0 {
                let overflow = next.overflow.as_ref().unwrap();
                prop_assert!(is_backwards || overflow.events == unlisted, "{overflow:?} {unlisted}");
            }
            columns = grown(columns, &next);
            registry = next;
        }
    }

    #[test]
    fn times_and_counts_do_not_depend_on_the_order_of_days(days in any_days()) {
        let applied = |days: &mut dyn Iterator<Item = &DayProfile>| {
            days.fold(Registry::default(), |registry, day| with_day(&registry, day, &silver(), LIMITS))
        };
        let forward = applied(&mut days.iter());
        let backward = applied(&mut days.iter().rev());
        type Facts = (String, i64, i64, u64, bool, Option<String>);
        let facts = |registry: &Registry| -> BTreeSet<Facts> {
            registry
                .fields
                .iter()
                .map(|(key, field)| {
                    let is_share_known = field.share >= 0.0;
                    (key.clone(), field.first_seen_us, field.last_seen_us, field.events, is_share_known, field.sample.clone())
                })
                .collect()
        };
        // A sample may be of an older day where the newest has null alone: which one, the order does say.
        let without_sample = |registry: &Registry| -> Vec<_> {
            facts(registry).into_iter().map(|(key, first, last, events, known, _)| (key, first, last, events, known)).collect()
        };
        prop_assert_eq!(without_sample(&forward), without_sample(&backward));
        prop_assert_eq!(forward.no_object, backward.no_object);
    }
}
