//! A lake with an empty queue in a temporary directory, and decisions to put into it.
#![allow(dead_code, unreachable_pub, missing_docs)]

use pulselake_actions::{ActionFilter, ActionQueue, QueueSettings, QueueView, QueuedAction, StateChange};
use pulselake_decision::{Action, ActionState, DecisionType, MINUTE_US, Metrics30m, Rules, action_id};
use pulselake_lake::{CommitLimits, Lake, LakeSettings, OpenMode};
use pulselake_model::tables::LakeTable;
use tempfile::TempDir;

pub struct Place {
    pub directory: TempDir,
}

impl Place {
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    /// Opened anew, as another process does it.
    pub async fn lake(&self) -> Lake {
        let root = self.directory.path().display();
        let settings = LakeSettings {
            fsync: false,
            ..LakeSettings::new(format!("sqlite://{root}/catalog.db"), format!("file://{root}/warehouse"))
        };
        let lake = Lake::open(&settings, OpenMode::CreateIfMissing).await.unwrap();
        lake.ensure_tables(&[LakeTable::ActionQueue]).await.unwrap();
        lake
    }

    pub async fn queue(&self) -> ActionQueue {
        ActionQueue::open(self.lake().await, QueueSettings::default()).await.unwrap()
    }

    /// What a process sees that has read nothing before.
    pub async fn actions(&self) -> Vec<QueuedAction> {
        self.queue().await.list(&ActionFilter::default())
    }

    pub async fn snapshots(&self) -> usize {
        self.lake().await.load(LakeTable::ActionQueue).await.unwrap().metadata().snapshots().len()
    }
}

/// The same lake without patience: a commit is tried once.
pub fn hasty(lake: &Lake) -> Lake {
    lake.clone()
        .with_commit_limits(CommitLimits { patience: std::time::Duration::ZERO, ..Default::default() })
}

/// End of a minute.
pub fn at(minute: i64) -> i64 {
    (minute + 1) * MINUTE_US
}

pub fn action(video: &str, minute: i64) -> Action {
    let rules = Rules::default();
    let (window_start_us, decided_at_us) = (minute * MINUTE_US, at(minute));
    Action {
        action_id: action_id(video, window_start_us, &rules.version),
        video_id: video.to_owned(),
        decision: DecisionType::Boost,
        window_start_us,
        decided_at_us,
        expires_at_us: decided_at_us + rules.boost_expiry_us,
        rule_version: rules.version,
        metrics: Metrics30m { impressions: 900, velocity: 0.25, ..Metrics30m::default() },
        reasons: Vec::new(),
    }
}

/// Decides to boost each of the videos in a minute, the pause kept, as the rules do it.
pub fn boost<'a>(videos: &'a [String], minute: i64) -> impl Fn(&QueueView) -> Vec<Action> + 'a {
    move |view| {
        let cooled = |video: &&String| view.is_cooled_down(&Rules::default(), video, minute * MINUTE_US);
        videos.iter().filter(cooled).map(|video| action(video, minute)).collect()
    }
}

pub fn to(state: ActionState, at_us: i64) -> StateChange {
    StateChange { to: state, expected: None, at_us }
}
