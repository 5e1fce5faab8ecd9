//! Finds the bytes that matter inside JSON strings, 64 at a time.
//!
//! The strings of events are short: asking a vectorised search for the end of each costs more than marking a whole
//! block of text once and then looking for the next bit. Blocks are marked when the reader gets there, so that this
//! needs no memory.

use wide::u8x16;

const BLOCK_BYTES: usize = 64;
const VECTOR_BYTES: usize = 16;
const LAST_CONTROL_CHARACTER: u8 = 0x1f;

/// The marks of one text: its quotes, backslashes and control characters, whether inside a string or not.
#[derive(Clone, Copy)]
pub(crate) struct Marks<'a> {
    bytes: &'a [u8],
    /// Where the marked block begins; nothing is marked yet when that is behind every text.
    block_start: usize,
    /// The block's marks, its first byte in the lowest bit. Behind the end of the text all is marked.
    bits: u64,
}

impl<'a> Marks<'a> {
    /// The marks of `bytes`.
    #[inline]
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, block_start: usize::MAX, bits: 0 }
    }

    /// The first marked position at or behind `from`; the length of the text (or more, where `from` is more) when
    /// there is none. Meant to be asked for ever later positions: going back marks a block again.
    #[inline]
    pub(crate) fn next(&mut self, from: usize) -> usize {
        let mut at = from;
        loop {
            let block_start = at & !(BLOCK_BYTES - 1);
            if block_start != self.block_start {
                if at >= self.bytes.len() {
                    return at;
                }
                self.bits = marks_at(self.bytes, block_start);
                self.block_start = block_start;
            }
            let ahead = self.bits >> (at - block_start);
            if ahead != 0 {
                return at + ahead.trailing_zeros() as usize;
            }
            at = block_start + BLOCK_BYTES;
        }
    }
}

/// The marks of the block at `block_start`, which is no later than the end of `bytes`.
#[inline(never)]
fn marks_at(bytes: &[u8], block_start: usize) -> u64 {
    let ahead = &bytes[block_start..];
    if let Some(block) = ahead.first_chunk() {
        return marks_of_block(block);
    }
    // Filled up with zeros, which are control characters: the end of the text is marked.
    let mut block = [0; BLOCK_BYTES];
    block[..ahead.len()].copy_from_slice(ahead);
    marks_of_block(&block)
}

#[inline]
fn marks_of_block(block: &[u8; BLOCK_BYTES]) -> u64 {
    let (vectors, _) = block.as_chunks::<VECTOR_BYTES>();
    vectors.iter().rev().fold(0, |bits, vector| bits << VECTOR_BYTES | marks_of_vector(*vector))
}

#[inline]
fn marks_of_vector(vector: [u8; VECTOR_BYTES]) -> u64 {
    let bytes = u8x16::new(vector);
    let quotes = bytes.simd_eq(u8x16::splat(b'"'));
    let backslashes = bytes.simd_eq(u8x16::splat(b'\\'));
    let control_characters = bytes.simd_eq(bytes.min(u8x16::splat(LAST_CONTROL_CHARACTER)));
    u64::from((quotes | backslashes | control_characters).to_bitmask())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is_special(byte: u8) -> bool {
        matches!(byte, b'"' | b'\\' | 0..=0x1f)
    }

    #[test]
    fn every_byte_is_marked_or_not() {
        for byte in 0..=u8::MAX {
            for length in [1, 63, 64, 65, 200] {
                let bytes = vec![byte; length];
                let mut marks = Marks::new(&bytes);
                let expected = if is_special(byte) { 0 } else { length };
                assert_eq!(marks.next(0), expected, "{byte} {length}");
                assert_eq!(marks.next(length), length);
                assert_eq!(marks.next(length + 70), length + 70);
            }
        }
        assert_eq!(Marks::new(b"").next(0), 0);
    }

    proptest! {
        #[test]
        fn it_finds_what_a_search_byte_by_byte_finds(
            bytes in prop::collection::vec(prop_oneof![20 => Just(b'a'), 1 => any::<u8>(), 1 => Just(b'"')], 0..400),
            steps in prop::collection::vec(0..90_usize, 1..20),
        ) {
            let mut marks = Marks::new(&bytes);
            let mut from = 0;
            for step in steps {
                let found = marks.next(from);
                let expected = bytes.iter().skip(from).position(|byte| is_special(*byte));
                prop_assert_eq!(found, expected.map_or(bytes.len().max(from), |distance| from + distance));
                from += step;
            }
        }
    }
}
