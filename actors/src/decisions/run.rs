//! Starts the decision maker, and starts it again when it fails: one for one, as often as it takes, and never with an effect
//! on ingestion.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use pulselake_actions::ActionQueue;
use pulselake_board::LiveBoard;
use pulselake_lake::Lake;
use pulselake_telemetry::{DecisionMetrics, decision_events as events};
use tokio::sync::{Mutex, watch};

use super::files::{FileRefused, Files};
use super::maker::{DecisionMaker, MakerParts, Sources};
use super::published::Published;
use super::round::RoundParts;
use super::settings::DecisionSettings;
use super::state::DecisionsHandle;
use crate::dimensions::DimensionCache;
use crate::heartbeat::{self, Heartbeats};
use crate::kill_switch::{DeathGuard, KillSwitch};
use crate::messages::StopActor;
use crate::status::EngineStatus;

/// The actor's name in messages.
const NAME: &str = "DecisionMaker";
/// How long the end waits for a round under way. One that is killed at any point does no harm.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// An actor that has lived so long starts again with the first pause.
const STABLE_AFTER: Duration = Duration::from_secs(60);

/// What decisions are made with.
#[derive(Clone)]
pub struct DecisionParts {
    /// Numbers and files.
    pub settings: DecisionSettings,
    /// The tables; those of decisions have to exist.
    pub lake: Lake,
    /// The queue.
    pub queue: ActionQueue,
    /// The live board.
    pub board: LiveBoard,
    /// The videos' cache.
    pub videos: DimensionCache,
    /// The event stream's status, for the age of gold.
    pub status: EngineStatus,
}

/// The running decision maker.
pub struct Decisions {
    handle: DecisionsHandle,
    stop: watch::Sender<bool>,
    running: tokio::task::JoinHandle<()>,
}

impl Decisions {
    /// Reads the files and starts the actor, in the actix system that it is called in.
    ///
    /// # Errors
    /// Where a file of rules or baseline can't be used.
    pub fn start(parts: DecisionParts) -> Result<Self, FileRefused> {
        let (files, found) = Files::open(&parts.settings)?;
        let origin = parts.settings.rules_file.as_ref();
        let origin = origin.map_or_else(|| "built-in".to_owned(), |path| path.display().to_string());
        events::rules_in_force(&found.rules.version, &origin);
        let global = *found.baseline.global();
        events::baseline_in_force(
            &found.baseline_origin,
            global.velocity_p90,
            global.impressions_p40,
            found.baseline.cohorts().len(),
        );
        let handle = DecisionsHandle::new(found.rules, found.baseline, &found.baseline_origin);
        let sources =
            Sources { files, published: Published::default(), published_error: None, looked_at: None };
        let (stop, is_stopping) = watch::channel(false);
        let supervised = Supervised {
            round: RoundParts {
                lake: parts.lake,
                queue: parts.queue,
                board: parts.board,
                videos: parts.videos,
                handle: handle.clone(),
            },
            settings: parts.settings,
            status: parts.status,
            metrics: Arc::default(),
            sources: Arc::new(Mutex::new(sources)),
        };
        let running = actix::spawn(supervised.supervise(is_stopping));
        Ok(Self { handle, stop, running })
    }

    /// What others may know.
    pub fn handle(&self) -> DecisionsHandle {
        self.handle.clone()
    }

    /// Ends it; a round under way is waited for.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        // It ends by itself; a task that panicked has ended too.
        let _ = self.running.await;
    }
}

struct Supervised {
    settings: DecisionSettings,
    round: RoundParts,
    status: EngineStatus,
    metrics: Arc<DecisionMetrics>,
    sources: Arc<Mutex<Sources>>,
}

/// One life of the actor.
struct Life {
    kill_switch: KillSwitch,
    watch: tokio::task::JoinHandle<()>,
    arbiter: Arbiter,
    address: Addr<DecisionMaker>,
}

impl Supervised {
    async fn supervise(self, mut is_stopping: watch::Receiver<bool>) {
        let mut failures: u32 = 0;
        loop {
            let begun = Instant::now();
            let life = self.start();
            tokio::select! {
                // An error means that whoever could ask for the end is gone.
                _ = is_stopping.wait_for(|asked| *asked) => {
                    self.end(&life).await;
                    return;
                }
                () = life.kill_switch.tripped() => {}
            }
            life.stop();
            failures = if begun.elapsed() >= STABLE_AFTER { 0 } else { failures.saturating_add(1) };
            let doubled =
                self.settings.backoff_initial.saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX));
            let pause = doubled.min(self.settings.backoff_max);
            let cause = life.kill_switch.failure().map_or_else(String::new, |failure| failure.to_string());
            events::decision_maker_restarted(pause, &cause);
            tokio::select! {
                _ = is_stopping.wait_for(|asked| *asked) => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn start(&self) -> Life {
        let arbiter = Arbiter::new();
        let kill_switch = KillSwitch::default();
        let heartbeats = Heartbeats::default();
        let parts = MakerParts {
            settings: self.settings.clone(),
            round: self.round.clone(),
            status: self.status.clone(),
            metrics: self.metrics.clone(),
            sources: self.sources.clone(),
            guard: DeathGuard::new(kill_switch.clone(), NAME),
            heartbeat: heartbeats.register(NAME),
        };
        let address = DecisionMaker::start_in_arbiter(&arbiter.handle(), move |_| DecisionMaker::new(parts));
        let watch = heartbeat::watch(
            heartbeats,
            kill_switch.clone(),
            self.settings.heartbeat_timeout,
            "decisions".to_owned(),
        );
        Life { kill_switch, watch, arbiter, address }
    }

    async fn end(&self, life: &Life) {
        // The round under way holds it.
        let _ = tokio::time::timeout(STOP_PATIENCE, self.sources.lock()).await;
        life.stop();
    }
}

impl Life {
    fn stop(&self) {
        self.watch.abort();
        self.address.do_send(StopActor);
        self.arbiter.stop();
    }
}
