//! What a source's column is called in the tables.

use std::borrow::Cow;

/// Columns that the engine itself fills, in one or both tables.
pub(crate) const BOOKKEEPING: [&str; 10] = [
    "updated_at",
    "source_ts_ms",
    "op",
    "valid_from",
    "source_position",
    "source_position_minor",
    "version_hash",
    "source_topic",
    "source_partition",
    "source_offset",
];
/// What a source's column is called whose name the engine has taken.
const SOURCE_PREFIX: &str = "src_";
const MAX_NAME_BYTES: usize = 255;

/// Whether no column can have such a name.
pub(crate) fn is_unnamable(name: &str) -> bool {
    name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control)
}

/// What a source's column is called in the tables: its own name, with a prefix where the engine has taken it. Distinct
/// names stay distinct: `src_op` is not what `op` becomes.
pub(crate) fn further_name(source_name: &str) -> Cow<'_, str> {
    let mut bare = source_name;
    while let Some(rest) = strip_prefix_ignoring_case(bare, SOURCE_PREFIX) {
        bare = rest;
    }
    if BOOKKEEPING.iter().any(|taken| taken.eq_ignore_ascii_case(bare)) {
        format!("{SOURCE_PREFIX}{source_name}").into()
    } else {
        source_name.into()
    }
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinct_names_stay_distinct() {
        let cases = [
            ("title", "title"),
            ("src_title", "src_title"),
            ("op", "src_op"),
            ("src_op", "src_src_op"),
            ("SRC_Op", "src_SRC_Op"),
            ("source_offset", "src_source_offset"),
        ];
        for (source_name, expected) in cases {
            assert_eq!(further_name(source_name), expected);
        }
    }

    #[test]
    fn names_that_would_hide_or_break_something_are_refused() {
        assert!(is_unnamable("") && is_unnamable("a\u{0}") && is_unnamable(&"x".repeat(256)));
        assert!(!is_unnamable("größe 1") && !is_unnamable(&"x".repeat(255)));
    }
}
