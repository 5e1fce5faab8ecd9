//! Puts untrusted text into an `error_reason`: printable, on one line, and cut.

/// How many characters of a value a reason shows.
const SHOWN_CHARS: usize = 120;

/// The beginning of `text` in at most 120 characters; what doesn't print, breaks the line or reorders it is shown as
/// `\u{…}`, whole.
pub(crate) fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(SHOWN_CHARS) + 4);
    let mut shown_chars = 0;
    for char in text.chars() {
        let escape = is_unprintable(char).then(|| char.escape_unicode());
        shown_chars += escape.as_ref().map_or(1, ExactSizeIterator::len);
        if shown_chars > SHOWN_CHARS {
            out.push('…');
            break;
        }
        match escape {
            Some(escaped) => out.extend(escaped),
            None => out.push(char),
        }
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
    fn escapes_count_as_they_are_shown() {
        assert_eq!(shown(&"\0".repeat(1_000)), format!("{}…", "\\u{0}".repeat(24)));
    }

    #[test]
    fn what_does_not_print_is_escaped() {
        assert_eq!(shown("a\u{0}b\nc\u{202e}d\u{feff}"), "a\\u{0}b\\u{a}c\\u{202e}d\\u{feff}");
        assert_eq!(shown("plain \"quoted\" 東京"), "plain \"quoted\" 東京");
    }
}
