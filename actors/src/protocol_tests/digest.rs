//! Hashes that are quick without optimisation, for a test that looks millions of keys up.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map whose keys are small numbers of the test's own making.
pub type QuickMap<K, V> = HashMap<K, V, BuildHasherDefault<QuickHasher>>;

/// One multiplication a word.
#[derive(Default)]
pub struct QuickHasher(u64);

impl Hasher for QuickHasher {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }
    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }
    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(23) ^ value).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }
    fn write_isize(&mut self, value: isize) {
        self.write_u64(value as u64);
    }
}

/// 128 bits that stand for a text. Two parts with one digest would hide a state, so it is wide; nobody chooses the
/// texts to make them meet.
pub fn digest(text: &str) -> u128 {
    let (mut one, mut other) = (text.len() as u64, 0x51_7C_C1_B7_27_22_0A_95_u64);
    let mut chunks = text.as_bytes().chunks_exact(8);
    let mut mix = |word: u64| {
        one = (one.rotate_left(29) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        other = (other ^ word.rotate_left(32)).wrapping_mul(0xD6E8_FEB8_6659_FD93).rotate_left(31);
    };
    for chunk in chunks.by_ref() {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        mix(u64::from_le_bytes(word));
    }
    chunks.remainder().iter().for_each(|byte| mix(u64::from(*byte)));
    mix(0);
    u128::from(one) << 64 | u128::from(other)
}
