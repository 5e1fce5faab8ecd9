//! For those who watch the service: `/metrics`, `/healthz`, `/readyz`.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use pulselake_actors::{EngineStatus, Phase};
use pulselake_model::tables::LakeTable;
use serde::Serialize;
use utoipa::ToSchema;

use crate::parts::{Api, ApiParts};

/// Answer of `/healthz` and `/readyz`.
#[derive(Serialize, ToSchema)]
pub(crate) struct Liveness {
    ok: bool,
    phase: String,
    reason: Option<String>,
    lag_records: i64,
    partitions: usize,
    restarts: u64,
    last_bronze_commit_age_ms: Option<i64>,
}

/// Metrics in Prometheus' text format
#[utoipa::path(
    get, path = "/metrics", tag = "watching",
    responses((status = 200, description = "The metrics", body = String, content_type = "text/plain"))
)]
pub(crate) async fn get_metrics(State(api): State<Api>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], api.telemetry.render())
        .into_response()
}

/// Alive: the supervisor runs, whatever the streams do
#[utoipa::path(
    get, path = "/healthz", tag = "watching",
    responses(
        (status = 200, description = "Alive", body = Liveness),
        (status = 503, description = "The service has stopped", body = Liveness),
    )
)]
pub(crate) async fn get_healthz(State(api): State<Api>) -> Response {
    let dead = (api.status.phase() == Phase::Stopped).then(|| "the service has stopped".to_owned());
    answer(&api.status, dead)
}

/// Ready: every shard runs, and what comes in is being committed
#[utoipa::path(
    get, path = "/readyz", tag = "watching",
    responses(
        (status = 200, description = "Ready", body = Liveness),
        (status = 503, description = "Not ready; the answer says why", body = Liveness),
    )
)]
pub(crate) async fn get_readyz(State(api): State<Api>) -> Response {
    answer(&api.status, not_ready_reason(&api))
}

/// Why the service is not ready; `None` where it is.
pub(crate) fn not_ready_reason(parts: &ApiParts) -> Option<String> {
    let stale_after_ms = i64::try_from(parts.settings.stale_after.as_millis()).unwrap_or(i64::MAX);
    let of_changes =
        || parts.changes.iter().find_map(|(entity, status)| Some((entity, not_running(status)?)));
    not_ready(&parts.status, stale_after_ms)
        .or_else(|| of_changes().map(|(entity, reason)| format!("changes of {}: {reason}", entity.as_str())))
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

fn not_ready(status: &EngineStatus, stale_after_ms: i64) -> Option<String> {
    if let Some(reason) = not_running(status) {
        return Some(reason);
    }
    let waiting = status.partitions().iter().any(|(_, partition)| partition.bronze_next < partition.end);
    let age = commit_age_ms(status)
        .unwrap_or_else(|| i64::try_from(status.uptime().as_millis()).unwrap_or(i64::MAX));
    let is_stale = waiting && age >= stale_after_ms;
    is_stale.then(|| format!("records wait, and bronze has had no commit for {age} ms"))
}

fn commit_age_ms(status: &EngineStatus) -> Option<i64> {
    let now_ms = chrono::Utc::now().timestamp_millis();
    status.table(LakeTable::RawEvents).map(|table| now_ms - table.committed_at_ms)
}

fn answer(status: &EngineStatus, reason: Option<String>) -> Response {
    let code = if reason.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let liveness = Liveness {
        ok: reason.is_none(),
        phase: phase_name(&status.phase()).to_owned(),
        reason,
        lag_records: status.lag(),
        partitions: status.partitions().len(),
        restarts: status.restarts(),
        last_bronze_commit_age_ms: commit_age_ms(status),
    };
    (code, Json(liveness)).into_response()
}

/// A phase in one word.
pub(crate) fn phase_name(phase: &Phase) -> &'static str {
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

    const STALE_MS: i64 = 60_000;

    #[test]
    fn ready_means_running_and_committing() {
        let status = EngineStatus::default();
        assert_eq!(not_ready(&status, STALE_MS), Some("starting".to_owned()));
        status.set_phase(Phase::Running);
        assert_eq!(not_ready(&status, STALE_MS), None);
        status.update_partition(0, |partition| partition.end = 10);
        assert_eq!(not_ready(&status, STALE_MS), None, "the first commit still has time");
        assert!(not_ready(&status, 0).is_some_and(|reason| reason.contains("no commit")));
        status.update_partition(0, |partition| partition.bronze_next = 10);
        assert_eq!(not_ready(&status, 0), None, "nothing waits");
        status.set_phase(Phase::Restarting("disk full".to_owned()));
        assert!(not_ready(&status, STALE_MS).is_some_and(|reason| reason.contains("disk full")));
    }
}
