//! A demo whose log began half an hour ago: every kind of scenario gets its decision.

use std::time::Duration;

use chrono::{DateTime, Utc};
use pulselake_actions::{ActionError, StateChange};
use pulselake_decision::ActionState;

use crate::common::engine::{BINARY, Engine};
use crate::common::poll;
use crate::common::scene::Scene;
use crate::expectations::{Expected, split};
use crate::queue::{OtherProcess, assert_readers_agree, assert_sound, in_state};

/// Minutes of the log that lie in the past when the engine starts.
const PAST_MINUTES: i64 = 32;
/// Minutes of the log that the truth knows; more than the test takes.
const TOLD_MINUTES: i64 = PAST_MINUTES + 12;
/// How long the decisions may take: the past is read, then minutes close.
pub const PATIENCE: Duration = Duration::from_secs(240);
/// How many scenarios there are of each kind.
const OF_EACH: usize = 6;
const SETTINGS: [&str; 5] = [
    "generator.seed=7",
    "generator.rate_per_s=60",
    "generator.videos=500",
    "generator.users=3000",
    "generator.partitions=4",
];

/// Videos about which nothing, a boost, a review and a rescue is expected.
fn scenarios() -> Vec<&'static str> {
    let kinds = [
        "normal_baseline",
        "viral_high_quality:strength=0.04",
        "viral_low_quality:strength=0.04",
        "cold_start_under_exposed",
    ];
    kinds.iter().flat_map(|kind| [*kind; OF_EACH]).collect()
}

pub fn now_ms() -> i64 {
    Utc::now().timestamp_millis()
}

/// A demo with a past.
pub struct Demo {
    pub scene: Scene,
    start_ms: i64,
}

impl Demo {
    pub fn new(name: &str) -> Self {
        let minute_ms = now_ms().div_euclid(60_000) * 60_000;
        Self { scene: Scene::without_topic(name), start_ms: minute_ms - PAST_MINUTES * 60_000 }
    }

    /// `section.name=value` of the log.
    fn settings(&self) -> Vec<String> {
        let listed: Vec<String> = scenarios().iter().map(|scenario| format!("{scenario:?}")).collect();
        let mut settings: Vec<String> = SETTINGS.iter().map(|setting| (*setting).to_owned()).collect();
        settings.push(format!("generator.start_ms={}", self.start_ms));
        settings.push(format!("generator.scenarios=[{}]", listed.join(",")));
        settings
    }

    /// Starts the engine.
    pub fn start(&self, failpoints: &str) -> Engine {
        let mut settings = self.settings();
        settings.push("cdc.commit_interval_ms=300".to_owned());
        settings.push("decisions.refresh_interval_ms=500".to_owned());
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        let mut arguments = vec!["demo".to_owned(), "--no-summary".to_owned()];
        arguments.extend(self.scene.common_arguments(&settings));
        self.scene.start_with(&arguments, failpoints)
    }

    /// What the generator says that must be decided.
    pub fn expected(&self) -> Vec<Expected> {
        let truth = self.scene.directory().join("truth");
        let start = DateTime::from_timestamp_millis(self.start_ms).unwrap().to_rfc3339();
        let mut command = std::process::Command::new(BINARY);
        command.args(["generate", "--out", "/dev/null", "--start", &start, "--truth"]).arg(&truth);
        command.args(["--set", &format!("generator.length_s={}", TOLD_MINUTES * 60)]);
        for setting in self.settings().iter().filter(|setting| !setting.starts_with("generator.start_ms")) {
            command.args(["--set", setting]);
        }
        let output = command.env_remove("PULSELAKE_CONFIG").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Expected::read(&truth)
    }

    /// Another process on the demo's tables, once they are there.
    pub fn other_process(&self) -> OtherProcess {
        poll(PATIENCE, || OtherProcess::open(&self.scene.data_dir())).unwrap()
    }
}

#[test]
fn each_scenario_gets_the_decision_that_it_is_for() {
    let demo = Demo::new("decisions-demo");
    let expected = demo.expected();
    assert!(expected.iter().filter(|one| one.is_nothing()).count() >= OF_EACH / 2, "{expected:?}");
    let mut engine = demo.start("");
    let other = demo.other_process();
    let all_met = poll(PATIENCE, || {
        engine.assert_alive();
        let actions = other.actions();
        let (met, unmet) = split(&expected, &actions);
        (unmet.is_empty() && met.len() == expected.len()).then_some(())
    });
    let actions = other.actions();
    let (met, unmet) = split(&expected, &actions);
    println!(
        "{} of {} expectations met, {} actions; unmet: {unmet:?}",
        met.len(),
        expected.len(),
        actions.len()
    );
    assert!(all_met.is_some() || met.len() * 100 >= expected.len() * 95, "{}", engine.log().tail());
    assert!(met.len() >= 20);
    assert_sound(&actions);
    other.assert_all_were_active(&actions);

    // What people do about it, beside a running engine.
    let pending = in_state(&actions, ActionState::Pending);
    let [first, second, ..] = pending[..] else { panic!("{} wait", pending.len()) };
    let change = |id, to| {
        let change = StateChange { to, expected: None, at_us: now_ms() * 1_000 };
        other.runtime.block_on(other.queue.change(id, change))
    };
    change(first.action_id, ActionState::Acked).unwrap();
    change(first.action_id, ActionState::Done).unwrap();
    change(second.action_id, ActionState::Hold).unwrap();
    let refused = change(second.action_id, ActionState::Acked).unwrap_err();
    assert!(matches!(refused, ActionError::WrongState { is: ActionState::Hold, .. }), "{refused}");

    engine.terminate();
    let log = engine.log();
    assert!(log.has("decided") && log.has("rules_in_force") && log.has("baseline_in_force"));
    assert!(!log.has("decisions_failed") && !log.has("queue_broken"), "{}", log.tail());
    let actions = other.actions();
    assert_sound(&actions);
    assert_eq!(in_state(&actions, ActionState::Done).len(), 1);
    assert_eq!(in_state(&actions, ActionState::Hold).len(), 1);
    demo.scene.audit();

    // Deletes and rows of many commits become one file, and nothing changes.
    let maintained = demo.scene.command(&["maintain", "--table", "gold.rt_action_queue", "--format", "json"]);
    assert!(maintained.status.success(), "{}", String::from_utf8_lossy(&maintained.stderr));
    assert_eq!(other.actions(), actions);
    let erased = demo.scene.command(&["erase", "--video", &first.video_id]);
    assert!(erased.status.success(), "{}", String::from_utf8_lossy(&erased.stderr));
    let left = other.actions();
    assert_eq!(left.len(), actions.iter().filter(|action| action.video_id != first.video_id).count());
}

#[test]
#[ignore = "needs the Python environment: run through make test"]
fn other_readers_see_the_queue_as_it_is() {
    let demo = Demo::new("decisions-readers");
    let mut engine = demo.start("");
    let other = demo.other_process();
    let decided = poll(PATIENCE, || Some(other.actions()).filter(|actions| actions.len() >= 3)).unwrap();
    engine.terminate();
    for (action, to) in decided.iter().zip([ActionState::Acked, ActionState::Hold]) {
        let change = StateChange { to, expected: Some(ActionState::Pending), at_us: now_ms() * 1_000 };
        other.runtime.block_on(other.queue.change(action.action_id, change)).unwrap();
    }
    // With equality deletes in several commits, which PyIceberg can't read, and after compaction.
    assert_readers_agree(&demo.scene.data_dir(), &["duckdb"], &other.actions());
    let maintained = demo.scene.command(&["maintain", "--table", "gold.rt_action_queue"]);
    assert!(maintained.status.success(), "{}", String::from_utf8_lossy(&maintained.stderr));
    assert_readers_agree(&demo.scene.data_dir(), &["duckdb", "pyiceberg"], &other.actions());
}
