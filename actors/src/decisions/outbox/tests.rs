//! The outbox against a topic that fails, forgets to answer, and is somebody else's too.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pulselake_actions::{ActionQueue, QueueSettings, StateChange, change_in};
use pulselake_decision::{Action, ActionState, DecisionType, Metrics30m, action_id};
use pulselake_lake::{Lake, LakeSettings, OpenMode};
use pulselake_model::tables::LakeTable;
use uuid::Uuid;

use super::topic::{ActionMessage, ActionTopic};
use super::{Outbox, OutboxParts};
use crate::status::now_us;

/// What a topic has, and how it behaves.
#[derive(Default)]
struct Broker {
    messages: Vec<ActionMessage>,
    /// So many calls fail, with nothing done.
    failures: u32,
    /// So many sends arrive, and their answers are lost.
    lost_answers: u32,
    connections: u32,
}

#[derive(Clone, Default)]
struct Topic(Arc<Mutex<Broker>>);

impl Topic {
    fn changes(&self) -> Vec<(Uuid, i64)> {
        self.0.lock().messages.iter().filter_map(|message| change_in(&message.value)).collect()
    }

    fn fail_if_asked(&self) -> Result<(), String> {
        let mut broker = self.0.lock();
        if broker.failures > 0 {
            broker.failures -= 1;
            return Err("not now".to_owned());
        }
        Ok(())
    }
}

impl ActionTopic for Topic {
    fn send_all(&mut self, messages: &[ActionMessage]) -> Result<(), String> {
        self.fail_if_asked()?;
        let mut broker = self.0.lock();
        broker.messages.extend_from_slice(messages);
        if broker.lost_answers > 0 {
            broker.lost_answers -= 1;
            return Err("no answer".to_owned());
        }
        Ok(())
    }

    fn changes_since(&mut self, since_ms: i64) -> Result<(HashSet<(Uuid, i64)>, u64), String> {
        self.fail_if_asked()?;
        let broker = self.0.lock();
        let since = broker.messages.iter().filter(|message| message.timestamp_ms >= since_ms);
        let found: HashSet<_> = since.filter_map(|message| change_in(&message.value)).collect();
        let count = found.len() as u64;
        Ok((found, count))
    }
}

struct Scene {
    _directory: tempfile::TempDir,
    lake: Lake,
    topic: Topic,
}

impl Scene {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().display();
        let settings = LakeSettings {
            fsync: false,
            ..LakeSettings::new(format!("sqlite://{root}/catalog.db"), format!("file://{root}/warehouse"))
        };
        let lake = Lake::open(&settings, OpenMode::CreateIfMissing).await.unwrap();
        lake.ensure_tables(&[LakeTable::ActionQueue]).await.unwrap();
        Self { _directory: directory, lake, topic: Topic::default() }
    }

    async fn queue(&self) -> ActionQueue {
        ActionQueue::open(self.lake.clone(), QueueSettings::default()).await.unwrap()
    }

    fn outbox(&self, queue: &ActionQueue) -> Outbox {
        let topic = self.topic.clone();
        Outbox::start(OutboxParts {
            queue: queue.clone(),
            topic: "content_actions".to_owned(),
            connect: Arc::new(move || {
                topic.0.lock().connections += 1;
                Ok(Box::new(topic.clone()) as Box<dyn ActionTopic>)
            }),
            backoff_initial: Duration::from_millis(1),
            backoff_max: Duration::from_millis(20),
        })
    }

    /// Waits until the topic has so many messages.
    async fn wait_for(&self, messages: usize) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.topic.0.lock().messages.len() < messages {
            assert!(Instant::now() < deadline, "{} messages", self.topic.0.lock().messages.len());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Decides to boost the video now; the change that is committed.
async fn boost(queue: &ActionQueue, video_id: &str) -> (Uuid, i64) {
    let now = now_us();
    let action = Action {
        action_id: action_id(video_id, now, "r"),
        video_id: video_id.to_owned(),
        decision: DecisionType::Boost,
        window_start_us: now,
        decided_at_us: now,
        expires_at_us: now + 900_000_000,
        rule_version: "r".to_owned(),
        metrics: Metrics30m::default(),
        reasons: Vec::new(),
    };
    let decided = queue.decide(now, |_| vec![action.clone()]).await.unwrap();
    (decided.added[0].action_id, decided.added[0].state_updated_at_us)
}

async fn acknowledge(queue: &ActionQueue, action_id: Uuid) -> (Uuid, i64) {
    let change = StateChange { to: ActionState::Acked, expected: None, at_us: now_us() };
    let changed = queue.change(action_id, change).await.unwrap();
    (changed.action_id, changed.state_updated_at_us)
}

#[tokio::test]
async fn changes_are_sent_as_they_are_committed_and_once() {
    let scene = Scene::new().await;
    let queue = scene.queue().await;
    let outbox = scene.outbox(&queue);
    let first = boost(&queue, "a").await;
    let second = acknowledge(&queue, first.0).await;
    let third = boost(&queue, "b").await;
    scene.wait_for(3).await;
    outbox.stop().await;
    assert_eq!(scene.topic.changes(), [first, second, third]);
    let keys: Vec<String> = scene.topic.0.lock().messages.iter().map(|message| message.key.clone()).collect();
    assert_eq!(keys, ["a", "a", "b"]);
}

#[tokio::test]
async fn what_was_committed_without_an_outbox_is_sent_after_the_start() {
    let scene = Scene::new().await;
    let queue = scene.queue().await;
    let first = boost(&queue, "a").await;
    let outbox = scene.outbox(&queue);
    scene.wait_for(1).await;
    outbox.stop().await;
    let second = boost(&queue, "b").await;
    let acked = acknowledge(&queue, first.0).await;
    // As another process begins, which has heard of nothing.
    let queue = scene.queue().await;
    let outbox = scene.outbox(&queue);
    scene.wait_for(3).await;
    outbox.stop().await;
    assert_eq!(scene.topic.changes(), [first, second, acked]);
}

#[tokio::test]
async fn a_topic_that_fails_is_tried_again_and_nothing_is_lost_or_doubled() {
    let scene = Scene::new().await;
    let queue = scene.queue().await;
    scene.topic.0.lock().failures = 3;
    let outbox = scene.outbox(&queue);
    let first = boost(&queue, "a").await;
    scene.wait_for(1).await;
    scene.topic.0.lock().failures = 2;
    let second = boost(&queue, "b").await;
    scene.wait_for(2).await;
    scene.topic.0.lock().lost_answers = 1;
    let third = boost(&queue, "c").await;
    scene.wait_for(3).await;
    let fourth = boost(&queue, "d").await;
    scene.wait_for(4).await;
    outbox.stop().await;
    assert_eq!(
        scene.topic.changes(),
        [first, second, third, fourth],
        "the topic itself told what had arrived"
    );
    assert!(scene.topic.0.lock().connections >= 3);
}

#[tokio::test]
async fn the_end_waits_for_what_is_committed() {
    let scene = Scene::new().await;
    let queue = scene.queue().await;
    let outbox = scene.outbox(&queue);
    let mut expected = Vec::new();
    for video in ["a", "b", "c"] {
        expected.push(boost(&queue, video).await);
    }
    outbox.stop().await;
    assert_eq!(scene.topic.changes(), expected);
}
