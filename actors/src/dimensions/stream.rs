//! A stream of changes as its supervisor sees it.

use std::sync::Arc;
use std::time::Duration;

use pulselake_cdc::CdcSettings;
use pulselake_lake::{Lake, WriterOptions};
use pulselake_model::Entity;
use pulselake_model::tables::LakeTable;
use pulselake_source::Source;
use pulselake_telemetry::{set_change_lag, set_change_partitions};

use super::cache::DimensionCache;
use super::run::RunningUpserts;
use super::schemas::SchemaBook;
use super::services::ChangeServices;
use crate::recovery::StartError;
use crate::settings::PipelineSettings;
use crate::status::EngineStatus;
use crate::stream::{ShardStart, Stream};

/// Numbers of a stream of changes beside those that it shares with the event stream.
#[derive(Clone, Copy, Debug)]
pub struct DimensionSettings {
    /// Shortest time between two commits.
    pub commit_interval: Duration,
    /// Rows that wait before a commit is made early.
    pub max_pending_rows: usize,
    /// Bytes that wait before a commit is made early.
    pub max_pending_bytes: usize,
}

/// The parts of a stream of changes, all cheap to clone.
#[derive(Clone)]
pub struct DimensionStream {
    /// What changes.
    pub entity: Entity,
    /// Numbers that every stream has. `shards` is not looked at: a stream of changes has one.
    pub settings: PipelineSettings,
    /// Numbers of its own.
    pub dimension: DimensionSettings,
    /// What is valid, and how much is kept in memory.
    pub cdc: CdcSettings,
    /// Schemas of records in Avro; `None` without a registry. Goes with `cdc.has_schema_registry`.
    pub schemas: Option<SchemaBook>,
    /// Where records come from.
    pub source: Arc<dyn Source>,
    /// Where tables are.
    pub lake: Lake,
    /// Parquet.
    pub writer_options: WriterOptions,
    /// Its status.
    pub status: EngineStatus,
    /// Told of every committed video; `None` for entities that the live path does not ask for.
    pub cache: Option<DimensionCache>,
}

impl DimensionStream {
    pub(super) fn quarantine(&self) -> LakeTable {
        LakeTable::InvalidChanges(self.entity)
    }

    pub(super) fn history(&self) -> LakeTable {
        LakeTable::DimensionHistory(self.entity)
    }

    pub(super) fn table(&self) -> LakeTable {
        LakeTable::Dimension(self.entity)
    }

    pub(super) fn topic(&self) -> &str {
        &self.source.identity().topic
    }
}

impl Stream for DimensionStream {
    type Services = ChangeServices;
    type Run = RunningUpserts;

    fn name(&self) -> &'static str {
        self.entity.as_str()
    }

    fn shards(&self) -> usize {
        1
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

    fn start_services(&self) -> ChangeServices {
        ChangeServices::start(self)
    }

    async fn start_run(
        &self,
        services: &ChangeServices,
        start: ShardStart<'_>,
    ) -> Result<RunningUpserts, StartError> {
        RunningUpserts::start(self, services, start).await
    }

    fn forget_partition(&self, _: i32) {}

    fn show_assigned(&self, partitions: usize) {
        set_change_partitions(self.entity, partitions);
    }

    fn lag_shown(&self) -> impl Fn(i32, u64) + Send + 'static {
        let entity = self.entity;
        move |partition, records| set_change_lag(entity, partition, records)
    }
}
