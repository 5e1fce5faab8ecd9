//! Reads `event_timestamp`: RFC 3339 or epoch milliseconds, to microseconds since the epoch.
//!
//! Written out instead of borrowed from a date library because validity must not change with a library's update.

use crate::digits::plain_number;

/// The latest time a table can hold: 9999-12-31T23:59:59.999999Z, in microseconds since the epoch.
pub(crate) const MAX_TIMESTAMP_US: i64 = 253_402_300_799_999_999;

const SECONDS_PER_DAY: i64 = 86_400;
const US_PER_SECOND: i64 = 1_000_000;
/// Where in `YYYY-MM-DDThh:mm:ss` the separators stand (the one at 10 is `T`, `t` or a space).
const SEPARATORS: [(usize, u8); 4] = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
const SECONDS_FORM_BYTES: usize = 19;

/// Microseconds since the epoch of an RFC 3339 timestamp with any offset; digits beyond the microsecond are cut
/// off (towards the past). `None` when `text` is not RFC 3339 or the moment is outside 1970 to 9999.
///
/// A leap second (23:59:60 UTC) is read as the second that follows it, as POSIX clocks do.
pub(crate) fn parse_rfc3339_us(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let (date_time, rest) = bytes.split_at_checked(SECONDS_FORM_BYTES)?;
    if !matches!(date_time[10], b'T' | b't' | b' ')
        || SEPARATORS.iter().any(|(at, byte)| date_time[*at] != *byte)
    {
        return None;
    }
    let year = two_digits(date_time, 0)? * 100 + two_digits(date_time, 2)?;
    let (month, day) = (two_digits(date_time, 5)?, two_digits(date_time, 8)?);
    let (hour, minute, second) =
        (two_digits(date_time, 11)?, two_digits(date_time, 14)?, two_digits(date_time, 17)?);
    if !(1..=12).contains(&month)
        || day < 1
        || day > days_in_month(year, month)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    let (fraction_us, zone) = split_fraction(rest)?;
    let local_seconds =
        days_since_epoch(year, month, day) * SECONDS_PER_DAY + hour * 3_600 + minute * 60 + second;
    let seconds = local_seconds - offset_seconds(zone)?;
    if second == 60 && seconds.rem_euclid(SECONDS_PER_DAY) != 0 {
        return None;
    }
    in_range(seconds * US_PER_SECOND + fraction_us)
}

/// Microseconds since the epoch of a JSON number's source text that is a plain integer of milliseconds. `None` for
/// fractions, exponents and moments outside 1970 to 9999.
pub(crate) fn parse_epoch_ms_us(raw_number: &str) -> Option<i64> {
    let milliseconds = plain_number(raw_number).or_else(|| raw_number.parse().ok())?;
    in_range(milliseconds.checked_mul(1_000)?)
}

fn in_range(timestamp_us: i64) -> Option<i64> {
    (0..=MAX_TIMESTAMP_US).contains(&timestamp_us).then_some(timestamp_us)
}

fn digit(byte: u8) -> Option<i64> {
    byte.is_ascii_digit().then(|| i64::from(byte - b'0'))
}

fn two_digits(bytes: &[u8], at: usize) -> Option<i64> {
    Some(digit(*bytes.get(at)?)? * 10 + digit(*bytes.get(at + 1)?)?)
}

/// Splits `.123Z` into microseconds and the zone; no fraction is 0.
fn split_fraction(rest: &[u8]) -> Option<(i64, &[u8])> {
    let Some(fraction) = rest.strip_prefix(b".") else {
        return Some((0, rest));
    };
    let digit_count = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digit_count == 0 {
        return None;
    }
    let (digits, zone) = fraction.split_at(digit_count);
    let micros = digits.iter().chain(b"000000").take(6);
    let fraction_us = micros.fold(0, |us, digit| us * 10 + i64::from(digit - b'0'));
    Some((fraction_us, zone))
}

/// Seconds that the zone is ahead of UTC: `Z`, `z` or `±hh:mm`.
fn offset_seconds(zone: &[u8]) -> Option<i64> {
    match zone {
        b"Z" | b"z" => Some(0),
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let (hours, minutes) = (two_digits(zone, 1)?, two_digits(zone, 4)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let seconds = hours * 3_600 + minutes * 60;
            Some(if *sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

fn is_leap_year(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap_year(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar. Years begin in March here, so that the
/// leap day is a year's last and the months' lengths follow one formula.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let march_year = if month <= 2 { year - 1 } else { year };
    let day_of_march_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let leap_days = march_year.div_euclid(4) - march_year.div_euclid(100) + march_year.div_euclid(400);
    // 719,468 days lie between 0000-03-01 and 1970-01-01.
    march_year * 365 + leap_days + day_of_march_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_rfc3339_form_is_read() {
        let cases = [
            ("2026-02-07T10:00:00.123Z", 1_770_458_400_123_000),
            ("2026-02-07T10:00:00Z", 1_770_458_400_000_000),
            ("2026-02-07t10:00:00z", 1_770_458_400_000_000),
            ("2026-02-07 10:00:00Z", 1_770_458_400_000_000),
            ("2026-02-07T18:00:00.5+08:00", 1_770_458_400_500_000),
            ("2026-02-07T04:30:00-05:30", 1_770_458_400_000_000),
            ("2026-02-07T10:00:00-00:00", 1_770_458_400_000_000),
            ("2026-02-07T10:00:00.123456789Z", 1_770_458_400_123_456),
            ("2026-02-07T10:00:00.1234567890123456789Z", 1_770_458_400_123_456),
            ("1970-01-01T00:00:00Z", 0),
            ("1969-12-31T23:00:00-01:00", 0),
            ("9999-12-31T23:59:59.999999999Z", MAX_TIMESTAMP_US),
            ("2024-02-29T00:00:00Z", 1_709_164_800_000_000),
            ("2016-12-31T23:59:60Z", 1_483_228_800_000_000),
            ("2017-01-01T08:59:60.25+09:00", 1_483_228_800_250_000),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_rfc3339_us(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        let cases = [
            "",
            "now",
            "2026-02-07",
            "2026-02-07T10:00Z",
            "2026-02-07T10:00:00",
            "2026-02-07T10:00:00.Z",
            "2026-02-07T10:00:00,5Z",
            "2026-02-07T10:00:00+0800",
            "2026-02-07T10:00:00+08",
            "2026-02-07T10:00:00+24:00",
            "2026-02-07T10:00:00+08:60",
            "2026-02-07T10:00:00 Z",
            " 2026-02-07T10:00:00Z",
            "2026-02-07T10:00:00Z ",
            "2026-02-07T10:00:00ZZ",
            "2026-02-07_10:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01T00:00:61Z",
            "2026-01-01T12:00:60Z",
            "1969-12-31T23:59:59.999999Z",
            "1970-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
            "0000-01-01T00:00:00Z",
            "+2026-02-07T10:00:00Z",
            "12026-02-07T10:00:00Z",
            "2026-2-7T10:00:00Z",
            "1770458400123",
            "２026-02-07T10:00:00Z",
            "2026-02-07T10:00:00.123é",
            "-026-02-07T10:00:00Z",
            "20260207T100000Z",
        ];
        for text in cases {
            assert_eq!(parse_rfc3339_us(text), None, "{text}");
        }
    }

    #[test]
    fn epoch_milliseconds_are_plain_integers_in_range() {
        assert_eq!(parse_epoch_ms_us("1770458400123"), Some(1_770_458_400_123_000));
        assert_eq!(parse_epoch_ms_us("0"), Some(0));
        assert_eq!(parse_epoch_ms_us("-0"), Some(0));
        assert_eq!(parse_epoch_ms_us("253402300799999"), Some(253_402_300_799_999_000));
        let refused = [
            "-1",
            "253402300800000",
            "1.5",
            "1770458400123.0",
            "1e12",
            "9223372036854775807",
            "99999999999999999999",
            "",
        ];
        for raw in refused {
            assert_eq!(parse_epoch_ms_us(raw), None, "{raw}");
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_chrono(
            timestamp_us in 0..=MAX_TIMESTAMP_US, offset_minutes in -1_439..1_440_i32, digits in 0..10_usize,
        ) {
            let offset = chrono::FixedOffset::east_opt(offset_minutes * 60).unwrap();
            let moment = chrono::DateTime::from_timestamp_micros(timestamp_us).unwrap().with_timezone(&offset);
            prop_assume!((0..=9_999).contains(&chrono::Datelike::year(&moment)));
            let nanoseconds = format!("{:09}", moment.timestamp_subsec_nanos());
            let fraction = if digits == 0 { String::new() } else { format!(".{}", &nanoseconds[..digits]) };
            let text = format!("{}{fraction}{}", moment.format("%Y-%m-%dT%H:%M:%S"), moment.format("%:z"));
            let expected = chrono::DateTime::parse_from_rfc3339(&text).unwrap().timestamp_micros();
            prop_assert_eq!(parse_rfc3339_us(&text), Some(expected), "{}", text);
        }

        #[test]
        fn any_text_is_read_as_chrono_reads_it_or_refused(text in r"[0-9]{4}-[0-1][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-5][0-9](\.[0-9]{0,12})?([Zz]|[+-][0-2][0-9]:[0-6][0-9])") {
            if let Some(timestamp_us) = parse_rfc3339_us(&text) {
                let by_chrono = chrono::DateTime::parse_from_rfc3339(&text).map(|moment| moment.timestamp_micros());
                prop_assert_eq!(by_chrono.ok(), Some(timestamp_us));
            }
        }
    }
}
