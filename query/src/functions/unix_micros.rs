//! `unix_micros(timestamp)`: microseconds since the epoch, as in Spark.

use std::any::Any;

use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

/// See the module.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct UnixMicros {
    signature: Signature,
}

impl Default for UnixMicros {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for UnixMicros {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn name(&self) -> &'static str {
        "unix_micros"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        match arg_types {
            [DataType::Timestamp(_, zone)] => {
                Ok(vec![DataType::Timestamp(TimeUnit::Microsecond, zone.clone())])
            }
            [DataType::Null] => Ok(vec![DataType::Timestamp(TimeUnit::Microsecond, None)]),
            _ => plan_err!("unix_micros takes a timestamp, not {arg_types:?}"),
        }
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_scalar = args.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let micros = cast(&arrays[0], &DataType::Int64)?;
        if is_scalar {
            let first = micros.as_primitive::<Int64Type>();
            let value = (first.is_valid(0)).then(|| first.value(0));
            return Ok(ColumnarValue::Scalar(value.into()));
        }
        Ok(ColumnarValue::Array(micros))
    }
}

#[cfg(test)]
mod tests {
    use crate::functions::testing::{answer, refusal};

    #[tokio::test]
    async fn it_counts_from_the_epoch() {
        for (sql, expected) in [
            ("unix_micros(TIMESTAMP '1970-01-01 00:00:01.000001')", "1000001"),
            ("unix_micros(TIMESTAMP '1969-12-31 23:59:59.999999')", "-1"),
            ("unix_micros(TIMESTAMP '2026-02-07 10:00:00.123456 UTC')", "1770458400123456"),
            ("unix_micros(NULL)", ""),
        ] {
            assert_eq!(answer(sql).await, [expected], "{sql}");
        }
        let by_row = "(SELECT sum(unix_micros(t)) FROM (VALUES (TIMESTAMP '1970-01-01 00:00:01'), (TIMESTAMP '1970-01-01 00:00:02')) v(t))";
        assert_eq!(answer(by_row).await, ["3000000"]);
    }

    #[tokio::test]
    async fn what_does_not_fit_is_told() {
        assert!(refusal("unix_micros(1)").await.contains("takes a timestamp"));
    }
}
