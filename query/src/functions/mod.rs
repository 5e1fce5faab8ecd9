//! SQL functions that DataFusion lacks, under the names and with the meaning that they have in Trino (or, where that lacks
//! it too, in Spark), so that one text of a view runs on both.

mod date_diff;
mod json_extract_scalar;
mod json_path;
mod unix_micros;

use datafusion::logical_expr::ScalarUDF;

use date_diff::DateDiff;
use json_extract_scalar::JsonExtractScalar;
use unix_micros::UnixMicros;

/// All of them, to be registered in every session.
pub fn all() -> Vec<ScalarUDF> {
    vec![
        ScalarUDF::from(JsonExtractScalar::default()),
        ScalarUDF::from(DateDiff::default()),
        ScalarUDF::from(UnixMicros::default()),
    ]
}

#[cfg(test)]
mod testing {
    use arrow::util::display::{ArrayFormatter, FormatOptions};
    use datafusion::prelude::SessionContext;

    async fn evaluate(expression: &str) -> datafusion::common::Result<Vec<String>> {
        let session = SessionContext::new();
        for function in super::all() {
            session.register_udf(function);
        }
        let mut texts = Vec::new();
        for batch in session.sql(&format!("SELECT {expression}")).await?.collect().await? {
            let formatter = ArrayFormatter::try_new(batch.column(0), &FormatOptions::default())?;
            texts.extend((0..batch.num_rows()).map(|row| formatter.value(row).to_string()));
        }
        Ok(texts)
    }

    /// The values of an expression as text, null as the empty one.
    pub(super) async fn answer(expression: &str) -> Vec<String> {
        evaluate(expression).await.unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// What is said against an expression.
    pub(super) async fn refusal(expression: &str) -> String {
        evaluate(expression).await.unwrap_err().to_string()
    }
}
