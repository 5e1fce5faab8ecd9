//! Reads the value of a further column: as the record's schema declares it, else by its JSON type; and fits it to the
//! type that the column has.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pulselake_decode::Rejection;
use pulselake_model::ErrorCode;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::connect_schema::Declared;
use crate::decimal;
use crate::envelope::string;
use crate::rejection::{json_type, rejection, shown, wrong_type};
use crate::timestamp::{days, moment_us};
use crate::value::{ColumnType, Value};

/// A value with the type that its record gives it.
#[derive(Debug, PartialEq)]
pub(crate) struct Found {
    pub(crate) column_type: ColumnType,
    pub(crate) value: Value,
    /// Whether only its JSON type speaks for the type: then the column's own counts, as far as the value allows.
    pub(crate) is_bare: bool,
}

/// Reads a value that is not null.
pub(crate) fn read(name: &str, declared: Option<Declared>, raw: &str) -> Result<Found, Rejection> {
    let (column_type, value) = match declared {
        None => bare(name, raw)?,
        Some(declared) => of_declared(name, declared, raw)?,
    };
    Ok(Found { column_type, value, is_bare: declared.is_none() })
}

fn bare(name: &str, raw: &str) -> Result<(ColumnType, Value), Rejection> {
    Ok(match raw.as_bytes().first() {
        Some(b'"') => (ColumnType::Text, text(name, raw)?),
        Some(b'{' | b'[') => (ColumnType::Text, Value::text(raw)),
        Some(b't') => (ColumnType::Boolean, Value::Boolean(true)),
        Some(b'f') => (ColumnType::Boolean, Value::Boolean(false)),
        _ => match raw.parse::<i64>() {
            Ok(number) => (ColumnType::Long, Value::Long(number)),
            Err(_) => (ColumnType::Double, Value::Double(double(name, raw)?)),
        },
    })
}

/// A number beyond 64 bits is a double only where nothing of it gets lost.
fn double(name: &str, raw: &str) -> Result<f64, Rejection> {
    let number: f64 = raw.parse().unwrap_or(f64::INFINITY);
    let is_whole = !raw.contains(['.', 'e', 'E']);
    let is_held = number.is_finite() && (!is_whole || format!("{number:.0}") == raw);
    is_held.then_some(number).ok_or_else(|| {
        let reason = format!("{} has a number that no column holds: {}", shown(name), shown(raw));
        rejection(ErrorCode::WrongType, reason)
    })
}

fn of_declared(name: &str, declared: Declared, raw: &str) -> Result<(ColumnType, Value), Rejection> {
    let wrong = |expected: &str| wrong_type(name, expected, raw);
    let bad_time = || {
        let reason = format!("{} {} is no moment of the years 1 to 9999", shown(name), shown(raw));
        rejection(ErrorCode::BadTimestamp, reason)
    };
    Ok(match declared {
        Declared::Boolean => match raw {
            "true" => (ColumnType::Boolean, Value::Boolean(true)),
            "false" => (ColumnType::Boolean, Value::Boolean(false)),
            _ => return Err(wrong("a boolean")),
        },
        Declared::Int => {
            let number: i32 = raw.parse().map_err(|_| wrong("a whole number of 32 bits"))?;
            (ColumnType::Int, Value::Long(number.into()))
        }
        Declared::Long => {
            (ColumnType::Long, Value::Long(raw.parse().map_err(|_| wrong("a whole number of 64 bits"))?))
        }
        Declared::Float => {
            let number = declared_double(raw).map(|number| number as f32).ok_or_else(|| wrong("a number"))?;
            (ColumnType::Float, Value::Double(number.into()))
        }
        Declared::Double => {
            (ColumnType::Double, Value::Double(declared_double(raw).ok_or_else(|| wrong("a number"))?))
        }
        Declared::Text => {
            if !raw.starts_with('"') {
                return Err(wrong("a string"));
            }
            (ColumnType::Text, text(name, raw)?)
        }
        Declared::Binary => {
            let bytes = base64(raw).ok_or_else(|| wrong("a string of base64"))?;
            (ColumnType::Binary, Value::Binary(bytes.into()))
        }
        Declared::Date if json_type(raw) == "a number" => {
            (ColumnType::Date, Value::Date(days(raw).ok_or_else(bad_time)?))
        }
        Declared::Date => return Err(wrong("a number of days")),
        Declared::TimestampMs | Declared::TimestampUs | Declared::TimestampNs | Declared::TimestampText => {
            let expected = if declared == Declared::TimestampText { "a string" } else { "a number" };
            if json_type(raw) != expected {
                return Err(wrong(expected));
            }
            (ColumnType::Timestamp, Value::Timestamp(moment_us(declared, raw).ok_or_else(bad_time)?))
        }
        Declared::Decimal { precision, scale } => {
            let number = if raw.starts_with('"') {
                base64(raw).and_then(|bytes| decimal::from_bytes(&bytes))
            } else {
                decimal::unscaled(raw, scale)
            };
            let number =
                number.filter(|number| decimal::has_digits(*number, precision)).ok_or_else(|| {
                    wrong(&format!("a decimal of {precision} digits, {scale} of them behind the point"))
                })?;
            (ColumnType::Decimal { precision, scale }, Value::Decimal(Box::new(number)))
        }
        Declared::WideDecimal { scale } => {
            (ColumnType::Text, wide_decimal(scale, raw).ok_or_else(|| wrong("a decimal"))?)
        }
        Declared::VariableDecimal => {
            (ColumnType::Text, variable_decimal(raw).ok_or_else(|| wrong("a decimal"))?)
        }
        Declared::TextList => {
            let texts = text_list(raw).ok_or_else(|| wrong("an array of strings"))?;
            (ColumnType::TextList, texts)
        }
        Declared::Json => (ColumnType::Text, Value::text(raw)),
    })
}

/// Jackson writes what JSON has no number for as a string.
fn declared_double(raw: &str) -> Option<f64> {
    match raw {
        r#""NaN""# => Some(f64::NAN),
        r#""Infinity""# => Some(f64::INFINITY),
        r#""-Infinity""# => Some(f64::NEG_INFINITY),
        _ if json_type(raw) == "a number" => raw.parse().ok().filter(|number: &f64| number.is_finite()),
        _ => None,
    }
}

fn text(name: &str, raw: &str) -> Result<Value, Rejection> {
    Ok(Value::text(string(name, raw)?))
}

fn base64(raw: &str) -> Option<Vec<u8>> {
    STANDARD.decode(raw.strip_prefix('"')?.strip_suffix('"')?).ok()
}

/// An array of strings and nulls.
pub(crate) fn text_list(raw: &str) -> Option<Value> {
    if !raw.starts_with('[') {
        return None;
    }
    let texts: Vec<Option<Box<str>>> = serde_json::from_str(raw).ok()?;
    Some(Value::TextList(texts.into()))
}

fn wide_decimal(scale: i32, raw: &str) -> Option<Value> {
    if json_type(raw) == "a number" {
        return Some(Value::text(raw));
    }
    decimal::text_of_bytes(&base64(raw)?, scale).map(Value::text)
}

fn variable_decimal(raw: &str) -> Option<Value> {
    #[derive(Deserialize)]
    struct Variable<'a> {
        scale: i32,
        #[serde(borrow)]
        value: &'a RawValue,
    }
    if !raw.starts_with('{') {
        return None;
    }
    let Variable { scale, value } = serde_json::from_str(raw).ok()?;
    wide_decimal(scale, value.get())
}

/// The type that a column has after taking the value, and the value as it goes in; `None` when it fits no widened type.
pub(crate) fn fit(column: ColumnType, found: Found, raw: &str) -> Option<(ColumnType, Value)> {
    let Found { column_type, value, is_bare } = found;
    if column == column_type {
        return Some((column, value));
    }
    match (column, column_type, &value) {
        (ColumnType::Int, ColumnType::Long, Value::Long(number)) if is_bare => {
            Some((whole_type(ColumnType::Int, *number), value))
        }
        (ColumnType::Float, ColumnType::Double, Value::Double(number)) if is_bare && is_f32(*number) => {
            Some((column, value))
        }
        // 5.0 is a whole number, whatever wrote it.
        (ColumnType::Int | ColumnType::Long, ColumnType::Double, _) if is_bare => {
            let number = i64::try_from(decimal::unscaled(raw, 0)?).ok()?;
            Some((whole_type(column, number), Value::Long(number)))
        }
        (ColumnType::Float | ColumnType::Double, ColumnType::Int | ColumnType::Long, Value::Long(number)) => {
            let exact = exact_double(*number)?;
            let wide_enough = if is_f32(exact) { column } else { ColumnType::Double };
            Some((wide_enough, Value::Double(exact)))
        }
        (ColumnType::TextList, ColumnType::Text, _) if is_bare => Some((column, text_list(raw)?)),
        (ColumnType::Text, ColumnType::TextList, _) => Some((column, Value::text(raw))),
        _ if column.widens_to(column_type) => Some((column_type, value)),
        _ if column_type.widens_to(column) => Some((column, value)),
        _ => None,
    }
}

fn whole_type(column: ColumnType, number: i64) -> ColumnType {
    if i32::try_from(number).is_ok() { column } else { ColumnType::Long }
}

fn is_f32(number: f64) -> bool {
    f64::from(number as f32) == number
}

fn exact_double(number: i64) -> Option<f64> {
    let double = number as f64;
    (double as i128 == i128::from(number)).then_some(double)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(declared: Option<Declared>, raw: &str) -> (ColumnType, Value) {
        let found = read("x", declared, raw).unwrap();
        (found.column_type, found.value)
    }

    fn code(declared: Option<Declared>, raw: &str) -> ErrorCode {
        read("x", declared, raw).unwrap_err().code
    }

    #[test]
    fn bare_values_have_their_json_type() {
        assert_eq!(value(None, "true"), (ColumnType::Boolean, Value::Boolean(true)));
        assert_eq!(value(None, "-7"), (ColumnType::Long, Value::Long(-7)));
        assert_eq!(value(None, "7.5"), (ColumnType::Double, Value::Double(7.5)));
        assert_eq!(value(None, "18446744073709551616"), (ColumnType::Double, Value::Double(2_f64.powi(64))));
        assert_eq!(value(None, r#""a\u00e9""#), (ColumnType::Text, Value::text("aé")));
        assert_eq!(value(None, r#"{"a": [1]}"#), (ColumnType::Text, Value::text(r#"{"a": [1]}"#)));
        assert_eq!(value(None, "[1,2]"), (ColumnType::Text, Value::text("[1,2]")));
    }

    #[test]
    fn numbers_that_nothing_holds_are_refused() {
        for raw in ["18446744073709551615", "1e400", "-1e400"] {
            assert_eq!(code(None, raw), ErrorCode::WrongType, "{raw}");
        }
        assert_eq!(code(None, r#""\ud800""#), ErrorCode::MalformedJson);
    }

    #[test]
    fn declared_values_have_the_declared_type() {
        let decimal = Declared::Decimal { precision: 5, scale: 2 };
        let decimal_type = ColumnType::Decimal { precision: 5, scale: 2 };
        let cases = [
            (Declared::Boolean, "false", ColumnType::Boolean, Value::Boolean(false)),
            (Declared::Int, "5", ColumnType::Int, Value::Long(5)),
            (Declared::Long, "5", ColumnType::Long, Value::Long(5)),
            (Declared::Float, "0.5", ColumnType::Float, Value::Double(0.5)),
            (Declared::Double, "5", ColumnType::Double, Value::Double(5.0)),
            (Declared::Double, r#""-Infinity""#, ColumnType::Double, Value::Double(f64::NEG_INFINITY)),
            (Declared::Text, r#""5""#, ColumnType::Text, Value::text("5")),
            (Declared::Binary, r#""AQI=""#, ColumnType::Binary, Value::Binary([1, 2].into())),
            (Declared::Date, "20491", ColumnType::Date, Value::Date(20_491)),
            (Declared::TimestampMs, "5", ColumnType::Timestamp, Value::Timestamp(5_000)),
            (
                Declared::TimestampText,
                r#""1970-01-01T00:00:01Z""#,
                ColumnType::Timestamp,
                Value::Timestamp(1_000_000),
            ),
            (decimal, r#""MDk=""#, decimal_type, Value::Decimal(Box::new(12_345))),
            (decimal, "123.4", decimal_type, Value::Decimal(Box::new(12_340))),
            (Declared::WideDecimal { scale: 2 }, r#""MDk=""#, ColumnType::Text, Value::text("123.45")),
            (
                Declared::VariableDecimal,
                r#"{"scale":2,"value":"MDk="}"#,
                ColumnType::Text,
                Value::text("123.45"),
            ),
            (
                Declared::TextList,
                r#"["a",null]"#,
                ColumnType::TextList,
                Value::TextList([Some("a".into()), None].into()),
            ),
            (Declared::Json, r#"{"a":1}"#, ColumnType::Text, Value::text(r#"{"a":1}"#)),
        ];
        for (declared, raw, column_type, expected) in cases {
            assert_eq!(value(Some(declared), raw), (column_type, expected), "{declared:?} {raw}");
        }
        let (_, nan) = value(Some(Declared::Double), r#""NaN""#);
        assert!(matches!(nan, Value::Double(number) if number.is_nan()));
    }

    #[test]
    fn a_value_that_contradicts_its_own_schema_is_refused() {
        let cases = [
            (Declared::Boolean, "1"),
            (Declared::Int, "3000000000"),
            (Declared::Long, "5.5"),
            (Declared::Double, "true"),
            (Declared::Text, "5"),
            (Declared::Binary, r#""%""#),
            (Declared::Binary, "5"),
            (Declared::Date, r#""x""#),
            (Declared::TimestampMs, r#""x""#),
            (Declared::TimestampText, "5"),
            (Declared::Decimal { precision: 3, scale: 0 }, "1000"),
            (Declared::Decimal { precision: 3, scale: 0 }, "1.5"),
            (Declared::VariableDecimal, r#"["x"]"#),
            (Declared::TextList, "[1]"),
        ];
        for (declared, raw) in cases {
            assert_eq!(code(Some(declared), raw), ErrorCode::WrongType, "{declared:?} {raw}");
        }
        assert_eq!(code(Some(Declared::TimestampMs), "9223372036825200000"), ErrorCode::BadTimestamp);
        assert_eq!(code(Some(Declared::TimestampText), r#""soon""#), ErrorCode::BadTimestamp);
    }

    /// (column's type, declared, source text) → the type afterwards; `None`: the record is rejected.
    #[test]
    fn columns_are_widened_or_the_value_is_refused() {
        use ColumnType::{Binary, Boolean, Date, Double, Float, Int, Long, Text, TextList, Timestamp};
        let decimal = |precision| ColumnType::Decimal { precision, scale: 2 };
        let declared = |precision, scale| Some(Declared::Decimal { precision, scale });
        let cases = [
            (Int, Some(Declared::Int), "5", Some(Int)),
            (Int, Some(Declared::Long), "5", Some(Long)),
            (Int, None, "5", Some(Int)),
            (Int, None, "5000000000", Some(Long)),
            (Int, None, "5.0", Some(Int)),
            (Int, None, "5.5", None),
            (Long, Some(Declared::Int), "5", Some(Long)),
            (Long, None, "5.0", Some(Long)),
            (Long, None, "5e3", Some(Long)),
            (Long, None, "5.5", None),
            (Long, Some(Declared::Double), "5.0", None),
            (Long, None, r#""5""#, None),
            (Float, Some(Declared::Double), "0.5", Some(Double)),
            (Float, None, "0.5", Some(Float)),
            (Float, None, "0.1", Some(Double)),
            (Float, None, "5", Some(Float)),
            (Float, None, "16777217", Some(Double)),
            (Double, Some(Declared::Float), "0.1", Some(Double)),
            (Double, None, "5", Some(Double)),
            (Double, Some(Declared::Long), "5", Some(Double)),
            (Double, None, "9007199254740993", None),
            (Double, None, "9223372036854775807", None),
            (Double, None, "true", None),
            (Boolean, None, "1", None),
            (decimal(5), declared(4, 2), "1.25", Some(decimal(5))),
            (decimal(5), declared(9, 2), "1.25", Some(decimal(9))),
            (decimal(5), declared(9, 3), "1.25", None),
            (decimal(5), None, "1.25", None),
            (Text, None, r#""a""#, Some(Text)),
            (Text, None, r#"{"a":1}"#, Some(Text)),
            (Text, Some(Declared::TextList), r#"["a"]"#, Some(Text)),
            (Text, None, "5", None),
            (TextList, None, r#"["a"]"#, Some(TextList)),
            (TextList, None, "[1]", None),
            (TextList, None, r#""a""#, None),
            (TextList, Some(Declared::Text), r#""a""#, None),
            (Date, Some(Declared::TimestampMs), "5", None),
            (Timestamp, None, "5", None),
            (Binary, None, r#""AQI=""#, None),
        ];
        for (column, declared, raw, expected) in cases {
            let found = read("x", declared, raw).unwrap();
            let fitted = fit(column, found, raw).map(|(after, _)| after);
            assert_eq!(fitted, expected, "{column:?} {declared:?} {raw}");
        }
    }
}
