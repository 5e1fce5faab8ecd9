//! Paths into JSON documents: `$.body.watch_time_ms`, `$["a key"]`, `$.hashtags[0]`. As in Trino's `json_extract_scalar`, and
//! nothing more: no wildcards, filters or descendants.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// One step down.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    /// The key of an object.
    key: String,
    /// The place in an array, where the step is a whole number.
    index: Option<usize>,
}

/// A path, ready to be followed in many documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct JsonPath(Vec<Step>);

/// Why a text is no path.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{path:?} is no path into JSON at character {at}: write $.key, $[\"key\"] or $[0], and further steps behind"
)]
pub(super) struct BadPath {
    path: String,
    at: usize,
}

impl JsonPath {
    /// Reads a path.
    ///
    /// # Errors
    /// [`BadPath`] with the character (counted from 1) that does not fit.
    pub(super) fn parse(path: &str) -> Result<Self, BadPath> {
        let bad = |rest: &str| BadPath {
            path: path.to_owned(),
            at: path.chars().count() - rest.chars().count() + 1,
        };
        let mut rest = path.strip_prefix('$').ok_or_else(|| bad(path))?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (key, behind) = next_step(rest).ok_or_else(|| bad(rest))?;
            steps.push(Step { index: key.parse().ok(), key });
            rest = behind;
        }
        Ok(Self(steps))
    }

    /// The text, number or truth value there: a text without its quotes, anything else as it is written. `None` where there
    /// is nothing, null, an object or an array, and for a text that is no JSON up to there. Of several equal keys the first
    /// counts. What lies deeper than 127 levels is not found.
    pub(super) fn scalar(&self, json: &str) -> Option<String> {
        let mut found = None;
        let follow = Follow { steps: &self.0, found: &mut found };
        // What comes behind the found place, and whether it is JSON, is of no interest.
        let _ = follow.deserialize(&mut serde_json::Deserializer::from_str(json));
        found
    }
}

/// The first step's key and what is behind the step.
fn next_step(text: &str) -> Option<(String, &str)> {
    if let Some(name) = text.strip_prefix('.') {
        let end = name.find(['.', '[']).unwrap_or(name.len());
        let (key, rest) = name.split_at(end);
        let is_name =
            !key.is_empty() && key.chars().all(|sign| sign.is_alphanumeric() || "_:-".contains(sign));
        return is_name.then(|| (key.to_owned(), rest));
    }
    let inside = text.strip_prefix('[')?;
    if let Some(quoted) = inside.strip_prefix('"') {
        return quoted_key(quoted);
    }
    let (key, rest) = inside.split_once(']')?;
    let is_name = !key.is_empty() && key.chars().all(|sign| sign.is_alphanumeric() || sign == '_');
    is_name.then(|| (key.to_owned(), rest))
}

/// A key up to its closing quote and bracket; a backslash stands before a quote or a backslash that belongs to it.
fn quoted_key(text: &str) -> Option<(String, &str)> {
    let mut key = String::new();
    let mut signs = text.char_indices();
    while let Some((at, sign)) = signs.next() {
        match sign {
            '"' => return Some((key, text[at + 1..].strip_prefix(']')?)),
            '\\' => key
                .push(signs.next().map(|(_, escaped)| escaped).filter(|escaped| "\"\\".contains(*escaped))?),
            _ => key.push(sign),
        }
    }
    None
}

/// Follows steps in a document that is read once, without keeping what lies beside.
struct Follow<'path, 'found> {
    steps: &'path [Step],
    found: &'found mut Option<String>,
}

impl<'json> DeserializeSeed<'json> for Follow<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'json>>(self, deserializer: D) -> Result<(), D::Error> {
        if !self.steps.is_empty() {
            return deserializer.deserialize_any(self);
        }
        let raw: &RawValue = serde::Deserialize::deserialize(deserializer)?;
        *self.found = match raw.get().as_bytes().first() {
            Some(b'"') => Some(serde_json::from_str(raw.get()).map_err(D::Error::custom)?),
            Some(b'{' | b'[' | b'n') | None => None,
            Some(_) => Some(raw.get().to_owned()),
        };
        Ok(())
    }
}

impl<'json> Visitor<'json> for Follow<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'json>>(self, mut object: A) -> Result<(), A::Error> {
        let [step, further @ ..] = self.steps else { return Ok(()) };
        while let Some(key) = object.next_key::<std::borrow::Cow<'_, str>>()? {
            if key == step.key {
                object.next_value_seed(Follow { steps: further, found: self.found })?;
                return skip_entries(object);
            }
            object.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'json>>(self, mut array: A) -> Result<(), A::Error> {
        let [step, further @ ..] = self.steps else { return Ok(()) };
        let Some(index) = step.index else { return skip_elements(array) };
        for _ in 0..index {
            if array.next_element::<IgnoredAny>()?.is_none() {
                return Ok(());
            }
        }
        array.next_element_seed(Follow { steps: further, found: self.found })?;
        skip_elements(array)
    }
}

fn skip_entries<'json, A: MapAccess<'json>>(mut object: A) -> Result<(), A::Error> {
    while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

fn skip_elements<'json, A: SeqAccess<'json>>(mut array: A) -> Result<(), A::Error> {
    while array.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalar(json: &str, path: &str) -> Option<String> {
        JsonPath::parse(path).unwrap().scalar(json)
    }

    #[test]
    fn scalars_come_as_they_are_written() {
        let json =
            r#"{"text":"a \"b\" \u00e4","whole":15,"real":15.0,"big":1e400,"yes":true,"nothing":null}"#;
        for (path, expected) in [
            ("$.text", Some("a \"b\" ä")),
            ("$.whole", Some("15")),
            ("$.real", Some("15.0")),
            ("$.big", Some("1e400")),
            ("$.yes", Some("true")),
            ("$.nothing", None),
            ("$.absent", None),
        ] {
            assert_eq!(scalar(json, path).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn steps_lead_through_objects_and_arrays() {
        let json = r#"{"a":{"b":[10,[20,{"c d":"x","0":"zero"}]]},"e":"after"}"#;
        for (path, expected) in [
            ("$.a.b[0]", Some("10")),
            ("$.a.b[1][0]", Some("20")),
            (r#"$["a"]["b"][1][1]["c d"]"#, Some("x")),
            ("$.a.b[1][1][0]", Some("zero")),
            ("$.a.b[2]", None),
            ("$.a.b.c", None),
            ("$.a.b", None),
            ("$.a", None),
            ("$", None),
            ("$.e", Some("after")),
            ("$.e.f", None),
        ] {
            assert_eq!(scalar(json, path).as_deref(), expected, "{path}");
        }
        assert_eq!(scalar("7", "$").as_deref(), Some("7"));
        assert_eq!(scalar(r#"{"a\"b\\":1}"#, r#"$["a\"b\\"]"#).as_deref(), Some("1"));
    }

    #[test]
    fn what_is_behind_the_place_does_not_matter_and_what_is_before_does() {
        assert_eq!(scalar(r#"{"a":1,"a":2}"#, "$.a").as_deref(), Some("1"));
        assert_eq!(scalar(r#"{"a":1,"b":oops"#, "$.a").as_deref(), Some("1"));
        assert_eq!(scalar(r#"{"b":oops,"a":1}"#, "$.a"), None);
        assert_eq!(scalar("", "$.a"), None);
        assert_eq!(scalar("no json", "$"), None);
    }

    #[test]
    fn a_path_that_is_none_says_where() {
        for (path, at) in [
            ("", 1),
            ("a", 1),
            ("$.", 2),
            ("$.a..b", 4),
            ("$[", 2),
            ("$[]", 2),
            ("$.a[*]", 4),
            ("$.ä b", 2),
            (r#"$["a]"#, 2),
            (r#"$["\n"]"#, 2),
        ] {
            let error = JsonPath::parse(path).unwrap_err();
            assert_eq!(error, BadPath { path: path.to_owned(), at }, "{path}");
        }
    }
}
