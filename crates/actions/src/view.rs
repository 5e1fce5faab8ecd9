//! The queue at one moment, in memory: what was read of one snapshot of the table, or committed as one.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use pulselake_decision::{ActionState, DecisionType, Rules, is_cooled_down};
use uuid::Uuid;

use crate::QueuedAction;

/// Which actions are wanted; by default all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActionFilter {
    /// In one of these states; empty: in any.
    pub states: Vec<ActionState>,
    /// One of these decisions; empty: any.
    pub decisions: Vec<DecisionType>,
    /// About this video.
    pub video_id: Option<String>,
    /// At most so many, the newest.
    pub limit: Option<usize>,
    /// Decided at or after this, microseconds since the epoch.
    pub since_us: Option<i64>,
}

impl ActionFilter {
    fn lets_pass(&self, action: &QueuedAction) -> bool {
        (self.states.is_empty() || self.states.contains(&action.state))
            && (self.decisions.is_empty() || self.decisions.contains(&action.decision))
            && self.video_id.as_ref().is_none_or(|video_id| *video_id == action.video_id)
            && self.since_us.is_none_or(|since_us| action.decided_at_us >= since_us)
    }
}

/// The actions of one snapshot: all that are open, and the closed ones that were decided lately.
#[derive(Clone, Debug, Default)]
pub struct QueueView {
    snapshot_id: Option<i64>,
    by_id: HashMap<Uuid, Arc<QueuedAction>>,
    /// By the moment of their decision.
    newest_first: BTreeSet<(Reverse<i64>, Uuid)>,
    by_video: HashMap<String, Vec<Arc<QueuedAction>>>,
    keep_us: i64,
}

impl QueueView {
    /// The view of a snapshot with these actions. Closed ones that were decided more than `keep_us` before the newest are
    /// left out.
    pub fn new(snapshot_id: Option<i64>, actions: Vec<QueuedAction>, keep_us: i64) -> Self {
        Self { keep_us, ..Self::default() }.with(snapshot_id, actions)
    }

    /// The view after a commit that wrote these rows.
    pub fn with(&self, snapshot_id: Option<i64>, rows: impl IntoIterator<Item = QueuedAction>) -> Self {
        let mut view = Self { snapshot_id, ..self.clone() };
        for row in rows {
            view.put(row);
        }
        view.forget_old();
        view
    }

    fn put(&mut self, row: QueuedAction) {
        self.take(row.action_id);
        let action = Arc::new(row);
        self.newest_first.insert((Reverse(action.decided_at_us), action.action_id));
        self.by_video.entry(action.video_id.clone()).or_default().push(action.clone());
        self.by_id.insert(action.action_id, action);
    }

    fn take(&mut self, action_id: Uuid) {
        let Some(known) = self.by_id.remove(&action_id) else { return };
        self.newest_first.remove(&(Reverse(known.decided_at_us), action_id));
        if let Some(of_video) = self.by_video.get_mut(&known.video_id) {
            of_video.retain(|action| action.action_id != action_id);
            if of_video.is_empty() {
                self.by_video.remove(&known.video_id);
            }
        }
    }

    fn forget_old(&mut self) {
        let Some(&(Reverse(newest_us), _)) = self.newest_first.first() else { return };
        let horizon_us = newest_us.saturating_sub(self.keep_us);
        let is_old = |action: &&Arc<QueuedAction>| !action.is_open() && action.decided_at_us < horizon_us;
        let old: Vec<Uuid> = self
            .newest_first
            .iter()
            .rev()
            .take_while(|(Reverse(decided_at_us), _)| *decided_at_us < horizon_us)
            .filter_map(|(_, action_id)| self.by_id.get(action_id).filter(is_old))
            .map(|action| action.action_id)
            .collect();
        for action_id in old {
            self.take(action_id);
        }
    }

    /// The snapshot; `None` for a table without one.
    pub fn snapshot_id(&self) -> Option<i64> {
        self.snapshot_id
    }

    pub(crate) fn keep_us(&self) -> i64 {
        self.keep_us
    }

    /// How many actions there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Every action, the one that was decided last first.
    pub fn actions(&self) -> impl Iterator<Item = &Arc<QueuedAction>> {
        self.newest_first.iter().filter_map(|(_, action_id)| self.by_id.get(action_id))
    }

    /// The actions that pass the filter, the one that was decided last first.
    pub fn list(&self, filter: &ActionFilter) -> Vec<Arc<QueuedAction>> {
        let wanted = self.actions().filter(|action| filter.lets_pass(action));
        wanted.take(filter.limit.unwrap_or(usize::MAX)).cloned().collect()
    }

    /// The action with this id.
    pub fn get(&self, action_id: Uuid) -> Option<&Arc<QueuedAction>> {
        self.by_id.get(&action_id)
    }

    /// The action of a video whose window is the latest.
    pub fn of_video(&self, video_id: &str) -> Option<&Arc<QueuedAction>> {
        self.by_video.get(video_id)?.iter().max_by_key(|action| action.window_start_us)
    }

    /// Whether an action of the video waits for somebody.
    pub fn has_open_action(&self, video_id: &str) -> bool {
        self.by_video.get(video_id).is_some_and(|of_video| of_video.iter().any(|action| action.is_open()))
    }

    /// Whether no action of the video is nearer to the window than the rules' pause, before or behind it.
    pub fn is_cooled_down(&self, rules: &Rules, video_id: &str, window_start_us: i64) -> bool {
        let of_video = self.by_video.get(video_id).into_iter().flatten();
        let mut windows = of_video.map(|action| action.window_start_us);
        windows.all(|last_us| is_cooled_down(rules, Some(last_us), window_start_us))
    }

    /// The actions whose time is over at `at_us`, in the state EXPIRED.
    pub(crate) fn expired(&self, at_us: i64) -> Vec<QueuedAction> {
        let overdue = self.actions().filter(|action| action.is_overdue(at_us));
        overdue.map(|action| action.in_state(ActionState::Expired, at_us)).collect()
    }

    /// The actions that are other ones than in `before`, or were not there.
    pub(crate) fn changed_since(&self, before: &QueueView) -> Vec<Arc<QueuedAction>> {
        let is_same = |action: &&Arc<QueuedAction>| {
            before.get(action.action_id).is_some_and(|known| Arc::ptr_eq(known, action) || known == *action)
        };
        self.actions().filter(|action| !is_same(action)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use pulselake_decision::MINUTE_US;

    use super::*;
    use crate::example::action;

    fn queued(video_id: &str, minute: i64, state: ActionState) -> QueuedAction {
        let decided = action(video_id, minute, DecisionType::Boost);
        QueuedAction { state, ..QueuedAction::pending(&decided, decided.decided_at_us) }
    }

    fn videos(actions: &[Arc<QueuedAction>]) -> Vec<&str> {
        actions.iter().map(|action| action.video_id.as_str()).collect()
    }

    #[test]
    fn a_list_is_filtered_and_the_newest_come_first() {
        let rows = vec![
            queued("a", 1, ActionState::Done),
            queued("b", 3, ActionState::Pending),
            queued("c", 2, ActionState::Acked),
        ];
        let view = QueueView::new(Some(7), rows, i64::MAX);
        let all = ActionFilter::default();
        assert_eq!(videos(&view.list(&all)), ["b", "c", "a"]);
        for (filter, expected) in [
            (ActionFilter { limit: Some(1), ..all.clone() }, &["b"][..]),
            (
                ActionFilter { states: vec![ActionState::Done, ActionState::Acked], ..all.clone() },
                &["c", "a"],
            ),
            (ActionFilter { decisions: vec![DecisionType::Review], ..all.clone() }, &[]),
            (ActionFilter { video_id: Some("a".to_owned()), ..all.clone() }, &["a"]),
            (ActionFilter { since_us: Some(3 * MINUTE_US), ..all }, &["b", "c"]),
        ] {
            assert_eq!(videos(&view.list(&filter)), expected, "{filter:?}");
        }
    }

    #[test]
    fn a_row_takes_the_place_of_the_one_with_its_id() {
        let view = QueueView::new(Some(1), vec![queued("a", 1, ActionState::Pending)], i64::MAX);
        let after =
            view.with(Some(2), [queued("a", 1, ActionState::Acked), queued("b", 2, ActionState::Pending)]);
        assert_eq!((after.len(), after.snapshot_id()), (2, Some(2)));
        assert_eq!(after.of_video("a").unwrap().state, ActionState::Acked);
        assert_eq!(view.of_video("a").unwrap().state, ActionState::Pending, "the old view stays as it was");
        assert_eq!(videos(&after.changed_since(&view)), ["b", "a"]);
        assert!(after.changed_since(&after.clone()).is_empty());
    }

    #[test]
    fn closed_actions_are_forgotten_and_open_ones_are_not() {
        let keep_us = 60 * MINUTE_US;
        let rows = [
            queued("old", 0, ActionState::Done),
            queued("held", 0, ActionState::Hold),
            queued("open", 0, ActionState::Acked),
            queued("young", 1, ActionState::Expired),
            queued("newest", 61, ActionState::Pending),
        ];
        let view = QueueView::new(None, rows.to_vec(), keep_us);
        assert_eq!(videos(&view.list(&ActionFilter::default())), ["newest", "young", "open"]);
        assert!(view.of_video("old").is_none());
        let later = view.with(None, [queued("later", 62, ActionState::Pending)]);
        assert!(later.of_video("young").is_none() && later.of_video("open").is_some());
    }

    #[test]
    fn the_pause_holds_in_both_directions_and_for_every_action_of_the_video() {
        let rows = vec![queued("a", 100, ActionState::Done), queued("a", 30, ActionState::Done)];
        let view = QueueView::new(None, rows, i64::MAX);
        let cooled = |minute: i64| view.is_cooled_down(&Rules::default(), "a", minute * MINUTE_US);
        assert_eq!(
            [-30, -29, 30, 89, 90, 100, 159, 160].map(cooled),
            [true, false, false, false, false, false, false, true]
        );
        assert!(view.is_cooled_down(&Rules::default(), "b", 100 * MINUTE_US));
    }

    #[test]
    fn only_open_actions_expire() {
        // A BOOST of minute 0 is decided at minute 1 and good for 15.
        let rows = vec![
            queued("pending", 0, ActionState::Pending),
            queued("acked", 0, ActionState::Acked),
            queued("done", 0, ActionState::Done),
        ];
        let view = QueueView::new(None, rows, i64::MAX);
        assert!(view.expired(16 * MINUTE_US - 1).is_empty());
        let expired = view.expired(16 * MINUTE_US);
        assert_eq!(expired.len(), 2);
        for action in expired {
            assert_eq!((action.state, action.state_updated_at_us), (ActionState::Expired, 16 * MINUTE_US));
        }
    }
}
