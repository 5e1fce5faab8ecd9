//! The two hashes that other parts store or compare: both are part of what a restart relies on.

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// xxh3-64 (seed 0) of a record's value: the identity that the ledger keeps of the last record it consumed.
pub fn record_hash(value: &[u8]) -> u64 {
    xxh3_64(value)
}

/// xxh3-128 (seed 0) of an `event_id` as read (unescaped): the key of deduplication.
pub fn event_id_hash(event_id: &str) -> u128 {
    xxh3_128(event_id.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values are in ledgers on disk: a library update that changed them would fence every restart.
    #[test]
    fn the_hashes_are_those_of_the_published_algorithm() {
        assert_eq!(record_hash(b""), 0x2d06_8005_38d3_94c2);
        assert_eq!(event_id_hash(""), 0x99aa_06d3_0147_98d8_6001_c324_468d_497f);
    }
}
