//! Why a record goes to quarantine, in words that can be shown.

use pulselake_decode::Rejection;
use pulselake_model::ErrorCode;

/// How many characters of a value a reason shows.
const SHOWN_CHARS: usize = 120;

/// A rejection; changes state no schema version.
pub(crate) fn rejection(code: ErrorCode, reason: impl Into<String>) -> Rejection {
    Rejection { code, reason: reason.into(), schema_version: None }
}

/// `WRONG_TYPE` of a field whose source text is `raw`.
pub(crate) fn wrong_type(field: &str, expected: &str, raw: &str) -> Rejection {
    let reason = format!("{} must be {expected}, not {}: {}", shown(field), json_type(raw), shown(raw));
    rejection(ErrorCode::WrongType, reason)
}

/// `MISSING_FIELD`: `how` says whether it is absent, null or empty.
pub(crate) fn missing(field: &str, how: &str) -> Rejection {
    rejection(ErrorCode::MissingField, format!("{} {how}", shown(field)))
}

/// The beginning of untrusted text on one line: what doesn't print, breaks the line or reorders it is escaped.
pub(crate) fn shown(text: &str) -> String {
    let mut out = String::new();
    let mut left = SHOWN_CHARS;
    for char in text.chars() {
        let hides = char.is_control()
            || matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
        let piece = if hides { char.escape_unicode().to_string() } else { char.to_string() };
        let width = piece.chars().count();
        if width > left {
            out.push('…');
            break;
        }
        left -= width;
        out.push_str(&piece);
    }
    out
}

/// What the source text of a JSON value is, in words.
pub(crate) fn json_type(raw: &str) -> &'static str {
    match raw.as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_cut_and_printable() {
        assert_eq!(shown("a\nb\u{202e}c"), "a\\u{a}b\\u{202e}c");
        assert_eq!(shown(&"é".repeat(121)), format!("{}…", "é".repeat(120)));
        assert_eq!(shown(&"\0".repeat(1_000)), format!("{}…", "\\u{0}".repeat(24)));
    }
}
