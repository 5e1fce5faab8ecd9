//! The service as a process: runtime, telemetry, HTTP, signals, and the engine until it ends.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use pulselake_actors::{
    DimensionCache, EngineStatus, MaintainedTable, Maintenance, MaintenancePace, Pipeline, RunEnd,
};
use pulselake_config::{LogFormat, LogLevel, Settings, SourceKind};
use pulselake_maintain::compaction::CancelToken;
use pulselake_telemetry::events;

use super::assemble::{Assembled, assemble};
use super::changes::wanted_tables;
use super::decisions::start_decisions;
use super::maintenance_settings::{maintenance_limits, round_settings};
use super::streams::run_streams;
use super::{http, signals, summary};

/// What the terminal shows beside the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Show {
    /// Log lines alone.
    Log,
    /// A summary that refreshes; the log shows warnings alone.
    Summary,
    /// A progress bar.
    Progress,
}

/// How the service is run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunMode {
    /// What the terminal shows.
    pub(crate) show: Show,
    /// Whether the address of the pages is printed to standard output, with the token for changes in it.
    pub(crate) prints_address: bool,
    /// It ends by itself after this time.
    pub(crate) limit: Option<Duration>,
}

/// Runs the engine until it is caught up, told to stop, or the limit has passed.
///
/// # Errors
/// With what stopped it and what to do.
pub(crate) fn serve(settings: &Settings, mode: RunMode) -> anyhow::Result<ExitCode> {
    let RunMode { show, .. } = mode;
    let level = match (show, settings.log.level) {
        (Show::Log, level) | (_, level @ LogLevel::Error) => level,
        (Show::Summary | Show::Progress, _) => LogLevel::Warn,
    };
    let format = match settings.log.format {
        LogFormat::Text => pulselake_telemetry::LogFormat::Text,
        LogFormat::Json => pulselake_telemetry::LogFormat::Json,
    };
    pulselake_telemetry::init_logging(format, level.as_str())?;
    let system = actix::System::new();
    let outcome = system.block_on(run(settings, mode));
    actix::System::current().stop();
    outcome
}

async fn run(settings: &Settings, mode: RunMode) -> anyhow::Result<ExitCode> {
    let telemetry = pulselake_telemetry::install(env!("CARGO_PKG_VERSION"))?;
    let Assembled { pipeline, changes } = assemble(settings).await?;
    let listener = http::listen(settings)?;
    let identity = pipeline.source.identity();
    events::service_started(
        env!("CARGO_PKG_VERSION"),
        &format!("{} of {}", identity.topic, identity.cluster_id),
        &settings.lake.data_dir,
        pipeline.settings.shards,
    );
    let videos = changes.iter().find_map(|stream| stream.cache.clone());
    let decisions = start_decisions(settings, &pipeline, videos.clone()).await?;
    let api = match listener {
        None => None,
        Some(listener) => {
            let address = listener.address();
            let shown = http::Shown {
                pipeline: &pipeline,
                changes: &changes,
                videos: videos.clone(),
                decisions: decisions.as_ref(),
                telemetry,
            };
            let running = http::serve(settings, listener, shown)?;
            if mode.prints_address {
                print_address(settings, address);
            }
            Some(running)
        }
    };
    let shown = show_beside(settings, mode.show, &pipeline, videos);
    let stop = async move {
        if let Err(error) = signals::stop_requested(mode.limit).await {
            tracing::error!(event = "signals_failed", %error, "cannot listen for signals, stopping");
        }
    };
    let maintenance = start_maintenance(settings, &pipeline);
    let statuses: Vec<EngineStatus> = changes.iter().map(|stream| stream.status.clone()).collect();
    let outcome = run_streams(pipeline.clone(), changes, stop).await;
    if let Some(running) = decisions {
        running.stop().await;
    }
    if let Some(running) = maintenance {
        running.stop().await;
    }
    if let Some(task) = shown {
        task.abort();
    }
    if let Some(running) = api {
        // It has threads of its own, for which this one may wait.
        running.stop();
    }
    report(&pipeline, &statuses, outcome.context("pulselake has stopped")?)
}

/// Where the pages are, as a browser opens them: the token is behind the `#`, which no browser sends anywhere.
fn print_address(settings: &Settings, address: std::net::SocketAddr) {
    let token = settings.http.action_token.expose();
    let behind = if token.is_empty() { String::new() } else { format!("#token={token}") };
    let mut output = std::io::stdout();
    let printed = writeln!(output, "http://{address}/{behind}").and_then(|()| output.flush());
    if let Err(error) = printed {
        // Whoever closed standard output does not want to know.
        tracing::warn!(event = "address_not_printed", %error, "the address of the pages could not be printed");
    }
}

/// Starts what keeps the hot tables fast, unless it is switched off.
fn start_maintenance(settings: &Settings, pipeline: &Pipeline) -> Option<Maintenance> {
    let maintenance = &settings.maintenance;
    if !maintenance.enabled {
        return None;
    }
    let tables = wanted_tables(settings).into_iter().map(|table| MaintainedTable {
        ident: pulselake_lake::table_ident(table),
        round: round_settings(settings, table.full_name(), false, &CancelToken::default()),
    });
    let pace = MaintenancePace {
        interval: Duration::from_millis(maintenance.interval_ms),
        check_interval: Duration::from_millis(maintenance.check_interval_ms),
        urgent_files: maintenance.urgent_files as u64,
        cpu_share_percent: maintenance.cpu_share_percent,
    };
    let limits = maintenance_limits(settings);
    Some(Maintenance::start(&pipeline.lake, tables.collect(), pace, limits, &pipeline.status))
}

fn show_beside(
    settings: &Settings,
    show: Show,
    pipeline: &Pipeline,
    videos: Option<DimensionCache>,
) -> Option<tokio::task::JoinHandle<()>> {
    let status = pipeline.status.clone();
    match show {
        Show::Log => None,
        Show::Progress => Some(tokio::spawn(summary::show_progress(status, pipeline.source.clone()))),
        Show::Summary => {
            let source = match settings.source.kind {
                SourceKind::Generator => format!("{} events/s generated", settings.generator.rate_per_s),
                SourceKind::Kafka => format!("Kafka {}", settings.kafka.brokers),
                SourceKind::Files => "files".to_owned(),
            };
            let place = format!("{source} into {}", settings.lake.data_dir);
            Some(tokio::spawn(summary::show_summary(status, pipeline.board.clone(), videos, place)))
        }
    }
}

fn report(pipeline: &Pipeline, changes: &[EngineStatus], end: RunEnd) -> anyhow::Result<ExitCode> {
    let (records, quarantined) = pipeline.status.committed_records();
    let reason = match end {
        RunEnd::CaughtUp => "caught up",
        RunEnd::ShutDown => "asked to stop",
        RunEnd::ShutDownUndrained => {
            bail!(
                "stopped before everything read was committed: nothing is lost, the next start reads the rest again"
            )
        }
    };
    events::service_stopped(reason);
    let changed: u64 = changes.iter().map(|status| status.committed_records().0).sum();
    let beside = if changes.is_empty() { String::new() } else { format!("; {changed} changes beside them") };
    eprintln!("{reason}: {records} records read, {quarantined} of them quarantined, all committed{beside}");
    Ok(ExitCode::SUCCESS)
}
