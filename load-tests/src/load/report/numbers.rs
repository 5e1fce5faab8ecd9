//! Numbers as people read them: a few digits, commas between thousands, a unit behind.

/// Whole numbers with commas, others with three significant digits: `12,346`, `0.412`, `3.4`.
pub(crate) fn plain(number: f64) -> String {
    if !number.is_finite() {
        return "not measured".to_owned();
    }
    let size = number.abs();
    let decimals = match size {
        0.0 => 0,
        // 100 and more have three digits before the point already.
        _ if size >= 99.95 => 0,
        _ => (2 - size.log10().floor() as i32).clamp(0, 6) as usize,
    };
    let rounded = format!("{number:.decimals$}");
    let (whole, fraction) = rounded.split_once('.').unwrap_or((&rounded, ""));
    let fraction = fraction.trim_end_matches('0');
    let whole = with_commas(whole);
    if fraction.is_empty() { whole } else { format!("{whole}.{fraction}") }
}

fn with_commas(whole: &str) -> String {
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut text = String::from(sign);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// [`plain`] and a unit; `/s` and `%` close up as usual.
pub(crate) fn with_unit(number: f64, unit: &str) -> String {
    let number = plain(number);
    match unit {
        "" => number,
        _ if number == "not measured" => number,
        _ if unit.starts_with('/') => format!("{number}{unit}"),
        _ => format!("{number} {unit}"),
    }
}

/// For axes: `20 k`, `1.5 M`.
pub(crate) fn short(number: f64) -> String {
    for (scale, letter) in [(1e9, "G"), (1e6, "M"), (1e3, "k")] {
        if number.abs() >= scale {
            return format!("{} {letter}", plain(number / scale));
        }
    }
    plain(number)
}

/// A span of time: `42 s`, `3 min 05 s`, `2 h 10 min`.
pub(crate) fn span(seconds: f64) -> String {
    if seconds.abs() < 60.0 {
        return format!("{} s", plain(seconds));
    }
    let whole = seconds.round() as i64;
    if whole < 3600 {
        return format!("{} min {:02} s", whole / 60, whole % 60);
    }
    format!("{} h {:02} min", whole / 3600, whole % 3600 / 60)
}

/// A moment, in UTC.
pub(crate) fn moment(since_epoch_ms: i64) -> String {
    chrono::DateTime::from_timestamp_millis(since_epoch_ms).map_or_else(
        || format!("{since_epoch_ms} ms since the epoch"),
        |moment| moment.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_commas() {
        for (number, text) in [
            (0.0, "0"),
            (0.4123, "0.412"),
            (0.000_012, "0.000012"),
            (3.4, "3.4"),
            (99.96, "100"),
            (123.4, "123"),
            (1_234_567.8, "1,234,568"),
            (-1234.0, "-1,234"),
            (f64::NAN, "not measured"),
        ] {
            assert_eq!(plain(number), text);
        }
    }

    #[test]
    fn units_stand_behind() {
        assert_eq!(with_unit(1000.0, "/s"), "1,000/s");
        assert_eq!(with_unit(2.5, "s"), "2.5 s");
        assert_eq!(with_unit(2.5, ""), "2.5");
        assert_eq!(with_unit(f64::INFINITY, "s"), "not measured");
        assert_eq!(short(20_000.0), "20 k");
        assert_eq!(short(1_500_000.0), "1.5 M");
    }

    #[test]
    fn time_is_told_in_its_two_biggest_units() {
        assert_eq!(span(0.85), "0.85 s");
        assert_eq!(span(185.2), "3 min 05 s");
        assert_eq!(span(7800.0), "2 h 10 min");
        assert_eq!(moment(0), "1970-01-01 00:00:00 UTC");
    }
}
