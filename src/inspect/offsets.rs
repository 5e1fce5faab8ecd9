//! Which offsets of one source partition a table has: about one bit for each, in any order.

use roaring::RoaringTreemap;

/// The offsets of a table's rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct OffsetEvidence {
    rows: u64,
    seen: RoaringTreemap,
    repeated: u64,
    first_repeated: Option<i64>,
    negative: u64,
}

impl OffsetEvidence {
    /// Notes the offset of one row.
    pub(crate) fn add(&mut self, offset: i64) {
        self.rows += 1;
        let Ok(number) = u64::try_from(offset) else {
            self.negative += 1;
            return;
        };
        if !self.seen.insert(number) {
            self.repeated += 1;
            self.first_repeated.get_or_insert(offset);
        }
    }

    /// Rows seen.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Rows whose offset another row had before, and the first such offset.
    pub(crate) fn repeated(&self) -> (u64, Option<i64>) {
        (self.repeated, self.first_repeated)
    }

    /// Whether a row has this offset.
    pub(crate) fn contains(&self, offset: i64) -> bool {
        u64::try_from(offset).is_ok_and(|number| self.seen.contains(number))
    }

    /// Different offsets in `[from, to)`.
    pub(crate) fn within(&self, from: i64, to: i64) -> u64 {
        within(&self.seen, from, to)
    }

    /// Different offsets outside `[from, to)`; rows with a negative offset are outside of everything.
    pub(crate) fn outside(&self, from: i64, to: i64) -> u64 {
        self.seen.len() - self.within(from, to) + self.negative
    }

    /// Different offsets in `[from, to)` that this table or `other` has.
    pub(crate) fn within_either(&self, other: &Self, from: i64, to: i64) -> u64 {
        within(&(&self.seen | &other.seen), from, to)
    }

    /// The offsets in `[from, to)` that neither this table nor `other` has.
    pub(crate) fn in_neither(&self, other: &Self, from: i64, to: i64) -> impl Iterator<Item = i64> + use<> {
        let mut absent = RoaringTreemap::new();
        absent.insert_range(bound(from)..bound(to).max(bound(from)));
        absent -= &self.seen;
        absent -= &other.seen;
        // Only numbers that came from an i64 are in the set.
        absent.into_iter().map(|number| number as i64)
    }

    /// Of a source whose offsets are whole blocks of `1 << index_bits`, each filled from its beginning: the offsets below
    /// `to`, and below the last one of their block, that neither table has. How many, and the first.
    pub(crate) fn holes_in_blocks(&self, other: &Self, index_bits: u32, to: i64) -> (u64, Option<i64>) {
        let (mut holes, mut first_hole) = (0, None);
        let mut expected = 0;
        for offset in (&self.seen | &other.seen).into_iter().take_while(|&offset| offset < bound(to)) {
            // The first offset of a block may follow on any of the one before.
            expected = expected.max(offset >> index_bits << index_bits);
            if offset > expected {
                holes += offset - expected;
                first_hole.get_or_insert(expected as i64);
            }
            expected = offset + 1;
        }
        (holes, first_hole)
    }

    /// The offsets that both have.
    pub(crate) fn shared_with(&self, other: &Self) -> impl Iterator<Item = i64> + use<> {
        // Only numbers that came from an i64 are in the set.
        (&self.seen & &other.seen).into_iter().map(|number| number as i64)
    }
}

fn within(set: &RoaringTreemap, from: i64, to: i64) -> u64 {
    if to <= from { 0 } else { set.range_cardinality(bound(from)..bound(to)) }
}

/// An end of a range; no offset is negative.
fn bound(offset: i64) -> u64 {
    u64::try_from(offset).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(offsets: &[i64]) -> OffsetEvidence {
        let mut evidence = OffsetEvidence::default();
        offsets.iter().for_each(|&offset| evidence.add(offset));
        evidence
    }

    #[test]
    fn counts_rows_and_offsets_apart() {
        let evidence = of(&[5, 3, 9, 3, -1]);
        assert_eq!((evidence.rows(), evidence.repeated()), (5, (1, Some(3))));
        assert_eq!((evidence.within(3, 9), evidence.within(9, 3), evidence.outside(3, 9)), (2, 0, 2));
        assert!(evidence.contains(9) && !evidence.contains(4) && !evidence.contains(-1));
    }

    #[test]
    fn two_tables_together() {
        let (bronze, quarantine) = (of(&[1, 2, 4]), of(&[3, 4, 8]));
        assert_eq!(bronze.within_either(&quarantine, 0, 8), 4);
        assert_eq!(bronze.in_neither(&quarantine, 0, 8).collect::<Vec<_>>(), [0, 5, 6, 7]);
        assert_eq!(bronze.in_neither(&quarantine, 8, 3).count(), 0);
        assert_eq!(bronze.holes_in_blocks(&quarantine, 3, 9), (1, Some(0)));
        assert_eq!(bronze.holes_in_blocks(&of(&[0, 9, 11]), 3, 11), (2, Some(3)));
        assert_eq!(bronze.shared_with(&quarantine).collect::<Vec<_>>(), [4]);
    }
}
