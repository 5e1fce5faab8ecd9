//! Commits whose answers are lost, and commits that land when nobody waits for them any more: needs
//! `--features failpoints`.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use pulselake_actions::{ActionError, ActionQueue, QueueSettings};
use pulselake_decision::ActionState;
use support::{Place, at, boost, hasty, to};
use uuid::Uuid;

const SWAP: &str = "lake::catalog_swap";

/// Failpoints are the process's: one test at a time.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

struct Armed;

impl Armed {
    fn with(actions: &str) -> Self {
        fail::cfg(SWAP, actions).unwrap();
        Self
    }
}

impl Drop for Armed {
    fn drop(&mut self) {
        fail::remove(SWAP);
    }
}

async fn with_one_action(place: &Place) -> Uuid {
    let decided = place.queue().await.decide(at(1), boost(&["a".to_owned()], 1)).await.unwrap();
    decided.added[0].action_id
}

async fn hasty_queue(place: &Place) -> ActionQueue {
    ActionQueue::open(hasty(&place.lake().await), QueueSettings::default()).await.unwrap()
}

#[tokio::test]
async fn a_lost_answer_is_looked_up_and_the_change_made_once() {
    let _turn = TURN.lock().await;
    let place = Place::new();
    let queue = place.queue().await;
    let mut heard = queue.subscribe();
    let armed = Armed::with("1*return(unknown)");
    let decided = queue.decide(at(1), boost(&["a".to_owned()], 1)).await.unwrap();
    drop(armed);
    assert_eq!((decided.added.len(), decided.retries), (1, 0));
    let armed = Armed::with("1*return(unknown)");
    let changed = queue.change(decided.added[0].action_id, to(ActionState::Acked, at(2))).await.unwrap();
    drop(armed);
    assert_eq!(place.actions().await, std::slice::from_ref(&changed));
    assert_eq!(place.snapshots().await, 2);
    assert_eq!(heard.try_recv().unwrap().action.state, ActionState::Pending);
    assert_eq!(*heard.try_recv().unwrap().action, changed);
}

#[tokio::test]
async fn a_change_that_lands_after_it_was_given_up_is_seen_by_the_next() {
    let _turn = TURN.lock().await;
    let place = Place::new();
    let id = with_one_action(&place).await;
    let queue = hasty_queue(&place).await;
    let armed = Armed::with("1*return(zombie:200)");
    let unknown = queue.change(id, to(ActionState::Acked, at(2))).await.unwrap_err();
    drop(armed);
    assert!(matches!(unknown, ActionError::Unavailable { .. }), "{unknown}");
    for _ in 0..2_000 {
        if place.actions().await[0].state == ActionState::Acked {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let refused = queue.change(id, to(ActionState::Acked, at(2))).await.unwrap_err();
    assert!(matches!(refused, ActionError::WrongState { is: ActionState::Acked, .. }), "{refused}");
    assert_eq!(queue.change(id, to(ActionState::Done, at(3))).await.unwrap().state, ActionState::Done);
}

#[tokio::test]
async fn a_change_that_was_given_up_does_not_land_on_somebody_elses() {
    let _turn = TURN.lock().await;
    let place = Place::new();
    let id = with_one_action(&place).await;
    let queue = hasty_queue(&place).await;
    let armed = Armed::with("1*return(zombie:100)");
    queue.change(id, to(ActionState::Acked, at(2))).await.unwrap_err();
    drop(armed);
    let held = place.queue().await.change(id, to(ActionState::Hold, at(2))).await.unwrap();
    // Long after the lost request was carried out.
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(place.actions().await, [held]);
    assert_eq!(place.snapshots().await, 2);
}

#[tokio::test]
async fn a_refused_commit_leaves_no_files() {
    let _turn = TURN.lock().await;
    let place = Place::new();
    let id = with_one_action(&place).await;
    let files = || {
        let data = place.directory.path().join("warehouse/gold/rt_action_queue/data");
        std::fs::read_dir(data).unwrap().count()
    };
    let before = files();
    let queue = hasty_queue(&place).await;
    let armed = Armed::with("1*return");
    let failed = queue.change(id, to(ActionState::Acked, at(2))).await.unwrap_err();
    drop(armed);
    assert!(matches!(failed, ActionError::Unavailable { .. }), "{failed}");
    assert_eq!(files(), before);
    assert_eq!(queue.change(id, to(ActionState::Acked, at(2))).await.unwrap().state, ActionState::Acked);
}
