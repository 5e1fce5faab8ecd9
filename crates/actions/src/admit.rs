//! Which new decisions enter the queue: the last gate, whatever decided.

use std::collections::{HashMap, HashSet};

use pulselake_decision::{Action, resolve_collisions};

use crate::{QueueView, QueuedAction};

/// Why a decision does not enter the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NotAdmitted {
    /// The same decision is in the queue already: it was taken before a restart, or by another process.
    Known,
    /// Another decision about the same video and window is more urgent.
    Collision,
    /// The video has an action that waits for somebody.
    OpenAction,
}

impl NotAdmitted {
    /// Its name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Known => "known",
            Self::Collision => "collision",
            Self::OpenAction => "open_action",
        }
    }
}

/// The actions that enter the queue at `at_us`, PENDING, and why the others don't. Of two decisions about one video, the
/// earlier window's enters.
pub fn admit(
    view: &QueueView,
    proposed: Vec<Action>,
    at_us: i64,
) -> (Vec<QueuedAction>, HashMap<NotAdmitted, u64>) {
    let mut refused: HashMap<NotAdmitted, u64> = HashMap::new();
    let count = proposed.len();
    // By video, then window.
    let standing = resolve_collisions(proposed);
    let collided = (count - standing.len()) as u64;
    if collided > 0 {
        refused.insert(NotAdmitted::Collision, collided);
    }
    let mut admitted: Vec<QueuedAction> = Vec::new();
    let mut taken: HashSet<&str> = HashSet::new();
    for action in &standing {
        let reason = if view.get(action.action_id).is_some() {
            NotAdmitted::Known
        } else if taken.contains(action.video_id.as_str()) || view.has_open_action(&action.video_id) {
            NotAdmitted::OpenAction
        } else {
            taken.insert(&action.video_id);
            admitted.push(QueuedAction::pending(action, at_us));
            continue;
        };
        *refused.entry(reason).or_default() += 1;
    }
    (admitted, refused)
}

#[cfg(test)]
mod tests {
    use pulselake_decision::{ActionState, DecisionType};

    use super::*;
    use crate::example::{action, action_under};

    fn boost(video_id: &str, minute: i64) -> Action {
        action(video_id, minute, DecisionType::Boost)
    }

    #[test]
    fn what_is_known_does_not_enter_again() {
        let view = QueueView::new(None, vec![QueuedAction::pending(&boost("a", 1), 0)], i64::MAX);
        let (admitted, refused) = admit(&view, vec![boost("a", 1), boost("b", 1)], 0);
        assert_eq!(admitted.iter().map(|action| action.video_id.as_str()).collect::<Vec<_>>(), ["b"]);
        assert_eq!(refused, HashMap::from([(NotAdmitted::Known, 1)]));
    }

    #[test]
    fn a_video_whose_action_waits_gets_no_other() {
        for (state, enters) in [
            (ActionState::Pending, false),
            (ActionState::Acked, false),
            (ActionState::Done, true),
            (ActionState::Expired, true),
            (ActionState::Hold, true),
        ] {
            let known = QueuedAction { state, ..QueuedAction::pending(&boost("a", 1), 0) };
            let view = QueueView::new(None, vec![known], i64::MAX);
            let (admitted, _) = admit(&view, vec![boost("a", 100)], 0);
            assert_eq!(admitted.len(), usize::from(enters), "{state:?}");
        }
    }

    #[test]
    fn of_decisions_about_one_video_one_enters() {
        let view = QueueView::new(None, Vec::new(), i64::MAX);
        let proposed = vec![
            boost("a", 2),
            boost("a", 1),
            action_under("rules-2", "a", 1, DecisionType::Rescue),
            action_under("rules-3", "a", 1, DecisionType::Review),
        ];
        let (admitted, refused) = admit(&view, proposed, 7);
        assert_eq!(admitted.len(), 1);
        assert_eq!((admitted[0].decision, admitted[0].created_at_us), (DecisionType::Rescue, 7));
        assert_eq!(refused, HashMap::from([(NotAdmitted::Collision, 2), (NotAdmitted::OpenAction, 1)]));
    }
}
