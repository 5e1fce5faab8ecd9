//! SQL: handed on to the query process, so that no query can hurt the stream.

mod process;
mod supervision;

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;
use utoipa::ToSchema;

pub(crate) use process::QueryProcess;

use crate::ApiError;
use crate::body::read_json;
use crate::error::ErrorAnswer;
use crate::parts::Api;

/// Beyond the longest time of a query, for its answer to come through.
const GRACE: Duration = Duration::from_secs(5);

/// A query.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SqlRequest {
    /// The statement: SELECT, EXPLAIN, SHOW or DESCRIBE.
    #[schema(example = "SELECT * FROM serving.trending_videos LIMIT 10")]
    sql: String,
    /// json, ndjson, csv, arrow or table.
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<String>,
    /// Rows at most; the setting's bound holds too.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_rows: Option<u64>,
    /// Seconds at most; the setting's bound holds too.
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_s: Option<f64>,
}

/// A result as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct SqlAnswer {
    /// Its columns.
    columns: Vec<SqlColumn>,
    /// Its rows: a value for each column.
    rows: Vec<Vec<serde_json::Value>>,
    /// How many rows these are.
    row_count: u64,
    /// Whether there were more.
    truncated: bool,
    /// How long it took.
    elapsed_ms: f64,
}

/// A column of a result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct SqlColumn {
    /// Its name.
    name: String,
    /// Its type.
    #[serde(rename = "type")]
    data_type: String,
}

/// Ask the tables, read-only
///
/// Catalog `lake` with the schemas bronze, gold, dims, silver and qa, and the views in `serving`. With `format` csv, arrow,
/// ndjson or table the answer is not JSON.
#[utoipa::path(
    post, path = "/api/v1/sql", tag = "sql", request_body = SqlRequest,
    responses(
        (status = 200, description = "The result", body = SqlAnswer),
        (status = 400, description = "Wrong SQL, or a wrong body", body = ErrorAnswer),
        (status = 401, description = "No token, or a wrong one", body = ErrorAnswer),
        (status = 403, description = "SQL is switched off, or the statement would change something", body = ErrorAnswer),
        (status = 413, description = "The body or the result is too large", body = ErrorAnswer),
        (status = 422, description = "The query failed, or needs more memory than there is", body = ErrorAnswer),
        (status = 429, description = "As many queries run as may", body = ErrorAnswer),
        (status = 502, description = "The query process has ended during the query", body = ErrorAnswer),
        (status = 503, description = "There is no query process; the message says what to do", body = ErrorAnswer),
        (status = 504, description = "The query took too long", body = ErrorAnswer),
    )
)]
pub(crate) async fn post_sql(State(api): State<Api>, body: Bytes) -> Result<Response, ApiError> {
    let request: SqlRequest = read_json(&body)?;
    let outcome = ask(&api, &request).await;
    api.http_metrics.queried(match &outcome {
        Ok(response) if response.status().is_success() => "answered",
        Ok(_) => "refused",
        Err(error) if error.status() == StatusCode::TOO_MANY_REQUESTS => "busy",
        Err(_) => "unavailable",
    });
    outcome
}

async fn ask(api: &Api, request: &SqlRequest) -> Result<Response, ApiError> {
    let permit = api.query.permit()?;
    let running = api.query.running().await?;
    let longest = api.settings.query.timeout + GRACE;
    let asking = api
        .query
        .client()
        .post(format!("http://{}/sql", running.address))
        .bearer_auth(running.token.expose())
        .timeout(longest)
        .json(request)
        .send();
    let answer = asking.await.map_err(|error| lost(&error))?;
    passed_on(answer, permit)
}

fn lost(error: &reqwest::Error) -> ApiError {
    ApiError::bad_gateway(
        "query_process_lost",
        format!(
            "the query process did not answer ({error}): it may have needed too much memory; it is started again"
        ),
    )
}

/// The answer as it comes, with what its client must know; the permit is held until the last of it is through.
fn passed_on(answer: reqwest::Response, permit: OwnedSemaphorePermit) -> Result<Response, ApiError> {
    let mut headers = HeaderMap::new();
    for name in [header::CONTENT_TYPE, header::RETRY_AFTER, header::HeaderName::from_static("x-truncated")] {
        if let Some(value) = answer.headers().get(&name) {
            headers.insert(name, value.clone());
        }
    }
    let mut builder = Response::builder().status(answer.status());
    if let Some(answered) = builder.headers_mut() {
        *answered = headers;
    }
    let parts = futures::stream::try_unfold((answer, permit), |(mut open, held)| async move {
        Ok::<_, reqwest::Error>(open.chunk().await?.map(|part| (part, (open, held))))
    });
    builder.body(Body::from_stream(parts)).map_err(|error| {
        ApiError::bad_gateway("query_process_lost", format!("its answer can't be passed on: {error}"))
    })
}
