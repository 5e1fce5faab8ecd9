//! Minutes as small whole numbers: minutes since the epoch.

use pulselake_decision::MINUTE_US;

/// Minutes of the rolling sums, the current one included.
pub(crate) const ROLLING_MINUTES: usize = 30;

/// Minutes since the epoch. Enough for 4,000 years on either side.
pub(crate) type Minute = i32;

/// The minute that holds a moment; `None` for a time that no real event has.
pub(crate) fn minute_of(time_us: i64) -> Option<Minute> {
    Minute::try_from(time_us.div_euclid(MINUTE_US)).ok()
}

/// Start of a minute (µs).
pub(crate) fn start_us(minute: Minute) -> i64 {
    i64::from(minute) * MINUTE_US
}

/// The first of the 30 minutes up to and with `minute`.
pub(crate) fn first_of_rolling(minute: Minute) -> Minute {
    minute.saturating_sub(ROLLING_MINUTES as Minute - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_are_floored_and_the_ends_of_time_have_none() {
        let cases = [
            (0, Some(0)),
            (-1, Some(-1)),
            (59_999_999, Some(0)),
            (60_000_000, Some(1)),
            (i64::MAX, None),
            (i64::MIN, None),
        ];
        for (time_us, minute) in cases {
            assert_eq!(minute_of(time_us), minute, "minute of {time_us}");
        }
        assert_eq!((start_us(-1), first_of_rolling(29)), (-60_000_000, 0));
    }
}
