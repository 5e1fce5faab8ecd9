//! The engine's HTTP: metrics and health, on loopback unless told otherwise. Nothing here changes anything.

use std::time::Duration;

use anyhow::Context;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use pulselake_actors::{EngineStatus, Phase};
use pulselake_config::{HttpSettings, Secret};
use pulselake_model::Entity;
use pulselake_model::tables::LakeTable;
use pulselake_telemetry::{TelemetryHandle, events};
use serde::Serialize;
use tokio::net::TcpListener;

/// What the handlers look at.
#[derive(Clone)]
struct Watched {
    status: EngineStatus,
    changes: Vec<(Entity, EngineStatus)>,
    telemetry: TelemetryHandle,
    stale_after: Duration,
    token: Secret,
}

/// Answer of `/healthz` and `/readyz`.
#[derive(Serialize)]
struct Health {
    ok: bool,
    phase: String,
    reason: Option<String>,
    lag_records: i64,
    partitions: usize,
    restarts: u64,
    last_bronze_commit_age_ms: Option<i64>,
}

/// Serves until the process ends; `http` says where, and which token opens it. `stale_after` is how long bronze may go without a commit, while records wait,
/// before the service no longer counts as ready.
pub(crate) async fn serve(
    http: &HttpSettings,
    status: EngineStatus,
    changes: Vec<(Entity, EngineStatus)>,
    telemetry: TelemetryHandle,
    stale_after: Duration,
) -> anyhow::Result<()> {
    let bind = &http.bind;
    let listener = TcpListener::bind(bind).await.with_context(|| {
        format!("cannot listen on http.bind = {bind:?}; choose another address, or \"\" for none")
    })?;
    if let Ok(address) = listener.local_addr() {
        events::http_listening(&address.to_string());
    }
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(Watched { status, changes, telemetry, stale_after, token: http.token.clone() });
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(event = "http_failed", %error, "the HTTP server has ended");
        }
    });
    Ok(())
}

async fn metrics(State(watched): State<Watched>, headers: HeaderMap) -> Response {
    if !is_let_in(&headers, &watched.token) {
        let hint = "send the header `Authorization: Bearer …` with the token of http.token\n";
        return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], hint).into_response();
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], watched.telemetry.render())
        .into_response()
}

/// Whether no token is asked for, or this is it. Takes as long for a wrong one, wherever the first difference is.
fn is_let_in(headers: &HeaderMap, token: &Secret) -> bool {
    if token.is_empty() {
        return true;
    }
    let given =
        headers.get(header::AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    let (given, wanted) = (given.unwrap_or_default(), token.expose().as_bytes());
    let differences = given.iter().zip(wanted).fold(0, |sum, (found, expected)| sum | (found ^ expected));
    given.len() == wanted.len() && std::hint::black_box(differences) == 0
}

/// Alive: the supervisor runs, whatever the streams do.
async fn healthz(State(watched): State<Watched>) -> Response {
    let dead = (watched.status.phase() == Phase::Stopped).then(|| "the service has stopped".to_owned());
    answer(&watched.status, dead)
}

/// Ready: every shard runs, and what comes in is being committed.
async fn readyz(State(watched): State<Watched>) -> Response {
    let of_events = not_ready(&watched.status, watched.stale_after);
    let of_changes =
        || watched.changes.iter().find_map(|(entity, status)| Some((entity, not_running(status)?)));
    let reason = of_events
        .or_else(|| of_changes().map(|(entity, reason)| format!("changes of {}: {reason}", entity.as_str())));
    answer(&watched.status, reason)
}

fn not_running(status: &EngineStatus) -> Option<String> {
    match status.phase() {
        Phase::Running => None,
        Phase::Starting => Some("starting".to_owned()),
        Phase::Restarting(reason) => Some(format!("a shard is being started again after: {reason}")),
        Phase::Draining => Some("draining".to_owned()),
        Phase::Stopped => Some("stopped".to_owned()),
    }
}

fn not_ready(status: &EngineStatus, stale_after: Duration) -> Option<String> {
    if let Some(reason) = not_running(status) {
        return Some(reason);
    }
    let waiting = status.partitions().iter().any(|(_, partition)| partition.bronze_next < partition.end);
    let age = commit_age_ms(status)
        .unwrap_or_else(|| i64::try_from(status.uptime().as_millis()).unwrap_or(i64::MAX));
    let is_stale = waiting && age >= i64::try_from(stale_after.as_millis()).unwrap_or(i64::MAX);
    is_stale.then(|| format!("records wait, and bronze has had no commit for {age} ms"))
}

fn commit_age_ms(status: &EngineStatus) -> Option<i64> {
    let now_ms = chrono::Utc::now().timestamp_millis();
    status.table(LakeTable::RawEvents).map(|table| now_ms - table.committed_at_ms)
}

fn answer(status: &EngineStatus, reason: Option<String>) -> Response {
    let code = if reason.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let health = Health {
        ok: reason.is_none(),
        phase: phase_name(&status.phase()).to_owned(),
        reason,
        lag_records: status.lag(),
        partitions: status.partitions().len(),
        restarts: status.restarts(),
        last_bronze_commit_age_ms: commit_age_ms(status),
    };
    (code, Json(health)).into_response()
}

fn phase_name(phase: &Phase) -> &'static str {
    match phase {
        Phase::Starting => "starting",
        Phase::Running => "running",
        Phase::Restarting(_) => "restarting",
        Phase::Draining => "draining",
        Phase::Stopped => "stopped",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALE: Duration = Duration::from_secs(60);

    #[test]
    fn ready_means_running_and_committing() {
        let status = EngineStatus::default();
        assert_eq!(not_ready(&status, STALE), Some("starting".to_owned()));
        status.set_phase(Phase::Running);
        assert_eq!(not_ready(&status, STALE), None);
        status.update_partition(0, |partition| partition.end = 10);
        assert_eq!(not_ready(&status, STALE), None, "the first commit still has time");
        assert!(not_ready(&status, Duration::ZERO).is_some_and(|reason| reason.contains("no commit")));
        status.update_partition(0, |partition| partition.bronze_next = 10);
        assert_eq!(not_ready(&status, Duration::ZERO), None, "nothing waits");
        status.set_phase(Phase::Restarting("disk full".to_owned()));
        assert!(not_ready(&status, STALE).is_some_and(|reason| reason.contains("disk full")));
    }
}
