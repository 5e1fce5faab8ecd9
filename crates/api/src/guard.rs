//! What every request goes through: security headers, the check of the host, a bound on its time, and metrics.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::ApiError;
use crate::parts::Api;

/// How long a request may take until its answer begins, its body included. Queries of SQL have bounds of their own.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// Pages load from here alone, run no script that stands in them, and stand in no frame of another site.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Headers of every answer.
pub(crate) async fn with_security_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Answers are of the moment, and may be secret.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Counts and times every answer.
pub(crate) async fn measured(State(api): State<Api>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().cloned();
    let begun = Instant::now();
    let response = next.run(request).await;
    let endpoint = path.as_ref().map_or("other", MatchedPath::as_str);
    api.http_metrics.answered(endpoint, response.status().as_u16(), begun.elapsed());
    response
}

/// Ends requests that take too long.
pub(crate) async fn bounded_in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(TIME_LIMIT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let limit_s = TIME_LIMIT.as_secs();
            ApiError::request_timeout(format!("the request took longer than {limit_s} s")).into_response()
        }
    }
}

/// Where no token is asked for and only this machine can connect, a page of another site must not get in by a name of its
/// own that leads here (DNS rebinding): then only addresses and `localhost` are names of this service.
pub(crate) async fn from_this_machine(State(api): State<Api>, request: Request, next: Next) -> Response {
    let is_open = api.settings.is_loopback && api.settings.tokens.read.is_empty();
    let host = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    if is_open && host.is_some_and(|name| !is_own_name(name)) {
        let message = "without http.token this service answers to addresses and localhost alone; set http.token_file to reach it by another name";
        let refused = ApiError::forbidden("other_host", message);
        return refused.into_response();
    }
    next.run(request).await
}

/// Whether a `Host` is an address or `localhost`, with or without a port.
fn is_own_name(host: &str) -> bool {
    let without_port = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = without_port.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}

/// What there is no path for.
pub(crate) async fn no_such_path() -> ApiError {
    ApiError::not_found("there is no such path; /openapi.json lists what there is")
}

/// What a path has no method for.
pub(crate) async fn no_such_method() -> ApiError {
    ApiError::method_not_allowed()
}

/// Bodies that are too long are refused by axum in plain text: they become errors as all others are.
pub(crate) async fn errors_in_json(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let is_ours = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    match response.status() {
        StatusCode::PAYLOAD_TOO_LARGE if !is_ours => {
            let most = crate::body::MAX_BODY_BYTES;
            ApiError::too_large(format!("the body is longer than {most} bytes")).into_response()
        }
        _ => response,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_localhost_are_own_names_and_no_other_is() {
        for own in [
            "127.0.0.1:9464",
            "127.0.0.1",
            "localhost:9464",
            "LOCALHOST",
            "[::1]:9464",
            "[::1]",
            "10.1.2.3:80",
        ] {
            assert!(is_own_name(own), "{own}");
        }
        for other in [
            "evil.example",
            "evil.example:9464",
            "localhost.evil.example",
            "127.0.0.1.evil.example:80",
            "",
            "localhost:9464:80x",
        ] {
            assert!(!is_own_name(other), "{other}");
        }
    }
}
