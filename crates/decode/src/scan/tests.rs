//! The grammar by cases, and serde_json's verdicts as the oracle.

use super::*;
use proptest::prelude::*;
use serde_json::value::RawValue;

fn walk(text: &str, max_depth: usize) -> Walked<Vec<(String, String)>> {
    let mut entries = Vec::new();
    Scanner::walk_object(text, max_depth, |scanner, key| {
        let start = scanner.position();
        scanner.value(1)?;
        entries.push((scanner.raw_key(key).to_owned(), scanner.source_since(start).to_owned()));
        Ok(())
    })?;
    Ok(entries)
}

fn is_object_for_serde_json(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok_and(|raw| raw.get().starts_with('{'))
}

#[test]
fn entries_are_source_text() {
    let entries =
        walk(" { \"a\" : [1, {\"b\":[]} ] ,\"\\u0062\":\"x\\\"\", \"c\":-0.5e+3 }\n\t\r ", 128).unwrap();
    let expected = [("\"a\"", "[1, {\"b\":[]} ]"), ("\"\\u0062\"", "\"x\\\"\""), ("\"c\"", "-0.5e+3")];
    assert_eq!(entries, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
}

#[test]
fn what_is_not_one_object_is_refused_where_it_goes_wrong() {
    let cases = [
        ("", 0),
        ("[]", 0),
        ("{", 1),
        ("{}x", 2),
        ("{} {}", 3),
        ("{,}", 1),
        (r#"{"a"}"#, 4),
        (r#"{"a":}"#, 5),
        (r#"{"a":1,}"#, 7),
        (r#"{"a":1 "b":2}"#, 7),
        (r#"{"a":01}"#, 6),
        (r#"{"a":1.}"#, 7),
        (r#"{"a":1e}"#, 7),
        (r#"{"a":-}"#, 6),
        (r#"{"a":.5}"#, 5),
        (r#"{"a":+1}"#, 5),
        (r#"{"a":nul}"#, 5),
        (r#"{"a":tru"#, 5),
        (r#"{"a":NaN}"#, 5),
        (r#"{a:1}"#, 1),
        (r#"{'a':1}"#, 1),
        (r#"{"a":[1,]}"#, 8),
        (r#"{"a":[}]}"#, 6),
        (r#"{"a":{]}}"#, 6),
        (r#"{"a":[1}"#, 7),
        (r#"{"a":"\x"}"#, 6),
        (r#"{"a":"\u12g4"}"#, 6),
        ("{\"a\":\"\u{1}\"}", 6),
        (r#"{"a":"x}"#, 8),
        ("\u{feff}{}", 0),
        ("{\"a\":1\u{b}}", 6),
        ("{\"a\u{0}\":1}", 3),
        ("{}\u{0}", 2),
    ];
    for (text, at) in cases {
        assert_eq!(walk(text, 128).unwrap_err().at, at, "{text}");
    }
}

#[test]
fn the_limit_counts_levels_from_the_record() {
    for (text, depth) in
        [("{}", 1), (r#"{"a":[]}"#, 2), (r#"{"a":[],"b":{}}"#, 2), (r#"{"a":[[1],{"b":[]}]}"#, 4)]
    {
        assert!(walk(text, depth).is_ok(), "{text}");
        assert_eq!(walk(text, depth - 1).unwrap_err().kind, FaultKind::TooDeep, "{text}");
    }
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(walk(&deep, usize::MAX).is_ok());
    assert_eq!(*walk(&deep, 128).unwrap_err(), Fault { at: 5 + 127, kind: FaultKind::TooDeep });
}

/// Pieces that make up both good and slightly wrong JSON.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => r#"[{}\[\],:" ]"#,
        3 => r#""[a-zé]{0,9}""#,
        2 => "-?[0-9]{1,3}(\\.[0-9]{0,2})?([eE][+-]?[0-9]{0,2})?",
        1 => r#"\\["\\/bfnrtu]"#,
        1 => r"\\u[0-9a-fA-F]{3,4}",
        1 => prop_oneof![Just("true"), Just("false"), Just("null"), Just("\u{1}"), Just("\n"), Just("nul")].prop_map(str::to_owned),
    ]
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::String),
    ];
    leaf.prop_recursive(6, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            prop::collection::btree_map(".{0,9}", inner, 0..5).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn random_text_is_judged_as_serde_json_judges_it(pieces in prop::collection::vec(piece(), 0..14)) {
        let inner = pieces.concat();
        for text in [format!("{{{inner}}}"), format!("{{\"a\":{inner}}}"), format!("{{\"a\":[{inner}]}}"), inner] {
            prop_assert_eq!(walk(&text, usize::MAX).is_ok(), is_object_for_serde_json(&text), "{}", text);
        }
    }

    #[test]
    fn damaged_json_is_judged_as_serde_json_judges_it(
        value in json(), pretty in any::<bool>(), at in any::<prop::sample::Index>(), damage in piece(), cut in 0..3_usize,
    ) {
        let object = serde_json::json!({ "a": value });
        let whole = if pretty { serde_json::to_string_pretty(&object) } else { serde_json::to_string(&object) }.unwrap();
        prop_assert!(walk(&whole, usize::MAX).is_ok(), "{}", whole);
        let boundaries: Vec<usize> = whole.char_indices().map(|(position, _)| position).collect();
        let from = at.index(boundaries.len());
        let to = boundaries.get(from + cut).copied().unwrap_or(whole.len());
        let damaged = format!("{}{damage}{}", &whole[..boundaries[from]], &whole[to..]);
        prop_assert_eq!(walk(&damaged, usize::MAX).is_ok(), is_object_for_serde_json(&damaged), "{}", damaged);
    }
}
