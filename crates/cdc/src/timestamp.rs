//! Moments and days, from what Debezium writes to microseconds since the epoch.

use chrono::DateTime;

use crate::connect_schema::Declared;
use crate::envelope::MAX_TIMESTAMP_MS;

const US_PER_MS: i64 = 1_000;
const NS_PER_US: i64 = 1_000;
const US_PER_DAY: i64 = 86_400_000_000;
/// 9999-12-31T23:59:59.999999Z.
const MAX_TIMESTAMP_US: i64 = MAX_TIMESTAMP_MS * US_PER_MS + 999;
/// 0001-01-01T00:00:00Z.
const MIN_TIMESTAMP_US: i64 = -62_135_596_800_000_000;

/// A moment of a base column, 1970 to 9999: as declared, else RFC 3339 or a number since the epoch in the unit that its size
/// tells.
pub(crate) fn base_moment_us(declared: Option<Declared>, raw: &str) -> Option<i64> {
    let moment_us = match declared {
        Some(Declared::Date) => days(raw).map(|days| i64::from(days) * US_PER_DAY),
        Some(declared @ (Declared::TimestampUs | Declared::TimestampNs)) => moment_us(declared, raw),
        _ if raw.starts_with('"') => moment_us(Declared::TimestampText, raw),
        _ => moment_us(unit_of(raw.parse().ok()?), raw),
    };
    moment_us.filter(|moment| *moment >= 0)
}

/// The unit of an undeclared number: without its schema Debezium's record has PostgreSQL's `timestamp` as bare microseconds.
/// Milliseconds up to the year 9999 are less than microseconds since 1978, and these up to then than nanoseconds since 1978.
fn unit_of(since_epoch: i64) -> Declared {
    if since_epoch <= MAX_TIMESTAMP_MS {
        return Declared::TimestampMs;
    }
    match since_epoch <= MAX_TIMESTAMP_US {
        true => Declared::TimestampUs,
        false => Declared::TimestampNs,
    }
}

/// A moment of the years 1 to 9999, as declared.
pub(crate) fn moment_us(declared: Declared, raw: &str) -> Option<i64> {
    let moment_us = match declared {
        Declared::TimestampMs => raw.parse::<i64>().ok()?.checked_mul(US_PER_MS)?,
        Declared::TimestampUs => raw.parse().ok()?,
        Declared::TimestampNs => raw.parse::<i64>().ok()?.div_euclid(NS_PER_US),
        _ => DateTime::parse_from_rfc3339(raw.strip_prefix('"')?.strip_suffix('"')?).ok()?.timestamp_micros(),
    };
    (MIN_TIMESTAMP_US..=MAX_TIMESTAMP_US).contains(&moment_us).then_some(moment_us)
}

/// A day of the years 1 to 9999, as days since the epoch.
pub(crate) fn days(raw: &str) -> Option<i32> {
    const RANGE: std::ops::RangeInclusive<i64> =
        MIN_TIMESTAMP_US / US_PER_DAY..=MAX_TIMESTAMP_US / US_PER_DAY;
    raw.parse().ok().filter(|days: &i32| RANGE.contains(&i64::from(*days)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_declared() {
        let cases = [
            (Declared::TimestampMs, "1770458400123", Some(1_770_458_400_123_000)),
            (Declared::TimestampUs, "1770458400123456", Some(1_770_458_400_123_456)),
            (Declared::TimestampNs, "1770458400123456789", Some(1_770_458_400_123_456)),
            (Declared::TimestampNs, "-1", Some(-1)),
            (Declared::TimestampText, r#""2026-02-07T18:00:00.5+08:00""#, Some(1_770_458_400_500_000)),
            (Declared::TimestampText, r#""now""#, None),
            (Declared::TimestampMs, "9223372036825200000", None),
            (Declared::TimestampUs, "9223372036825200000", None),
            (Declared::TimestampMs, "1.5", None),
        ];
        for (declared, raw, expected) in cases {
            assert_eq!(moment_us(declared, raw), expected, "{raw}");
        }
    }

    #[test]
    fn base_columns_take_every_form_from_1970_on() {
        let us = 1_770_458_400_123_000;
        let cases = [
            (None, "1770458400123", Some(us)),
            (None, r#""2026-02-07T10:00:00.123Z""#, Some(us)),
            (Some(Declared::Text), r#""2026-02-07T10:00:00.123Z""#, Some(us)),
            (Some(Declared::TimestampMs), "1770458400123", Some(us)),
            (Some(Declared::TimestampUs), "1770458400123000", Some(us)),
            (Some(Declared::TimestampNs), "1770458400123000000", Some(us)),
            (Some(Declared::Date), "1", Some(US_PER_DAY)),
            (None, "1770458400123000", Some(us)),
            (None, "1770458400123000000", Some(us)),
            (None, "253402300799999", Some(MAX_TIMESTAMP_MS * US_PER_MS)),
            (None, "-1", None),
        ];
        for (declared, raw, expected) in cases {
            assert_eq!(base_moment_us(declared, raw), expected, "{raw}");
        }
    }

    #[test]
    fn days_are_of_the_years_that_every_reader_knows() {
        assert_eq!(days("-719162"), Some(-719_162));
        assert_eq!(days("2932896"), Some(2_932_896));
        assert_eq!(days("2932897"), None);
        assert_eq!(days("-719163"), None);
        assert_eq!(days("\"1\""), None);
    }
}
