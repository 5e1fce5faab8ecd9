//! What waits to be sent, and what was. Pure: the clock is an argument.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use pulselake_actions::{QueueView, QueuedAction, message_of};
use uuid::Uuid;

use super::topic::ActionMessage;

/// How long another process has to send what it committed.
pub(super) const GRACE_US: i64 = 60_000_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// Of this process, in the order of their commits.
    own: Vec<Arc<QueuedAction>>,
    /// Of others, each with the moment from which on it counts as forgotten.
    foreign: Vec<(i64, Arc<QueuedAction>)>,
    /// The newest change of each action that is known to be in the topic.
    sent: HashMap<Uuid, i64>,
}

impl Backlog {
    /// Takes in a change that is in the table; once, however often it is told.
    pub(super) fn add(&mut self, action: Arc<QueuedAction>, is_own: bool, now_us: i64) {
        let is_same = |other: &QueuedAction| {
            (other.action_id, other.state_updated_at_us) == (action.action_id, action.state_updated_at_us)
        };
        if self.is_sent(&action) || self.own.iter().any(|waiting| is_same(waiting)) {
            return;
        }
        let in_foreign = self.foreign.iter().position(|(_, waiting)| is_same(waiting));
        if is_own {
            if let Some(place) = in_foreign {
                self.foreign.swap_remove(place);
            }
            self.own.push(action);
        } else if in_foreign.is_none() {
            self.foreign.push((now_us.saturating_add(GRACE_US), action));
        }
    }

    fn is_sent(&self, action: &QueuedAction) -> bool {
        self.sent.get(&action.action_id).is_some_and(|newest_us| *newest_us >= action.state_updated_at_us)
    }

    /// These are in the topic.
    pub(super) fn found(&mut self, changes: &HashSet<(Uuid, i64)>) {
        for (action_id, changed_us) in changes {
            let newest = self.sent.entry(*action_id).or_insert(*changed_us);
            *newest = (*newest).max(*changed_us);
        }
        self.forget_sent();
    }

    fn forget_sent(&mut self) {
        let sent = &self.sent;
        let waits = |action: &QueuedAction| {
            sent.get(&action.action_id).is_none_or(|newest_us| *newest_us < action.state_updated_at_us)
        };
        self.own.retain(|action| waits(action));
        self.foreign.retain(|(_, action)| waits(action));
    }

    /// Everything that waits for this process to send it, in the order of the changes.
    pub(super) fn waiting(&self) -> Vec<Arc<QueuedAction>> {
        let mut actions = self.own.clone();
        actions.sort_by_key(|action| action.state_updated_at_us);
        actions
    }

    /// How many changes wait, others' included.
    pub(super) fn len(&self) -> usize {
        self.own.len() + self.foreign.len()
    }

    /// Since when the oldest change of others is in its state, if one counts as forgotten at `now_us`: whether the topic has
    /// it must be looked up.
    pub(super) fn forgotten_since_us(&self, now_us: i64) -> Option<i64> {
        let forgotten = self.foreign.iter().filter(|(due_us, _)| *due_us <= now_us);
        forgotten.map(|(_, action)| action.state_updated_at_us).min()
    }

    /// What counts as forgotten at `now_us` is sent by this process.
    pub(super) fn adopt_forgotten(&mut self, now_us: i64) {
        let (forgotten, young) = self.foreign.drain(..).partition(|(due_us, _)| *due_us <= now_us);
        self.foreign = young;
        let forgotten: Vec<(i64, Arc<QueuedAction>)> = forgotten;
        self.own.extend(forgotten.into_iter().map(|(_, action)| action));
    }

    /// Forgets what was sent of actions that nobody has in memory any more.
    pub(super) fn forget_closed(&mut self, view: &QueueView) {
        self.sent.retain(|action_id, _| view.get(*action_id).is_some());
    }
}

/// The message of a change, and what identifies it.
pub(super) fn message(action: &QueuedAction) -> (ActionMessage, (Uuid, i64)) {
    let message = ActionMessage {
        key: action.video_id.clone(),
        value: message_of(action),
        timestamp_ms: action.state_updated_at_us.div_euclid(1_000),
    };
    (message, (action.action_id, action.state_updated_at_us))
}

#[cfg(test)]
mod tests {
    use pulselake_decision::{Action, ActionState, DecisionType, Metrics30m, action_id};

    use super::*;

    fn changed(video_id: &str, state: ActionState, at_us: i64) -> Arc<QueuedAction> {
        let action = Action {
            action_id: action_id(video_id, 0, "r"),
            video_id: video_id.to_owned(),
            decision: DecisionType::Boost,
            window_start_us: 0,
            decided_at_us: 0,
            expires_at_us: 1,
            rule_version: "r".to_owned(),
            metrics: Metrics30m::default(),
            reasons: Vec::new(),
        };
        let pending = QueuedAction::pending(&action, 0);
        Arc::new(QueuedAction { state, state_updated_at_us: at_us, ..pending })
    }

    fn waiting(backlog: &Backlog) -> Vec<(String, i64)> {
        let changes = backlog.waiting();
        changes.iter().map(|action| (action.video_id.clone(), action.state_updated_at_us)).collect()
    }

    #[test]
    fn own_changes_wait_in_their_order_until_they_are_in_the_topic() {
        let mut backlog = Backlog::default();
        backlog.add(changed("b", ActionState::Pending, 20), true, 0);
        backlog.add(changed("a", ActionState::Pending, 10), true, 0);
        backlog.add(changed("a", ActionState::Acked, 30), true, 0);
        let expected = [("a", 10), ("b", 20), ("a", 30)].map(|(video, at)| (video.to_owned(), at));
        assert_eq!(waiting(&backlog), expected);
        let (_, first) = message(&changed("a", ActionState::Pending, 10));
        backlog.found(&HashSet::from([first]));
        assert_eq!(waiting(&backlog), expected[1..]);
        backlog.add(changed("a", ActionState::Pending, 10), true, 0);
        assert_eq!(backlog.len(), 2, "what is there is not sent again");
    }

    #[test]
    fn a_change_that_is_told_again_waits_once() {
        let mut backlog = Backlog::default();
        for is_own in [false, false, true, true, false] {
            backlog.add(changed("a", ActionState::Pending, 10), is_own, 0);
            assert_eq!(backlog.len(), 1);
        }
        assert_eq!(waiting(&backlog).len(), 1, "what is this process's own is sent by it");
    }

    #[test]
    fn others_changes_are_sent_when_they_seem_forgotten() {
        let mut backlog = Backlog::default();
        backlog.add(changed("a", ActionState::Pending, 10), false, 1_000);
        backlog.add(changed("b", ActionState::Pending, 20), false, 2_000);
        assert_eq!((backlog.waiting().len(), backlog.len()), (0, 2));
        assert_eq!(backlog.forgotten_since_us(1_000 + GRACE_US - 1), None);
        let now_us = 1_000 + GRACE_US;
        assert_eq!(backlog.forgotten_since_us(now_us), Some(10));
        backlog.adopt_forgotten(now_us);
        assert_eq!(waiting(&backlog), [("a".to_owned(), 10)]);
        let (_, other) = message(&changed("b", ActionState::Pending, 20));
        backlog.found(&HashSet::from([other]));
        assert_eq!(backlog.forgotten_since_us(i64::MAX), None, "its own process has sent it");
    }
}
