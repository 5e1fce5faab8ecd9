//! `POST /sql` and `GET /healthz`.

use axum::body::Body;
use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use serde::{Deserialize, Serialize};

use super::{Gate, Token};
use crate::output::OutputFormat;
use crate::{ErrorCode, Position, QueryError, QueryLimits};

/// A statement of more bytes than these is no statement that a person wrote.
const MOST_BODY_BYTES: usize = 256 << 10;
/// A second, so that a client that is told to come back does not come at once.
const RETRY_AFTER_S: HeaderValue = HeaderValue::from_static("1");

/// The body of `POST /sql`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SqlRequest {
    sql: String,
    #[serde(default)]
    format: OutputFormat,
    max_rows: Option<u64>,
    timeout_s: Option<f64>,
}

/// The body of every answer that is no result.
#[derive(Debug, Serialize)]
struct ErrorBody {
    error: ErrorDetail,
}

#[derive(Debug, Serialize)]
struct ErrorDetail {
    code: ErrorCode,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<Position>,
}

/// The routes.
pub(super) fn router(gate: Gate, token: Token) -> Router {
    Router::new()
        .route("/sql", post(sql))
        .layer(DefaultBodyLimit::max(MOST_BODY_BYTES))
        .layer(middleware::from_fn_with_state(token, let_in))
        .route("/healthz", get(|| async { "ok\n" }))
        .with_state(gate)
}

async fn let_in(State(token): State<Token>, request: Request, next: Next) -> Response {
    let authorization = request.headers().get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    if token.lets_in(authorization) {
        return next.run(request).await;
    }
    let message =
        "send the header `Authorization: Bearer …` with the token of PULSELAKE_QUERY_TOKEN".to_owned();
    let detail = ErrorDetail { code: ErrorCode::BadRequest, message, position: None };
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
    (StatusCode::UNAUTHORIZED, challenge, Json(ErrorBody { error: detail })).into_response()
}

/// Runs a statement. When the client goes away, this future is dropped, and the query with it.
async fn sql(State(gate): State<Gate>, body: Result<Json<SqlRequest>, JsonRejection>) -> Response {
    let answer = match body {
        Err(rejection) => return rejected(&rejection),
        Ok(Json(request)) => run(&gate, request).await,
    };
    answer.unwrap_or_else(|error| refused(&error))
}

async fn run(gate: &Gate, request: SqlRequest) -> Result<Response, QueryError> {
    let timeout = match request.timeout_s {
        None => None,
        Some(seconds) => Some(std::time::Duration::try_from_secs_f64(seconds).map_err(|_| {
            QueryError::BadRequest(format!("timeout_s is {seconds}; allowed are seconds from 0 up"))
        })?),
    };
    let limits = QueryLimits { max_rows: request.max_rows, timeout };
    let answer = gate.answer(request.sql, request.format, limits).await?;
    let mut response = Body::from(answer.bytes).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(request.format.content_type()));
    // Formats other than JSON have no place for it.
    headers.insert(
        "x-truncated",
        HeaderValue::from_static(if answer.summary.truncated { "true" } else { "false" }),
    );
    Ok(response)
}

fn rejected(rejection: &JsonRejection) -> Response {
    let code = if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        ErrorCode::TooLarge
    } else {
        ErrorCode::BadRequest
    };
    let detail = ErrorDetail {
        code,
        message: format!(
            "{}; send application/json with \"sql\", and, if you like, \"format\" (json, ndjson, csv, arrow, table), \"max_rows\" and \"timeout_s\", {MOST_BODY_BYTES} bytes at most",
            rejection.body_text()
        ),
        position: None,
    };
    (rejection.status(), Json(ErrorBody { error: detail })).into_response()
}

fn refused(error: &QueryError) -> Response {
    if error.code() == ErrorCode::Internal {
        tracing::error!(event = "query_failed", %error, "a query has failed by a defect");
    }
    let detail = ErrorDetail { code: error.code(), message: error.to_string(), position: error.position() };
    let mut response = (status(error.code()), Json(ErrorBody { error: detail })).into_response();
    if matches!(error.code(), ErrorCode::Busy | ErrorCode::Unavailable) {
        response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER_S);
    }
    response
}

fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::BadSql | ErrorCode::BadRequest => StatusCode::BAD_REQUEST,
        ErrorCode::ReadOnly => StatusCode::FORBIDDEN,
        ErrorCode::Execution | ErrorCode::Memory => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::Busy | ErrorCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::Timeout => StatusCode::GATEWAY_TIMEOUT,
        ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
