//! From a plan to a list of what is done when: a pure function of the plan and the seed, so that a run can be repeated.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use thiserror::Error;

use super::plan::{FaultPlan, Target};

/// Something to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action {
    /// Milliseconds since the first event.
    pub at_ms: u64,
    /// Index in the plan.
    pub fault: usize,
    /// Which time it happens, from 0 on.
    pub round: u32,
    /// What is to be done.
    pub step: Step,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Step {
    Begin,
    End,
}

/// Two faults that can't be at the same time.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "faults {} and {} of the file, both of the {target:?}, are at the same time: one lasts until {first_to_ms} ms, the other \
     begins at {second_from_ms} ms (with seed {seed}); the end of one would end the other",
    first + 1, second + 1
)]
pub struct Overlap {
    /// Index in the plan.
    pub first: usize,
    /// Index in the plan.
    pub second: usize,
    /// Whose faults they are.
    pub target: Target,
    /// When the first ends.
    pub first_to_ms: u64,
    /// When the second begins.
    pub second_from_ms: u64,
    /// That drew the jitter.
    pub seed: u64,
}

/// All actions of a plan in the order of their times; at one time, what ends is ended before anything begins. Each
/// fault draws its jitter from a stream of its own: another fault more or less changes nothing for the others.
///
/// # Errors
/// When two faults of one target overlap.
pub fn schedule(plan: &FaultPlan, seed: u64) -> Result<Vec<Action>, Overlap> {
    let mut rounds = rounds(plan, seed);
    rounds.sort_by_key(|round| (round.target, round.from_ms, round.fault));
    for pair in rounds.windows(2) {
        let [first, second] = pair else { continue };
        if first.target == second.target && second.from_ms < first.to_ms {
            return Err(Overlap {
                first: first.fault,
                second: second.fault,
                target: first.target,
                first_to_ms: first.to_ms,
                second_from_ms: second.from_ms,
                seed,
            });
        }
    }
    let mut actions: Vec<(Action, bool)> = rounds.iter().flat_map(Round::actions).collect();
    // Stable: what begins and ends at one time does so in this order, behind the ends of earlier ones.
    actions.sort_by_key(|(action, ends_earlier)| (action.at_ms, !ends_earlier));
    Ok(actions.into_iter().map(|(action, _)| action).collect())
}

struct Round {
    target: Target,
    fault: usize,
    round: u32,
    from_ms: u64,
    to_ms: u64,
}

impl Round {
    /// Beginning and end, and whether it is the end of what began before its time.
    fn actions(&self) -> [(Action, bool); 2] {
        let action = |at_ms, step| Action { at_ms, fault: self.fault, round: self.round, step };
        let lasts = self.from_ms < self.to_ms;
        [(action(self.from_ms, Step::Begin), false), (action(self.to_ms, Step::End), lasts)]
    }
}

fn rounds(plan: &FaultPlan, seed: u64) -> Vec<Round> {
    let mut rounds = Vec::new();
    for (index, fault) in plan.faults.iter().enumerate() {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(index as u64);
        for round in 0..fault.count {
            let moved_s = random.random::<f64>() * fault.jitter_s;
            let from_ms = millis(fault.at_s + f64::from(round) * fault.every_s + moved_s);
            let to_ms = from_ms + millis(fault.duration_s);
            rounds.push(Round { target: fault.kind.target(), fault: index, round, from_ms, to_ms });
        }
    }
    rounds
}

/// Of seconds that a plan may hold: no negative ones, a day at most for each part.
fn millis(seconds: f64) -> u64 {
    (seconds * 1e3).round() as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::load::faults::plan::{Fault, FaultKind, Leave};

    fn fault(kind: FaultKind, at_s: f64, duration_s: f64) -> Fault {
        Fault { kind, at_s, duration_s, every_s: 0.0, count: 1, jitter_s: 0.0 }
    }

    fn told(actions: &[Action]) -> Vec<(u64, usize, u32, Step)> {
        actions.iter().map(|action| (action.at_ms, action.fault, action.round, action.step)).collect()
    }

    #[test]
    fn faults_begin_and_end_when_the_plan_says() {
        let kill = Fault { every_s: 10.0, count: 3, ..fault(FaultKind::EngineKill, 2.5, 1.0) };
        let plan = FaultPlan { faults: vec![kill, fault(FaultKind::BrokerPause, 5.0, 8.0)] };
        let expected = [
            (2_500, 0, 0, Step::Begin),
            (3_500, 0, 0, Step::End),
            (5_000, 1, 0, Step::Begin),
            (12_500, 0, 1, Step::Begin),
            (13_000, 1, 0, Step::End),
            (13_500, 0, 1, Step::End),
            (22_500, 0, 2, Step::Begin),
            (23_500, 0, 2, Step::End),
        ];
        assert_eq!(told(&schedule(&plan, 1).unwrap()), expected);
        assert_eq!(schedule(&FaultPlan::default(), 1), Ok(Vec::new()));
    }

    #[test]
    fn at_one_time_ends_come_before_beginnings_and_what_is_at_once_begins_first() {
        let faults = vec![
            fault(FaultKind::EngineKill, 5.0, 0.0),
            fault(FaultKind::EnginePause, 3.0, 2.0),
            fault(FaultKind::Compaction, 5.0, 0.0),
        ];
        let actions = schedule(&FaultPlan { faults }, 1).unwrap();
        let at_five: Vec<(usize, Step)> = actions
            .iter()
            .filter(|action| action.at_ms == 5_000)
            .map(|action| (action.fault, action.step))
            .collect();
        let expected = [(1, Step::End), (0, Step::Begin), (0, Step::End), (2, Step::Begin), (2, Step::End)];
        assert_eq!(at_five, expected);
    }

    #[test]
    fn two_faults_of_one_target_do_not_overlap() {
        let pause = fault(FaultKind::EnginePause, 3.0, 4.0);
        let kill = fault(FaultKind::EngineKill, 6.9, 0.0);
        let error = schedule(&FaultPlan { faults: vec![kill, pause.clone()] }, 7).unwrap_err();
        assert_eq!((error.first, error.second, error.target), (1, 0, Target::Engine));
        let text = error.to_string();
        assert!(
            ["faults 2 and 1", "7000 ms", "6900 ms", "seed 7"].iter().all(|word| text.contains(word)),
            "{text}"
        );
        // Those of different targets may, and one may follow on the other.
        let others = [
            fault(FaultKind::BrokerPause, 4.0, 9.0),
            fault(FaultKind::Rebalance { leave: Leave::Kill }, 2.0, 9.0),
            fault(FaultKind::EngineKill, 7.0, 0.0),
        ];
        for other in others {
            assert!(
                schedule(&FaultPlan { faults: vec![pause.clone(), other.clone()] }, 7).is_ok(),
                "{other:?}"
            );
        }
    }

    #[test]
    fn jitter_is_the_seeds_and_each_faults_own() {
        let kill =
            Fault { every_s: 20.0, count: 5, jitter_s: 10.0, ..fault(FaultKind::EngineKill, 0.0, 0.0) };
        let stall = Fault { jitter_s: 10.0, ..fault(FaultKind::BrokerPause, 0.0, 1.0) };
        let alone = schedule(&FaultPlan { faults: vec![kill.clone()] }, 1).unwrap();
        let other_seed = schedule(&FaultPlan { faults: vec![kill.clone()] }, 2).unwrap();
        assert_ne!(alone, other_seed);
        let beside: Vec<Action> = schedule(&FaultPlan { faults: vec![kill, stall] }, 1).unwrap();
        let beside: Vec<Action> = beside.into_iter().filter(|action| action.fault == 0).collect();
        assert_eq!(alone, beside);
        // Golden: the same on every machine and in every version.
        let begins: Vec<u64> =
            alone.iter().filter(|action| action.step == Step::Begin).map(|action| action.at_ms).collect();
        assert_eq!(begins, [4_025, 20_804, 45_966, 62_193, 82_837]);
    }

    fn any_fault() -> impl Strategy<Value = Fault> {
        let kinds =
            prop::sample::select(vec![FaultKind::EnginePause, FaultKind::BrokerPause, FaultKind::Compaction]);
        (kinds, 0.0..100.0, 0.0..5.0, 1_u32..6, 0.0..5.0).prop_map(
            |(kind, at_s, duration_s, count, jitter_s)| {
                let every_s = duration_s + jitter_s + 1.0;
                Fault { kind, at_s, duration_s, every_s, count, jitter_s }
            },
        )
    }

    proptest! {
        #[test]
        fn every_round_is_within_its_bounds_and_in_order(
            faults in prop::collection::vec(any_fault(), 0..4),
            seed in any::<u64>(),
        ) {
            let plan = FaultPlan { faults };
            let Ok(actions) = schedule(&plan, seed) else { return Ok(()) };
            prop_assert_eq!(&schedule(&plan, seed).unwrap(), &actions);
            prop_assert!(actions.is_sorted_by_key(|action| action.at_ms));
            let mut under_way = Vec::new();
            for action in &actions {
                let fault = &plan.faults[action.fault];
                if action.step == Step::End {
                    let begun = under_way.iter().position(|(index, round, _)| (*index, *round) == (action.fault, action.round));
                    let (_, _, from_ms) = under_way.remove(begun.unwrap());
                    prop_assert_eq!(action.at_ms - from_ms, millis(fault.duration_s));
                    continue;
                }
                let earliest_s = fault.at_s + f64::from(action.round) * fault.every_s;
                let (earliest, latest) = (millis(earliest_s), millis(earliest_s + fault.jitter_s));
                prop_assert!((earliest..=latest).contains(&action.at_ms), "{:?}", action);
                let is_alone = under_way.iter().all(|(index, _, _)| {
                    let other: &Fault = &plan.faults[*index];
                    other.kind.target() != fault.kind.target()
                });
                prop_assert!(is_alone, "{:?} beside {:?}", action, under_way);
                under_way.push((action.fault, action.round, action.at_ms));
            }
            prop_assert!(under_way.is_empty());
            let rounds: u32 = plan.faults.iter().map(|fault| fault.count).sum();
            prop_assert_eq!(actions.len(), 2 * rounds as usize);
        }
    }
}
