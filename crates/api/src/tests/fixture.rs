//! An API without an engine: a board with a few videos, a queue in a lake of its own.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, header};
use http_body_util::BodyExt;
use pulselake_actions::{ActionQueue, QueueSettings};
use pulselake_actors::status::now_us;
use pulselake_actors::{CachedVideo, DecisionsHandle, DimensionCache, EngineStatus, Phase};
use pulselake_board::{LiveBoard, PartitionTime, VideoDelta};
use pulselake_decision::{Action, Baseline, DecisionType, MINUTE_US, Metrics30m, ReasonCode, Rules, Verdict};
use pulselake_lake::{Lake, LakeSettings, OpenMode};
use pulselake_model::WindowCounters;
use pulselake_model::tables::LakeTable;
use pulselake_telemetry::TelemetryHandle;
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;

use crate::parts::Api;
use crate::{ApiParts, ApiSettings, QuerySettings, ShownDecisions, Token, Tokens};

/// The token for changes.
pub(super) const ACT: &str = "act";

/// The one recorder of the process.
fn telemetry() -> TelemetryHandle {
    static HANDLE: OnceLock<TelemetryHandle> = OnceLock::new();
    HANDLE.get_or_init(|| pulselake_telemetry::install("test").unwrap()).clone()
}

pub(super) struct Fixture {
    _directory: TempDir,
    pub(super) api: Api,
    router: Router,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
}

impl Answer {
    /// The code of an error.
    pub(super) fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_else(|| panic!("no error: {self:?}"))
    }
}

/// The usual parts, as `change` makes them.
pub(super) async fn fixture(change: impl FnOnce(&mut ApiParts)) -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().display();
    let lake_settings =
        LakeSettings::new(format!("sqlite://{place}/catalog.db"), format!("file://{place}/warehouse"));
    let lake = Lake::open(&lake_settings, OpenMode::CreateIfMissing).await.unwrap();
    let tables = [LakeTable::InvalidEventsContent, LakeTable::VideoStats1Min, LakeTable::ActionQueue];
    lake.ensure_tables(&tables).await.unwrap();
    let queue = ActionQueue::open(lake, QueueSettings::default()).await.unwrap();
    let status = EngineStatus::default();
    status.set_phase(Phase::Running);
    let mut parts = ApiParts {
        settings: settings(),
        status,
        changes: Vec::new(),
        telemetry: telemetry(),
        board: board(),
        videos: Some(videos()),
        decisions: Some(ShownDecisions {
            queue,
            handle: DecisionsHandle::new(Rules::default(), Baseline::seed(), "seed"),
        }),
        lake: lake_settings,
        engine: tokio::runtime::Handle::current(),
    };
    change(&mut parts);
    let api = Api::new(parts);
    Fixture { _directory: directory, router: crate::router::router(api.clone()), api }
}

fn settings() -> ApiSettings {
    ApiSettings {
        tokens: Tokens { read: Token::default(), action: Token::new(ACT) },
        is_loopback: true,
        peers: Vec::new(),
        stale_after: Duration::from_secs(60),
        query: QuerySettings {
            enabled: true,
            program: "/nowhere/pulselake-query".into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            timeout: Duration::from_secs(1),
            max_concurrent: 1,
        },
    }
}

/// The newest minute on the board.
pub(super) fn newest_minute_us() -> i64 {
    static MINUTE: OnceLock<i64> = OnceLock::new();
    *MINUTE.get_or_init(|| now_us() / MINUTE_US * MINUTE_US)
}

/// Three videos: `nova` rises and is watched to the end, `bait` rises and is not, `calm` has many impressions. The counts
/// are of the newest minute, but for 40 skips of 100 impressions the minute before.
fn board() -> LiveBoard {
    let board = LiveBoard::default();
    let now_us = newest_minute_us();
    board.begin(0, 1, Some(now_us - 60 * MINUTE_US));
    let delta = |video_id: &str, minute_start_us: i64, by_type: [i64; 6]| VideoDelta {
        video_id: video_id.into(),
        minute_start_us,
        counters: WindowCounters { by_type, watch_time_sum_ms: 0 },
    };
    board.add(
        0,
        1,
        &[
            delta("nova", now_us, [200, 100, 80, 100, 20, 10]),
            delta("bait", now_us, [200, 100, 10, 80, 0, 80]),
            delta("calm", now_us, [1_000, 100, 60, 10, 0, 10]),
            delta("calm", now_us - MINUTE_US, [100, 100, 60, 10, 0, 40]),
        ],
    );
    let time = PartitionTime {
        watermark_us: Some(now_us),
        closed_through_us: Some(now_us),
        newest_event_us: Some(now_us + 1),
        ..PartitionTime::default()
    };
    board.advance(0, 1, time);
    board
}

fn videos() -> DimensionCache {
    let cache = DimensionCache::new(100);
    for (video_id, category, region, age_us) in [
        ("nova", "music", "de", 10 * MINUTE_US),
        ("bait", "dance", "de", 10 * MINUTE_US),
        ("calm", "music", "fr", 600 * MINUTE_US),
    ] {
        let name = |text: &str| Some(Arc::from(text));
        let video = CachedVideo {
            category: name(category),
            region: name(region),
            status: name("active"),
            upload_time_us: Some(newest_minute_us() - age_us),
        };
        cache.insert(video_id, video);
    }
    cache
}

impl Fixture {
    /// Asks with a token (none where empty) and a body (none where empty).
    pub(super) async fn ask(&self, method: &str, path: &str, token: &str, body: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "127.0.0.1:9464");
        if !token.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        self.send(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "", "").await
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    /// Puts a BOOST of a video into the queue; gives its id.
    pub(super) async fn decide(&self, video_id: &str, at_us: i64) -> String {
        let queue = &self.api.decisions.as_ref().unwrap().queue;
        let decided = queue
            .decide(at_us, |_| {
                let verdict = Verdict {
                    decision: DecisionType::Boost,
                    reasons: vec![ReasonCode::HighVelocityP90, ReasonCode::GatePass],
                    waits_for_plays: false,
                };
                let window_us = at_us - 2 * MINUTE_US;
                let metrics = Metrics30m::default();
                Action::new(&Rules::default(), video_id, window_us, metrics, verdict, at_us)
                    .into_iter()
                    .collect()
            })
            .await
            .unwrap();
        decided.added[0].action_id.to_string()
    }
}
