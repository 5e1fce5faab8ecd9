//! The service as a process: runtime, telemetry, HTTP, signals, and the engine until it ends.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use pulselake_actors::{
    DimensionCache, EngineStatus, MaintainedTable, Maintenance, MaintenancePace, Pipeline, RunEnd,
};
use pulselake_config::{LogFormat, LogLevel, Settings, SourceKind};
use pulselake_telemetry::events;

use super::assemble::{Assembled, assemble};
use super::changes::wanted_tables;
use super::maintenance_settings::{maintenance_limits, round_settings};
use super::streams::run_streams;
use super::{http, signals, summary};

/// Ready until bronze has gone without a commit for this many commit intervals while records wait.
const STALE_INTERVALS: u32 = 6;

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

/// Runs the engine until it is caught up, told to stop, or `limit` has passed.
///
/// # Errors
/// With what stopped it and what to do.
pub(crate) fn serve(settings: &Settings, show: Show, limit: Option<Duration>) -> anyhow::Result<ExitCode> {
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
    let outcome = system.block_on(run(settings, show, limit));
    actix::System::current().stop();
    outcome
}

async fn run(settings: &Settings, show: Show, limit: Option<Duration>) -> anyhow::Result<ExitCode> {
    let telemetry = pulselake_telemetry::install(env!("CARGO_PKG_VERSION"))?;
    let Assembled { pipeline, changes } = assemble(settings).await?;
    if !settings.http.bind.is_empty() {
        let stale_after = Duration::from_millis(settings.bronze.commit_interval_ms) * STALE_INTERVALS;
        let beside = changes.iter().map(|stream| (stream.entity, stream.status.clone())).collect();
        http::serve(&settings.http, pipeline.status.clone(), beside, telemetry, stale_after).await?;
    }
    let identity = pipeline.source.identity();
    events::service_started(
        env!("CARGO_PKG_VERSION"),
        &format!("{} of {}", identity.topic, identity.cluster_id),
        &settings.lake.data_dir,
        pipeline.settings.shards,
    );
    let videos = changes.iter().find_map(|stream| stream.cache.clone());
    let shown = show_beside(settings, show, &pipeline, videos);
    let stop = async move {
        if let Err(error) = signals::stop_requested(limit).await {
            tracing::error!(event = "signals_failed", %error, "cannot listen for signals, stopping");
        }
    };
    let maintenance = start_maintenance(settings, &pipeline);
    let statuses: Vec<EngineStatus> = changes.iter().map(|stream| stream.status.clone()).collect();
    let outcome = run_streams(pipeline.clone(), changes, stop).await;
    if let Some(running) = maintenance {
        running.stop().await;
    }
    if let Some(task) = shown {
        task.abort();
    }
    report(&pipeline, &statuses, outcome.context("pulselake has stopped")?)
}

/// Starts what keeps the hot tables fast, unless it is switched off.
fn start_maintenance(settings: &Settings, pipeline: &Pipeline) -> Option<Maintenance> {
    let maintenance = &settings.maintenance;
    if !maintenance.enabled {
        return None;
    }
    let tables = wanted_tables(settings).into_iter().map(|table| MaintainedTable {
        ident: pulselake_lake::table_ident(table),
        round: round_settings(settings, table.full_name(), false),
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
