//! Unescapes the source text of one JSON string.

use std::borrow::Cow;

use crate::scan::{Scanner, StringContent};
use crate::unescaped::Unescaped;

/// A `\u` escape that names half a surrogate pair: the string has no UTF-8 form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LoneSurrogate;

/// The content of the JSON string whose source text is `raw`, quotes included. Borrowed when nothing is escaped.
///
/// `raw` must be a well-formed JSON string; a text that is not is taken for one with a lone surrogate.
pub(crate) fn unescape(raw: &str) -> Result<Cow<'_, str>, LoneSurrogate> {
    if !raw.starts_with('"') {
        return Err(LoneSurrogate);
    }
    let mut out = Unescaped::default();
    match Scanner::at_start_of(raw, 0).string_into(&mut out) {
        Ok(StringContent::AsWritten) => Ok(Cow::Borrowed(between_quotes(raw))),
        // Only whole characters are written, so that the text is UTF-8 again.
        Ok(StringContent::Unescaped) => {
            let content = std::str::from_utf8(out.content()).map_err(|_| LoneSurrogate)?;
            Ok(Cow::Owned(content.to_owned()))
        }
        Ok(StringContent::LoneSurrogate) | Err(_) => Err(LoneSurrogate),
    }
}

/// A string's source text without its quotes.
#[inline]
pub(crate) fn between_quotes(raw: &str) -> &str {
    raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn content(raw: &str) -> Result<String, LoneSurrogate> {
        unescape(raw).map(Cow::into_owned)
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
    fn what_is_not_escaped_is_borrowed() {
        assert!(matches!(unescape("\"plain\""), Ok(Cow::Borrowed("plain"))));
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
