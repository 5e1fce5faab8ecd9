//! From settings to the parts of the engine.

use std::time::{Duration, Instant};

use anyhow::Context;
use pulselake_actors::{DimensionStream, EngineStatus, Pipeline, PipelineSettings};
use pulselake_board::{BoardSettings, LiveBoard};
use pulselake_config::{OnDataLoss, Settings};
use pulselake_decode::DecodeSettings;
use pulselake_lake::{CommitLimits, Lake, LakeError, LakeSettings, OpenMode, WriterOptions};
use pulselake_model::tables::LakeTable;
use pulselake_telemetry::events;
use pulselake_window::WindowSettings;

use super::changes::{change_streams, wanted_tables};
use super::lake_settings;
use super::source::{generator_config, open_source};

/// Size at which a data file is closed and the next one begun, bytes.
const TARGET_FILE_BYTES: usize = 128 << 20;

/// How long one call to commit goes on trying before the committer looks around.
const COMMIT_PATIENCE: Duration = Duration::from_secs(5);

/// Time between two tries at a locked catalog; the database itself has waited before.
const CATALOG_PAUSE: Duration = Duration::from_millis(500);

/// Opens catalog and warehouse.
pub(crate) async fn open_lake(settings: &Settings, mode: OpenMode) -> anyhow::Result<Lake> {
    Ok(Lake::open(&lake_settings(settings)?, mode).await?)
}

/// What is valid.
pub(crate) fn decode_settings(settings: &Settings) -> DecodeSettings {
    DecodeSettings {
        max_record_bytes: settings.decode.max_record_bytes,
        future_tolerance_ms: settings.decode.future_tolerance_ms,
        max_nesting_depth: settings.decode.max_nesting_depth,
        source_topic: settings.source.topic.clone(),
    }
}

/// What the service runs.
pub(crate) struct Assembled {
    /// The stream of events.
    pub(crate) pipeline: Pipeline,
    /// The streams of changes.
    pub(crate) changes: Vec<DimensionStream>,
}

/// Opens the tables (creating them where they are missing) and the sources.
pub(crate) async fn assemble(settings: &Settings) -> anyhow::Result<Assembled> {
    let lake = open_tables(settings).await?;
    // The committer tries again by itself and says so: each call comes back soon enough to end a run that is over.
    let lake = lake.with_commit_limits(CommitLimits {
        patience: COMMIT_PATIENCE,
        answer_timeout: Duration::from_millis(settings.rest.answer_timeout_ms),
        // The janitor takes files of twice this age for orphans.
        history: Duration::from_millis(settings.maintenance.snapshot_max_age_ms),
        max_change_age: Duration::from_millis(settings.maintenance.orphan_min_age_ms / 2),
        ..CommitLimits::default()
    });
    let generator = generator_config(settings, &lake).await?;
    let source = open_source(settings, generator.clone()).await.context("cannot open the source")?;
    let pipeline = Pipeline {
        settings: pipeline_settings(settings),
        source,
        lake,
        decode: decode_settings(settings),
        windows: window_settings(settings),
        writer_options: WriterOptions {
            zstd_level: settings.bronze.zstd_level,
            row_group_rows: settings.bronze.row_group_rows,
            target_file_bytes: TARGET_FILE_BYTES,
        },
        status: EngineStatus::default(),
        board: LiveBoard::new(board_settings(settings)),
    };
    let changes = change_streams(settings, &pipeline, generator.as_ref()).await?;
    Ok(Assembled { pipeline, changes })
}

/// Opens the tables, creating them where they are missing. A catalog that another program keeps locked is waited for.
async fn open_tables(settings: &Settings) -> anyhow::Result<Lake> {
    let at = lake_settings(settings)?;
    let tables = wanted_tables(settings);
    let give_up_at = Instant::now() + Duration::from_millis(settings.lake.connect_timeout_ms);
    loop {
        let error = match try_tables(&at, &tables).await {
            Ok(lake) => return Ok(lake),
            Err(error) => error,
        };
        let left = give_up_at.saturating_duration_since(Instant::now());
        if left.is_zero() || !error.is_busy() {
            return Err(error.into());
        }
        events::catalog_waited_for(left, &error.to_string());
        tokio::time::sleep(left.min(CATALOG_PAUSE)).await;
    }
}

async fn try_tables(at: &LakeSettings, tables: &[LakeTable]) -> Result<Lake, LakeError> {
    let lake = Lake::open(at, OpenMode::CreateIfMissing).await?;
    lake.ensure_tables(tables).await?;
    Ok(lake)
}

fn window_settings(settings: &Settings) -> WindowSettings {
    WindowSettings {
        watermark_delay_ms: saturating_i64(settings.windows.watermark_delay_ms),
        allowed_lateness_ms: saturating_i64(settings.windows.allowed_lateness_ms),
        dedup_horizon_ms: saturating_i64(settings.windows.dedup_horizon_ms),
        dedup_max_ids: settings.windows.dedup_max_ids,
    }
}

fn board_settings(settings: &Settings) -> BoardSettings {
    let max_videos = if settings.board.enabled { settings.board.max_videos } else { 0 };
    BoardSettings::for_watermark_delay(max_videos, saturating_i64(settings.windows.watermark_delay_ms))
}

fn pipeline_settings(settings: &Settings) -> PipelineSettings {
    let (engine, supervision) = (&settings.engine, &settings.supervision);
    PipelineSettings {
        shards: engine.shard_count(),
        batch_records: engine.batch_records,
        batch_bytes: engine.batch_bytes,
        batch_wait: Duration::from_millis(engine.batch_wait_ms),
        mailbox_batches: engine.mailbox_batches,
        idle_timeout: Duration::from_millis(engine.idle_timeout_ms),
        drain_timeout: Duration::from_millis(engine.drain_timeout_ms),
        bronze_commit_interval: Duration::from_millis(settings.bronze.commit_interval_ms),
        bronze_flush_bytes: usize::try_from(settings.bronze.flush_bytes).unwrap_or(usize::MAX),
        bronze_max_open_hours: settings.bronze.max_open_hours,
        gold_collect_wait: Duration::from_millis(settings.gold.collect_wait_ms),
        gold_correction_interval: Duration::from_millis(settings.gold.correction_interval_ms),
        gold_max_pending_rows: settings.gold.max_pending_rows,
        backoff_initial: Duration::from_millis(supervision.backoff_initial_ms),
        backoff_max: Duration::from_millis(supervision.backoff_max_ms),
        restart_budget: supervision.restart_budget as usize,
        restart_window: Duration::from_millis(supervision.restart_window_ms),
        heartbeat_interval: Duration::from_millis(supervision.heartbeat_interval_ms),
        heartbeat_timeout: Duration::from_millis(supervision.heartbeat_timeout_ms),
        lag_interval: Duration::from_millis(engine.lag_interval_ms),
        until_caught_up: settings.source.until_caught_up,
        continue_on_data_loss: settings.kafka.on_data_loss == OnDataLoss::Continue,
    }
}

fn saturating_i64(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
