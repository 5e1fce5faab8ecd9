//! The client and the making of views against a server that answers as Trino does, and as it should not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::apply::{Outcome, apply};
use super::serving_views;
use super::trino::{TrinoClient, TrinoError, TrinoTarget};

/// What the server has heard, and how it answers.
#[derive(Default)]
struct Stage {
    address: Mutex<String>,
    statements: Mutex<Vec<String>>,
    headers: Mutex<Vec<HeaderMap>>,
    /// Statements with this word fail.
    broken: Option<&'static str>,
    /// So many requests are turned away first.
    busy: AtomicUsize,
    /// Where the rest of an answer is, if not here.
    elsewhere: Option<&'static str>,
    /// Statements never end.
    is_endless: bool,
}

async fn statement(
    State(stage): State<Arc<Stage>>,
    headers: HeaderMap,
    sql: String,
) -> (StatusCode, Json<Value>) {
    if stage.busy.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(Value::Null));
    }
    stage.headers.lock().await.push(headers);
    let fails = stage.broken.is_some_and(|word| sql.contains(word));
    stage.statements.lock().await.push(sql);
    let address = stage.elsewhere.map_or(stage.address.lock().await.clone(), str::to_owned);
    let way = if fails { "failed" } else { "queued" };
    (StatusCode::OK, Json(json!({"id": "1", "nextUri": format!("{address}/v1/statement/{way}/1")})))
}

async fn queued(State(stage): State<Arc<Stage>>) -> Json<Value> {
    let way = if stage.is_endless { "queued" } else { "executing" };
    Json(json!({"nextUri": format!("{}/v1/statement/{way}/1", stage.address.lock().await)}))
}

async fn executing() -> Json<Value> {
    Json(json!({"columns": [{"name": "result"}], "data": [[true]]}))
}

async fn failed() -> Json<Value> {
    Json(
        json!({"error": {"message": "line 8:6: Table 'lake.gold.x' does not exist", "errorName": "TABLE_NOT_FOUND"}}),
    )
}

async fn on_stage(stage: Stage) -> (Arc<Stage>, TrinoTarget) {
    let stage = Arc::new(stage);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    stage.address.lock().await.clone_from(&address);
    let router = Router::new()
        .route("/v1/statement", post(statement))
        .route("/v1/statement/queued/1", get(queued))
        .route("/v1/statement/executing/1", get(executing))
        .route("/v1/statement/failed/1", get(failed))
        .with_state(stage.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let target = TrinoTarget {
        url: address,
        catalog: "lake".to_owned(),
        schema: "serving".to_owned(),
        user: "analyst".to_owned(),
        password: None,
        timeout: Duration::from_secs(20),
    };
    (stage, target)
}

async fn applied(target: TrinoTarget) -> Result<Vec<(&'static str, String)>, TrinoError> {
    let client = TrinoClient::new(target)?;
    let mut told = Vec::new();
    apply(&client, "serving", |view, outcome| {
        told.push((
            view.name,
            match outcome {
                Outcome::Made => "made".to_owned(),
                Outcome::Failed(error) => error.to_string(),
                Outcome::Skipped(read) => format!("reads {read}"),
            },
        ));
    })
    .await?;
    Ok(told)
}

#[tokio::test]
async fn the_schema_comes_first_and_then_every_view_in_order() {
    let (stage, target) = on_stage(Stage { busy: AtomicUsize::new(2), ..Stage::default() }).await;
    let told = applied(target).await.unwrap();
    let names: Vec<&str> = serving_views().iter().map(|view| view.name).collect();
    assert_eq!(told, names.iter().map(|name| (*name, "made".to_owned())).collect::<Vec<_>>());
    let statements = stage.statements.lock().await;
    assert_eq!(statements[0], "CREATE SCHEMA IF NOT EXISTS \"serving\"");
    assert_eq!(statements.len(), 1 + names.len());
    for (statement, name) in statements[1..].iter().zip(names) {
        assert!(
            statement.starts_with(&format!("CREATE OR REPLACE VIEW \"serving\".\"{name}\" COMMENT '")),
            "{statement}"
        );
    }
    for headers in stage.headers.lock().await.iter() {
        for (name, value) in
            [("x-trino-user", "analyst"), ("x-trino-catalog", "lake"), ("x-trino-schema", "serving")]
        {
            assert_eq!(headers[name], value);
        }
        assert!(!headers.contains_key("authorization"));
    }
}

#[tokio::test]
async fn a_view_that_fails_takes_those_with_it_that_read_it() {
    let (_, target) = on_stage(Stage { broken: Some("\"viral_velocity_30m\""), ..Stage::default() }).await;
    let told = applied(target).await.unwrap();
    for (name, outcome) in told {
        let expected = match name {
            "viral_velocity_30m" => "TABLE_NOT_FOUND: line 8:6: Table 'lake.gold.x' does not exist",
            "trending_videos" | "cold_start_health" | "fresh_supply" => "reads viral_velocity_30m",
            _ => "made",
        };
        assert_eq!(outcome, expected, "{name}");
    }
}

#[tokio::test]
async fn a_password_goes_to_trino_and_nowhere_else() {
    let with_password = |target: TrinoTarget| TrinoTarget { password: Some("secret".to_owned()), ..target };
    let (stage, target) = on_stage(Stage::default()).await;
    applied(with_password(target.clone())).await.unwrap();
    // analyst:secret
    assert_eq!(stage.headers.lock().await[0]["authorization"], "Basic YW5hbHlzdDpzZWNyZXQ=");

    let (_, elsewhere) =
        on_stage(Stage { elsewhere: Some("http://trino.example:8080"), ..Stage::default() }).await;
    let error = applied(with_password(elsewhere)).await.unwrap_err();
    assert!(
        matches!(&error, TrinoError::SentOn { next, .. } if next.starts_with("http://trino.example:8080/")),
        "{error}"
    );

    let open = TrinoTarget { url: "http://trino.example:8080".to_owned(), ..target };
    let error = applied(with_password(open)).await.unwrap_err();
    assert!(matches!(error, TrinoError::OpenPassword { .. }), "{error}");
}

#[tokio::test]
async fn what_is_not_trino_is_told() {
    let (_, target) = on_stage(Stage::default()).await;
    for (url, expected) in [
        ("trino:8080".to_owned(), "is no address of Trino"),
        ("no address".to_owned(), "is no address of Trino"),
        ("https://user:secret@trino".to_owned(), "--password-env"),
        ("http://127.0.0.1:1".to_owned(), "can't ask Trino at http://127.0.0.1:1: "),
        (format!("{}/nowhere", target.url), "answered 404"),
    ] {
        let error = applied(TrinoTarget { url: url.clone(), ..target.clone() }).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{url}: {error}");
    }
    let user = TrinoTarget { user: "an\nalyst".to_owned(), ..target };
    assert!(applied(user).await.unwrap_err().to_string().contains("can't stand in a header"));
}

#[tokio::test]
async fn a_statement_without_an_end_is_given_up() {
    let (_, target) = on_stage(Stage { is_endless: true, ..Stage::default() }).await;
    let error = applied(TrinoTarget { timeout: Duration::from_millis(300), ..target }).await.unwrap_err();
    assert!(matches!(error, TrinoError::TimedOut { .. }), "{error}");
}
