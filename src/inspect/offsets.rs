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

    /// The offsets that both have.
    pub(crate) fn shared_with(&self, other: &Self) -> impl Iterator<Item = i64> + use<> {
        // Only numbers that came from an i64 are in the set.
        (&self.seen & &other.seen).into_iter().map(|number| number as i64)
    }
}

fn within(set: &RoaringTreemap, from: i64, to: i64) -> u64 {
    let bound = |offset: i64| u64::try_from(offset).unwrap_or(0);
    if to <= from { 0 } else { set.range_cardinality(bound(from)..bound(to)) }
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
        assert_eq!(bronze.shared_with(&quarantine).collect::<Vec<_>>(), [4]);
    }
}
