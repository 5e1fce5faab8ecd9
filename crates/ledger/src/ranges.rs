//! Sets of offsets as sorted, disjoint, half-open ranges: small where offsets are dense, exact where they are not.

use serde::{Deserialize, Serialize};

/// A set of offsets, `[from, to)` each, sorted, neither touching nor overlapping.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OffsetRanges(Vec<(i64, i64)>);

impl OffsetRanges {
    /// Whether `offset` is in the set.
    pub fn contains(&self, offset: i64) -> bool {
        let after = self.0.partition_point(|&(from, _)| from <= offset);
        after > 0 && offset < self.0[after - 1].1
    }

    /// Adds one offset; false if it was there already.
    pub fn insert(&mut self, offset: i64) -> bool {
        if self.contains(offset) {
            return false;
        }
        let at = self.0.partition_point(|&(from, _)| from <= offset);
        let joins_left = at > 0 && self.0[at - 1].1 == offset;
        let joins_right = at < self.0.len() && self.0[at].0 == offset + 1;
        match (joins_left, joins_right) {
            (true, true) => {
                self.0[at - 1].1 = self.0[at].1;
                self.0.remove(at);
            }
            (true, false) => self.0[at - 1].1 = offset + 1,
            (false, true) => self.0[at].0 = offset,
            (false, false) => self.0.insert(at, (offset, offset + 1)),
        }
        true
    }

    /// How many offsets are in the set.
    pub fn len(&self) -> u64 {
        self.0.iter().map(|(from, to)| (to - from) as u64).sum()
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every offset, rising.
    pub fn iter(&self) -> impl Iterator<Item = i64> + '_ {
        self.0.iter().flat_map(|&(from, to)| from..to)
    }
}

impl FromIterator<i64> for OffsetRanges {
    fn from_iter<T: IntoIterator<Item = i64>>(offsets: T) -> Self {
        let mut ranges = Self::default();
        for offset in offsets {
            ranges.insert(offset);
        }
        ranges
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_like_a_set(offsets in prop::collection::vec(0i64..60, 0..80)) {
            let mut ranges = OffsetRanges::default();
            let mut model = BTreeSet::new();
            for offset in offsets {
                prop_assert_eq!(ranges.insert(offset), model.insert(offset));
            }
            prop_assert_eq!(ranges.iter().collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(ranges.len(), model.len() as u64);
            for offset in -1..61 {
                prop_assert_eq!(ranges.contains(offset), model.contains(&offset));
            }
            prop_assert!(ranges.0.windows(2).all(|pair| pair[0].1 < pair[1].0), "ranges touch: {:?}", ranges);
        }
    }
}
