//! What other rules would have decided instead: the actions of two sets of rules over the same history, side by side.

use pulselake_decision::{Action, DecisionType};

/// What would come instead of what. At least one of the two is there.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Difference {
    /// By the rules in force.
    pub(super) in_force: Option<Action>,
    /// By the other rules.
    pub(super) proposed: Option<Action>,
}

impl Difference {
    /// `added`, `gone`, or `changed`: another decision, or the same at another minute.
    pub(super) fn kind(&self) -> &'static str {
        match (&self.in_force, &self.proposed) {
            (None, _) => "added",
            (Some(_), None) => "gone",
            (Some(_), Some(_)) => "changed",
        }
    }

    /// The video.
    pub(super) fn video_id(&self) -> &str {
        let either = self.in_force.as_ref().or(self.proposed.as_ref());
        either.map_or("", |action| &action.video_id)
    }
}

/// Actions by decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    /// BOOST.
    pub(super) boost: u64,
    /// REVIEW.
    pub(super) review: u64,
    /// RESCUE.
    pub(super) rescue: u64,
}

impl Totals {
    fn add(&mut self, actions: &[Action]) {
        for action in actions {
            match action.decision {
                DecisionType::Boost => self.boost += 1,
                DecisionType::Review => self.review += 1,
                DecisionType::Rescue => self.rescue += 1,
                // Never an action.
                DecisionType::NoAction => {}
            }
        }
    }
}

/// Over all videos.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Comparison {
    /// By the rules in force.
    pub(super) in_force: Totals,
    /// By the other rules.
    pub(super) proposed: Totals,
    /// Actions that are the same in both: decision and minute.
    pub(super) same: u64,
    /// The others, by video, then time.
    pub(super) differences: Vec<Difference>,
}

impl Comparison {
    /// Takes one video's actions, each list in the order of their windows. Of two actions nearer to each other than
    /// `pause_us` one comes instead of the other: each has the nearest of the other list.
    pub(super) fn add_video(&mut self, in_force: Vec<Action>, proposed: Vec<Action>, pause_us: i64) {
        self.in_force.add(&in_force);
        self.proposed.add(&proposed);
        let windows = |actions: &[Action]| -> Vec<i64> {
            actions.iter().map(|action| action.window_start_us).collect()
        };
        let pairs = pairs(&windows(&in_force), &windows(&proposed), pause_us);
        let (mut now, mut then) = (in_force.into_iter(), proposed.into_iter());
        for pair in pairs {
            self.push(
                pair.has_left.then(|| now.next()).flatten(),
                pair.has_right.then(|| then.next()).flatten(),
            );
        }
    }

    fn push(&mut self, in_force: Option<Action>, proposed: Option<Action>) {
        let key = |action: &Action| (action.decision, action.window_start_us);
        if in_force.is_some() && in_force.as_ref().map(key) == proposed.as_ref().map(key) {
            self.same += 1;
            return;
        }
        self.differences.push(Difference { in_force, proposed });
    }

    /// How many differences are of a kind.
    pub(super) fn count(&self, kind: &str) -> usize {
        self.differences.iter().filter(|difference| difference.kind() == kind).count()
    }
}

/// Which of two lists the next pair takes from; from one at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pair {
    has_left: bool,
    has_right: bool,
}

/// Goes through two lists of moments, both rising, and pairs those nearer to each other than `pause_us`: each with the
/// nearest. Every moment is taken once, in order.
fn pairs(left: &[i64], right: &[i64], pause_us: i64) -> Vec<Pair> {
    const LEFT: Pair = Pair { has_left: true, has_right: false };
    const RIGHT: Pair = Pair { has_left: false, has_right: true };
    let pause_us = u64::try_from(pause_us).unwrap_or(0);
    let mut found = Vec::new();
    let (mut at_left, mut at_right) = (0, 0);
    while at_left < left.len() || at_right < right.len() {
        let pair = match (left.get(at_left), right.get(at_right)) {
            (Some(&now), Some(&then)) => {
                let distance = now.abs_diff(then);
                let is_nearer =
                    |other: Option<&i64>, to: i64| other.is_some_and(|at| at.abs_diff(to) < distance);
                match distance >= pause_us {
                    true if now < then => LEFT,
                    true => RIGHT,
                    false if is_nearer(left.get(at_left + 1), then) => LEFT,
                    false if is_nearer(right.get(at_right + 1), now) => RIGHT,
                    false => Pair { has_left: true, has_right: true },
                }
            }
            (Some(_), None) => LEFT,
            (None, _) => RIGHT,
        };
        at_left += usize::from(pair.has_left);
        at_right += usize::from(pair.has_right);
        found.push(pair);
    }
    found
}

#[cfg(test)]
mod tests {
    use pulselake_decision::{MINUTE_US, Metrics30m, Rules, Verdict};

    use super::*;
    use DecisionType::{Boost, Rescue, Review};

    const PAUSE_US: i64 = 60 * MINUTE_US;

    fn actions(version: &str, decided: &[(i64, DecisionType)]) -> Vec<Action> {
        let rules = Rules { version: version.to_owned(), ..Rules::default() };
        let action = |&(minute, decision): &(i64, DecisionType)| {
            let verdict = Verdict { decision, reasons: Vec::new(), waits_for_plays: false };
            let window_us = minute * MINUTE_US;
            Action::new(&rules, "v_1", window_us, Metrics30m::default(), verdict, window_us + MINUTE_US)
                .unwrap()
        };
        decided.iter().map(action).collect()
    }

    /// Kind, minute by the rules in force, minute by the others.
    type Told = (&'static str, Option<i64>, Option<i64>);

    fn told(in_force: &[(i64, DecisionType)], proposed: &[(i64, DecisionType)]) -> (u64, Vec<Told>) {
        let mut comparison = Comparison::default();
        comparison.add_video(actions("a", in_force), actions("b", proposed), PAUSE_US);
        let minute = |action: &Option<Action>| action.as_ref().map(|found| found.window_start_us / MINUTE_US);
        let differences = comparison.differences.iter();
        let rows = differences.map(|found| (found.kind(), minute(&found.in_force), minute(&found.proposed)));
        (comparison.same, rows.collect())
    }

    #[test]
    fn the_same_decision_at_the_same_minute_is_no_difference() {
        let both = [(0, Boost), (60, Review), (200, Rescue)];
        assert_eq!(told(&both, &both), (3, vec![]));
    }

    #[test]
    fn what_comes_alone_is_added_or_gone() {
        assert_eq!(told(&[], &[(7, Boost)]), (0, vec![("added", None, Some(7))]));
        assert_eq!(told(&[(7, Boost)], &[]), (0, vec![("gone", Some(7), None)]));
        let far = told(&[(0, Boost)], &[(60, Boost)]);
        assert_eq!(far, (0, vec![("gone", Some(0), None), ("added", None, Some(60))]));
    }

    #[test]
    fn within_the_pause_one_comes_instead_of_the_other() {
        let other_decision = told(&[(5, Review)], &[(5, Boost)]);
        assert_eq!(other_decision, (0, vec![("changed", Some(5), Some(5))]));
        assert_eq!(told(&[(5, Boost)], &[(64, Boost)]), (0, vec![("changed", Some(5), Some(64))]));
    }

    #[test]
    fn each_has_the_nearest() {
        let later = told(&[(0, Boost), (60, Boost)], &[(50, Boost)]);
        assert_eq!(later, (0, vec![("gone", Some(0), None), ("changed", Some(60), Some(50))]));
        let earlier = told(&[(50, Boost)], &[(0, Boost), (60, Boost)]);
        assert_eq!(earlier, (0, vec![("added", None, Some(0)), ("changed", Some(50), Some(60))]));
        // One change moves all that follow.
        let moved = told(&[(0, Boost), (60, Boost), (120, Boost)], &[(3, Boost), (63, Boost), (123, Boost)]);
        assert_eq!(moved.1.len(), 3);
        assert!(moved.1.iter().all(|(kind, ..)| *kind == "changed"));
    }

    #[test]
    fn totals_count_each_side() {
        let mut comparison = Comparison::default();
        comparison.add_video(
            actions("a", &[(0, Boost), (60, Review)]),
            actions("b", &[(0, Boost), (60, Rescue), (120, Boost)]),
            PAUSE_US,
        );
        assert_eq!(comparison.in_force, Totals { boost: 1, review: 1, rescue: 0 });
        assert_eq!(comparison.proposed, Totals { boost: 2, review: 0, rescue: 1 });
        assert_eq!(["added", "gone", "changed"].map(|kind| comparison.count(kind)), [1, 0, 1]);
        assert_eq!(comparison.differences[0].video_id(), "v_1");
    }

    #[test]
    fn every_moment_is_taken_once_and_the_sides_can_be_swapped() {
        // Every pair of short lists of moments in steps of 20 minutes that keep the pause.
        let lists: Vec<Vec<i64>> = (0_u32..1 << 9)
            .map(|bits| (0..9).filter(|step| bits >> step & 1 == 1).map(|step| step * 20).collect())
            .filter(|list: &Vec<i64>| list.windows(2).all(|pair| pair[1] - pair[0] >= 60))
            .collect();
        assert!(lists.len() > 40);
        for left in &lists {
            for right in &lists {
                let found = pairs(left, right, 60);
                let count = |of: fn(&Pair) -> bool| found.iter().filter(|pair| of(pair)).count();
                assert_eq!(count(|pair| pair.has_left), left.len(), "{left:?} {right:?}");
                assert_eq!(count(|pair| pair.has_right), right.len(), "{left:?} {right:?}");
                let paired =
                    |pairs: &[Pair]| pairs.iter().filter(|pair| pair.has_left && pair.has_right).count();
                assert_eq!(paired(&found), paired(&pairs(right, left, 60)), "{left:?} {right:?}");
            }
        }
    }
}
