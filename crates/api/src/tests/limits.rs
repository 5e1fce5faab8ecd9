//! Wrong and huge requests: clear errors, and the service goes on.

use axum::http::header;

use super::fixture::{ACT, fixture};

#[tokio::test]
async fn wrong_parameters_are_named() {
    let scene = fixture(|_| ()).await;
    let long = "x".repeat(201);
    for (path, words) in [
        ("/api/v1/trending?limit=0".to_owned(), "limit"),
        ("/api/v1/trending?limit=501".to_owned(), "from 1 to 500"),
        (format!("/api/v1/trending?limit={}", "9".repeat(5_000)), "limit"),
        ("/api/v1/trending?order=best".to_owned(), "velocity, surprise, shrunken, impressions"),
        ("/api/v1/trending?sort=velocity".to_owned(), "allowed are limit"),
        (format!("/api/v1/trending?category={long}"), "category"),
        (format!("/api/v1/videos/{long}"), "video_id"),
        ("/api/v1/videos/%ff".to_owned(), "UTF-8"),
        ("/api/v1/decisions?state=GONE".to_owned(), "PENDING, ACKED"),
        ("/api/v1/quarantine?limit=ten".to_owned(), "limit"),
        ("/api/v1/board?local=perhaps".to_owned(), "true, false"),
        ("/api/v1/health?x=1".to_owned(), "has none"),
    ] {
        let answer = scene.get(&path).await;
        let shown: String = path.chars().take(80).collect();
        assert_eq!(answer.status, 400, "{shown}: {answer:?}");
        let message = answer.body["error"]["message"].as_str().unwrap();
        assert!(message.contains(words) && message.len() < 400, "{shown}: {message}");
    }
    assert_eq!(scene.get("/api/v1/trending").await.status, 200);
}

#[tokio::test]
async fn other_methods_and_paths_are_refused_in_the_same_form() {
    let scene = fixture(|_| ()).await;
    for (method, path, status, code) in [
        ("POST", "/api/v1/trending", 405, "method_not_allowed"),
        ("DELETE", "/api/v1/decisions", 405, "method_not_allowed"),
        ("GET", "/api/v1/sql", 405, "method_not_allowed"),
        ("PUT", "/", 405, "method_not_allowed"),
        ("GET", "/api/v1/nothing", 404, "not_found"),
        ("GET", "/api/v2/trending", 404, "not_found"),
        ("GET", "/assets/../Cargo.toml", 404, "not_found"),
        ("GET", "/assets/%2e%2e/Cargo.toml", 404, "not_found"),
    ] {
        let answer = scene.ask(method, path, ACT, "").await;
        assert_eq!((answer.status, answer.code()), (status, code), "{method} {path}: {answer:?}");
    }
}

#[tokio::test]
async fn a_huge_body_is_refused_before_it_is_looked_at() {
    let scene = fixture(|_| ()).await;
    let huge = format!("{{\"sql\":\"{}\"}}", " ".repeat(100_000));
    for path in ["/api/v1/sql", "/api/v1/decisions/00000000-0000-0000-0000-000000000000/ack"] {
        let answer = scene.ask("POST", path, ACT, &huge).await;
        assert_eq!((answer.status, answer.code()), (413, "too_large"), "{path}");
    }
}

#[tokio::test]
async fn sql_without_its_program_says_how_to_get_it() {
    let scene = fixture(|_| ()).await;
    let answer = scene.ask("POST", "/api/v1/sql", "", "{\"sql\":\"SELECT 1\"}").await;
    assert_eq!((answer.status, answer.code()), (503, "query_process_missing"), "{answer:?}");
    assert!(answer.body["error"]["message"].as_str().unwrap().contains("cargo build"));
    for body in ["", "{}", "{\"sql\":\"SELECT 1\",\"limit\":3}", "SELECT 1"] {
        let answer = scene.ask("POST", "/api/v1/sql", "", body).await;
        assert_eq!((answer.status, answer.code()), (400, "bad_request"), "{body}");
    }
}

#[tokio::test]
async fn every_answer_has_the_security_headers() {
    let scene = fixture(|_| ()).await;
    for path in ["/", "/assets/icon.svg", "/api/v1/pulse", "/api/v1/nothing", "/metrics", "/openapi.json"] {
        let headers = scene.get(path).await.headers;
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(
            policy.starts_with("default-src 'self';") && policy.contains("frame-ancestors 'none'"),
            "{path}"
        );
        assert_eq!(headers.get_all(header::CACHE_CONTROL).iter().count(), 1, "{path}");
    }
}
