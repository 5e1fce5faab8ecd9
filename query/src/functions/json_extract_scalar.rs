//! `json_extract_scalar(json, path)`: one value out of a JSON text, as in Trino.

use std::any::Any;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray, StringBuilder};
use arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, Result, ScalarValue, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use super::json_path::JsonPath;

/// See the module and [`JsonPath::scalar`].
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct JsonExtractScalar {
    signature: Signature,
}

impl Default for JsonExtractScalar {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for JsonExtractScalar {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn name(&self) -> &'static str {
        "json_extract_scalar"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let is_text = |data_type: &DataType| data_type.is_string() || data_type.is_null();
        if arg_types.len() != 2 || !arg_types.iter().all(is_text) {
            return plan_err!(
                "json_extract_scalar takes two texts (a JSON text and a path such as '$.key'), not {arg_types:?}"
            );
        }
        Ok(vec![DataType::Utf8, DataType::Utf8])
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let [json, path] = <[ColumnarValue; 2]>::try_from(args.args)
            .map_err(|_| DataFusionError::Internal("json_extract_scalar takes two arguments".to_owned()))?;
        let json = json.into_array(rows)?;
        let json = json.as_string::<i32>();
        // A path is nearly always written out: then it is read once.
        let values = match path {
            ColumnarValue::Scalar(ScalarValue::Utf8(Some(path))) => extract(json, &parsed(&path)?),
            ColumnarValue::Scalar(_) => StringArray::new_null(rows),
            ColumnarValue::Array(paths) => extract_each(json, paths.as_string::<i32>())?,
        };
        Ok(ColumnarValue::Array(Arc::new(values) as ArrayRef))
    }
}

fn parsed(path: &str) -> Result<JsonPath> {
    JsonPath::parse(path).map_err(|error| DataFusionError::Execution(format!("json_extract_scalar: {error}")))
}

fn extract(json: &StringArray, path: &JsonPath) -> StringArray {
    let mut values = StringBuilder::with_capacity(json.len(), 8 * json.len());
    for text in json {
        values.append_option(text.and_then(|text| path.scalar(text)));
    }
    values.finish()
}

fn extract_each(json: &StringArray, paths: &StringArray) -> Result<StringArray> {
    let mut values = StringBuilder::new();
    for (text, path) in json.iter().zip(paths) {
        let value = match (text, path) {
            (Some(text), Some(path)) => parsed(path)?.scalar(text),
            _ => None,
        };
        values.append_option(value);
    }
    Ok(values.finish())
}

#[cfg(test)]
mod tests {
    use crate::functions::testing::{answer, refusal};

    #[tokio::test]
    async fn it_answers_as_trino_does() {
        for (sql, expected) in [
            (r#"json_extract_scalar('{"app_version":"15.0"}', '$.app_version')"#, "15.0"),
            (r#"json_extract_scalar('{"app_version":15.0}', '$.app_version')"#, "15.0"),
            (r#"json_extract_scalar('{"a":[1]}', '$.a')"#, ""),
            ("json_extract_scalar(NULL, '$.a')", ""),
            ("json_extract_scalar('{}', NULL)", ""),
        ] {
            assert_eq!(answer(sql).await, [expected], "{sql}");
        }
        let by_row = "SELECT json_extract_scalar(j, p) FROM (VALUES ('{\"a\":1}', '$.a'), ('[2]', '$[0]'), (NULL, '$.a')) t(j, p)";
        assert_eq!(answer(&format!("({by_row} LIMIT 1)")).await, ["1"]);
    }

    #[tokio::test]
    async fn what_does_not_fit_is_told() {
        assert!(
            refusal("json_extract_scalar('{}', 'app')").await.contains("is no path into JSON at character 1")
        );
        assert!(refusal("json_extract_scalar('{}')").await.contains("takes two texts"));
        assert!(refusal("json_extract_scalar(1, '$.a')").await.contains("takes two texts"));
    }
}
