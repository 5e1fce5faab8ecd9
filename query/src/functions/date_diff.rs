//! `date_diff(unit, from, to)`: whole units from one moment to another, as in Trino.

use std::any::Any;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use datafusion::common::{DataFusionError, Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};
use pulselake_model::schema::timestamp_type;

/// Units of one length, in milliseconds. Trino's month, quarter and year are not among them.
const UNITS: [(&str, i64); 6] = [
    ("millisecond", 1),
    ("second", 1_000),
    ("minute", 60_000),
    ("hour", 3_600_000),
    ("day", 86_400_000),
    ("week", 604_800_000),
];

/// See the module. Moments count to the millisecond, and a part of a unit does not count: both as in Trino.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct DateDiff {
    signature: Signature,
}

impl Default for DateDiff {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for DateDiff {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn name(&self) -> &'static str {
        "date_diff"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let is_moment = |data_type: &DataType| {
            matches!(
                data_type,
                DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 | DataType::Null
            )
        };
        match arg_types {
            [unit, from, to] if unit.is_string() && is_moment(from) && is_moment(to) => {
                Ok(vec![DataType::Utf8, timestamp_type(), timestamp_type()])
            }
            _ => plan_err!(
                "date_diff takes a unit such as 'second' and two timestamps or dates, not {arg_types:?}"
            ),
        }
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let [unit, from, to] = <[ColumnarValue; 3]>::try_from(args.args)
            .map_err(|_| DataFusionError::Internal("date_diff takes three arguments".to_owned()))?;
        let ColumnarValue::Scalar(ScalarValue::Utf8(Some(unit))) = unit else {
            return exec_err!("the unit of date_diff has to be written out, such as 'second'");
        };
        let unit_ms = unit_ms(&unit)?;
        let (from, to) = (from.into_array(rows)?, to.into_array(rows)?);
        let from = from.as_primitive::<TimestampMicrosecondType>();
        let to = to.as_primitive::<TimestampMicrosecondType>();
        let differences: Int64Array =
            from.iter().zip(to).map(|(from, to)| Some(whole_units(from?, to?, unit_ms))).collect();
        Ok(ColumnarValue::Array(Arc::new(differences) as ArrayRef))
    }
}

fn unit_ms(unit: &str) -> Result<i64> {
    let found = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit));
    match found {
        Some((_, length_ms)) => Ok(*length_ms),
        None => {
            let allowed: Vec<&str> = UNITS.iter().map(|(name, _)| *name).collect();
            exec_err!("date_diff knows no unit {unit:?}: allowed are {}", allowed.join(", "))
        }
    }
}

fn whole_units(from_us: i64, to_us: i64, unit_ms: i64) -> i64 {
    let whole_ms = |moment_us: i64| moment_us.div_euclid(1_000);
    (whole_ms(to_us) - whole_ms(from_us)) / unit_ms
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::testing::{answer, refusal};

    #[test]
    fn parts_of_a_unit_do_not_count() {
        for (from_us, to_us, unit_ms, units) in [
            (0, 3_599_999_000, 3_600_000, 0),
            (0, 3_600_000_000, 3_600_000, 1),
            (3_599_999_000, 0, 3_600_000, 0),
            (3_600_000_000, 0, 3_600_000, -1),
            (900, 1_000, 1, 1),
            (0, 999, 1, 0),
            (-1, 0, 1, 1),
        ] {
            assert_eq!(whole_units(from_us, to_us, unit_ms), units, "{from_us} to {to_us} by {unit_ms}");
        }
    }

    #[tokio::test]
    async fn it_takes_timestamps_and_dates() {
        let (from, to) = ("TIMESTAMP '2026-02-07 10:00:00.123'", "TIMESTAMP '2026-02-08 11:00:00'");
        for (sql, expected) in [
            (format!("date_diff('millisecond', {from}, {to})"), "89999877"),
            (format!("date_diff('second', {from}, {to})"), "89999"),
            (format!("date_diff('HOUR', {from}, {to})"), "24"),
            (format!("date_diff('day', {to}, {from})"), "-1"),
            ("date_diff('week', DATE '2026-02-01', DATE '2026-02-15')".to_owned(), "2"),
            (format!("date_diff('second', NULL, {to})"), ""),
        ] {
            assert_eq!(answer(&sql).await, [expected], "{sql}");
        }
    }

    #[tokio::test]
    async fn what_does_not_fit_is_told() {
        let months = refusal("date_diff('month', DATE '2026-02-01', DATE '2026-03-01')").await;
        assert!(months.contains("knows no unit \"month\": allowed are millisecond, second"), "{months}");
        assert!(refusal("date_diff('day', 1, 2)").await.contains("two timestamps or dates"));
    }
}
