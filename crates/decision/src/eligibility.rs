//! Whether a partition may be decided about at all: missing data must not look like a video that nobody sees.
//!
//! Three questions, in this order: is gold fresh enough ([`crate::freshness`]), are the minute's 30 minutes all there, and
//! does the partition's event time stand where the clock stands. Pure; the moments are arguments.

use crate::{Freshness, MINUTE_US, first_covered_minute};

/// How far the watermark may stand behind the clock, unless settings say otherwise: the promised age of gold.
pub const DEFAULT_MAX_WATERMARK_LAG_US: i64 = 3 * MINUTE_US;

/// What is known of one partition. Moments are microseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionEvidence {
    /// From this moment on every event is counted; `None` where that is not known.
    pub covered_from_us: Option<i64>,
    /// Every window that ends at or before this is closed; `None` before the first.
    pub closed_through_us: Option<i64>,
    /// Event time minus the delay; `None` before the first event.
    pub watermark_us: Option<i64>,
    /// Whether there is nothing left to read. The watermark of such a partition stands still for want of events: it is as
    /// current as can be.
    pub is_idle: bool,
}

/// Why nothing is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WhyNot {
    /// [`Freshness::Stale`].
    #[error(
        "gold is stale: its P95 is older than 10 minutes, the source is out, or 15 healthy minutes have not passed since"
    )]
    Stale,
    /// The 30 minutes are not all there.
    #[error(
        "the 30 minutes up to {minute_us} µs are not covered: every event is counted from {covered_from_us:?} on"
    )]
    NotCovered {
        /// Start of the minute.
        minute_us: i64,
        /// From when on everything is there.
        covered_from_us: Option<i64>,
    },
    /// More events of the minute are expected.
    #[error("the minute at {minute_us} µs is not closed: windows are closed through {closed_through_us:?}")]
    MinuteOpen {
        /// Start of the minute.
        minute_us: i64,
        /// Through when windows are closed.
        closed_through_us: Option<i64>,
    },
    /// The partition reads what is long past.
    #[error("the watermark is {lag_us:?} µs behind the clock, at most {max_lag_us} are allowed")]
    WatermarkBehind {
        /// How far; `None` without a watermark.
        lag_us: Option<i64>,
        /// How far it may be.
        max_lag_us: i64,
    },
}

impl WhyNot {
    /// A label for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stale => "stale",
            Self::NotCovered { .. } => "not_covered",
            Self::MinuteOpen { .. } => "minute_open",
            Self::WatermarkBehind { .. } => "watermark_behind",
        }
    }
}

/// Whether the minute that starts at `minute_us` may be decided about at `now_us`. What a fresh enough state still holds
/// back says [`Freshness::allows`], decision by decision.
///
/// # Errors
/// The first reason against it.
pub fn may_decide(
    freshness: Freshness,
    evidence: &PartitionEvidence,
    minute_us: i64,
    now_us: i64,
    max_watermark_lag_us: i64,
) -> Result<(), WhyNot> {
    if freshness == Freshness::Stale {
        return Err(WhyNot::Stale);
    }
    let covered_from_us = evidence.covered_from_us;
    if covered_from_us.is_none_or(|from_us| minute_us < first_covered_minute(from_us)) {
        return Err(WhyNot::NotCovered { minute_us, covered_from_us });
    }
    let closed_through_us = evidence.closed_through_us;
    let minute_end_us = minute_us.saturating_add(MINUTE_US);
    if closed_through_us.is_none_or(|through_us| through_us < minute_end_us) {
        return Err(WhyNot::MinuteOpen { minute_us, closed_through_us });
    }
    if evidence.is_idle {
        return Ok(());
    }
    let lag_us = evidence.watermark_us.map(|watermark_us| now_us.saturating_sub(watermark_us));
    if lag_us.is_none_or(|behind_us| behind_us > max_watermark_lag_us) {
        return Err(WhyNot::WatermarkBehind { lag_us, max_lag_us: max_watermark_lag_us });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX_LAG_US: i64 = DEFAULT_MAX_WATERMARK_LAG_US;

    /// Covered from minute 0 on, closed through the end of minute 29, the watermark right behind.
    const READY: PartitionEvidence = PartitionEvidence {
        covered_from_us: Some(0),
        closed_through_us: Some(30 * MINUTE_US),
        watermark_us: Some(30 * MINUTE_US),
        is_idle: false,
    };

    fn ask(evidence: PartitionEvidence, minute: i64) -> Result<(), &'static str> {
        may_decide(Freshness::Fresh, &evidence, minute * MINUTE_US, 31 * MINUTE_US, MAX_LAG_US)
            .map_err(WhyNot::as_str)
    }

    #[test]
    fn the_thirtieth_minute_is_the_first() {
        assert_eq!(ask(READY, 29), Ok(()));
        assert_eq!(ask(READY, 28), Err("not_covered"));
        let later = PartitionEvidence { covered_from_us: Some(1), ..READY };
        assert_eq!(ask(later, 29), Err("not_covered"), "a minute that is covered in part is not");
        let unknown = PartitionEvidence { covered_from_us: None, ..READY };
        assert_eq!(ask(unknown, 29), Err("not_covered"));
    }

    #[test]
    fn a_minute_must_be_closed() {
        assert_eq!(ask(READY, 30), Err("minute_open"));
        for closed_through_us in [None, Some(30 * MINUTE_US - 1)] {
            assert_eq!(ask(PartitionEvidence { closed_through_us, ..READY }, 29), Err("minute_open"));
        }
    }

    #[test]
    fn the_watermark_must_be_current_unless_there_is_nothing_to_read() {
        let behind = |lag_us: i64| PartitionEvidence { watermark_us: Some(31 * MINUTE_US - lag_us), ..READY };
        assert_eq!(ask(behind(MAX_LAG_US), 29), Ok(()));
        assert_eq!(ask(behind(MAX_LAG_US + 1), 29), Err("watermark_behind"));
        assert_eq!(ask(PartitionEvidence { is_idle: true, ..behind(MAX_LAG_US + 1) }, 29), Ok(()));
        assert_eq!(ask(PartitionEvidence { watermark_us: None, ..READY }, 29), Err("watermark_behind"));
        // A client's clock that is ahead is no lag.
        assert_eq!(ask(behind(-MINUTE_US), 29), Ok(()));
    }

    #[test]
    fn only_stale_stops_everything() {
        let ask_as = |freshness| may_decide(freshness, &READY, 29 * MINUTE_US, 31 * MINUTE_US, MAX_LAG_US);
        assert_eq!(Freshness::ALL.map(ask_as), [Ok(()), Ok(()), Err(WhyNot::Stale)]);
    }

    proptest! {
        /// A later minute of a partition that goes on being covered is never held back for coverage, and nothing is decided
        /// before 30 whole minutes are there.
        #[test]
        fn nothing_is_decided_on_less_than_30_minutes(from_us in -200_000_000_i64..4_000_000_000, minute in 0_i64..120) {
            let evidence = PartitionEvidence {
                covered_from_us: Some(from_us),
                closed_through_us: Some(i64::MAX),
                watermark_us: Some(i64::MAX),
                is_idle: false,
            };
            let minute_us = minute * MINUTE_US;
            let found = may_decide(Freshness::Fresh, &evidence, minute_us, 0, MAX_LAG_US);
            prop_assert_eq!(found.is_ok(), minute_us - 29 * MINUTE_US >= from_us);
        }
    }
}
