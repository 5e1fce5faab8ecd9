//! Live updates as server-sent events.

mod frame;
mod hub;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures::StreamExt;

pub(crate) use hub::{EventHub, run};

use crate::ApiError;
use crate::error::ErrorAnswer;
use crate::parameters::Parameters;
use crate::parts::Api;

/// Live updates as server-sent events
///
/// `pulse`, `trending` (50 videos) and `health`, each about once a second, and `decision` whenever an action is new or has
/// changed; their data are the answers of the paths of the same names. A client that does not read in time is dropped, and
/// asks again.
#[utoipa::path(
    get, path = "/api/v1/events", tag = "live",
    responses(
        (status = 200, description = "A stream of events", body = String, content_type = "text/event-stream"),
        (status = 401, description = "No token, or a wrong one", body = ErrorAnswer),
        (status = 503, description = "There are as many clients as there may be", body = ErrorAnswer),
    )
)]
pub(crate) async fn get_events(
    State(api): State<Api>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    Parameters::read(query.as_deref(), &[])?;
    let frames = api.events.subscribe()?;
    let body = Body::from_stream(frames.map(Ok::<_, std::convert::Infallible>));
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // Proxies that collect answers must not collect this one.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, body).into_response())
}
