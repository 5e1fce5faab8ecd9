//! Whether a text that should be JSON, and may be anything, mentions an id as a value.
//!
//! What parses is searched value by value, so that any way to escape a character is seen through, and strings that hold
//! JSON themselves are searched too. Of what does not parse, the quoted id counts, also with escaped quotes.

use memchr::memmem::Finder;
use serde_json::Value;

/// Strings in strings in strings; beyond, the plain search decides.
const MAX_DEPTH: usize = 4;

/// Looks for one id.
pub struct MentionFinder {
    id: String,
    plain: Finder<'static>,
    escape: Finder<'static>,
    quoted: Vec<Finder<'static>>,
}

impl MentionFinder {
    /// A finder of `id`.
    pub fn new(id: &str) -> Self {
        // As it stands in JSON, and in JSON within a JSON string.
        let once = serde_json::Value::from(id).to_string();
        let twice = serde_json::Value::from(once.as_str()).to_string();
        let inner = twice[1..twice.len() - 1].to_string();
        Self {
            id: id.to_string(),
            plain: Finder::new(id.as_bytes()).into_owned(),
            escape: Finder::new(b"\\").into_owned(),
            quoted: [once, inner].iter().map(|text| Finder::new(text.as_bytes()).into_owned()).collect(),
        }
    }

    /// Whether `text` has the id as a value.
    pub fn is_in(&self, text: &[u8]) -> bool {
        // Without the id as it is, only an escaped character can hide it.
        if self.plain.find(text).is_none() && self.escape.find(text).is_none() {
            return false;
        }
        match serde_json::from_slice::<Value>(text) {
            Ok(value) => self.is_value(&value, 0),
            Err(_) => self.is_quoted(text),
        }
    }

    fn is_quoted(&self, text: &[u8]) -> bool {
        self.quoted.iter().any(|finder| finder.find(text).is_some())
    }

    fn is_value(&self, value: &Value, depth: usize) -> bool {
        match value {
            Value::String(text) => *text == self.id || self.is_nested(text, depth),
            // A producer that sends ids as numbers.
            Value::Number(number) => number.to_string() == self.id,
            Value::Array(values) => values.iter().any(|inner| self.is_value(inner, depth)),
            Value::Object(fields) => fields.values().any(|inner| self.is_value(inner, depth)),
            Value::Null | Value::Bool(_) => false,
        }
    }

    fn is_nested(&self, text: &str, depth: usize) -> bool {
        let may_be_json = text.trim_start().starts_with(['{', '[', '"']);
        if !may_be_json {
            return false;
        }
        if depth >= MAX_DEPTH {
            return self.plain.find(text.as_bytes()).is_some();
        }
        match serde_json::from_str::<Value>(text) {
            Ok(value) => self.is_value(&value, depth + 1),
            Err(_) => self.is_quoted(text.as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_cases() {
        let finder = MentionFinder::new("u_8812");
        let cases: [(&str, &[u8], bool); 14] = [
            ("a value", br#"{"user_id":"u_8812"}"#, true),
            ("with spaces", br#" {"user_id" : "u_8812" } "#, true),
            ("a longer id", br#"{"user_id":"u_88123"}"#, false),
            ("a part of a sentence", br#"{"text":"hello u_8812!"}"#, false),
            ("a field's name", br#"{"u_8812":1}"#, false),
            ("in an array of an object", br#"{"a":[{"b":"u_8812"}]}"#, true),
            ("escaped", br#"{"user_id":"\u0075_8812"}"#, true),
            ("in a JSON string", br#"{"payload_json":"{\"friend\":\"u_8812\"}"}"#, true),
            ("escaped in a JSON string", br#"{"payload_json":"{\"friend\":\"\\u0075_8812\"}"}"#, true),
            ("malformed", br#"{"user_id":"u_8812","#, true),
            ("malformed within a string", br#"{"payload_json":"{\"user_id\":\"u_8812\",","x"#, true),
            ("malformed, a longer id", br#"{"user_id":"u_88123","#, false),
            ("not UTF-8", b"{\"user_id\":\"u_8812\",\"x\":\"\xff\"}", true),
            ("nothing", b"", false),
        ];
        for (name, text, expected) in cases {
            assert_eq!(finder.is_in(text), expected, "{name}");
        }
    }

    #[test]
    fn ids_that_need_escapes_and_ids_that_are_numbers() {
        let quoted = MentionFinder::new(r#"a"b"#);
        assert!(quoted.is_in(br#"{"user_id":"a\"b"}"#));
        assert!(quoted.is_in(br#"{"user_id":"a\"b","#));
        let number = MentionFinder::new("8812");
        assert!(number.is_in(br#"{"user_id":8812}"#));
        assert!(!number.is_in(br#"{"user_id":88120}"#));
    }
}
