//! The pages, out of the binary: no other server, no other machine.

use axum::body::Body;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::ApiError;

/// Whoever has a file asks whether it is still the one: after an update nobody sees a mixture of two versions.
const REVALIDATE: HeaderValue = HeaderValue::from_static("no-cache");

#[derive(RustEmbed)]
#[folder = "assets/"]
struct Assets;

/// `/` and `/pulse`: The Pulse.
pub(crate) async fn pulse(headers: HeaderMap) -> Response {
    file("pulse.html", &headers)
}

/// `/diagnosis`: The Diagnosis.
pub(crate) async fn diagnosis(headers: HeaderMap) -> Response {
    file("diagnosis.html", &headers)
}

/// `/engine-room`: The Engine Room.
pub(crate) async fn engine_room(headers: HeaderMap) -> Response {
    file("engine-room.html", &headers)
}

/// `/favicon.ico`, which browsers ask for by themselves.
pub(crate) async fn icon(headers: HeaderMap) -> Response {
    file("icon.svg", &headers)
}

/// `/assets/…`: whatever the pages are made of.
pub(crate) async fn asset(path: Result<Path<String>, PathRejection>, headers: HeaderMap) -> Response {
    match path {
        Ok(Path(name)) => file(&name, &headers),
        Err(error) => ApiError::bad_request(error.body_text()).into_response(),
    }
}

fn file(name: &str, headers: &HeaderMap) -> Response {
    // In debug builds files come from a directory: nothing above it is meant.
    let is_inside = !name.split('/').any(|part| matches!(part, "" | "." | ".."));
    let Some(found) = is_inside.then(|| Assets::get(name)).flatten() else {
        return ApiError::not_found(format!("there is no page or file {:?}", shortened(name)))
            .into_response();
    };
    let tag = entity_tag(&found);
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, tag), (header::CACHE_CONTROL, REVALIDATE)])
            .into_response();
    }
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type(name))),
        (header::ETAG, tag),
        (header::CACHE_CONTROL, REVALIDATE),
    ];
    (headers, Body::from(found.data.into_owned())).into_response()
}

fn shortened(name: &str) -> String {
    name.chars().take(80).collect()
}

/// A part of the content's hash, in quotes.
fn entity_tag(file: &EmbeddedFile) -> HeaderValue {
    let hash = file.metadata.sha256_hash();
    let hexadecimal: String = hash[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    // Hexadecimal digits and quotes are always allowed in a header.
    HeaderValue::from_str(&format!("\"{hexadecimal}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

/// By the name's ending; text is UTF-8.
fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "txt" | "md" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_page_is_there_with_its_type_and_tag() {
        for name in ["pulse.html", "diagnosis.html", "engine-room.html", "icon.svg"] {
            let answer = file(name, &HeaderMap::new());
            assert_eq!(answer.status(), StatusCode::OK, "{name}");
            let tag = answer.headers()[header::ETAG].clone();
            let known = HeaderMap::from_iter([(header::IF_NONE_MATCH, tag)]);
            assert_eq!(file(name, &known).status(), StatusCode::NOT_MODIFIED, "{name}");
        }
        let page = file("pulse.html", &HeaderMap::new());
        assert_eq!(page.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
    }

    #[test]
    fn nothing_outside_is_given_away() {
        for name in ["../Cargo.toml", "css/../../Cargo.toml", "/etc/passwd", "./pulse.html", "", "nothing.js"]
        {
            assert_eq!(file(name, &HeaderMap::new()).status(), StatusCode::NOT_FOUND, "{name}");
        }
    }

    #[test]
    fn every_file_of_the_pages_has_a_type() {
        for name in Assets::iter() {
            assert_ne!(content_type(&name), "application/octet-stream", "{name}");
        }
    }
}
