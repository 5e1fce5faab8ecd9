//! Window arithmetic: 1-minute tumbling windows aligned to the epoch, also before it.

/// Length of a window in microseconds: one minute.
pub const WINDOW_US: i64 = 60_000_000;

/// Start (µs since the epoch) of the window that holds `timestamp_us`: floor division, for any sign.
pub fn window_start_us(timestamp_us: i64) -> i64 {
    timestamp_us.div_euclid(WINDOW_US).saturating_mul(WINDOW_US)
}

/// End (µs since the epoch, exclusive) of the window that starts at `window_start_us`.
pub fn window_end_us(window_start_us: i64) -> i64 {
    window_start_us.saturating_add(WINDOW_US)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_floored_on_both_sides_of_the_epoch() {
        let cases = [
            (0, 0),
            (1, 0),
            (WINDOW_US - 1, 0),
            (WINDOW_US, WINDOW_US),
            (-1, -WINDOW_US),
            (-WINDOW_US, -WINDOW_US),
            (-WINDOW_US - 1, -2 * WINDOW_US),
        ];
        for (timestamp_us, start_us) in cases {
            assert_eq!(window_start_us(timestamp_us), start_us, "window of {timestamp_us}");
        }
        assert_eq!(window_end_us(-WINDOW_US), 0);
    }

    #[test]
    fn the_ends_of_time_do_not_overflow() {
        for timestamp_us in [i64::MIN, i64::MAX] {
            let start_us = window_start_us(timestamp_us);
            assert!(start_us <= timestamp_us);
            assert!(window_end_us(start_us) >= timestamp_us);
        }
    }
}
