//! Whether the pipeline and its tables are well.

use axum::Json;
use axum::extract::{RawQuery, State};
use pulselake_actors::status::{TableStatus, now_us};
use pulselake_model::tables::LakeTable;
use pulselake_telemetry::readings::{self, TableReading};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::decisions::FreshnessState;
use crate::engine::{average_file_bytes, restarts};
use crate::error::ErrorAnswer;
use crate::parameters::Parameters;
use crate::parts::Api;
use crate::watch::{not_ready_reason, phase_name};
use crate::{ApiError, Moment};

/// From an event to its gold row, P95, at most (DOMAIN.md 5); seconds.
const FRESHNESS_TARGET_S: f64 = 180.0;

/// Health of pipeline and tables.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HealthAnswer {
    /// When it was looked at.
    pub as_of: Moment,
    /// Whether everything runs and what comes in is being committed; as `/readyz`.
    pub ok: bool,
    /// What the stream of events is doing: starting, running, restarting, draining or stopped.
    pub state: String,
    /// Why it is not ok.
    pub reason: Option<String>,
    /// How soon events can be queried.
    pub freshness: FreshnessAnswer,
    /// The partitions of this process.
    pub partitions: Vec<PartitionHealth>,
    /// The tables that this process has committed to or looked after, by name.
    pub tables: Vec<TableHealth>,
    /// The streams.
    pub streams: Vec<StreamHealth>,
    /// Restarts of shards since the process began, over all streams.
    pub restarts: u64,
}

/// How soon events can be queried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FreshnessAnswer {
    /// P95 over the last minutes of the age of gold, from an event to its visible row, seconds; null before the first row.
    pub gold_p95_s: Option<f64>,
    /// What it should be below, seconds.
    pub target_s: f64,
    /// What decisions make of it.
    pub state: FreshnessState,
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PartitionHealth {
    /// Its number.
    pub partition: i32,
    /// Records between its position and its end.
    pub lag_records: i64,
    /// Where its event time stands.
    pub watermark: Option<Moment>,
    /// Whether back-pressure holds its fetching back.
    pub paused: bool,
}

/// One table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TableHealth {
    /// `namespace.name`.
    pub table: String,
    /// When this process committed to it last.
    pub last_commit: Option<Moment>,
    /// Commits of this process.
    pub commits: u64,
    /// Live data files; null until maintenance has looked.
    pub files: Option<u64>,
    /// Their average size; null until maintenance has looked.
    pub average_file_bytes: Option<u64>,
    /// Rows committed by this process.
    pub rows: u64,
}

/// One stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StreamHealth {
    /// `events`, `videos` or `users`.
    pub name: String,
    /// What it is doing: starting, running, restarting, draining or stopped.
    pub phase: String,
}

/// Health of pipeline and tables
#[utoipa::path(
    get, path = "/api/v1/health", tag = "engine",
    responses(
        (status = 200, description = "How it is, well or not", body = HealthAnswer),
        (status = 401, description = "No token, or a wrong one", body = ErrorAnswer),
    )
)]
pub(crate) async fn get_health(
    State(api): State<Api>,
    RawQuery(query): RawQuery,
) -> Result<Json<HealthAnswer>, ApiError> {
    Parameters::read(query.as_deref(), &[])?;
    Ok(Json(health(&api)))
}

/// The health now.
pub(crate) fn health(api: &Api) -> HealthAnswer {
    let reason = not_ready_reason(api);
    let partitions = api.status.partitions().into_iter().map(|(partition, status)| PartitionHealth {
        partition,
        lag_records: status.lag_records,
        watermark: status.watermark_us.map(Moment::from_us),
        paused: status.paused,
    });
    let events =
        StreamHealth { name: "events".to_owned(), phase: phase_name(&api.status.phase()).to_owned() };
    let changes = api.changes.iter().map(|(entity, status)| StreamHealth {
        name: entity.as_str().to_owned(),
        phase: phase_name(&status.phase()).to_owned(),
    });
    HealthAnswer {
        as_of: Moment::from_us(now_us()),
        ok: reason.is_none(),
        state: phase_name(&api.status.phase()).to_owned(),
        reason,
        freshness: gold_freshness(api),
        partitions: partitions.collect(),
        tables: readings::tables().iter().map(|reading| table_health(api, reading)).collect(),
        streams: std::iter::once(events).chain(changes).collect(),
        restarts: restarts(api),
    }
}

/// How fresh gold is, as decisions see it where they are made.
pub(crate) fn gold_freshness(api: &Api) -> FreshnessAnswer {
    let (gold_p95_s, state) = match &api.decisions {
        Some(decisions) => (decisions.handle.gold_age_p95_s(), decisions.handle.freshness()),
        None => (api.history.gold_p95_s(), api.history.freshness()),
    };
    FreshnessAnswer { gold_p95_s, target_s: FRESHNESS_TARGET_S, state: state.into() }
}

/// Rows that this process has committed to a table.
pub(crate) fn committed_rows(api: &Api, table: &str) -> u64 {
    committed(api, table).map_or(0, |status| status.rows)
}

/// What is known of this process's commits to a table.
fn committed(api: &Api, name: &str) -> Option<TableStatus> {
    let table = LakeTable::ALL.into_iter().find(|table| table.full_name() == name)?;
    let mut statuses = std::iter::once(&api.status).chain(api.changes.iter().map(|(_, status)| status));
    statuses.find_map(|status| status.table(table))
}

fn table_health(api: &Api, reading: &TableReading) -> TableHealth {
    let committed = committed(api, &reading.table);
    TableHealth {
        table: reading.table.clone(),
        last_commit: committed.map(|status| Moment::from_ms(status.committed_at_ms)),
        commits: committed.map_or_else(|| reading.commit_duration.count(), |status| status.commits),
        files: reading.files.map(|files| files.data_files),
        average_file_bytes: average_file_bytes(reading),
        rows: committed.map_or(0, |status| status.rows),
    }
}
