//! How much a query may take.

use std::time::Duration;

/// The bounds of one query. Memory is bounded for all queries of the process together: see
/// [`EngineSettings`](crate::EngineSettings).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryLimits {
    /// Rows that are returned at most; what follows is cut off, and the answer says so. `None`: all.
    pub max_rows: Option<u64>,
    /// From the statement's arrival to its last row. `None`: as long as it takes.
    pub timeout: Option<Duration>,
}

impl QueryLimits {
    /// No bounds, for whoever sits before the terminal and can stop a query.
    pub const NONE: Self = Self { max_rows: None, timeout: None };

    /// The smaller of each bound.
    pub fn at_most(self, other: Self) -> Self {
        fn smaller<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
            match (one, other) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (known, None) | (None, known) => known,
            }
        }
        Self {
            max_rows: smaller(self.max_rows, other.max_rows),
            timeout: smaller(self.timeout, other.timeout),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_can_tighten_bounds_and_never_widen_them() {
        let server = QueryLimits { max_rows: Some(10), timeout: Some(Duration::from_secs(5)) };
        let asked = QueryLimits { max_rows: Some(100), timeout: Some(Duration::from_secs(1)) };
        let both = QueryLimits { max_rows: Some(10), timeout: Some(Duration::from_secs(1)) };
        assert_eq!(asked.at_most(server), both);
        assert_eq!(QueryLimits::NONE.at_most(server), server);
        assert_eq!(QueryLimits::NONE.at_most(QueryLimits::NONE), QueryLimits::NONE);
    }
}
