//! On Kafka: a topic with half an hour of events, videos that are banned or deleted, and the outbox through crashes.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::Duration;

use chrono::DateTime;
use pulselake_actions::{QueuedAction, change_in};
use pulselake_generator::focus_video;
use pulselake_source::{KafkaSink, KafkaSinkSettings};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use serde_json::Value;
use uuid::Uuid;

use crate::common::engine::{BINARY, Engine, SIGABRT};
use crate::common::kafka::{brokers, create_topic, topic_ends, unique};
use crate::common::poll;
use crate::common::scene::Scene;
use crate::demo::{PATIENCE, now_ms};
use crate::queue::{OtherProcess, assert_sound, rounded};

const PARTITIONS: i32 = 3;
const PAST_MINUTES: i64 = 33;
/// Order in the source: behind everything that the generator writes.
const LATEST_POSITION: u64 = 1 << 50;
/// The focus videos of the first four scenarios rise; two of them must be left alone.
const SCENARIOS: [&str; 6] = [
    "viral_high_quality:strength=0.04",
    "viral_high_quality:strength=0.04",
    "viral_high_quality:strength=0.04",
    "viral_low_quality:strength=0.04",
    "cold_start_under_exposed",
    "normal_baseline",
];
const BANNED: usize = 1;
const DELETED: usize = 2;

fn video(scenario: usize) -> String {
    format!("v_{}", focus_video(scenario))
}

/// Topics with the past in them.
struct Past {
    scene: Scene,
    videos_topic: String,
    users_topic: String,
    actions_topic: String,
}

impl Past {
    fn new(name: &str) -> Self {
        let base = unique(name);
        let [videos_topic, users_topic, actions_topic] =
            ["content.videos", "users.profiles", "actions"].map(|part| format!("{base}.{part}"));
        for topic in [&videos_topic, &users_topic, &actions_topic] {
            create_topic(topic, PARTITIONS);
        }
        let past = Self { scene: Scene::new(name, PARTITIONS), videos_topic, users_topic, actions_topic };
        past.generate();
        past.change_by_hand(BANNED, "u", |row| format!(r#""before":null,"after":{row}"#));
        past.change_by_hand(DELETED, "d", |row| format!(r#""before":{row},"after":null"#));
        past
    }

    fn generate(&self) {
        let start_ms = now_ms().div_euclid(60_000) * 60_000 - PAST_MINUTES * 60_000;
        let start = DateTime::from_timestamp_millis(start_ms).unwrap().to_rfc3339();
        let length_s = (now_ms() - start_ms) / 1_000;
        let mut command = Command::new(BINARY);
        command.args(["generate", "--brokers", &brokers(), "--topic", &self.scene.topic]);
        command.args(["--cdc-topics", &format!("videos={},users={}", self.videos_topic, self.users_topic)]);
        command
            .args(["--seed", "7", "--rate", "60", "--videos", "500", "--users", "3000", "--start", &start]);
        command.args(["--set", &format!("generator.length_s={length_s}")]);
        for scenario in SCENARIOS {
            command.args(["--scenario", scenario]);
        }
        let output = command.env_remove("PULSELAKE_CONFIG").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// The newest change of a scenario's video.
    fn change_by_hand(&self, scenario: usize, op: &str, change: impl Fn(&str) -> String) {
        let (video, now) = (video(scenario), now_ms());
        let row = format!(
            r#"{{"video_id":"{video}","creator_id":"c","category":"music","region":"de","hashtags":[],"duration_ms":4000,"upload_time":{now},"status":"banned"}}"#
        );
        let change = change(&row);
        let envelope = format!(
            r#"{{{change},"source":{{"connector":"postgresql","ts_ms":{now},"lsn":{LATEST_POSITION}}},"op":"{op}","ts_ms":{now}}}"#
        );
        let settings =
            KafkaSinkSettings { brokers: brokers(), topic: self.videos_topic.clone(), ..Default::default() };
        let sink = KafkaSink::connect(&settings).unwrap();
        sink.send(None, video.as_bytes(), envelope.as_bytes(), now).unwrap();
        sink.flush(Duration::from_secs(30)).unwrap();
    }

    fn start(&self, failpoints: &str) -> Engine {
        let settings = [
            format!("cdc.videos_topic={}", self.videos_topic),
            format!("cdc.users_topic={}", self.users_topic),
            format!("decisions.actions_topic={}", self.actions_topic),
            "cdc.commit_interval_ms=300".to_owned(),
            "decisions.refresh_interval_ms=500".to_owned(),
            "engine.idle_timeout_ms=1000".to_owned(),
            "kafka.group_mode=assign".to_owned(),
        ];
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        self.scene.start_with(&self.scene.run_arguments(&settings), failpoints)
    }

    /// Starts an engine that a failpoint ends, and waits for its end.
    fn start_to_die(&self, failpoints: &str) {
        let mut engine = self.start(failpoints);
        let status = engine.wait_within(PATIENCE);
        assert_eq!(status.signal(), Some(SIGABRT), "{failpoints}: {}", engine.log().tail());
    }

    fn other_process(&self) -> OtherProcess {
        OtherProcess::open(&self.scene.data_dir()).unwrap()
    }

    fn messages(&self) -> i64 {
        topic_ends(&self.actions_topic, PARTITIONS).iter().sum()
    }

    /// All messages: key and value.
    fn read_messages(&self) -> Vec<(String, Value)> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", brokers())
            .set("group.id", "decisions-test")
            .set("enable.auto.commit", "false")
            .create()
            .unwrap();
        let mut from_start = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            from_start.add_partition_offset(&self.actions_topic, partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&from_start).unwrap();
        let expected = self.messages();
        let mut found = Vec::new();
        poll(PATIENCE, || {
            if let Some(message) = consumer.poll(Duration::from_millis(100)) {
                let message = message.unwrap();
                let key = String::from_utf8(message.key().unwrap().to_vec()).unwrap();
                found.push((key, serde_json::from_slice(message.payload().unwrap()).unwrap()));
            }
            (found.len() as i64 >= expected).then_some(())
        })
        .unwrap();
        found
    }
}

fn changes(actions: &[QueuedAction]) -> BTreeSet<(Uuid, i64)> {
    actions.iter().map(|action| (action.action_id, action.state_updated_at_us)).collect()
}

/// The messages are these actions, each once.
fn assert_sent(past: &Past, actions: &[QueuedAction]) {
    let messages = past.read_messages();
    let sent: Vec<(Uuid, i64)> =
        messages.iter().map(|(_, value)| change_in(value.to_string().as_bytes()).unwrap()).collect();
    assert_eq!(sent.iter().copied().collect::<BTreeSet<_>>(), changes(actions));
    assert_eq!(sent.len(), actions.len(), "a change was sent twice");
    for (key, value) in &messages {
        let action =
            actions.iter().find(|action| value["action_id"] == action.action_id.to_string()).unwrap();
        assert_eq!(key, &action.video_id);
        assert_eq!(rounded(value), rounded(&serde_json::to_value(action).unwrap()));
    }
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn what_is_committed_is_sent_once_whatever_dies_and_nothing_about_videos_that_are_gone() {
    let past = Past::new("decisions-outbox");
    // Killed between the commit and the first message.
    past.start_to_die("outbox::before_send=return(abort)");
    let other = past.other_process();
    let actions = other.actions();
    assert!(actions.len() >= 3, "{actions:?}");
    assert_eq!(past.messages(), 0, "the crash came before anything was sent");
    for left_alone in [BANNED, DELETED] {
        let about = actions.iter().find(|action| action.video_id == video(left_alone));
        assert!(about.is_none(), "{about:?}");
    }
    other.assert_all_were_active(&actions);

    // Killed when all of them have arrived, and nobody knows.
    past.start_to_die("outbox::sent=return(abort)");
    assert!(changes(&other.actions()).is_superset(&changes(&actions)));
    assert_eq!(past.messages(), other.actions().len() as i64);

    let mut engine = past.start("");
    let is_resumed = poll(PATIENCE, || engine.log().has("outbox_resumed").then_some(()));
    assert!(is_resumed.is_some(), "{}", engine.log().tail());
    // It lives on for some rounds, and is killed for good.
    let other = past.other_process();
    let settled = poll(PATIENCE, || {
        engine.assert_alive();
        let decided = other.actions();
        // The first round may have come before this video's partition had caught up.
        let has_viral = decided.iter().any(|action| action.video_id == video(0));
        (has_viral && past.messages() == decided.len() as i64).then_some(())
    });
    assert!(settled.is_some(), "{} messages\n{}", past.messages(), engine.log().tail());
    engine.kill();
    let actions = other.actions();
    assert_sound(&actions);
    assert_sent(&past, &actions);
    assert_eq!(engine.log().count("outbox_failed"), 0, "{}", engine.log().tail());
}

#[test]
#[ignore = "needs a broker: run through make test"]
fn an_outbox_without_its_topic_says_so_and_stops_nothing() {
    let mut past = Past::new("decisions-no-topic");
    past.actions_topic = unique("decisions-missing");
    let mut engine = past.start("");
    engine.wait_until("the outbox fails", |log| log.has("outbox_failed"));
    let other = past.other_process();
    let decided = poll(PATIENCE, || Some(other.actions()).filter(|actions| actions.len() >= 3));
    assert!(decided.is_some(), "{}", engine.log().tail());
    let failure = &engine.log().events("outbox_failed")[0];
    assert!(failure["reason"].as_str().unwrap().contains(&past.actions_topic), "{failure}");
    engine.terminate();
}
