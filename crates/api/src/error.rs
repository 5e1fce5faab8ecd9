//! What the API answers when it can't do what was asked: always `{"error":{"code","message"}}`, with what to do.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An answer with an error. Codes are part of the API: add, never rename.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    state: Option<&'static str>,
    retry_after_s: Option<u32>,
}

/// The body of an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorAnswer {
    /// The error.
    pub error: ErrorDetail,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorDetail {
    /// For programs, such as `wrong_state`.
    pub code: String,
    /// For people: what was found, and what is allowed or to be done.
    pub message: String,
    /// The state that the action is in; only with `wrong_state` and `expired`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

impl ApiError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), state: None, retry_after_s: None }
    }

    /// 400: a parameter is not what it may be.
    pub fn bad_parameter(name: &str, found: &str, allowed: &str) -> Self {
        let shown: String = found.chars().take(80).collect();
        let message = format!("parameter {name}: found {shown:?}, allowed is {allowed}");
        Self::new(StatusCode::BAD_REQUEST, "bad_parameter", message)
    }

    /// 400: the request is wrong otherwise.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// 401: a token is needed, or another one.
    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    /// 403: not by anybody, as things are set.
    pub fn forbidden(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    /// 404.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// 405.
    pub fn method_not_allowed() -> Self {
        let message = "this path has no such method; /openapi.json lists what there is";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
    }

    /// 408: the request took too long to come.
    pub fn request_timeout(message: impl Into<String>) -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", message)
    }

    /// 409 or 410: the action is in a state from which it can't go where it was asked to.
    pub fn wrong_state(is_expired: bool, state: &'static str, message: impl Into<String>) -> Self {
        let (status, code) = match is_expired {
            true => (StatusCode::GONE, "expired"),
            false => (StatusCode::CONFLICT, "wrong_state"),
        };
        Self { state: Some(state), ..Self::new(status, code, message) }
    }

    /// 413.
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    }

    /// 429: as much as may be done at the same time is being done.
    pub fn too_many(message: impl Into<String>) -> Self {
        let error = Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", message);
        Self { retry_after_s: Some(1), ..error }
    }

    /// 502: what answers for the API did not.
    pub fn bad_gateway(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, code, message)
    }

    /// 503: not now.
    pub fn unavailable(code: &'static str, message: impl Into<String>) -> Self {
        let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message);
        Self { retry_after_s: Some(1), ..error }
    }

    /// The status that it is answered with.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Its code.
    pub fn code(&self) -> &'static str {
        self.code
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let detail = ErrorDetail {
            code: self.code.to_owned(),
            message: self.message,
            state: self.state.map(str::to_owned),
        };
        let mut response = (self.status, Json(ErrorAnswer { error: detail })).into_response();
        let headers = response.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_huge_value_is_shown_shortly() {
        let error = ApiError::bad_parameter("limit", &"9".repeat(10_000), "an integer from 1 to 500");
        assert!(error.message.len() < 200, "{}", error.message);
        assert!(error.message.contains("limit") && error.message.contains("from 1 to 500"));
    }

    #[test]
    fn who_is_asked_for_a_token_or_to_wait_is_told_so_in_the_headers() {
        let asked = ApiError::unauthorized("no token").into_response();
        assert_eq!(asked.headers()[header::WWW_AUTHENTICATE], "Bearer");
        let later = ApiError::too_many("busy").into_response();
        assert_eq!(later.headers()[header::RETRY_AFTER], "1");
    }
}
