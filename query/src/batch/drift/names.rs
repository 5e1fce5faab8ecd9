//! What the column of a payload field is called.
//!
//! Lower snake case of the key: words are parted where a capital begins one and at everything that is neither letter nor
//! digit. A name that silver has taken gets `x_` in front, one that another field has gets `_2` and so on behind. Names are
//! compared as an engine does that ignores case. Beside each column that is no string, the name with `_text` stays free for
//! the values that do not fit.

use std::collections::HashSet;

/// Beside a column: where its misfits go.
pub const CONFLICT_SUFFIX: &str = "_text";
/// In front of a name that silver has taken, or that would begin with a digit.
const TAKEN_PREFIX: &str = "x_";
/// The name of a key without a letter or digit.
const NAMELESS: &str = "field";
/// Of a name before anything is put in front or behind.
const MAX_NAME_BYTES: usize = 100;

/// The key as a name. Letters and digits of all scripts stay; never empty.
pub fn snake_case(key: &str) -> String {
    let signs: Vec<char> = key.chars().collect();
    let mut name = String::with_capacity(key.len());
    for (place, &sign) in signs.iter().enumerate() {
        if begins_a_word(&signs, place) {
            name.push('_');
        }
        // Some capitals become a letter and a mark, which is none of the signs that stay.
        name.extend(sign.to_lowercase().map(|lower| if lower.is_alphanumeric() { lower } else { '_' }));
    }
    let words: Vec<&str> = name.split('_').filter(|word| !word.is_empty()).collect();
    let joined = cut(&words.join("_"), MAX_NAME_BYTES).trim_end_matches('_').to_owned();
    match joined.chars().next() {
        None => NAMELESS.to_owned(),
        Some(first) if first.is_numeric() => format!("{TAKEN_PREFIX}{joined}"),
        Some(_) => joined,
    }
}

/// `watchTime`: before T. `HTTPStatus`: before S.
fn begins_a_word(signs: &[char], place: usize) -> bool {
    let Some(before) = place.checked_sub(1).map(|index| signs[index]) else { return false };
    let is_before_lower = signs.get(place + 1).is_some_and(|next| next.is_lowercase());
    is_capital(signs[place])
        && (before.is_lowercase() || before.is_numeric() || (is_capital(before) && is_before_lower))
}

/// Some scripts have capitals without a small letter: these stay as they are, and part nothing.
fn is_capital(sign: char) -> bool {
    !sign.to_lowercase().eq(std::iter::once(sign))
}

/// At most so many bytes of `text`, whole characters.
pub(super) fn cut(text: &str, most_bytes: usize) -> &str {
    &text[..text.floor_char_boundary(most_bytes)]
}

/// The same for all spellings that some engine takes for one.
fn folded(name: &str) -> String {
    name.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

/// The names that are taken.
#[derive(Clone, Debug, Default)]
pub struct NameBook {
    fixed: HashSet<String>,
    given: HashSet<String>,
}

impl NameBook {
    /// A book in which silver's own columns stand.
    pub fn new<'a>(fixed: impl IntoIterator<Item = &'a str>) -> Self {
        Self { fixed: fixed.into_iter().map(folded).collect(), given: HashSet::new() }
    }

    /// Enters a column that a field has; with the name beside it, where that must stay free.
    pub fn enter(&mut self, column: &str, with_conflict_column: bool) {
        self.given.insert(folded(column));
        if with_conflict_column {
            self.given.insert(folded(&format!("{column}{CONFLICT_SUFFIX}")));
        }
    }

    /// The name for the column of `key`, and enters it. `is_usable` may refuse names for other reasons; not all of them.
    pub fn give(
        &mut self,
        key: &str,
        with_conflict_column: bool,
        is_usable: impl Fn(&str) -> bool,
    ) -> String {
        let mut base = snake_case(key);
        if self.fixed.contains(&folded(&base)) {
            base = format!("{TAKEN_PREFIX}{base}");
        }
        let mut name = base.clone();
        let mut number = 1_usize;
        // Ends: the book is finite, and `is_usable` refuses finitely many.
        while !self.is_free(&name, with_conflict_column) || !is_usable(&name) {
            number += 1;
            name = format!("{base}_{number}");
        }
        self.enter(&name, with_conflict_column);
        name
    }

    fn is_free(&self, name: &str, with_conflict_column: bool) -> bool {
        let is_taken = |wanted: &str| {
            let wanted = folded(wanted);
            self.fixed.contains(&wanted) || self.given.contains(&wanted)
        };
        !(is_taken(name) || with_conflict_column && is_taken(&format!("{name}{CONFLICT_SUFFIX}")))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_become_lower_snake_case() {
        for (key, name) in [
            ("playback_rate", "playback_rate"),
            ("playbackRate", "playback_rate"),
            ("HTTPStatus", "http_status"),
            ("userID", "user_id"),
            ("ID", "id"),
            ("a1B", "a1_b"),
            ("A/B test.name", "a_b_test_name"),
            ("say \"hi\"", "say_hi"),
            ("it's", "it_s"),
            ("__x__", "x"),
            ("Größe", "größe"),
            ("e\u{301}t", "e_t"),
            ("İstanbul", "i_stanbul"),
            ("画质", "画质"),
            ("2fa", "x_2fa"),
            ("", "field"),
            ("🙂", "field"),
            ("...", "field"),
        ] {
            assert_eq!(snake_case(key), name, "{key}");
        }
        assert_eq!(snake_case(&"ä".repeat(300)).len(), MAX_NAME_BYTES);
    }

    #[test]
    fn taken_names_get_something_in_front_or_behind() {
        let mut book = NameBook::new(["category", "x_region", "region"]);
        let mut give = |key: &str| book.give(key, true, |_| true);
        assert_eq!(give("category"), "x_category");
        assert_eq!(give("x_category"), "x_category_2");
        assert_eq!(give("Category"), "x_category_3");
        assert_eq!(give("region"), "x_region_2");
        assert_eq!(give("playbackRate"), "playback_rate");
        assert_eq!(give("playback.rate"), "playback_rate_2");
    }

    #[test]
    fn the_name_beside_a_column_is_nobody_elses() {
        let mut book = NameBook::new([]);
        assert_eq!(book.give("mood", true, |_| true), "mood");
        assert_eq!(book.give("mood_text", false, |_| true), "mood_text_2");
        assert_eq!(book.give("tone_text", false, |_| true), "tone_text");
        assert_eq!(book.give("tone", true, |_| true), "tone_2", "tone_text is taken");
        assert_eq!(book.give("pitch_text", false, |_| true), "pitch_text");
        assert_eq!(book.give("pitch", false, |_| true), "pitch", "a string needs nothing beside it");
    }

    #[test]
    fn names_that_differ_in_case_alone_are_the_same() {
        let mut book = NameBook::new([]);
        assert_eq!(book.give("s", false, |_| true), "s");
        assert_eq!(book.give("ſ", false, |_| true), "ſ_2", "upper case of both is S");
        assert_eq!(
            book.give("k", false, |name| name != "k" && name != "k_2"),
            "k_3",
            "others may refuse too"
        );
    }

    proptest! {
        #[test]
        fn names_are_names_and_stay_as_they_are(key in any::<String>()) {
            let name = snake_case(&key);
            prop_assert!(!name.is_empty() && name.len() <= MAX_NAME_BYTES + TAKEN_PREFIX.len());
            prop_assert!(name.chars().all(|sign| sign == '_' || sign.is_alphanumeric()), "{name:?}");
            prop_assert_eq!(name.to_lowercase(), name.clone());
            prop_assert_eq!(snake_case(&name), name);
        }

        #[test]
        fn no_two_columns_meet(keys in prop::collection::vec(("[aA_b. ]{0,3}|[ab](_text)?", any::<bool>()), 0..40)) {
            let mut book = NameBook::new(["a", "a_b"]);
            let mut all = HashSet::from(["a".to_owned(), "a_b".to_owned()]);
            for (key, with_conflict_column) in keys {
                let name = book.give(&key, with_conflict_column, |_| true);
                if with_conflict_column {
                    prop_assert!(all.insert(format!("{name}{CONFLICT_SUFFIX}")), "{name}");
                }
                prop_assert!(all.insert(name));
            }
        }
    }
}
