//! Every path, and what stands before it.

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::readers_only;
use crate::body::MAX_BODY_BYTES;
use crate::parts::Api;
use crate::{
    board, decisions, engine, events, guard, health, pages, pulse, quarantine, sql, trending, video, watch,
};

/// What the description begins with.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Pulselake",
        description = "What a running engine knows: the live board, decisions, health, SQL. Errors are always `{\"error\":{\"code\",\"message\"}}`. Moments are RFC 3339 in UTC.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    tags(
        (name = "board", description = "The last 30 minutes, as events come in"),
        (name = "decisions", description = "Actions, and what people make of them"),
        (name = "engine", description = "How pipeline and tables are"),
        (name = "live", description = "Updates"),
        (name = "sql", description = "The tables"),
        (name = "watching", description = "For monitoring"),
    )
)]
struct Description;

/// The whole router.
pub(crate) fn router(api: Api) -> Router {
    let (documented, description) = documented(&api).split_for_parts();
    // A description that can't be written would be a defect that the tests find.
    let text = description.to_json().unwrap_or_default();
    let described = Router::new()
        .route("/openapi.json", get(get_description))
        .with_state(text)
        .route_layer(from_fn_with_state(api.clone(), readers_only));
    let pages = Router::new()
        .route("/", get(pages::pulse))
        .route("/pulse", get(pages::pulse))
        .route("/diagnosis", get(pages::diagnosis))
        .route("/engine-room", get(pages::engine_room))
        .route("/favicon.ico", get(pages::icon))
        .route("/assets/{*path}", get(pages::asset));
    documented
        .with_state(api.clone())
        .merge(described)
        .merge(pages)
        .fallback(guard::no_such_path)
        .method_not_allowed_fallback(guard::no_such_method)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn(guard::errors_in_json))
        .layer(from_fn_with_state(api.clone(), guard::from_this_machine))
        .layer(from_fn_with_state(api, guard::measured))
        .layer(from_fn(guard::with_security_headers))
}

fn documented(api: &Api) -> OpenApiRouter<Api> {
    let mut description = Description::openapi();
    let bearer = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
    description.components.get_or_insert_default().add_security_scheme("bearer", bearer);
    // Either is right, depending on what is set.
    description.security =
        Some(vec![SecurityRequirement::default(), SecurityRequirement::new("bearer", [] as [&str; 0])]);

    let readers = || from_fn_with_state(api.clone(), readers_only);
    let looking = OpenApiRouter::new()
        .routes(routes!(trending::get_trending))
        .routes(routes!(video::get_video))
        .routes(routes!(board::get_board))
        .routes(routes!(pulse::get_pulse))
        .routes(routes!(decisions::get_decisions))
        .routes(routes!(health::get_health))
        .routes(routes!(engine::get_engine))
        .routes(routes!(quarantine::get_quarantine))
        .routes(routes!(events::get_events))
        .routes(routes!(watch::get_metrics))
        .route_layer(readers())
        .layer(from_fn(guard::bounded_in_time));
    let asking = OpenApiRouter::new().routes(routes!(sql::post_sql)).route_layer(readers());
    // These look at the token for changes by themselves.
    let changing = OpenApiRouter::new()
        .routes(routes!(decisions::post_ack))
        .routes(routes!(decisions::post_done))
        .routes(routes!(decisions::post_hold))
        .layer(from_fn(guard::bounded_in_time));
    let watching =
        OpenApiRouter::new().routes(routes!(watch::get_healthz)).routes(routes!(watch::get_readyz));
    OpenApiRouter::with_openapi(description).merge(looking).merge(asking).merge(changing).merge(watching)
}

async fn get_description(State(text): State<String>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}
