//! Bounds of a text column for Iceberg, at a fraction of what Parquet's statistics cost.
//!
//! Values are compared by their first 15 bytes, as one integer each. The bounds hold for every value that was added;
//! they are the smallest and the largest one where those have at most 15 bytes, else a prefix below and a prefix above.

use arrow::array::{Array, StringArray};
use iceberg::spec::Datum;

/// Bytes of a value that are compared.
const PREFIX_BYTES: usize = 15;
/// What the length of a longer value counts as.
const CUT: u8 = PREFIX_BYTES as u8 + 1;

/// `KEPT[n]` leaves the first `n` bytes of a big-endian word.
const KEPT: [u128; PREFIX_BYTES + 1] = {
    let mut masks = [0; PREFIX_BYTES + 1];
    let mut bytes = 1;
    while bytes <= PREFIX_BYTES {
        masks[bytes] = u128::MAX << (128 - 8 * bytes);
        bytes += 1;
    }
    masks
};

/// Smallest and largest key so far. A key is a value's first 15 bytes, zero padded, then its length up to [`CUT`]: keys
/// order as their values do, also where values end in zero bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TextBounds {
    keys: Option<(u128, u128)>,
}

impl TextBounds {
    /// Takes the values that are not null into account.
    pub(crate) fn add(&mut self, values: &StringArray) {
        if values.null_count() > 0 {
            let keys = values.iter().flatten().map(|value| key(value.as_bytes(), 0, value.len()));
            return self.add_keys(keys);
        }
        let (bytes, ends) = (values.value_data(), values.value_offsets());
        // Offsets of an Arrow array are never negative.
        let first = ends.first().zip(ends.get(1)).map(|(&start, &end)| (start as usize, end as usize));
        match first {
            Some((start, end)) if is_repetition(bytes, ends, end - start) => {
                self.add_keys(std::iter::once(key(bytes, start, end)));
            }
            _ => self.add_keys(ends.windows(2).map(|pair| key(bytes, pair[0] as usize, pair[1] as usize))),
        }
    }

    fn add_keys(&mut self, keys: impl Iterator<Item = u128>) {
        let none = (u128::MAX, u128::MIN);
        let (lowest, highest) =
            keys.fold(self.keys.unwrap_or(none), |(low, high), key| (low.min(key), high.max(key)));
        // No key is larger than the largest: untouched bounds are the wrong way round.
        self.keys = (lowest <= highest).then_some((lowest, highest));
    }

    /// Lower and upper bound; `None` without values, and where no text is above the largest.
    pub(crate) fn bounds(&self) -> Option<(Datum, Datum)> {
        let (lowest, highest) = self.keys?;
        let (lower, _) = prefix(lowest);
        let (upper, is_cut) = prefix(highest);
        let upper = if is_cut { just_above(upper)? } else { upper };
        Some((Datum::string(lower), Datum::string(upper)))
    }
}

/// Whether all values are the first one again, which has this many bytes. Two passes of vector instructions, which end
/// at the first difference.
fn is_repetition(bytes: &[u8], ends: &[i32], length: usize) -> bool {
    let (first, last) = (ends[0] as usize, ends[ends.len() - 1] as usize);
    last - first == length * (ends.len() - 1)
        && bytes[first..last - length] == bytes[first + length..last]
        && ends.windows(2).all(|pair| (pair[1] - pair[0]) as usize == length)
}

fn key(bytes: &[u8], start: usize, end: usize) -> u128 {
    let length = end - start;
    let word = match bytes.get(start..).and_then(|rest| rest.first_chunk::<16>()) {
        Some(chunk) => u128::from_be_bytes(*chunk),
        // The array's last few bytes.
        None => {
            let mut padded = [0; 16];
            padded.iter_mut().zip(&bytes[start..end]).for_each(|(to, &from)| *to = from);
            u128::from_be_bytes(padded)
        }
    };
    (word & KEPT[length.min(PREFIX_BYTES)]) | length.min(usize::from(CUT)) as u128
}

/// The text that a key begins with, and whether its value goes on.
fn prefix(key: u128) -> (String, bool) {
    let bytes = key.to_be_bytes();
    let length = bytes[PREFIX_BYTES];
    let text = &bytes[..usize::from(length).min(PREFIX_BYTES)];
    let whole_characters = match std::str::from_utf8(text) {
        Ok(whole) => whole,
        Err(error) => std::str::from_utf8(&text[..error.valid_up_to()]).unwrap_or_default(),
    };
    (whole_characters.to_string(), length == CUT)
}

/// The smallest text of at most as many characters that is above every text that begins with `prefix`.
fn just_above(mut prefix: String) -> Option<String> {
    while let Some(last) = prefix.pop() {
        // The range knows that surrogates are no characters.
        if let Some(next) = (last..=char::MAX).nth(1) {
            prefix.push(next);
            return Some(prefix);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bounds(batches: &[Vec<Option<&str>>]) -> Option<(Datum, Datum)> {
        let mut found = TextBounds::default();
        for batch in batches {
            found.add(&StringArray::from(batch.clone()));
        }
        found.bounds()
    }

    fn of(lower: &str, upper: &str) -> Option<(Datum, Datum)> {
        Some((Datum::string(lower), Datum::string(upper)))
    }

    #[test]
    fn short_values_are_their_own_bounds() {
        assert_eq!(bounds(&[vec![Some("m")], vec![Some("b"), Some("z"), Some("")]]), of("", "z"));
        assert_eq!(bounds(&[vec![Some("exactly fifteen"), None]]), of("exactly fifteen", "exactly fifteen"));
        assert_eq!(bounds(&[vec![Some("a"), Some("a\0")]]), of("a", "a\0"));
    }

    #[test]
    fn a_repetition_is_told_from_what_only_looks_like_one() {
        assert_eq!(bounds(&[vec![Some("ab"); 50], vec![Some("")]]), of("", "ab"));
        // The same bytes as three times "aa".
        assert_eq!(bounds(&[vec![Some("aa"), Some("a"), Some("aaa")]]), of("a", "aaa"));
        assert_eq!(bounds(&[vec![Some("ab"), Some("ab"), Some("ac")]]), of("ab", "ac"));
    }

    #[test]
    fn long_values_are_cut_below_and_raised_above() {
        assert_eq!(bounds(&[vec![Some("0123456789abcdefgh")]]), of("0123456789abcde", "0123456789abcdf"));
        // The 15th byte is inside a character.
        assert_eq!(bounds(&[vec![Some("0123456789abcdéé")]]), of("0123456789abcd", "0123456789abce"));
        let below_surrogates = format!("a{}", "\u{d7ff}".repeat(9));
        let above = format!("a{}\u{e000}", "\u{d7ff}".repeat(3));
        assert_eq!(bounds(&[vec![Some(&below_surrogates)]]).unwrap().1, Datum::string(above));
    }

    #[test]
    fn without_values_or_without_a_text_above_there_are_no_bounds() {
        assert_eq!(bounds(&[vec![], vec![None]]), None);
        assert_eq!(bounds(&[vec![Some(&"\u{10ffff}".repeat(5))]]), None);
    }

    proptest! {
        #[test]
        fn every_value_is_within_the_bounds(
            values in prop::collection::vec("[a-b\u{0}é\u{d7ff}\u{10fffe}]{0,20}", 1..40),
            cut in 0usize..40,
        ) {
            let array = StringArray::from_iter_values(&values);
            let cut = cut.min(values.len());
            let mut found = TextBounds::default();
            found.add(&array.slice(0, cut));
            found.add(&array.slice(cut, values.len() - cut));
            let (lower, upper) = found.bounds().unwrap();
            for value in &values {
                prop_assert!(lower <= Datum::string(value) && Datum::string(value) <= upper, "{value:?}");
            }
            if values.iter().all(|value| value.len() <= PREFIX_BYTES) {
                prop_assert_eq!(&lower, &Datum::string(values.iter().min().unwrap()));
                prop_assert_eq!(&upper, &Datum::string(values.iter().max().unwrap()));
            }
        }
    }
}
