//! Who is let in.

use axum::body::Body;
use axum::http::{Request, header};

use super::fixture::{ACT, fixture};
use crate::{Token, Tokens};

const READ: [&str; 8] = [
    "/api/v1/trending",
    "/api/v1/videos/nova",
    "/api/v1/board",
    "/api/v1/pulse",
    "/api/v1/decisions",
    "/api/v1/health",
    "/metrics",
    "/openapi.json",
];
const OPEN: [&str; 6] = ["/healthz", "/readyz", "/", "/diagnosis", "/engine-room", "/assets/icon.svg"];

#[tokio::test]
async fn without_a_token_everybody_looks() {
    let scene = fixture(|_| ()).await;
    for path in READ.into_iter().chain(OPEN) {
        assert_eq!(scene.get(path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn with_a_token_only_pages_and_health_checks_are_open() {
    let scene = fixture(|parts| parts.settings.tokens.read = Token::new("look")).await;
    for path in OPEN {
        assert_eq!(scene.get(path).await.status, 200, "{path}");
    }
    for path in READ.into_iter().chain(["/api/v1/engine", "/api/v1/quarantine", "/api/v1/events"]) {
        for wrong in ["", "loo", "looks"] {
            let answer = scene.ask("GET", path, wrong, "").await;
            assert_eq!((answer.status, answer.code()), (401, "unauthorized"), "{path} {wrong}");
            assert_eq!(answer.headers[header::WWW_AUTHENTICATE], "Bearer");
        }
    }
    for path in READ {
        for right in ["look", ACT] {
            assert_eq!(scene.ask("GET", path, right, "").await.status, 200, "{path} {right}");
        }
    }
    let sql = scene.ask("POST", "/api/v1/sql", "", "{\"sql\":\"SELECT 1\"}").await;
    assert_eq!(sql.status, 401);
}

#[tokio::test]
async fn changing_needs_the_token_that_is_for_it() {
    let path = "/api/v1/decisions/00000000-0000-0000-0000-000000000000/hold";
    let scene = fixture(|parts| parts.settings.tokens.read = Token::new("look")).await;
    for wrong in ["", "look", "ac"] {
        let answer = scene.ask("POST", path, wrong, "").await;
        assert_eq!((answer.status, answer.code()), (401, "unauthorized"), "{wrong}");
    }
    assert_eq!(scene.ask("POST", path, ACT, "").await.status, 404);
    let disabled = fixture(|parts| parts.settings.tokens = Tokens::default()).await;
    let answer = disabled.ask("POST", path, ACT, "").await;
    assert_eq!((answer.status, answer.code()), (403, "changes_disabled"));
    assert!(answer.body["error"]["message"].as_str().unwrap().contains("http.action_token_file"));
}

#[tokio::test]
async fn another_name_for_this_machine_is_refused_while_everybody_may_look() {
    let request = |host: &str| {
        Request::builder().uri("/api/v1/pulse").header(header::HOST, host).body(Body::empty()).unwrap()
    };
    let open = fixture(|_| ()).await;
    let refused = open.send(request("evil.example:9464")).await;
    assert_eq!((refused.status, refused.code()), (403, "other_host"));
    assert_eq!(open.send(request("localhost:9464")).await.status, 200);
    let behind_a_token = fixture(|parts| parts.settings.tokens.read = Token::new("look")).await;
    assert_eq!(behind_a_token.send(request("pulselake.example")).await.status, 401);
    let elsewhere = fixture(|parts| parts.settings.is_loopback = false).await;
    assert_eq!(elsewhere.send(request("pulselake.example")).await.status, 200);
}
