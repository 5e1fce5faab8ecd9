//! Puts untrusted text into an `error_reason`: printable, on one line, and cut.

use std::fmt::Write;

/// How many characters of a value a reason shows.
const SHOWN_CHARS: usize = 120;

/// The first 120 characters of `text`; what doesn't print, breaks the line or reorders it is shown as `\u{…}`.
pub(crate) fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(SHOWN_CHARS) + 4);
    let mut chars = text.chars();
    for char in chars.by_ref().take(SHOWN_CHARS) {
        if is_unprintable(char) {
            // Writing to a String can't fail.
            let _ = write!(out, "{}", char.escape_unicode());
        } else {
            out.push(char);
        }
    }
    if chars.next().is_some() {
        out.push('…');
    }
    out
}

/// The first 120 characters of `text` as they are: for values that are stored, not shown.
pub(crate) fn cut(text: &str) -> &str {
    text.char_indices().nth(SHOWN_CHARS).map_or(text, |(end, _)| &text[..end])
}

/// Control characters, line separators, and the invisible ones that reorder or hide text.
fn is_unprintable(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_cut_at_a_character() {
        assert_eq!(shown(&"é".repeat(120)), "é".repeat(120));
        assert_eq!(shown(&"é".repeat(121)), format!("{}…", "é".repeat(120)));
        assert_eq!(cut(&"é".repeat(121)), "é".repeat(120));
        assert_eq!(cut("short"), "short");
    }

    #[test]
    fn what_does_not_print_is_escaped() {
        assert_eq!(shown("a\u{0}b\nc\u{202e}d\u{feff}"), "a\\u{0}b\\u{a}c\\u{202e}d\\u{feff}");
        assert_eq!(shown("plain \"quoted\" 東京"), "plain \"quoted\" 東京");
    }
}
