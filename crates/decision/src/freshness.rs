//! How old gold is when it can be queried, as three states that say what may still be decided on it.
//!
//! The contract's promise: P95 above 3 minutes for 5 minutes is *degraded*, above 10 minutes or without a source *stale*,
//! and it takes 15 healthy minutes to recover. A pure state machine over observations; the moments are arguments.
//!
//! ```text
//!           above 3 min for 5 min
//!   Fresh ────────────────────────► Degraded
//!     ▲ │                             │ │
//!     │ │ above 10 min or no source   │ │ above 10 min or no source
//!     │ └──────────────► Stale ◄──────┘ │
//!     │                    │            │
//!     └────────────────────┴────────────┘
//!              healthy for 15 min
//! ```
//! From Stale the way back is the same 15 minutes: it does not lead over Degraded.

use crate::{DecisionType, MINUTE_US};

/// Gold whose P95 is at most so old is healthy, seconds.
pub const HEALTHY_AGE_S: f64 = 180.0;
/// Beyond it nothing is decided any more, at once, seconds.
pub const STALE_AGE_S: f64 = 600.0;
/// How long the P95 must have been above [`HEALTHY_AGE_S`] to be degraded.
pub const DEGRADED_AFTER_US: i64 = 5 * MINUTE_US;
/// How long it must have been healthy to be fresh again.
pub const RECOVERED_AFTER_US: i64 = 15 * MINUTE_US;
/// Longest time between two observations of which both are taken to hold in between. A longer silence is not health: the
/// healthy minutes begin anew.
pub const MAX_SILENCE_US: i64 = 2 * MINUTE_US;

/// What may be decided on gold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Freshness {
    /// Everything.
    #[default]
    Fresh,
    /// REVIEW alone: what shows a video to more people would act on numbers of the past.
    Degraded,
    /// Nothing.
    Stale,
}

impl Freshness {
    /// Every state.
    pub const ALL: [Freshness; 3] = [Self::Fresh, Self::Degraded, Self::Stale];

    /// Its name in answers and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Degraded => "degraded",
            Self::Stale => "stale",
        }
    }

    /// Whether such a decision may be emitted. NO_ACTION always may: nothing is emitted.
    pub fn allows(self, decision: DecisionType) -> bool {
        match (self, decision) {
            (_, DecisionType::NoAction) | (Self::Fresh, _) => true,
            (Self::Degraded, DecisionType::Review) => true,
            (Self::Degraded, DecisionType::Boost | DecisionType::Rescue) | (Self::Stale, _) => false,
        }
    }
}

/// What one observation says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Healthy,
    Slow,
    Lost,
}

impl Health {
    /// No age is a source outage, and so is one that is no number.
    fn of(age_p95_s: Option<f64>) -> Self {
        match age_p95_s {
            Some(age_s) if age_s <= HEALTHY_AGE_S => Self::Healthy,
            Some(age_s) if age_s <= STALE_AGE_S => Self::Slow,
            _ => Self::Lost,
        }
    }
}

/// An unbroken run of healthy observations, or of unhealthy ones. Slow and lost are one run: both are above 3 minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    is_healthy: bool,
    since_us: i64,
    newest_us: i64,
}

/// Follows the freshness. It begins as [`Freshness::Fresh`]: until something was observed, coverage and watermark alone
/// ([`crate::eligibility`]) hold decisions back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FreshnessMachine {
    state: Freshness,
    run: Option<Run>,
}

impl FreshnessMachine {
    /// Before the first observation.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the P95 of the age of gold (seconds from event to queryable row) at `at_us`; `None` while the source is out.
    /// A moment before the newest one counts as the newest: clocks that are set back don't undo anything. Returns the
    /// state from here on.
    pub fn observe(&mut self, at_us: i64, age_p95_s: Option<f64>) -> Freshness {
        let health = Health::of(age_p95_s);
        let run = self.extended_run(at_us, health == Health::Healthy);
        self.run = Some(run);
        let lasts_us = run.newest_us.saturating_sub(run.since_us);
        self.state = match (self.state, health) {
            (_, Health::Lost) => Freshness::Stale,
            (Freshness::Fresh, Health::Slow) if lasts_us >= DEGRADED_AFTER_US => Freshness::Degraded,
            (_, Health::Healthy) if lasts_us >= RECOVERED_AFTER_US => Freshness::Fresh,
            (unchanged, Health::Slow | Health::Healthy) => unchanged,
        };
        self.state
    }

    /// The state after the newest observation.
    pub fn state(&self) -> Freshness {
        self.state
    }

    fn extended_run(&self, at_us: i64, is_healthy: bool) -> Run {
        let anew = |at_us| Run { is_healthy, since_us: at_us, newest_us: at_us };
        let Some(run) = self.run else { return anew(at_us) };
        let newest_us = at_us.max(run.newest_us);
        let is_silence = newest_us.saturating_sub(run.newest_us) > MAX_SILENCE_US;
        if run.is_healthy != is_healthy || (is_healthy && is_silence) {
            return anew(newest_us);
        }
        Run { newest_us, ..run }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use Freshness::{Degraded, Fresh, Stale};

    const SECOND_US: i64 = 1_000_000;

    /// The state after each observation, made at these seconds.
    fn states<const N: usize>(observations: [(i64, Option<f64>); N]) -> [Freshness; N] {
        let mut machine = FreshnessMachine::new();
        observations.map(|(at_s, age_s)| machine.observe(at_s * SECOND_US, age_s))
    }

    /// Observes the same once a minute for so many minutes, both ends included, and says the moment of the last.
    fn hold(machine: &mut FreshnessMachine, from_us: i64, minutes: i64, age_s: Option<f64>) -> i64 {
        for minute in 0..=minutes {
            machine.observe(from_us + minute * MINUTE_US, age_s);
        }
        from_us + minutes * MINUTE_US
    }

    #[test]
    fn it_begins_fresh() {
        assert_eq!(FreshnessMachine::new().state(), Fresh);
        assert_eq!(states([(0, Some(180.0))]), [Fresh]);
    }

    #[test]
    fn five_minutes_above_three_are_degraded() {
        let slow = Some(180.1);
        assert_eq!(states([(0, slow), (299, slow), (300, slow)]), [Fresh, Fresh, Degraded]);
        // One healthy observation in between, and the five minutes begin anew.
        assert_eq!(states([(0, slow), (200, Some(180.0)), (210, slow), (509, slow)]), [Fresh; 4]);
        // Nobody has said that it became healthy during a silence.
        assert_eq!(states([(0, slow), (1_000, slow)]), [Fresh, Degraded]);
    }

    #[test]
    fn ten_minutes_or_no_source_are_stale_at_once() {
        assert_eq!(states([(0, Some(600.0))]), [Fresh]);
        for lost in [Some(600.1), None, Some(f64::NAN), Some(f64::INFINITY)] {
            assert_eq!(states([(0, lost)]), [Stale], "{lost:?}");
        }
        let mut machine = FreshnessMachine::new();
        let until_us = hold(&mut machine, 0, 5, Some(200.0));
        assert_eq!(machine.state(), Degraded);
        assert_eq!(machine.observe(until_us, None), Stale);
    }

    #[test]
    fn fifteen_healthy_minutes_recover_from_either() {
        for (from, age_s) in [(Degraded, Some(200.0)), (Stale, None)] {
            let mut machine = FreshnessMachine::new();
            let until_us = hold(&mut machine, 0, 5, age_s);
            assert_eq!(machine.state(), from);
            let healthy_us = hold(&mut machine, until_us + MINUTE_US, 14, Some(1.0));
            assert_eq!(machine.state(), from, "14 minutes");
            assert_eq!(machine.observe(healthy_us + MINUTE_US - 1, Some(1.0)), from);
            assert_eq!(machine.observe(healthy_us + MINUTE_US, Some(1.0)), Fresh);
        }
    }

    #[test]
    fn slow_is_no_recovery_from_stale() {
        let mut machine = FreshnessMachine::new();
        machine.observe(0, None);
        let until_us = hold(&mut machine, MINUTE_US, 60, Some(300.0));
        assert_eq!(machine.state(), Stale);
        hold(&mut machine, until_us, 10, Some(1.0));
        assert_eq!(machine.observe(until_us + 11 * MINUTE_US, Some(181.0)), Stale);
        hold(&mut machine, until_us + 12 * MINUTE_US, 14, Some(1.0));
        assert_eq!(machine.state(), Stale, "the healthy minutes begin anew");
    }

    #[test]
    fn silence_is_no_health() {
        let lost = (0, None);
        let healthy = Some(1.0);
        assert_eq!(states([lost, (60, healthy), (2_000, healthy)]), [Stale; 3]);
    }

    #[test]
    fn a_clock_that_is_set_back_undoes_nothing() {
        let slow = Some(200.0);
        assert_eq!(states([(1_000, slow), (10, slow), (1_300, slow)]), [Fresh, Fresh, Degraded]);
    }

    #[test]
    fn each_state_allows_what_the_contract_says() {
        let allowed = |state: Freshness| DecisionType::ALL.map(|decision| state.allows(decision));
        // NO_ACTION, BOOST, REVIEW, RESCUE.
        assert_eq!(allowed(Fresh), [true; 4]);
        assert_eq!(allowed(Degraded), [true, false, true, false]);
        assert_eq!(allowed(Stale), [true, false, false, false]);
        assert_eq!(Freshness::ALL.map(Freshness::as_str), ["fresh", "degraded", "stale"]);
    }

    fn any_age() -> impl Strategy<Value = Option<f64>> {
        prop_oneof![Just(None), (0.0_f64..1_000.0).prop_map(Some), Just(Some(180.0)), Just(Some(600.0))]
    }

    proptest! {
        #[test]
        fn after_15_healthy_minutes_it_is_always_fresh(
            history in proptest::collection::vec((0_i64..300, any_age()), 0..60),
            ages in proptest::collection::vec(0.0_f64..=180.0, 16),
        ) {
            let mut machine = FreshnessMachine::new();
            let mut at_us = 0;
            for (step_s, age_s) in history {
                at_us += step_s * SECOND_US;
                machine.observe(at_us, age_s);
            }
            for (minute, age_s) in (1..).zip(ages) {
                machine.observe(at_us + minute * MINUTE_US, Some(age_s));
            }
            prop_assert_eq!(machine.state(), Fresh);
        }

        /// The rules in their own words, over the whole history of observations a minute apart.
        #[test]
        fn the_state_is_what_the_history_says(ages in proptest::collection::vec(any_age(), 1..80)) {
            let mut machine = FreshnessMachine::new();
            for (minute, age_s) in (0..).zip(&ages) {
                machine.observe(minute * MINUTE_US, *age_s);
            }
            let is_healthy = |age: &Option<f64>| age.is_some_and(|age_s| age_s <= 180.0);
            let is_lost = |age: &Option<f64>| age.is_none_or(|age_s| age_s > 600.0);
            // What came before the last 15 healthy minutes is forgotten.
            let recovered = (16..=ages.len()).rev().find(|end| ages[end - 16..*end].iter().all(is_healthy));
            let since = &ages[recovered.unwrap_or(0)..];
            let expected = if since.iter().any(is_lost) {
                Stale
            } else if since.windows(6).any(|six| !six.iter().any(is_healthy)) {
                Degraded
            } else {
                Fresh
            };
            prop_assert_eq!(machine.state(), expected);
        }
    }
}
