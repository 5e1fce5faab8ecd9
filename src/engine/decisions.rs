//! Decisions: from the settings to the running decision maker and its queue.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use pulselake_actions::{ActionQueue, QueueSettings};
use pulselake_actors::decisions::outbox::{KafkaActions, Outbox, OutboxParts};
use pulselake_actors::{
    DecisionParts, DecisionSettings, Decisions, DecisionsHandle, DimensionCache, Pipeline,
};
use pulselake_config::{Settings, SourceKind};
use pulselake_source::KafkaSinkSettings;

/// Time between two looks at whether a minute has closed.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How long an action may take to be acknowledged before the outbox tries again. Also what a broker that does not answer adds
/// to the end of the process.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(10);

/// Whether the settings' service decides: it knows the videos, and it goes on until somebody stops it. A bounded run reads
/// the past, about which nobody can do anything any more.
pub(crate) fn wants_decisions(settings: &Settings) -> bool {
    settings.decisions.enabled
        && settings.board.enabled
        && !settings.cdc.videos_topic.is_empty()
        && settings.source.kind != SourceKind::Files
        && !settings.source.until_caught_up
}

/// What decides, and what was decided.
pub(crate) struct RunningDecisions {
    decisions: Decisions,
    queue: ActionQueue,
    outbox: Option<Outbox>,
}

impl RunningDecisions {
    /// The queue of actions, for the API.
    pub(crate) fn queue(&self) -> ActionQueue {
        self.queue.clone()
    }

    /// How decisions stand, for the API.
    pub(crate) fn handle(&self) -> DecisionsHandle {
        self.decisions.handle()
    }

    /// Ends it; a round under way is waited for, and sent.
    pub(crate) async fn stop(self) {
        self.decisions.stop().await;
        if let Some(running) = self.outbox {
            running.stop().await;
        }
    }
}

/// Starts what decides, where the settings want it. `videos` is the cache of the videos' stream.
///
/// # Errors
/// When the queue can't be read, or a file of rules or baseline can't be used.
pub(crate) async fn start_decisions(
    settings: &Settings,
    pipeline: &Pipeline,
    videos: Option<DimensionCache>,
) -> anyhow::Result<Option<RunningDecisions>> {
    let Some(cache) = videos.filter(|_| wants_decisions(settings)) else { return Ok(None) };
    let queue = ActionQueue::open(pipeline.lake.clone(), QueueSettings::default()).await?;
    let parts = DecisionParts {
        settings: decision_settings(settings),
        lake: pipeline.lake.clone(),
        queue: queue.clone(),
        board: pipeline.board.clone(),
        videos: cache,
        status: pipeline.status.clone(),
    };
    let decisions = Decisions::start(parts).context("decisions can't be taken")?;
    let outbox = outbox_parts(settings, &queue).map(Outbox::start);
    Ok(Some(RunningDecisions { decisions, queue, outbox }))
}

/// The outbox, where the settings name a topic.
fn outbox_parts(settings: &Settings, queue: &ActionQueue) -> Option<OutboxParts> {
    let topic = &settings.decisions.actions_topic;
    if topic.is_empty() || settings.source.kind != SourceKind::Kafka {
        return None;
    }
    let (kafka, supervision) = (&settings.kafka, &settings.supervision);
    let properties = kafka.librdkafka.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let sink = KafkaSinkSettings {
        brokers: kafka.brokers.clone(),
        topic: topic.clone(),
        connect_timeout: Duration::from_millis(kafka.connect_timeout_ms),
        delivery_timeout: DELIVERY_TIMEOUT,
        properties: properties.collect(),
        ..KafkaSinkSettings::default()
    };
    Some(OutboxParts {
        queue: queue.clone(),
        topic: topic.clone(),
        connect: KafkaActions::connector(sink),
        backoff_initial: Duration::from_millis(supervision.backoff_initial_ms),
        backoff_max: Duration::from_millis(supervision.backoff_max_ms),
    })
}

fn decision_settings(settings: &Settings) -> DecisionSettings {
    let (decisions, supervision) = (&settings.decisions, &settings.supervision);
    let file = |path: &str| (!path.is_empty()).then(|| PathBuf::from(path));
    DecisionSettings {
        rules_file: file(&decisions.rules_file),
        baseline_file: file(&decisions.baseline_file),
        reload_interval: Duration::from_millis(decisions.reload_interval_ms),
        straggler_wait: Duration::from_millis(decisions.straggler_wait_ms),
        max_watermark_lag: Duration::from_millis(decisions.max_watermark_lag_ms),
        look_interval: LOOK_INTERVAL,
        refresh_interval: Duration::from_millis(decisions.refresh_interval_ms),
        backoff_initial: Duration::from_millis(supervision.backoff_initial_ms),
        backoff_max: Duration::from_millis(supervision.backoff_max_ms),
        heartbeat_interval: Duration::from_millis(supervision.heartbeat_interval_ms),
        heartbeat_timeout: Duration::from_millis(supervision.heartbeat_timeout_ms),
    }
}
