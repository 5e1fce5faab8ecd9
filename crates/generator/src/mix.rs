//! Integer mixing: the one hash behind everything that is a fixed trait of a video, a user or a seat.
//!
//! Frozen: changing a constant here changes every log.

/// 2⁶⁴ divided by the golden ratio: steps of a Weyl sequence.
pub(crate) const WEYL: u64 = 0x9E37_79B9_7F4A_7C15;

/// A bijection of 64 bits that spreads every input bit over all output bits (splitmix64's finalizer).
pub(crate) fn mix64(value: u64) -> u64 {
    let mut mixed = value.wrapping_add(WEYL);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// What a trait is drawn for: keeps the hashes of equal numbers in different roles apart.
#[derive(Clone, Copy)]
#[repr(u64)]
pub(crate) enum Role {
    VideoRank = 1,
    VideoQuality = 2,
    VideoDuration = 3,
    Seat = 4,
    User = 5,
    EventId = 6,
    ChangeOrder = 7,
    ChangeVersion = 8,
    ChangeAttribute = 9,
    ChangeDelivery = 10,
    BrokenClient = 20,
    SchemaDrift = 21,
    Offline = 22,
    ClockSkew = 23,
    Focus = 24,
}

/// A hash of `value` in its role, for one log.
pub(crate) fn trait_hash(seed: u64, role: Role, value: u64) -> u64 {
    mix64(mix64(seed ^ ((role as u64) << 56)) ^ value)
}

/// A bijection of the lowest `bits` bits (33 to 64): equal results only for equal values.
pub(crate) fn mix_within(bits: u32, value: u64) -> u64 {
    let mask = u64::MAX >> (64 - bits);
    // Multiplying by an odd number modulo 2^bits and folding high bits down can both be undone.
    let mut mixed = (value & mask).wrapping_mul(0xBF58_476D_1CE4_E5B9) & mask;
    mixed ^= mixed >> 29;
    mixed = mixed.wrapping_mul(0x94D0_49BB_1331_11EB) & mask;
    mixed ^= mixed >> 31;
    mixed = mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) & mask;
    mixed ^ (mixed >> 32)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn mixing_within_bits_stays_there_and_never_collides() {
        for bits in [40, 60, 62, 64] {
            let mixed: HashSet<u64> = (0..20_000u64).map(|value| mix_within(bits, value)).collect();
            assert_eq!(mixed.len(), 20_000);
            assert!(bits == 64 || mixed.iter().all(|value| value >> bits == 0));
        }
    }

    #[test]
    fn roles_keep_equal_numbers_apart() {
        assert_ne!(trait_hash(1, Role::User, 5), trait_hash(1, Role::Seat, 5));
        assert_ne!(trait_hash(1, Role::User, 5), trait_hash(2, Role::User, 5));
    }
}
