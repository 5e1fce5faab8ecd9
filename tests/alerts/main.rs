//! Alerts from end to end: a real Prometheus scrapes a running engine and evaluates the rules of `config/prometheus`, a real
//! Alertmanager routes by `config/alertmanager`, and a webhook is told. Three things go wrong: a source that delivers the past,
//! producers that send rubbish, and a process that dies and then fails again and again. Each time the right alert arrives at the
//! right receiver, and its end as well.
//!
//! Names, expressions and routes are those of the files; only durations are shorter (`shortened`).

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

#[path = "../common/mod.rs"]
mod common;

mod producer;
mod servers;
mod shortened;
mod webhook;

use common::engine::{Engine, free_address, http_get};
use common::kafka::{create_topic, unique};
use common::scene::Scene;
use common::{PATIENCE, poll};
use producer::Producer;
use servers::{Alertmanager, Prometheus};
use webhook::Webhook;

const STALE: &str = "PulselakeGoldStale";
const DEGRADED: &str = "PulselakeFreshnessDegraded";
const SPIKE: &str = "PulselakeQuarantineSpike";
const DOWN: &str = "PulselakeDown";
const STORM: &str = "PulselakeRestartStorm";
/// Above the 10 minutes that are stale.
const FAR_PAST_MS: i64 = 15 * 60_000;
/// Failures of the second process, half a second to two seconds apart: some of them come after Prometheus has looked twice.
const FAILS_AGAIN_AND_AGAIN: &str = "consumer::polled=8*panic";

/// An engine, whoever watches it, and whoever is told.
struct Watched {
    scene: Scene,
    videos_topic: String,
    address: String,
    webhook: Webhook,
    alertmanager: Alertmanager,
    engine: Engine,
}

impl Watched {
    /// Starts the engine on what is in its topic, and those who tell; nobody watches yet.
    fn start(scene: Scene) -> Self {
        // Without the changes of videos nothing is decided, and the engine has no state of freshness.
        let videos_topic = unique("alerts.videos");
        create_topic(&videos_topic, 1);
        let address = free_address();
        let engine = start_engine(&scene, &address, &videos_topic, "");
        let webhook = Webhook::start();
        let alertmanager = Alertmanager::start(scene.directory(), &webhook.url());
        Self { scene, videos_topic, address, webhook, alertmanager, engine }
    }

    /// Starts Prometheus once there is something to scrape: an engine that is just being started would count as down.
    fn watch(&self) -> Prometheus {
        let answer = poll(PATIENCE, || http_get(&self.address, "/healthz"));
        assert!(answer.is_some(), "the engine does not answer:\n{}", self.engine.log().tail());
        Prometheus::start(self.scene.directory(), &self.address, self.alertmanager.address())
    }

    fn start_again(&mut self, failpoints: &str) {
        self.engine = start_engine(&self.scene, &self.address, &self.videos_topic, failpoints);
    }

    /// Waits until a receiver is told of an alert, beginning with message number `since`.
    #[track_caller]
    fn expect(&self, since: usize, receiver: &str, alert: &str, status: &str) {
        if !self.webhook.is_told(since, receiver, alert, status) {
            panic!(
                "{receiver} was not told that {alert} is {status}, but:\n{}\nAlertmanager has: {}\nThe end of the engine's log:\n{}",
                self.webhook.all(),
                self.alertmanager.alerts(),
                self.engine.log().tail()
            );
        }
    }
}

fn start_engine(scene: &Scene, address: &str, videos_topic: &str, failpoints: &str) -> Engine {
    let (bind, videos) = (format!("http.bind={address}"), format!("cdc.videos_topic={videos_topic}"));
    let settings = [
        bind.as_str(),
        videos.as_str(),
        "kafka.group_mode=assign",
        "engine.idle_timeout_ms=1000",
        "engine.lag_interval_ms=100",
        "supervision.backoff_initial_ms=500",
        "supervision.backoff_max_ms=2000",
        "supervision.restart_budget=100",
    ];
    scene.start_with(&scene.run_arguments(&settings), failpoints)
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn alerts_fire_and_resolve_at_a_webhook() {
    // A source that delivers what is a quarter of an hour old: gold can be queried, and is stale. That it is degraded as well is
    // muted, and nobody is told.
    let scene = Scene::new("alerts", 1);
    let producer = Producer::new(&scene.topic);
    producer.events_since(FAR_PAST_MS, 200);
    let mut watched = Watched::start(scene);
    let _prometheus = watched.watch();
    watched.expect(0, "streaming-on-call", STALE, "firing");
    assert_eq!(watched.alertmanager.wait_for_inhibited(DEGRADED), STALE, "what mutes {DEGRADED}");

    // The present arrives, and with it rubbish that a broken client sends on and on.
    let present = watched.webhook.messages();
    producer.events_since(60_000, 200);
    let broken = producer.broken_client();
    watched.expect(present, "streaming-channel", SPIKE, "firing");
    assert_eq!(watched.webhook.label(SPIKE, "code").as_deref(), Some("MALFORMED_JSON"));
    drop(broken);
    watched.expect(present, "streaming-on-call", STALE, "resolved");
    watched.expect(present, "streaming-channel", SPIKE, "resolved");

    // The process dies, comes back, and fails again and again.
    let death = watched.webhook.messages();
    watched.engine.kill();
    watched.expect(death, "streaming-on-call", DOWN, "firing");
    watched.start_again(FAILS_AGAIN_AND_AGAIN);
    watched.expect(death, "streaming-on-call", STORM, "firing");
    watched.expect(death, "streaming-on-call", DOWN, "resolved");
    watched.expect(death, "streaming-on-call", STORM, "resolved");

    // Every message says where to read on, and went where its team and severity send it.
    watched.webhook.check_all();
}
