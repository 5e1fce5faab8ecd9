//! Whoever is told: an HTTP server that keeps every alert that Alertmanager posts to it.

use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Json;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::post;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::common::{PATIENCE, poll};

/// One alert in one message.
#[derive(Clone)]
struct Told {
    receiver: String,
    alert: Value,
}

type AllTold = Arc<Mutex<Vec<Told>>>;

/// See the module.
pub struct Webhook {
    told: AllTold,
    address: String,
    // Its threads answer until it is dropped.
    _runtime: Runtime,
}

impl Webhook {
    /// Listens on a free port.
    pub fn start() -> Self {
        let told = AllTold::default();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let routes = Router::new().route("/{receiver}", post(keep)).with_state(told.clone());
        runtime.spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { told, address, _runtime: runtime }
    }

    /// A receiver's URL is this, a slash and its name.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A test that fails while it looks still wants to say what there is.
    fn told(&self) -> MutexGuard<'_, Vec<Told>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many alerts it was told of so far.
    pub fn messages(&self) -> usize {
        self.told().len()
    }

    /// Waits until a receiver was told that an alert is in this state, by message number `since` or a later one.
    pub fn is_told(&self, since: usize, receiver: &str, alert: &str, status: &str) -> bool {
        let is_wanted =
            |told: &Told| told.receiver == receiver && told.name() == alert && told.alert["status"] == status;
        poll(PATIENCE, || self.told().iter().skip(since).any(&is_wanted).then_some(())).is_some()
    }

    /// A label of an alert that was told.
    pub fn label(&self, alert: &str, label: &str) -> Option<String> {
        let told = self.told();
        let found = told.iter().find(|told| told.name() == alert)?;
        found.alert["labels"][label].as_str().map(str::to_owned)
    }

    /// Everything that was told, a line for each.
    pub fn all(&self) -> String {
        let mut text = String::new();
        for told in self.told().iter() {
            writeln!(text, "{}: {} is {}", told.receiver, told.name(), told.alert["status"]).unwrap();
        }
        text
    }

    /// Each alert that was told has a summary, a runbook and a job, and came to the receiver of its team and severity.
    pub fn check_all(&self) {
        for told in self.told().iter() {
            let (labels, annotations) = (&told.alert["labels"], &told.alert["annotations"]);
            let urgency = if labels["severity"] == "critical" { "on-call" } else { "channel" };
            assert_eq!(told.receiver, format!("{}-{urgency}", labels["team"].as_str().unwrap()), "{labels}");
            let page = format!("/runbooks/{}.html", told.name());
            assert!(annotations["runbook_url"].as_str().unwrap().ends_with(&page), "{annotations}");
            assert!(!annotations["summary"].as_str().unwrap().is_empty(), "{annotations}");
            assert!(labels["job"].is_string(), "{labels}");
        }
    }
}

impl Told {
    fn name(&self) -> &str {
        self.alert["labels"]["alertname"].as_str().unwrap_or_default()
    }
}

async fn keep(State(told): State<AllTold>, Path(receiver): Path<String>, Json(message): Json<Value>) {
    for alert in message["alerts"].as_array().into_iter().flatten() {
        told.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Told { receiver: receiver.clone(), alert: alert.clone() });
    }
}
