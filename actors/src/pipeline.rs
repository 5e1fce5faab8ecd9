//! What every run of every shard is made from: settings, source, tables and what is shared.

use std::sync::Arc;

use pulselake_board::LiveBoard;
use pulselake_decode::DecodeSettings;
use pulselake_lake::{Lake, WriterOptions};
use pulselake_source::Source;
use pulselake_telemetry::{set_assigned_partitions, set_consumer_lag};
use pulselake_window::WindowSettings;

use crate::recovery::StartError;
use crate::services::Services;
use crate::settings::PipelineSettings;
use crate::shard::RunningShard;
use crate::status::EngineStatus;
use crate::stream::{EVENTS, ShardStart, Stream};

/// The parts of a pipeline, all cheap to clone.
#[derive(Clone)]
pub struct Pipeline {
    /// Numbers.
    pub settings: PipelineSettings,
    /// Where records come from.
    pub source: Arc<dyn Source>,
    /// Where tables are.
    pub lake: Lake,
    /// What is valid.
    pub decode: DecodeSettings,
    /// Event time.
    pub windows: WindowSettings,
    /// Parquet.
    pub writer_options: WriterOptions,
    /// Shared status.
    pub status: EngineStatus,
    /// Shared live board.
    pub board: LiveBoard,
}

impl Stream for Pipeline {
    type Services = Services;
    type Run = RunningShard;

    fn name(&self) -> &'static str {
        EVENTS
    }

    fn shards(&self) -> usize {
        self.settings.shards.max(1)
    }

    fn settings(&self) -> &PipelineSettings {
        &self.settings
    }

    fn source(&self) -> &Arc<dyn Source> {
        &self.source
    }

    fn status(&self) -> &EngineStatus {
        &self.status
    }

    fn start_services(&self) -> Services {
        Services::start(self)
    }

    async fn start_run(
        &self,
        services: &Services,
        start: ShardStart<'_>,
    ) -> Result<RunningShard, StartError> {
        RunningShard::start(self, &services.addresses, start).await
    }

    fn forget_partition(&self, partition: i32) {
        self.board.remove(partition);
    }

    fn show_assigned(&self, partitions: usize) {
        set_assigned_partitions(partitions);
    }

    fn lag_shown(&self) -> impl Fn(i32, u64) + Send + 'static {
        set_consumer_lag
    }
}
