//! What a JSON value is, which column types take it, and what it is in such a column.
//!
//! A column takes a value only where nothing of it is lost:
//!
//! | type | takes |
//! |---|---|
//! | long | whole numbers of 64 bits, also written as `5.0` or `5e3` (then below 2^53) |
//! | double | numbers, except whole ones of more than 15 digits, which it would round, and those beyond its range |
//! | boolean | `true`, `false` |
//! | string | everything: texts without their quotes, all else as it is written in JSON |
//!
//! `null` is no value: it is null in every column.

use std::borrow::Cow;

use pulselake_decode::string_content;

use crate::batch::payload_column::PayloadType;

/// A double has all whole numbers below this.
const EXACT_BELOW: f64 = 9_007_199_254_740_992.0;
/// Every whole number of so many digits is one of them.
const EXACT_DIGITS: usize = 15;

/// Kinds of JSON values, as far as column types tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValueKind {
    /// `null`.
    Null,
    /// `true` or `false`.
    Boolean,
    /// A whole number of at most 15 digits, written as one.
    Whole,
    /// A longer one of 64 bits.
    LargeWhole,
    /// A whole number that is written with a fraction or an exponent, such as `5.0`, below 2^53.
    WholeFloat,
    /// Any other number with a fraction or an exponent.
    Fraction,
    /// A number that neither long nor double hold.
    HugeNumber,
    /// A string.
    Text,
    /// An object or an array.
    Nested,
}

impl ValueKind {
    /// All of them, in the order of their numbers.
    pub const ALL: [ValueKind; 9] = [
        Self::Null,
        Self::Boolean,
        Self::Whole,
        Self::LargeWhole,
        Self::WholeFloat,
        Self::Fraction,
        Self::HugeNumber,
        Self::Text,
        Self::Nested,
    ];

    /// The kind of a JSON value that is written as `raw`.
    pub fn of(raw: &str) -> Self {
        match raw.as_bytes().first() {
            Some(b'"') => Self::Text,
            Some(b'{' | b'[') => Self::Nested,
            Some(b't' | b'f') => Self::Boolean,
            Some(b'-' | b'0'..=b'9') => Self::of_number(raw),
            _ => Self::Null,
        }
    }

    fn of_number(raw: &str) -> Self {
        if raw.contains(['.', 'e', 'E']) {
            return match raw.parse::<f64>() {
                Ok(number) if number.fract() == 0.0 && number.abs() < EXACT_BELOW => Self::WholeFloat,
                Ok(number) if number.is_finite() => Self::Fraction,
                _ => Self::HugeNumber,
            };
        }
        if raw.trim_start_matches('-').len() <= EXACT_DIGITS {
            return Self::Whole;
        }
        if raw.parse::<i64>().is_ok() { Self::LargeWhole } else { Self::HugeNumber }
    }
}

impl PayloadType {
    /// Whether a column of this type takes values of this kind.
    pub fn takes(self, kind: ValueKind) -> bool {
        use ValueKind::{Boolean, Fraction, LargeWhole, Null, Whole, WholeFloat};
        match self {
            Self::Long => matches!(kind, Whole | LargeWhole | WholeFloat),
            Self::Double => matches!(kind, Whole | WholeFloat | Fraction),
            Self::Boolean => kind == Boolean,
            Self::String => kind != Null,
        }
    }

    /// The narrowest type that both widen to.
    pub fn joined(self, other: Self) -> Self {
        match (self, other) {
            (one, same) if one == same => one,
            (Self::Long, Self::Double) | (Self::Double, Self::Long) => Self::Double,
            _ => Self::String,
        }
    }
}

/// The value in a long column; `None` where that does not take it.
pub fn as_long(raw: &str) -> Option<i64> {
    match ValueKind::of(raw) {
        ValueKind::Whole | ValueKind::LargeWhole => raw.parse().ok(),
        // Below 2^53: the cast is exact.
        ValueKind::WholeFloat => raw.parse::<f64>().ok().map(|number| number as i64),
        _ => None,
    }
}

/// The value in a double column; `None` where that does not take it.
pub fn as_double(raw: &str) -> Option<f64> {
    PayloadType::Double.takes(ValueKind::of(raw)).then(|| raw.parse().ok()).flatten()
}

/// The value in a boolean column; `None` where that does not take it.
pub fn as_boolean(raw: &str) -> Option<bool> {
    match raw {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// The value in a string column, or in the one beside a column that does not take it; `None` for null.
///
/// A text with a lone surrogate, which no text column can hold, is as it is written between its quotes.
pub fn as_text(raw: &str) -> Option<Cow<'_, str>> {
    match ValueKind::of(raw) {
        ValueKind::Null => None,
        ValueKind::Text => Some(string_content(raw)),
        _ => Some(Cow::Borrowed(raw)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn kinds_are_told_apart() {
        for (raw, kind) in [
            ("null", ValueKind::Null),
            ("true", ValueKind::Boolean),
            ("0", ValueKind::Whole),
            ("-0", ValueKind::Whole),
            ("-999999999999999", ValueKind::Whole),
            ("1000000000000000", ValueKind::LargeWhole),
            ("9223372036854775807", ValueKind::LargeWhole),
            ("-9223372036854775808", ValueKind::LargeWhole),
            ("9223372036854775808", ValueKind::HugeNumber),
            ("5.0", ValueKind::WholeFloat),
            ("-5.4e3", ValueKind::WholeFloat),
            ("1e-400", ValueKind::WholeFloat),
            ("9007199254740993.0", ValueKind::Fraction),
            ("1.25", ValueKind::Fraction),
            ("1E30", ValueKind::Fraction),
            ("1e400", ValueKind::HugeNumber),
            (r#""5""#, ValueKind::Text),
            ("[]", ValueKind::Nested),
            (r#"{"a":1}"#, ValueKind::Nested),
        ] {
            assert_eq!(ValueKind::of(raw), kind, "{raw}");
        }
    }

    #[test]
    fn texts_lose_their_quotes_and_nothing_else() {
        for (raw, text) in [
            ("null", None),
            (r#""""#, Some("")),
            (r#""a\n\"b\" \u00e4""#, Some("a\n\"b\" ä")),
            (r#""lone \ud800""#, Some(r"lone \ud800")),
            ("1.50", Some("1.50")),
            ("true", Some("true")),
            (r#"{"a" : 1}"#, Some(r#"{"a" : 1}"#)),
        ] {
            assert_eq!(as_text(raw).as_deref(), text, "{raw}");
        }
    }

    #[test]
    fn longs_and_doubles_are_exact() {
        assert_eq!(as_long("-9223372036854775808"), Some(i64::MIN));
        assert_eq!(as_long("5.4e3"), Some(5_400));
        assert_eq!(as_long("5.5"), None);
        assert_eq!(as_double("5"), Some(5.0));
        assert_eq!(as_double("0.1"), Some(0.1));
        assert_eq!(as_double("12345678901234567"), None);
        assert_eq!((as_boolean("true"), as_boolean("1")), (Some(true), None));
    }

    #[test]
    fn joins_are_those_of_a_lattice() {
        for one in PayloadType::ALL {
            assert_eq!(one.joined(one), one);
            assert_eq!(PayloadType::of_name(one.as_str()), Some(one));
            for other in PayloadType::ALL {
                assert_eq!(one.joined(other), other.joined(one));
                for third in PayloadType::ALL {
                    assert_eq!(one.joined(other).joined(third), one.joined(other.joined(third)));
                }
            }
        }
        assert_eq!(PayloadType::Long.joined(PayloadType::Double), PayloadType::Double);
    }

    fn any_json() -> impl Strategy<Value = String> {
        prop_oneof![
            Just("null".to_owned()),
            any::<bool>().prop_map(|value| value.to_string()),
            any::<i64>().prop_map(|value| value.to_string()),
            any::<f64>()
                .prop_filter("JSON has none", |value| value.is_finite())
                .prop_map(|value| format!("{value:?}")),
            "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?",
            any::<String>().prop_map(|value| serde_json::to_string(&value).unwrap()),
            Just("[1,{}]".to_owned()),
        ]
    }

    proptest! {
        #[test]
        fn a_type_takes_what_has_a_value_in_it(raw in any_json()) {
            let kind = ValueKind::of(&raw);
            prop_assert_eq!(PayloadType::Long.takes(kind), as_long(&raw).is_some());
            prop_assert_eq!(PayloadType::Double.takes(kind), as_double(&raw).is_some());
            prop_assert_eq!(PayloadType::Boolean.takes(kind), as_boolean(&raw).is_some());
            prop_assert_eq!(PayloadType::String.takes(kind), as_text(&raw).is_some());
        }

        #[test]
        fn what_a_column_of_numbers_has_is_the_number_that_was_written(whole in any::<i64>()) {
            let raw = whole.to_string();
            prop_assert_eq!(as_long(&raw), Some(whole));
            if let Some(double) = as_double(&raw) {
                prop_assert_eq!(double as i128, i128::from(whole));
            }
        }
    }
}
