//! Reads the top-level fields of an event's body, for whoever works on bronze: with the judgement of the stream.

use std::borrow::Cow;

use crate::json_string::{between_quotes, unescape};
use crate::scan::Scanner;

/// Hands out the fields of `body`, each key with its value as it is written, in the order in which they stand there: of
/// equal keys the last one counts. False where the body is not one JSON object; what was handed out before counts for
/// nothing then.
///
/// A key with a lone surrogate, which no text can hold, is handed out as it is written. Any depth costs no stack, and
/// fields without escapes in their keys allocate nothing.
pub fn walk_body<'a>(body: &'a str, mut on_field: impl FnMut(Cow<'a, str>, &'a str)) -> bool {
    let walked = Scanner::walk_object(body, usize::MAX, |scanner, key| {
        let start = scanner.position();
        scanner.value(1)?;
        let raw_key = scanner.raw_key(key);
        let name = match key.is_escaped {
            true => string_content(raw_key),
            false => Cow::Borrowed(between_quotes(raw_key)),
        };
        on_field(name, scanner.source_since(start));
        Ok(())
    });
    walked.is_ok()
}

/// The content of the JSON string that is written as `raw`, quotes included; with a lone surrogate, what is between them.
pub fn string_content(raw: &str) -> Cow<'_, str> {
    unescape(raw).unwrap_or_else(|_| Cow::Borrowed(between_quotes(raw)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(body: &str) -> Option<Vec<(String, String)>> {
        let mut found = Vec::new();
        walk_body(body, |key, raw| found.push((key.into_owned(), raw.to_owned()))).then_some(found)
    }

    fn pairs(expected: &[(&str, &str)]) -> Option<Vec<(String, String)>> {
        Some(expected.iter().map(|(key, raw)| ((*key).to_owned(), (*raw).to_owned())).collect())
    }

    #[test]
    fn fields_come_in_their_order_as_they_are_written() {
        let body = r#" {"a": 1.50,"b":{"a" : [1, 2]} ,"a":"x\"y","":null,"k\"\u00e4.b c":true} "#;
        let expected = pairs(&[
            ("a", "1.50"),
            ("b", r#"{"a" : [1, 2]}"#),
            ("a", r#""x\"y""#),
            ("", "null"),
            ("k\"ä.b c", "true"),
        ]);
        assert_eq!(fields(body), expected);
        assert_eq!(fields("{}"), pairs(&[]));
    }

    #[test]
    fn what_is_no_object_to_its_end_is_told() {
        for body in [
            "",
            "null",
            "[]",
            "7",
            "\"{}\"",
            r#"{"a":1"#,
            r#"{"a":1} x"#,
            r#"{"a":1,}"#,
            r#"{"a":1,"b":oops}"#,
            "{a:1}",
        ] {
            assert_eq!(fields(body), None, "{body}");
        }
    }

    #[test]
    fn depth_lone_surrogates_and_numbers_without_bounds_are_no_obstacle() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        let body = format!(r#"{{"deep":{deep},"lone\ud800":"\udc00","n":1e999}}"#);
        assert_eq!(fields(&body), pairs(&[("deep", &deep), ("lone\\ud800", r#""\udc00""#), ("n", "1e999")]));
    }
}
