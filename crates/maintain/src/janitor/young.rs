//! The other half of the janitor's safety: what a commit may still add.
//!
//! The janitor removes a file that nothing refers to once it is older than the *safety age*. So that it can never be one
//! that a commit is about to add, **no commit adds a file older than half the safety age**. The other half covers the
//! difference between the clocks of the writer and of the store, the time a commit may go on trying, and requests that
//! a catalog carries out late. Every caller that keeps written files for long before it commits them asks
//! [`assert_young_enough`] right before, and writes the files anew where it refuses.

/// Why files can't be committed any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "files written {age_ms} ms ago are too old to be committed: beyond {limit_ms} ms the janitor may take them for orphans; write them anew"
)]
pub struct TooOld {
    /// Age of the oldest file, milliseconds.
    pub age_ms: i64,
    /// Half the safety age, milliseconds.
    pub limit_ms: i64,
}

/// Refuses files of which the oldest was begun at `oldest_written_at_ms` when that is more than half of `safety_age_ms`
/// ago. Times are milliseconds since the epoch by the writer's own clock.
///
/// Take the time *before* the first byte of the oldest file is written: a store may date a file by its first part.
pub fn assert_young_enough(oldest_written_at_ms: i64, now_ms: i64, safety_age_ms: i64) -> Result<(), TooOld> {
    let (age_ms, limit_ms) = (now_ms.saturating_sub(oldest_written_at_ms), safety_age_ms / 2);
    if age_ms > limit_ms { Err(TooOld { age_ms, limit_ms }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_the_age_is_the_limit() {
        assert_eq!(assert_young_enough(1_000, 1_500, 1_000), Ok(()));
        assert_eq!(assert_young_enough(1_000, 1_501, 1_000), Err(TooOld { age_ms: 501, limit_ms: 500 }));
        // A clock that was set back makes a file look younger, not older.
        assert_eq!(assert_young_enough(1_000, 0, 1_000), Ok(()));
    }
}
