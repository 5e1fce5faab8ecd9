//! Queues of several processes on one table, all at work at the same time.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use pulselake_actions::{ActionError, ActionFilter, ActionQueue};
use pulselake_decision::{ActionState, MINUTE_US};
use rand::seq::IndexedRandom;
use support::{Place, at, boost, to};
use tokio::sync::Barrier;
use uuid::Uuid;

const QUEUES: usize = 3;
const VIDEOS: usize = 12;
/// Videos that a queue finds worth an action in a minute.
const OF_A_MINUTE: usize = 4;
/// Minutes that are decided about, by every queue at the same time.
const MINUTES: std::ops::Range<i64> = 1_000..1_150;
/// Every so many of them.
const STEP_MINUTES: usize = 15;

/// Decides the same minutes about the same videos as the others do.
async fn decide_all(queue: ActionQueue, videos: Vec<String>, start: Arc<Barrier>) -> (Vec<Uuid>, u32) {
    let (mut added, mut retries) = (Vec::new(), 0);
    for minute in MINUTES.step_by(STEP_MINUTES) {
        let chosen: Vec<String> = videos.choose_multiple(&mut rand::rng(), OF_A_MINUTE).cloned().collect();
        start.wait().await;
        let decided = queue.decide(at(minute), boost(&chosen, minute)).await.unwrap();
        added.extend(decided.added.iter().map(|action| action.action_id));
        retries += decided.retries;
    }
    (added, retries)
}

/// Takes up and carries out whatever it finds, until nothing is decided any more; gives what was confirmed.
async fn work_off(queue: ActionQueue, done: tokio::sync::watch::Receiver<bool>) -> Vec<(Uuid, ActionState)> {
    let mut confirmed = Vec::new();
    while !*done.borrow() {
        queue.refresh().await.unwrap();
        let open =
            ActionFilter { states: vec![ActionState::Pending, ActionState::Acked], ..Default::default() };
        let Some(found) = queue.list(&open).choose(&mut rand::rng()).cloned() else {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        let wanted = match found.state {
            ActionState::Pending => ActionState::Acked,
            _ => ActionState::Done,
        };
        match queue.change(found.action_id, to(wanted, found.decided_at_us)).await {
            Ok(_) => confirmed.push((found.action_id, wanted)),
            Err(ActionError::WrongState { .. } | ActionError::Expired { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    confirmed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_decided_twice_and_no_change_is_lost() {
    let place = Place::new();
    let videos: Vec<String> = (0..VIDEOS).map(|video| format!("v_{video}")).collect();
    let start = Arc::new(Barrier::new(QUEUES));
    let (done, is_done) = tokio::sync::watch::channel(false);
    let mut deciding = Vec::new();
    let mut working = Vec::new();
    for _ in 0..QUEUES {
        let queue = place.queue().await;
        deciding.push(tokio::spawn(decide_all(queue.clone(), videos.clone(), start.clone())));
        working.push(tokio::spawn(work_off(queue, is_done.clone())));
    }
    let (mut added, mut retries) = (Vec::new(), 0);
    for task in deciding {
        let (ids, again) = task.await.unwrap();
        added.extend(ids);
        retries += again;
    }
    done.send(true).unwrap();
    let mut confirmed: BTreeMap<Uuid, Vec<ActionState>> = BTreeMap::new();
    for task in working {
        for (id, state) in task.await.unwrap() {
            confirmed.entry(id).or_default().push(state);
        }
    }
    println!("{retries} decisions anew, {} actions taken up", confirmed.len());
    assert!(retries > 0, "nobody was in anybody's way");

    let rows = place.actions().await;
    let ids: BTreeSet<Uuid> = rows.iter().map(|action| action.action_id).collect();
    assert_eq!(
        (ids.len(), added.len()),
        (rows.len(), rows.len()),
        "each action was added by one queue, once"
    );
    assert!(ids.iter().eq(added.iter().collect::<BTreeSet<_>>()));
    for video in &videos {
        let mut minutes: Vec<i64> = rows
            .iter()
            .filter(|action| action.video_id == *video)
            .map(|action| action.window_start_us / MINUTE_US)
            .collect();
        minutes.sort_unstable();
        assert!(minutes.windows(2).all(|pair| pair[1] - pair[0] >= 60), "{video} was decided in {minutes:?}");
        let open = rows.iter().filter(|action| action.video_id == *video && action.is_open()).count();
        assert!(open <= 1, "{open} open actions of {video}");
    }
    assert!(rows.len() > VIDEOS && !confirmed.is_empty(), "{} actions", rows.len());
    for action in &rows {
        let steps = confirmed.get(&action.action_id).map_or(&[][..], Vec::as_slice);
        // Each step was confirmed to one of the workers alone, and what was confirmed last is what is there, unless its time
        // was over since.
        let mut sorted = steps.to_vec();
        sorted.sort_unstable();
        assert!(
            [&[][..], &[ActionState::Acked], &[ActionState::Acked, ActionState::Done]].contains(&&sorted[..]),
            "{steps:?}"
        );
        let last = sorted.last().copied().unwrap_or(ActionState::Pending);
        let may_be: &[ActionState] = match last {
            ActionState::Done => &[ActionState::Done],
            ActionState::Acked => &[ActionState::Acked, ActionState::Expired],
            _ => &[ActionState::Pending, ActionState::Expired],
        };
        assert!(may_be.contains(&action.state), "{} after {steps:?}", action.state);
    }
}

#[tokio::test]
async fn another_queues_changes_are_heard_of_when_the_table_is_read() {
    let place = Place::new();
    let (ours, theirs) = (place.queue().await, place.queue().await);
    let mut heard = ours.subscribe();
    let videos = ["a".to_owned()];
    let decided = theirs.decide(at(1), boost(&videos, 1)).await.unwrap();
    let id = decided.added[0].action_id;
    assert_eq!(ours.get(id), None);
    assert!(ours.refresh().await.unwrap());
    assert!(!ours.refresh().await.unwrap(), "nothing has changed since");
    let change = heard.try_recv().unwrap();
    assert_eq!((change.action.action_id, change.is_own), (id, false));
    ours.change(id, to(ActionState::Hold, at(2))).await.unwrap();
    let change = heard.try_recv().unwrap();
    assert_eq!((change.action.state, change.is_own), (ActionState::Hold, true));
    assert!(heard.try_recv().is_err(), "each change is told once");
    // What is stale here is judged by what the table says.
    let refused = theirs.change(id, to(ActionState::Acked, at(2))).await.unwrap_err();
    assert!(matches!(refused, ActionError::WrongState { is: ActionState::Hold, .. }), "{refused}");
}
