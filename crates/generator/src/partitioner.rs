//! Which partition a key belongs to: the one that Kafka's own default partitioner picks.
//!
//! So records of this log that are produced to a topic of as many partitions, by any client with that partitioner,
//! lie in the partitions that they have here.

/// The partition of `key` among `partitions` (at least 1): murmur2 as Kafka's clients compute it, sign bit dropped.
pub fn partition_of_key(key: &[u8], partitions: i32) -> i32 {
    (murmur2(key) & 0x7FFF_FFFF) as i32 % partitions.max(1)
}

fn murmur2(bytes: &[u8]) -> u32 {
    const FACTOR: u32 = 0x5BD1_E995;
    let mut hash = 0x9747_B28C ^ bytes.len() as u32;
    let (words, rest) = bytes.as_chunks::<4>();
    for word in words {
        let mut mixed = u32::from_le_bytes(*word).wrapping_mul(FACTOR);
        mixed = (mixed ^ (mixed >> 24)).wrapping_mul(FACTOR);
        hash = hash.wrapping_mul(FACTOR) ^ mixed;
    }
    if !rest.is_empty() {
        for (place, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * place);
        }
        hash = hash.wrapping_mul(FACTOR);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(FACTOR);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_kafkas_own_test() {
        for (key, expected) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()) as i32, expected, "{key}");
        }
    }
}
