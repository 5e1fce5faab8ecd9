//! Which of several actions stand: collisions within a window, and the pause between two actions of a video.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::{Action, MINUTE_US, Rules, Thresholds, VideoFacts, VideoMinutes, decide_minute};

/// One action per (video, window): RESCUE before REVIEW before BOOST, among equals the one decided last (of two decided
/// at the same moment, the later in `actions`). Ordered by video, then window.
pub fn resolve_collisions(actions: impl IntoIterator<Item = Action>) -> Vec<Action> {
    let rank = |action: &Action| (action.decision.priority(), action.decided_at_us);
    let mut standing: BTreeMap<(String, i64), Action> = BTreeMap::new();
    for action in actions {
        match standing.entry((action.video_id.clone(), action.window_start_us)) {
            Entry::Vacant(free) => drop(free.insert(action)),
            Entry::Occupied(mut taken) if rank(&action) >= rank(taken.get()) => drop(taken.insert(action)),
            Entry::Occupied(_) => {}
        }
    }
    standing.into_values().collect()
}

/// Whether a video may have an action for the window that starts at `window_start_us`, when its last one was for the
/// window at `last_window_start_us`. Also false for a window before that, if it is as near: 60 minutes hold one action,
/// whichever comes first.
pub fn is_cooled_down(rules: &Rules, last_window_start_us: Option<i64>, window_start_us: i64) -> bool {
    last_window_start_us
        .is_none_or(|last_us| window_start_us.saturating_sub(last_us).saturating_abs() >= rules.cooldown_us)
}

/// The actions that one video's counts lead to, when it is decided about at the end of each of its minutes from
/// `first_minute_us` on, the cooldown kept. A minute without events is not decided about: it has no row. One whose plays
/// have not had time to end ([`crate::maturity`]) begins no cooldown.
pub fn actions_of_video(
    rules: &Rules,
    thresholds: &Thresholds,
    video_id: &str,
    video: Option<&VideoFacts<'_>>,
    minutes: &VideoMinutes,
    first_minute_us: i64,
) -> Vec<Action> {
    let mut actions: Vec<Action> = Vec::new();
    for &minute_us in minutes.range(first_minute_us..).map(|(minute_us, _)| minute_us) {
        let last_us = actions.last().map(|action| action.window_start_us);
        if !is_cooled_down(rules, last_us, minute_us) {
            continue;
        }
        let (metrics, verdict) = decide_minute(rules, thresholds, video, minutes, minute_us);
        actions.extend(Action::new(rules, video_id, minute_us, metrics, verdict, minute_us + MINUTE_US));
    }
    actions
}
