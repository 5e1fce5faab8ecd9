//! Reads `watch_time_ms` out of an event's body, for the aggregator.

use crate::digits::plain_number;
use crate::json_string::unescape;
use crate::scan::{Key, Scanner, Walked};

/// The longest watch time that counts, in milliseconds: seven days. A longer one is a broken client's and counts 0.
pub const MAX_WATCH_TIME_MS: i64 = 604_800_000;

const FIELD: &str = "watch_time_ms";

/// The top-level `watch_time_ms` of a body, in milliseconds; 0 when the body isn't one JSON object or the field is
/// absent, no whole number, or outside 0 to [`MAX_WATCH_TIME_MS`]. Of several, the last one counts.
pub fn of_text(body: &str) -> i64 {
    let mut found = 0;
    let walked =
        Scanner::walk_object(body, usize::MAX, |scanner, key| take_entry(scanner, key, 1, &mut found));
    if walked.is_ok() { found } else { 0 }
}

/// The same of the object whose `{` is at the scanner and which is level `level`; moves over it.
pub(crate) fn of_object(scanner: &mut Scanner<'_>, level: usize) -> Walked<i64> {
    let mut found = 0;
    scanner.object(level, |inner, key| take_entry(inner, key, level, &mut found))?;
    Ok(found)
}

#[inline(always)]
fn take_entry(scanner: &mut Scanner<'_>, key: Key, level: usize, found: &mut i64) -> Walked<()> {
    let start = scanner.position();
    scanner.value(level)?;
    if is_the_field(scanner, key) {
        *found = whole_number(scanner.source_since(start)).unwrap_or(0);
    }
    Ok(())
}

#[inline]
fn is_the_field(scanner: &Scanner<'_>, key: Key) -> bool {
    if key.is_escaped {
        return unescape(scanner.raw_key(key)).is_ok_and(|name| name == FIELD);
    }
    scanner.raw_name(key) == FIELD.as_bytes()
}

/// The watch time whose source text is `raw`: a whole number in range, else none.
pub fn whole_number(raw: &str) -> Option<i64> {
    let number = match plain_number(raw) {
        Some(integer) => integer,
        // `5400.0` and `5.4e3` are the same JSON number as 5400. Text of another type fails here.
        None => {
            let float: f64 = raw.parse().ok()?;
            let is_in_range = (0.0..=MAX_WATCH_TIME_MS as f64).contains(&float);
            if !is_in_range || float.fract() != 0.0 {
                return None;
            }
            float as i64
        }
    };
    (0..=MAX_WATCH_TIME_MS).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_in_range_count() {
        let cases = [
            (r#"{"watch_time_ms":5400,"x":1}"#, 5_400),
            (r#"{"x":{"watch_time_ms":1},"watch_time_ms": 7 }"#, 7),
            (r#"{"watch_time_ms":1,"watch_time_ms":2}"#, 2),
            (r#"{"watch\u005ftime_ms":9}"#, 9),
            (r#" {"watch_time_ms":5400.0} "#, 5_400),
            (r#"{"watch_time_ms":5.4e3}"#, 5_400),
            (r#"{"watch_time_ms":604800000}"#, MAX_WATCH_TIME_MS),
            (r#"{"a\\":"\"watch_time_ms\":3","watch_time_ms":4}"#, 4),
        ];
        for (body, expected) in cases {
            assert_eq!(of_text(body), expected, "{body}");
        }
    }

    #[test]
    fn everything_else_is_zero() {
        let cases = [
            "",
            "{}",
            "watch_time_ms",
            "[{\"watch_time_ms\":5}]",
            r#"{"watch_time_ms":5"#,
            r#"{"watch_time_ms":5} x"#,
            r#"{"watch_time_ms":5,}"#,
            r#"{"watch_time_ms":"5"}"#,
            r#"{"watch_time_ms":null}"#,
            r#"{"watch_time_ms":true}"#,
            r#"{"watch_time_ms":[5]}"#,
            r#"{"watch_time_ms":-1}"#,
            r#"{"watch_time_ms":-0.0}"#,
            r#"{"watch_time_ms":5.5}"#,
            r#"{"watch_time_ms":604800001}"#,
            r#"{"watch_time_ms":1e999}"#,
            r#"{"watch_time_ms":99999999999999999999}"#,
            r#"{"x":{"watch_time_ms":5}}"#,
            r#"{"x":"watch_time_ms"}"#,
            r#"{"watch_time_ms":5,"watch_time_ms":"x"}"#,
            r#"{"watch_time_ms\ud800":5}"#,
            r#"{"watch_time_ms":NaN}"#,
            r#"{"watch_time_ms":inf}"#,
        ];
        for body in cases {
            assert_eq!(of_text(body), 0, "{body}");
        }
    }

    #[test]
    fn deep_bodies_cost_no_stack() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert_eq!(of_text(&format!("{{\"x\":{deep},\"watch_time_ms\":5}}")), 5);
    }
}
