//! Two queues on one table against a model of what the domain says, in every order that proptest finds.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;

use proptest::prelude::*;
use pulselake_actions::{ActionError, ActionFilter, ActionQueue};
use pulselake_decision::{ActionState, MINUTE_US, action_id};
use pulselake_decision::{Rules, lifecycle};
use support::{Place, action, at, boost};
use uuid::Uuid;

/// Something that one of the two queues is asked for.
#[derive(Clone, Debug)]
enum Step {
    /// So many minutes later, these of the videos are to be boosted.
    Decide { later: i64, videos: Vec<u8> },
    /// A video's latest action is to come into a state, so many minutes later.
    Change { later: i64, video: u8, to: ActionState, expected: Option<ActionState> },
    /// An action that nobody decided.
    ChangeUnknown,
}

fn states() -> impl Strategy<Value = ActionState> {
    proptest::sample::select(ActionState::ALL.to_vec())
}

fn steps() -> impl Strategy<Value = Vec<(bool, Step)>> {
    let decide = (0_i64..40, proptest::collection::vec(0_u8..4, 0..4))
        .prop_map(|(later, videos)| Step::Decide { later, videos });
    let change = (0_i64..8, 0_u8..4, states(), proptest::option::of(states()))
        .prop_map(|(later, video, to, expected)| Step::Change { later, video, to, expected });
    let step = prop_oneof![4 => decide, 6 => change, 1 => Just(Step::ChangeUnknown)];
    proptest::collection::vec((any::<bool>(), step), 1..14)
}

fn name(video: u8) -> String {
    format!("v_{video}")
}

/// What the domain says of the queue, in the simplest words.
#[derive(Default)]
struct Model {
    /// By id: video, minute, state.
    rows: BTreeMap<Uuid, (u8, i64, ActionState)>,
}

const OPEN: [ActionState; 2] = [ActionState::Pending, ActionState::Acked];

impl Model {
    fn is_overdue(&self, id: Uuid, minute: i64) -> bool {
        let (_, decided, state) = self.rows[&id];
        OPEN.contains(&state) && minute >= decided + 15
    }

    fn decide(&mut self, minute: i64, videos: &[u8]) {
        let overdue: Vec<Uuid> =
            self.rows.keys().copied().filter(|id| self.is_overdue(*id, minute)).collect();
        for id in overdue {
            self.rows.get_mut(&id).unwrap().2 = ActionState::Expired;
        }
        for &video in videos {
            let mut of_video = self.rows.values().filter(|row| row.0 == video);
            if of_video.all(|(_, at, state)| (minute - at).abs() >= 60 && !OPEN.contains(state)) {
                let id = action_id(&name(video), minute * MINUTE_US, &Rules::default().version);
                self.rows.insert(id, (video, minute, ActionState::Pending));
            }
        }
    }

    /// The id of a video's latest action.
    fn latest(&self, video: u8) -> Option<Uuid> {
        let of_video = self.rows.iter().filter(|(_, row)| row.0 == video);
        of_video.max_by_key(|(_, row)| row.1).map(|(id, _)| *id)
    }

    /// `Ok`, or the name of the refusal.
    fn change(
        &mut self,
        id: Uuid,
        minute: i64,
        to: ActionState,
        expected: Option<ActionState>,
    ) -> Result<(), &'static str> {
        let Some(&(_, _, state)) = self.rows.get(&id) else { return Err("not found") };
        if state == ActionState::Expired || self.is_overdue(id, minute) {
            return Err("expired");
        }
        if expected.is_some_and(|wanted| wanted != state) || lifecycle::change(state, to).is_err() {
            return Err("wrong state");
        }
        self.rows.get_mut(&id).unwrap().2 = to;
        Ok(())
    }
}

fn refusal(error: &ActionError) -> &'static str {
    match error {
        ActionError::NotFound { .. } => "not found",
        ActionError::Expired { .. } => "expired",
        ActionError::WrongState { .. } => "wrong state",
        ActionError::Unavailable { .. } | ActionError::Broken { .. } => "something else",
    }
}

fn rows_of(queue: &ActionQueue) -> BTreeMap<Uuid, (u8, i64, ActionState)> {
    let row = |action: pulselake_actions::QueuedAction| {
        let video = action.video_id.trim_start_matches("v_").parse().unwrap();
        (action.action_id, (video, action.window_start_us / MINUTE_US, action.state))
    };
    queue.list(&ActionFilter::default()).into_iter().map(row).collect()
}

async fn play(steps: Vec<(bool, Step)>) {
    let place = Place::new();
    let queues = [place.queue().await, place.queue().await];
    let mut model = Model::default();
    let mut minute = 1_000;
    for (is_second, step) in steps {
        let queue = &queues[usize::from(is_second)];
        match step {
            Step::Decide { later, mut videos } => {
                minute += later;
                videos.sort_unstable();
                videos.dedup();
                let names: Vec<String> = videos.iter().map(|&video| name(video)).collect();
                let decided = queue.decide(at(minute), boost(&names, minute)).await.unwrap();
                let before = model.rows.clone();
                model.decide(minute, &videos);
                let differing = model.rows.iter().filter(|(id, row)| before.get(id) != Some(row)).count();
                assert_eq!(decided.added.len() + decided.expired.len(), differing);
                assert_eq!(rows_of(queue), model.rows, "a call that decided knows all");
            }
            Step::Change { later, video, to, expected } => {
                minute += later;
                let id = model.latest(video).unwrap_or_else(|| action(&name(video), minute).action_id);
                let change = pulselake_actions::StateChange { to, expected, at_us: at(minute) };
                let found = queue.change(id, change).await;
                let wanted = model.change(id, minute, to, expected);
                assert_eq!(found.as_ref().map(|_| ()).map_err(refusal), wanted);
                if let Ok(changed) = found {
                    assert_eq!(queue.get(id), Some(changed), "what was answered is what is shown");
                }
            }
            Step::ChangeUnknown => {
                let change = support::to(ActionState::Acked, at(minute));
                let refused = queue.change(Uuid::from_u128(7), change).await.unwrap_err();
                assert_eq!(refusal(&refused), "not found");
            }
        }
        assert_eq!(rows_of(&place.queue().await), model.rows, "the table");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn two_queues_are_what_the_domain_says_of_one(steps in steps()) {
        tokio::runtime::Runtime::new().unwrap().block_on(play(steps));
    }
}
