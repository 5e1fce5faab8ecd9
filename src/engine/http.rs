//! Puts the HTTP API together: where it listens, whom it lets in, and what it shows.

use std::path::PathBuf;
use std::time::Duration;

use pulselake_actors::{DimensionCache, DimensionStream, Pipeline};
use pulselake_api::{
    ApiListener, ApiParts, ApiServer, ApiSettings, QuerySettings, ShownDecisions, Token, Tokens,
};
use pulselake_config::Settings;
use pulselake_telemetry::{TelemetryHandle, events};

use super::decisions::RunningDecisions;
use super::lake_settings;
use super::query_environment::query_environment;

/// Ready until bronze has gone without a commit for this many commit intervals while records wait.
const STALE_INTERVALS: u32 = 6;

/// The program that answers SQL.
const QUERY_PROGRAM: &str = "pulselake-query";

/// Listens at `http.bind`; `None` where HTTP is switched off.
///
/// # Errors
/// When the address can't be listened on.
pub(crate) fn listen(settings: &Settings) -> anyhow::Result<Option<ApiListener>> {
    let bind = &settings.http.bind;
    if bind.is_empty() {
        return Ok(None);
    }
    let listener = ApiListener::bind(bind)?;
    events::http_listening(&listener.address().to_string());
    Ok(Some(listener))
}

/// The parts of the engine that the API shows.
pub(crate) struct Shown<'a> {
    pub(crate) pipeline: &'a Pipeline,
    pub(crate) changes: &'a [DimensionStream],
    pub(crate) videos: Option<DimensionCache>,
    pub(crate) decisions: Option<&'a RunningDecisions>,
    pub(crate) telemetry: TelemetryHandle,
}

/// Answers at the listener, on threads of the API's own, until it is stopped.
///
/// # Errors
/// When there can be no threads, or a path in the settings has no absolute form.
pub(crate) fn serve(
    settings: &Settings,
    listener: ApiListener,
    shown: Shown<'_>,
) -> anyhow::Result<ApiServer> {
    let Shown { pipeline, changes, videos, decisions, telemetry } = shown;
    let parts = ApiParts {
        settings: api_settings(settings, listener.address().ip().is_loopback())?,
        status: pipeline.status.clone(),
        changes: changes.iter().map(|stream| (stream.entity, stream.status.clone())).collect(),
        telemetry,
        board: pipeline.board.clone(),
        videos,
        decisions: decisions
            .map(|running| ShownDecisions { queue: running.queue(), handle: running.handle() }),
        lake: lake_settings(settings)?,
        engine: tokio::runtime::Handle::current(),
    };
    Ok(ApiServer::start(listener, parts)?)
}

fn api_settings(settings: &Settings, is_loopback: bool) -> anyhow::Result<ApiSettings> {
    let (http, query) = (&settings.http, &settings.query);
    let bounds = [
        ("--memory-mib", query.memory_mib.to_string()),
        ("--max-rows", query.max_rows.to_string()),
        ("--timeout-s", format!("{:.3}", query.timeout_ms as f64 / 1_000.0)),
        ("--max-concurrent", query.max_concurrent.to_string()),
    ];
    let mut arguments = ["serve", "--bind", "127.0.0.1:0"].map(str::to_owned).to_vec();
    arguments.extend(bounds.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]));
    Ok(ApiSettings {
        tokens: Tokens {
            read: Token::new(http.token.expose()),
            action: Token::new(http.action_token.expose()),
        },
        is_loopback,
        peers: http.peers.clone(),
        stale_after: Duration::from_millis(settings.bronze.commit_interval_ms) * STALE_INTERVALS,
        query: QuerySettings {
            enabled: query.enabled,
            program: query_program(&query.program),
            arguments,
            environment: query_environment(settings)?,
            timeout: Duration::from_millis(query.timeout_ms),
            max_concurrent: query.max_concurrent,
        },
    })
}

/// The program that is set, else the one beside this program, else the first where programs are searched.
fn query_program(set: &str) -> PathBuf {
    if !set.is_empty() {
        return PathBuf::from(set);
    }
    let beside = std::env::current_exe().ok().map(|own| own.with_file_name(QUERY_PROGRAM));
    beside.filter(|program| program.is_file()).unwrap_or_else(|| PathBuf::from(QUERY_PROGRAM))
}
