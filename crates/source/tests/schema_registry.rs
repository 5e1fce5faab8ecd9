//! The client of a schema registry against every kind of answer.
#![allow(clippy::unwrap_used, missing_docs)]

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use pulselake_source::{RegistryAnswer, RegistryError, SchemaRegistry, SchemaRegistrySettings};
use tokio::net::TcpListener;

const SCHEMA: &str = r#"{"schema":"{\"type\":\"string\"}","references":[]}"#;

async fn answer(headers: HeaderMap, axum::extract::Path(id): axum::extract::Path<u32>) -> Response {
    let (status, body) = match id {
        1 => (StatusCode::OK, SCHEMA),
        2 => (StatusCode::OK, r#"{"schema":"syntax = \"proto3\";","schemaType":"PROTOBUF"}"#),
        3 => (StatusCode::OK, r#"{"schemaType":"AVRO","schema":"\"int\""}"#),
        4 => (StatusCode::NOT_FOUND, r#"{"error_code":40403,"message":"Schema 4 not found"}"#),
        5 => (StatusCode::NOT_FOUND, r#"{"error_code":404,"message":"HTTP 404 Not Found"}"#),
        6 => (StatusCode::NOT_FOUND, "<html>no such page</html>"),
        7 => (StatusCode::OK, "<html>please\n log in</html>"),
        8 => (StatusCode::INTERNAL_SERVER_ERROR, r#"{"error_code":50001,"message":"Error in the backend"}"#),
        9 if headers.get("authorization").is_some_and(|basic| basic == "Basic bWU6aHVudGVyMg==") => {
            (StatusCode::OK, SCHEMA)
        }
        9 => (StatusCode::UNAUTHORIZED, ""),
        10 => return Body::from(vec![b' '; (4 << 20) + 1]).into_response(),
        _ => (StatusCode::NOT_FOUND, r#"{"error_code":40403}"#),
    };
    (status, body).into_response()
}

/// A registry under a path; gives its URL.
async fn registry() -> String {
    let routes = Router::new().route("/apis/ccompat/v7/schemas/ids/{id}", get(answer));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    format!("http://{address}/apis/ccompat/v7")
}

fn client(url: &str, credentials: Option<(&str, &str)>) -> SchemaRegistry {
    let credentials = credentials.map(|(user, password)| (user.to_owned(), password.to_owned()));
    SchemaRegistry::new(SchemaRegistrySettings { url: url.to_owned(), credentials }).unwrap()
}

#[tokio::test]
async fn answers_are_told_from_faults() {
    let url = registry().await;
    // A slash at the end changes nothing.
    for url in [url.clone(), format!("{url}/")] {
        let client = client(&url, None);
        let answers = [
            (1, RegistryAnswer::Avro(r#"{"type":"string"}"#.to_owned())),
            (2, RegistryAnswer::OtherKind("PROTOBUF".to_owned())),
            (3, RegistryAnswer::Avro(r#""int""#.to_owned())),
            (4, RegistryAnswer::Unknown),
            (u32::MAX, RegistryAnswer::Unknown),
        ];
        for (id, expected) in answers {
            assert_eq!(client.schema(id).await.unwrap(), expected, "{id}");
        }
    }
    let client = client(&url, None);
    let faults = [
        (5, "is answered with 404 and not as a schema registry does"),
        (6, "<html>no such page</html>"),
        (7, "<html>please log in</html>"),
        (8, "Error in the backend"),
        (9, "is refused with 401: check cdc.schema_registry_user"),
        (10, "more than 4194304 bytes"),
    ];
    for (id, expected) in faults {
        let message = client.schema(id).await.unwrap_err().to_string();
        assert!(message.contains(expected) && message.contains(&url), "{id}: {message}");
    }
}

#[tokio::test]
async fn the_user_is_let_in_and_the_password_is_not_shown() {
    let url = registry().await;
    let let_in = client(&url, Some(("me", "hunter2")));
    assert_eq!(let_in.schema(9).await.unwrap(), RegistryAnswer::Avro(r#"{"type":"string"}"#.to_owned()));
    let shut_out = client(&url, Some(("me", "hunter3"))).schema(9).await.unwrap_err();
    let shown = format!("{let_in:?} {shut_out} {shut_out:?}");
    assert!(!shown.contains("hunter"), "{shown}");
}

#[tokio::test]
async fn a_registry_that_is_away_is_a_fault() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = client(&url, None).schema(1).await.unwrap_err();
    assert!(matches!(error, RegistryError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("/schemas/ids/1"), "{error}");
}

#[test]
fn what_is_no_url_is_refused_at_once() {
    let settings = SchemaRegistrySettings { url: "http://[".to_owned(), credentials: None };
    assert!(matches!(SchemaRegistry::new(settings), Err(RegistryError::Settings { .. })));
}
