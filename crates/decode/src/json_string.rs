//! Unescapes the source text of a JSON string.
//!
//! Escapes are where a well-formed JSON text can still fail to be UTF-8: a lone surrogate has no encoding.

use std::borrow::Cow;

use crate::word_search::{copy_until_backslash, has_backslash};

/// A `\u` escape that names half a surrogate pair: the string has no UTF-8 form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LoneSurrogate;

/// The content of the JSON string whose source text is `raw`, quotes included. Borrowed when nothing is escaped;
/// else unescaped into the buffer taken from `spare`, so that a caller who puts it back allocates once.
///
/// `raw` must be a well-formed JSON string; of a text that is not, some content is returned.
pub(crate) fn unescape<'a>(raw: &'a str, spare: &mut String) -> Result<Cow<'a, str>, LoneSurrogate> {
    let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
    if !has_backslash(inner.as_bytes()) {
        return Ok(Cow::Borrowed(inner));
    }
    let mut out = std::mem::take(spare).into_bytes();
    out.clear();
    out.reserve(inner.len());
    let outcome = unescape_into(inner.as_bytes(), &mut out);
    // Only whole characters are copied, so that the text is UTF-8 again; a text that is no JSON string may end here.
    let content = String::from_utf8(out).map_err(|_| LoneSurrogate)?;
    if let Err(lone_surrogate) = outcome {
        *spare = content;
        return Err(lone_surrogate);
    }
    Ok(Cow::Owned(content))
}

/// Appends the content of a string's `inner` source to `out`.
fn unescape_into(inner: &[u8], out: &mut Vec<u8>) -> Result<(), LoneSurrogate> {
    let mut at = copy_until_backslash(inner, out);
    while at < inner.len() {
        let (char, after) = escape(inner, at)?;
        out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
        at = after + copy_until_backslash(&inner[after..], out);
    }
    Ok(())
}

/// The character that the escape at `at` names, and where the text goes on behind it.
fn escape(inner: &[u8], at: usize) -> Result<(char, usize), LoneSurrogate> {
    let char = match inner.get(at + 1) {
        Some(b'u') => return unicode_escape(inner, at),
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(byte) if byte.is_ascii() => char::from(*byte),
        // No JSON string has this; the caller's text ends here or goes on behind the backslash.
        _ => return Ok(('\\', at + 1)),
    };
    Ok((char, at + 2))
}

/// The character that the `\u` escape at `escape` names, and where the text goes on behind it.
fn unicode_escape(bytes: &[u8], escape: usize) -> Result<(char, usize), LoneSurrogate> {
    let unit = hex_unit(bytes, escape).ok_or(LoneSurrogate)?;
    if let Some(char) = char::from_u32(unit) {
        return Ok((char, escape + 6));
    }
    let low = hex_unit(bytes, escape + 6).ok_or(LoneSurrogate)?;
    if !(0xd800..=0xdbff).contains(&unit) || !(0xdc00..=0xdfff).contains(&low) {
        return Err(LoneSurrogate);
    }
    let code_point = 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
    char::from_u32(code_point).map(|char| (char, escape + 12)).ok_or(LoneSurrogate)
}

/// The UTF-16 unit of the `\uXXXX` at `at`; `None` when there is none.
fn hex_unit(bytes: &[u8], at: usize) -> Option<u32> {
    let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn content(raw: &str) -> Result<String, LoneSurrogate> {
        unescape(raw, &mut String::new()).map(Cow::into_owned)
    }

    #[test]
    fn every_escape_is_read() {
        let raw = r#""a\"b\\c\/d\be\ff\ng\rh\ti\u0000\u00e9\ud83d\ude00z""#;
        assert_eq!(content(raw).unwrap(), "a\"b\\c/d\u{8}e\u{c}f\ng\rh\ti\u{0}é😀z");
        assert_eq!(content(r#""""#).unwrap(), "");
        assert_eq!(content(r#""\\""#).unwrap(), "\\");
        assert_eq!(content(r#""\\\\n""#).unwrap(), "\\\\n");
        assert_eq!(content(r#""\\é\"""#).unwrap(), "\\é\"");
    }

    #[test]
    fn lone_surrogates_are_refused() {
        for raw in [
            r#""\ud800""#,
            r#""\udc00""#,
            r#""\ud800\ud800""#,
            r#""\ud800x""#,
            r#""\ud83d\n""#,
            r#""\udc00\ud800""#,
        ] {
            assert_eq!(content(raw), Err(LoneSurrogate), "{raw}");
        }
    }

    #[test]
    fn what_is_not_escaped_is_borrowed_and_the_buffer_is_kept() {
        let mut spare = String::with_capacity(64);
        assert!(matches!(unescape("\"plain\"", &mut spare), Ok(Cow::Borrowed("plain"))));
        assert_eq!(unescape(r#""\ud800""#, &mut spare), Err(LoneSurrogate));
        assert_eq!(spare.capacity(), 64);
    }

    #[test]
    fn a_text_that_is_no_json_string_does_not_panic() {
        for raw in
            ["", "\"", "\\", "\"\\", "\"\\\"", "\"\\u12\"", "é", "\"\\é\"", "\"\\ué\"", "\"\\ud800\\ué\""]
        {
            let _ = content(raw);
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_serde_json(pieces in prop::collection::vec(
            prop_oneof!["[a-z é東😀]{0,4}", r#"\\["\\/bfnrt]"#, r"\\u[0-9a-fA-F]{4}", r"\\ud[89ab][0-9a-f]{2}", r"\\uD[C-F][0-9A-F]{2}"], 0..12,
        )) {
            let raw = format!("\"{}\"", pieces.concat());
            prop_assert_eq!(content(&raw).ok(), serde_json::from_str::<String>(&raw).ok());
        }
    }
}
