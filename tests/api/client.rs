//! A running demo and a client that speaks HTTP to it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::{Client, Method, Response};
use serde_json::Value;

use crate::common::engine::{Engine, free_address};
use crate::common::scene::Scene;
use crate::common::{PATIENCE, poll};

/// The token for changes.
pub const ACT: &str = "act-on-it";
/// How far back the demo's events begin, seconds: the board's 30 minutes are covered from the start.
const PAST_S: u64 = 35 * 60;

/// See the module.
pub struct Demo {
    pub address: String,
    pub engine: Engine,
    _scene: Scene,
    runtime: tokio::runtime::Runtime,
    client: Client,
}

impl Demo {
    /// Starts a demo with a supernova, whose log began 35 minutes ago, and waits until it is ready.
    pub fn start(name: &str, settings: &[&str]) -> Self {
        let scene = Scene::without_topic(name);
        let address = free_address();
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let start = format!("generator.start_ms={}", (now_s - PAST_S) * 1_000);
        let token = format!("http.action_token={ACT}");
        let mut words = ["demo", "--no-summary", "--rate", "60", "--scenario", "supernova", "--listen"]
            .map(str::to_owned)
            .to_vec();
        words.push(address.clone());
        // HASTE of the scene switches HTTP off; the last word counts.
        let bind = format!("http.bind={address}");
        let all: Vec<&str> =
            [bind.as_str(), &start, &token].into_iter().chain(settings.iter().copied()).collect();
        words.extend(scene.common_arguments(&all));
        let engine = scene.start_with(&words, "");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let demo = Self { address, engine, _scene: scene, runtime, client: Client::new() };
        demo.wait_for("/readyz", |status, _| status == 200);
        demo
    }

    /// Asks; status and body, JSON where it is.
    pub fn ask(&self, method: Method, path: &str, token: &str, body: Option<Value>) -> (u16, Value) {
        self.runtime
            .block_on(async {
                let response = self.send(method, path, token, body).await?;
                let status = response.status().as_u16();
                let text = response.text().await?;
                let value = serde_json::from_str(&text).unwrap_or(Value::String(text));
                Ok::<_, reqwest::Error>((status, value))
            })
            .unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Option<Value>,
    ) -> Result<Response, reqwest::Error> {
        let mut request = self.client.request(method, format!("http://{}{path}", self.address));
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if let Some(json) = body {
            request = request.json(&json);
        }
        request.timeout(PATIENCE).send().await
    }

    pub fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask(Method::GET, path, "", None);
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    pub fn post(&self, path: &str, token: &str, body: Option<Value>) -> (u16, Value) {
        self.ask(Method::POST, path, token, body)
    }

    /// Asks until the answer is as wanted; gives its body.
    pub fn wait_for(&self, path: &str, is_wanted: impl Fn(u16, &Value) -> bool) -> Value {
        let mut last = None;
        let found = poll(PATIENCE, || {
            let answer = self.runtime.block_on(async {
                let response = self.send(Method::GET, path, "", None).await.ok()?;
                let status = response.status().as_u16();
                Some((status, serde_json::from_str(&response.text().await.ok()?).ok()?))
            });
            let (status, body) = answer?;
            let is_it = is_wanted(status, &body);
            last = Some((status, body.clone()));
            is_it.then_some(body)
        });
        found.unwrap_or_else(|| panic!("{path}: {last:?}; the end of the log:\n{}", self.engine.log().tail()))
    }

    /// The text that a stream gives within this time.
    pub fn read_for(&self, path: &str, time: Duration) -> String {
        self.runtime.block_on(async {
            let mut response = self.send(Method::GET, path, "", None).await.unwrap();
            let mut text = Vec::new();
            let reading = async {
                while let Ok(Some(part)) = response.chunk().await {
                    text.extend_from_slice(&part);
                }
            };
            // The stream has no end of its own.
            let _ = tokio::time::timeout(time, reading).await;
            String::from_utf8_lossy(&text).into_owned()
        })
    }
}
