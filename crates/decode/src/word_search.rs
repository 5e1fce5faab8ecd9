//! Finds the bytes that matter inside a JSON string, eight at a time.
//!
//! Strings of events are short: a call into a vectorised search costs more than these few instructions, inlined.

const ONES: u64 = u64::MAX / 255;
const HIGH_BITS: u64 = ONES << 7;
const WORD_BYTES: usize = size_of::<u64>();

/// Marks (by their high bit) the bytes of `word` that are `byte`. Borrows may mark bytes above a true match, never
/// below it: the lowest mark is right.
#[inline]
fn marks_of(word: u64, byte: u8) -> u64 {
    let difference = word ^ (ONES * u64::from(byte));
    difference.wrapping_sub(ONES) & !difference & HIGH_BITS
}

/// Index of the lowest marked byte; 8 when none is.
#[inline]
fn lowest(marks: u64) -> usize {
    (marks.trailing_zeros() / u8::BITS) as usize
}

/// How many bytes at the front of `bytes` stand for themselves inside a JSON string: up to the first quote,
/// backslash or control character.
#[inline]
pub(crate) fn plain_length(bytes: &[u8]) -> usize {
    let mut length = 0;
    while let Some(chunk) = bytes[length..].first_chunk::<WORD_BYTES>() {
        let word = u64::from_le_bytes(*chunk);
        let control_marks = word.wrapping_sub(ONES * 0x20) & !word & HIGH_BITS;
        let marks = control_marks | marks_of(word, b'"') | marks_of(word, b'\\');
        length += lowest(marks);
        if marks != 0 {
            return length;
        }
    }
    let is_plain = |byte: &&u8| !matches!(**byte, b'"' | b'\\' | 0..=0x1f);
    length + bytes[length..].iter().take_while(is_plain).count()
}

/// Whether there is a backslash in `bytes`.
#[inline]
pub(crate) fn has_backslash(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<WORD_BYTES>();
    words.iter().any(|word| marks_of(u64::from_le_bytes(*word), b'\\') != 0) || rest.contains(&b'\\')
}

/// Appends the bytes of `bytes` before its first backslash to `out`, and says how many there are.
#[inline]
pub(crate) fn copy_until_backslash(bytes: &[u8], out: &mut Vec<u8>) -> usize {
    let mut copied = 0;
    while let Some(chunk) = bytes[copied..].first_chunk::<WORD_BYTES>() {
        let plain = lowest(marks_of(u64::from_le_bytes(*chunk), b'\\'));
        // Whole words are copied in one instruction; what was too much is taken back.
        out.extend_from_slice(chunk);
        copied += plain;
        if plain < WORD_BYTES {
            out.truncate(out.len() - (WORD_BYTES - plain));
            return copied;
        }
    }
    let rest = &bytes[copied..];
    let plain = rest.iter().take_while(|byte| **byte != b'\\').count();
    out.extend_from_slice(&rest[..plain]);
    copied + plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILLERS: [u8; 10] = [b'a', 0x7f, 0x80, 0xff, b' ', b'!', b'#', b'[', b']', 0xdc];

    #[test]
    fn what_matters_is_found_wherever_it_stands() {
        for special in [b'"', b'\\', 0, 0x1f] {
            for (position, filler) in (0..40).flat_map(|position| FILLERS.map(|filler| (position, filler))) {
                let mut bytes = vec![filler; 41];
                assert_eq!(plain_length(&bytes), 41, "{filler}");
                bytes[position] = special;
                assert_eq!(plain_length(&bytes), position, "{special} among {filler}");
                bytes[position + 1] = special ^ 1;
                assert_eq!(plain_length(&bytes), position, "{special} before its neighbour");
            }
        }
    }

    #[test]
    fn backslashes_are_found_and_copied_up_to() {
        for (position, filler) in (0..40).flat_map(|position| FILLERS.map(|filler| (position, filler))) {
            let mut bytes = vec![filler; 41];
            assert!(!has_backslash(&bytes), "{filler}");
            assert_eq!(copy_until_backslash(&bytes, &mut Vec::new()), 41);
            bytes[position] = b'\\';
            assert!(has_backslash(&bytes), "{position} among {filler}");
            let mut out = b"kept".to_vec();
            assert_eq!(copy_until_backslash(&bytes, &mut out), position);
            assert_eq!(out[..4], *b"kept");
            assert_eq!(out[4..], bytes[..position]);
        }
    }
}
