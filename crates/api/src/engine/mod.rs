//! The engine room: rate, actors, commits, compaction and files, with their last hour.

mod answer;
mod history;

use axum::Json;
use axum::extract::{RawQuery, State};
use pulselake_actors::status::now_us;
use pulselake_telemetry::readings::{self, TableReading};

pub use answer::{
    ActorAnswer, CommitsAnswer, CompactionAnswer, EngineAnswer, EngineFreshness, EngineTable, FilesSample,
    FreshnessSample, RateAnswer, RateSample, RejectedCount, RestartAnswer, RestartsAnswer,
};
pub(crate) use history::{History, sample};

use crate::error::ErrorAnswer;
use crate::health::{committed_rows, gold_freshness};
use crate::parameters::Parameters;
use crate::parts::Api;
use crate::{ApiError, Moment};

/// The engine room: rate, actors, commits, compaction, files, and their last hour
#[utoipa::path(
    get, path = "/api/v1/engine", tag = "engine",
    responses(
        (status = 200, description = "The engine room", body = EngineAnswer),
        (status = 401, description = "No token, or a wrong one", body = ErrorAnswer),
    )
)]
pub(crate) async fn get_engine(
    State(api): State<Api>,
    RawQuery(query): RawQuery,
) -> Result<Json<EngineAnswer>, ApiError> {
    Parameters::read(query.as_deref(), &[])?;
    Ok(Json(engine(&api)))
}

fn engine(api: &Api) -> EngineAnswer {
    let readings = readings::tables();
    let (records, quarantined) = api.status.records();
    let of_gold = gold_freshness(api);
    let actors = readings::actors().into_iter().map(|found| ActorAnswer {
        actor: found.actor.to_owned(),
        index: found.index,
        mailbox_depth: found.mailbox_batches,
        backpressure_s: found.waited_s,
        busy_s: found.busy_s,
    });
    let quarantine = readings::rejected_records()
        .into_iter()
        .map(|(code, records)| RejectedCount { code: code.as_str().to_owned(), records });
    let rate = api.history.rate();
    EngineAnswer {
        as_of: Moment::from_us(now_us()),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_s: api.status.uptime().as_secs(),
        records,
        quarantined,
        freshness: EngineFreshness {
            gold_p95_s: of_gold.gold_p95_s,
            board_p95_s: api.history.board_p95_s(),
            target_s: of_gold.target_s,
            state: of_gold.state,
            history: api.history.freshness_samples(),
        },
        rate: RateAnswer {
            records_per_s: rate.records_per_s,
            bytes_per_s: rate.bytes_per_s,
            history: api.history.rate_samples(),
        },
        actors: actors.collect(),
        commits: readings.iter().filter(|one| one.commit_duration.count() > 0).map(commits).collect(),
        restarts: restarts_answer(api),
        compaction: readings.iter().filter_map(compaction).collect(),
        tables: readings.iter().map(|one| table(api, one)).collect(),
        quarantine: quarantine.collect(),
    }
}

fn commits(reading: &TableReading) -> CommitsAnswer {
    CommitsAnswer {
        table: reading.table.clone(),
        commits: reading.commit_duration.count(),
        conflicts: reading.conflicts,
        p50_s: reading.commit_duration.quantile_s(0.5),
        p95_s: reading.commit_duration.quantile_s(0.95),
    }
}

fn compaction(reading: &TableReading) -> Option<CompactionAnswer> {
    let is_maintained = reading.files.is_some() || reading.compaction_runs + reading.maintenance_failures > 0;
    is_maintained.then(|| CompactionAnswer {
        table: reading.table.clone(),
        runs: reading.compaction_runs,
        rewritten_bytes: reading.rewritten_bytes,
        busy_s: reading.compaction_busy_s,
        failures: reading.maintenance_failures,
    })
}

fn table(api: &Api, reading: &TableReading) -> EngineTable {
    EngineTable {
        table: reading.table.clone(),
        files: reading.files.map(|files| files.data_files),
        average_file_bytes: average_file_bytes(reading),
        delete_files: reading.files.map(|files| files.delete_files),
        snapshots: reading.files.map(|files| files.snapshots),
        rows: committed_rows(api, &reading.table),
        history: api.history.files_samples(&reading.table),
    }
}

fn restarts_answer(api: &Api) -> RestartsAnswer {
    let statuses = || std::iter::once(&api.status).chain(api.changes.iter().map(|(_, status)| status));
    let mut last: Vec<RestartAnswer> = statuses()
        .flat_map(|status| status.last_restarts())
        .map(|note| RestartAnswer { shard: note.shard, reason: note.reason, at: Moment::from_ms(note.at_ms) })
        .collect();
    last.sort_by_key(|restart| std::cmp::Reverse(restart.at));
    RestartsAnswer {
        total: restarts(api),
        remaining: statuses().filter_map(|status| status.restarts_left()).min().map(|left| left as u64),
        last,
    }
}

/// Restarts of all streams.
pub(crate) fn restarts(api: &Api) -> u64 {
    api.status.restarts() + api.changes.iter().map(|(_, status)| status.restarts()).sum::<u64>()
}

/// Average size of a table's files, where maintenance has seen any.
pub(crate) fn average_file_bytes(reading: &TableReading) -> Option<u64> {
    reading.files.and_then(|files| files.data_bytes.checked_div(files.data_files))
}
