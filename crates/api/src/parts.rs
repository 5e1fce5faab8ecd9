//! What the handlers look at: the parts of the running engine, and what the API keeps for all its clients.

use std::sync::Arc;

use pulselake_actions::ActionQueue;
use pulselake_actors::{DecisionsHandle, DimensionCache, EngineStatus};
use pulselake_board::LiveBoard;
use pulselake_decision::{Rules, Thresholds};
use pulselake_lake::LakeSettings;
use pulselake_model::Entity;
use pulselake_telemetry::{HttpMetrics, TelemetryHandle};

use crate::engine::History;
use crate::events::EventHub;
use crate::lake_reader::LakeReader;
use crate::peers::Peers;
use crate::pulse::PulseCache;
use crate::quadrant::QuadrantLines;
use crate::quarantine::QuarantineSamples;
use crate::settings::ApiSettings;
use crate::sql::QueryProcess;
use crate::trending::Rankings;
use crate::video::GoldVideos;

/// The parts of the engine that the API shows; all cheap to clone.
#[derive(Clone)]
pub struct ApiParts {
    /// Numbers and places.
    pub settings: ApiSettings,
    /// What the stream of events is doing.
    pub status: EngineStatus,
    /// What the streams of changes are doing.
    pub changes: Vec<(Entity, EngineStatus)>,
    /// Metrics.
    pub telemetry: TelemetryHandle,
    /// The rolling 30 minutes.
    pub board: LiveBoard,
    /// What is known of videos, where their changes are followed.
    pub videos: Option<DimensionCache>,
    /// Decisions, where they are made.
    pub decisions: Option<ShownDecisions>,
    /// Where the tables are, for reading beside the stream.
    pub lake: LakeSettings,
    /// The runtime that the engine's tables belong to: changes of the queue are made there.
    pub engine: tokio::runtime::Handle,
}

/// Decisions and their queue.
#[derive(Clone)]
pub struct ShownDecisions {
    /// The actions.
    pub queue: ActionQueue,
    /// What the decision maker says of itself.
    pub handle: DecisionsHandle,
}

impl ApiParts {
    /// The lines between the quadrants, by the thresholds in force.
    pub(crate) fn quadrant_lines(&self) -> QuadrantLines {
        let in_force = self.decisions.as_ref().map(|decisions| {
            let handle = &decisions.handle;
            (handle.baseline().global().velocity_p90, handle.rules().min_completion_rate)
        });
        let (velocity_p90, completion) =
            in_force.unwrap_or_else(|| (Thresholds::SEED.velocity_p90, Rules::default().min_completion_rate));
        QuadrantLines { velocity_p90, completion }
    }
}

/// The parts, and what is kept for all clients. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Api {
    inner: Arc<Inner>,
}

/// See [`Api`].
pub(crate) struct Inner {
    parts: ApiParts,
    pub(crate) rankings: Rankings,
    pub(crate) pulses: PulseCache,
    pub(crate) gold_videos: GoldVideos,
    pub(crate) quarantine: QuarantineSamples,
    pub(crate) peers: Peers,
    pub(crate) lake_reader: LakeReader,
    pub(crate) history: History,
    pub(crate) events: EventHub,
    pub(crate) query: QueryProcess,
    pub(crate) http_metrics: HttpMetrics,
}

impl Api {
    pub(crate) fn new(parts: ApiParts) -> Self {
        let inner = Inner {
            rankings: Rankings::default(),
            pulses: PulseCache::default(),
            gold_videos: GoldVideos::default(),
            quarantine: QuarantineSamples::default(),
            peers: Peers::new(&parts.settings.peers, &parts.settings.tokens),
            lake_reader: LakeReader::new(parts.lake.clone()),
            history: History::default(),
            events: EventHub::default(),
            query: QueryProcess::new(parts.settings.query.clone()),
            http_metrics: HttpMetrics::default(),
            parts,
        };
        Self { inner: Arc::new(inner) }
    }
}

impl std::ops::Deref for Api {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.inner
    }
}

impl std::ops::Deref for Inner {
    type Target = ApiParts;

    fn deref(&self) -> &ApiParts {
        &self.parts
    }
}
