use super::*;

fn whole(parts: Vec<Profiler>) -> DayProfile {
    match joined(parts) {
        Joined::Whole(day) => day,
        Joined::TooManyKeys(_) => panic!("too many keys"),
    }
}

fn profile(bodies: &[&str]) -> DayProfile {
    let mut profiler = Profiler::first([], MAX_NEW_KEYS);
    profiler.add_all(bodies.iter().zip(1..).map(|(body, seen_us)| (*body, seen_us)));
    whole(vec![profiler])
}

#[test]
fn fields_are_counted_once_an_event_and_the_last_of_equal_keys_counts() {
    let day = profile(&[r#"{"a":1,"a":"x","b":1,"b":null}"#, r#"{"a":1,"a":2}"#, r#"{"a":"x","a":3}"#]);
    let kinds = |key: &str| day.fields[key].kinds;
    assert_eq!(
        (kinds("a").values(), kinds("a").misfits_of(crate::batch::payload_column::PayloadType::Long)),
        (3, 1)
    );
    assert_eq!((kinds("b").values(), kinds("b").all()), (0, 1));
    assert_eq!(day.fields["a"].sample(), Some("x"));
    assert_eq!((day.events, day.no_object.count, day.overflow.count), (3, 0, 0));
}

#[test]
fn a_body_that_breaks_off_has_no_fields() {
    let day = profile(&[r#"{"a":1}"#, r#"{"a":2,"b":3"#, "7"]);
    assert_eq!(day.fields.len(), 1);
    assert_eq!((day.fields["a"].kinds.all(), day.no_object.count, day.events), (1, 2, 3));
    assert_eq!(day.no_object.sample(), Some(r#"{"a":2,"b":3"#));
}

#[test]
fn long_keys_are_cut_and_stay_apart() {
    let (one, other) = ("k".repeat(10_000) + "1", "k".repeat(10_000) + "2");
    let day = profile(&[&format!(r#"{{"{one}":1,"{other}":2,"{one}":3}}"#)]);
    assert_eq!(day.fields.len(), 2);
    for (key, field) in &day.fields {
        assert!(key.len() > MAX_KEY_BYTES && key.len() < MAX_KEY_BYTES + 30, "{key}");
        assert_eq!(field.kinds.all(), 1);
    }
}

/// Bodies of a few real fields among very many keys that come once, in parts as threads would see them.
fn hostile(parts: usize, rotated: usize) -> Vec<Vec<(String, i64)>> {
    let mut bodies: Vec<(String, i64)> = (0..3_000_i64)
        .map(|number| {
            let rare = if number % 100 == 0 { format!(r#","rare":{number}"#) } else { String::new() };
            (format!(r#"{{"junk {number}":1,"real":{number},"more {number}":"x"{rare}}}"#), number)
        })
        .collect();
    bodies.rotate_left(rotated);
    bodies.chunks(bodies.len().div_ceil(parts)).map(<[_]>::to_vec).collect()
}

fn twice(parts: &[Vec<(String, i64)>], max_new_keys: usize) -> DayProfile {
    let pass = |new: &dyn Fn() -> Profiler| -> Vec<Profiler> {
        parts
            .iter()
            .map(|bodies| {
                let mut profiler = new();
                profiler.add_all(bodies.iter().map(|(body, seen_us)| (body.as_str(), *seen_us)));
                profiler
            })
            .collect()
    };
    let Joined::TooManyKeys(frequencies) = joined(pass(&|| Profiler::first(["known"], max_new_keys))) else {
        panic!("one pass was enough");
    };
    whole(pass(&|| Profiler::second(["known"], max_new_keys, frequencies.clone())))
}

#[test]
fn among_too_many_keys_the_frequent_ones_are_found_and_the_others_counted() {
    let day = twice(&hostile(3, 0), 50);
    assert_eq!(day.fields.len(), 50);
    assert_eq!(day.fields["real"].kinds.values(), 3_000);
    assert_eq!(day.fields["rare"].kinds.values(), 30);
    // 48 of the keys that come once have the other places.
    assert_eq!(day.overflow.count, 6_000 - 48);
    assert_eq!(day.events, 3_000);
}

#[test]
fn order_and_parts_make_no_difference() {
    let expected = twice(&hostile(1, 0), 50);
    for (parts, rotated) in [(1, 1_700), (2, 0), (7, 999)] {
        assert_eq!(twice(&hostile(parts, rotated), 50), expected, "{parts} {rotated}");
    }
}

#[test]
fn parts_that_have_room_each_may_have_too_many_together() {
    let parts: Vec<Vec<(String, i64)>> =
        (0..4).map(|part| (0..10).map(|key| (format!(r#"{{"{part} {key}":1}}"#), key)).collect()).collect();
    let day = twice(&parts, 15);
    assert_eq!((day.fields.len(), day.overflow.count), (15, 25));
}

#[test]
fn memory_is_bounded_whatever_the_bodies_hold() {
    let mut profiler = Profiler::first([], 100);
    let bodies: Vec<String> =
        (0..20_000).map(|number| format!(r#"{{"{number}{}":1}}"#, "x".repeat(300))).collect();
    profiler.add_all(bodies.iter().map(|body| (body.as_str(), 0)));
    assert_eq!(profiler.tracked.len(), KnownField::ALL.len() + 100);
    assert_eq!(profiler.places.len(), profiler.tracked.len());
    let Joined::TooManyKeys(frequencies) = joined([profiler]) else { panic!("one pass was enough") };
    let mut second = Profiler::second([], 100, frequencies);
    second.add_all(bodies.iter().map(|body| (body.as_str(), 0)));
    assert_eq!(second.places.len(), KnownField::ALL.len() + 100);
    assert_eq!(whole(vec![second]).overflow.count, 19_900);
}
