//! What the scenarios that act on the ordinary traffic do to it in one block.
//!
//! A funnel is acted on by what is active in the block that it begins in, to its last event. What an effect draws comes
//! from streams of its own: everything that it doesn't change stays as it would be without it.

use crate::GeneratorConfig;
use crate::mix::{Role, trait_hash};
use crate::random::Chance;
use crate::spill::BLOCK_MS;
use crate::{Scenario, ScenarioKind};

/// What strength 1 means.
const LATE_SHARE: f64 = 0.1;
const OFFLINE_SHARE_OF_USERS: f64 = 0.1;
const RETRIED_SHARE: f64 = 0.3;
const BROKEN_SHARE_OF_USERS: f64 = 0.3;
const DRIFTED_SHARE_OF_USERS: f64 = 0.5;
const SKEWED_SHARE_OF_USERS: f64 = 0.1;
const MALFORMED_SHARE: f64 = 0.3;
/// No burst makes more of the records malformed.
const MOST_MALFORMED_SHARE: f64 = 0.9;

/// Users are offline for the first two minutes of each four.
const OFFLINE_CYCLE_MS: i64 = 240_000;
pub(crate) const OFFLINE_MS: i64 = 120_000;

const MINUTE_MS: i32 = 60_000;
const HOUR_MS: i32 = 60 * MINUTE_MS;

/// The effects in one block.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Effects {
    /// Events that arrive late one by one.
    pub(crate) late: Chance,
    /// Events that are sent twice.
    pub(crate) retried: Chance,
    /// Malformed records in proportion to the others.
    pub(crate) malformed_per_record: f64,
    offline: Chance,
    offline_since_ms: i64,
    broken: Chance,
    drifted: Chance,
    skewed: Chance,
}

/// What the effects make of one user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct UserEffects {
    pub(crate) is_offline: bool,
    pub(crate) is_broken: bool,
    pub(crate) form: Form,
    /// How far the client's clock is ahead; behind when negative.
    pub(crate) skew_ms: i32,
}

/// How a client writes an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Form {
    /// As the domain's example.
    #[default]
    Usual,
    /// Two more fields in the body.
    NewBodyFields,
    /// `watch_time_ms` is a float.
    WidenedType,
    /// `video_duration_ms` is called `duration_ms`.
    RenamedField,
    /// Two more fields in the header.
    NewHeaderFields,
    /// The body as text, the time as a number, no version: an old producer.
    OldProducer,
}

impl Form {
    const DRIFTED: [Form; 5] = [
        Self::NewBodyFields,
        Self::WidenedType,
        Self::RenamedField,
        Self::NewHeaderFields,
        Self::OldProducer,
    ];
}

impl Effects {
    /// What is active in a block. Strengths of scenarios of one kind add up.
    pub(crate) fn in_block(config: &GeneratorConfig, block: i64) -> Self {
        // Scenarios begin and end with whole seconds, as blocks do.
        let active = |scenario: &&Scenario| scenario.is_active(block * BLOCK_MS);
        if !config.scenarios.iter().any(|scenario| active(&scenario)) {
            return Self::default();
        }
        let of_kind =
            |kind| config.scenarios.iter().filter(active).filter(move |scenario| scenario.kind == kind);
        let strength = |kind| of_kind(kind).map(|scenario| scenario.strength).sum::<f64>();
        let share = |kind, at_strength_one: f64| (strength(kind) * at_strength_one).min(1.0);
        let malformed = share(ScenarioKind::InvalidPayloadBurst, MALFORMED_SHARE).min(MOST_MALFORMED_SHARE);
        let offline_since_s = of_kind(ScenarioKind::LateEvents).map(|scenario| scenario.start_s).min();
        Self {
            late: Chance::of(share(ScenarioKind::LateEvents, LATE_SHARE)),
            retried: Chance::of(share(ScenarioKind::Duplicates, RETRIED_SHARE)),
            malformed_per_record: malformed / (1.0 - malformed),
            offline: Chance::of(share(ScenarioKind::LateEvents, OFFLINE_SHARE_OF_USERS)),
            offline_since_ms: i64::from(offline_since_s.unwrap_or_default()) * 1_000,
            broken: Chance::of(share(ScenarioKind::BrokenClient, BROKEN_SHARE_OF_USERS)),
            drifted: Chance::of(share(ScenarioKind::SchemaDrift, DRIFTED_SHARE_OF_USERS)),
            skewed: Chance::of(share(ScenarioKind::ClockSkew, SKEWED_SHARE_OF_USERS)),
        }
    }

    /// What they make of a user. A stronger effect acts on the users that a weaker one acts on, and more.
    pub(crate) fn on_user(&self, seed: u64, user: u32) -> UserEffects {
        let bits_of = |role| trait_hash(seed, role, user.into());
        let falls_within = |chance: Chance, role| {
            let bits = bits_of(role);
            (!chance.is_never() && chance.hits((bits >> 32) as u32)).then_some(bits as u32)
        };
        UserEffects {
            is_offline: falls_within(self.offline, Role::Offline).is_some(),
            is_broken: falls_within(self.broken, Role::BrokenClient).is_some(),
            form: falls_within(self.drifted, Role::SchemaDrift)
                .map_or(Form::Usual, |bits| Form::DRIFTED[bits as usize % Form::DRIFTED.len()]),
            skew_ms: falls_within(self.skewed, Role::ClockSkew).map_or(0, skew_ms),
        }
    }

    /// How long the event of an offline user at this time (ms since the log's start) waits for the connection.
    pub(crate) fn offline_hold_ms(&self, event_ms: i64) -> i64 {
        let in_cycle_ms = (event_ms - self.offline_since_ms).rem_euclid(OFFLINE_CYCLE_MS);
        (OFFLINE_MS - in_cycle_ms).max(0)
    }
}

/// How wrong a clock is: a quarter of the wrong clocks each is up to 5 minutes ahead (which is accepted), hours ahead
/// (which is not), hours behind (a correction), and days behind (beyond the allowed lateness).
fn skew_ms(bits: u32) -> i32 {
    let (group, amount) = (bits % 4, (bits >> 2) as i32);
    // `amount` has 30 bits: never negative.
    match group {
        0 => MINUTE_MS / 2 + amount % (4 * MINUTE_MS),
        1 => HOUR_MS + amount % (5 * HOUR_MS),
        2 => -(HOUR_MS + amount % (19 * HOUR_MS)),
        _ => -(26 * HOUR_MS + amount % (22 * HOUR_MS)),
    }
}

/// An event whose client's clock is slower than this was skewed beyond the allowed lateness: the slow clocks within it
/// are at most 20 hours behind.
pub(crate) const BEYOND_LATENESS_MS: i32 = 25 * HOUR_MS;
/// An event whose client's clock is faster than this must be quarantined: the fast clocks that must not are at most 5
/// minutes ahead.
pub(crate) const AHEAD_OF_TOLERANCE_MS: i32 = 10 * MINUTE_MS;

#[cfg(test)]
mod tests {
    use super::*;

    fn config(texts: &[&str]) -> GeneratorConfig {
        let scenarios = texts.iter().map(|text| text.parse().unwrap()).collect();
        GeneratorConfig { scenarios, ..GeneratorConfig::default() }
    }

    #[test]
    fn effects_act_in_their_interval_and_strengths_add_up() {
        let config = config(&[
            "duplicates:start_s=10,length_s=5,strength=1",
            "duplicates:start_s=12,length_s=5,strength=0.5",
            "viral_high_quality",
        ]);
        let retried = |block| Effects::in_block(&config, block).retried;
        assert_eq!(Effects::in_block(&config, 9), Effects::default());
        assert_eq!(retried(10), Chance::of(0.3));
        assert_eq!(retried(12), Chance::of(0.3 * 1.5));
        assert_eq!(retried(16), Chance::of(0.15));
        assert_eq!(Effects::in_block(&config, 17), Effects::default());
        let burst = self::config(&["invalid_payload_burst:strength=100"]);
        assert!((Effects::in_block(&burst, 0).malformed_per_record - 9.0).abs() < 1e-9);
    }

    #[test]
    fn stronger_effects_act_on_the_same_users_and_more() {
        let broken_at = |strength: f64| {
            let effects = Effects::in_block(&config(&[&format!("broken_client:strength={strength}")]), 0);
            (1..5_000).filter(|&user| effects.on_user(42, user).is_broken).collect::<Vec<u32>>()
        };
        let (weak, strong) = (broken_at(0.5), broken_at(1.0));
        assert!(weak.iter().all(|user| strong.contains(user)));
        assert!((700..800).contains(&weak.len()) && (1_400..1_600).contains(&strong.len()));
        assert_eq!(broken_at(100.0).len(), 4_999);
    }

    #[test]
    fn wrong_clocks_are_in_four_groups_without_doubtful_ones() {
        let effects = Effects::in_block(&config(&["clock_skew:strength=10"]), 0);
        let mut groups = [0; 4];
        for user in 1..20_000 {
            let skew = effects.on_user(42, user).skew_ms;
            let group = match skew {
                30_000..=290_000 => 0,
                3_600_000..21_600_000 => 1,
                -72_000_000..=-3_600_000 => 2,
                -172_800_000..=-93_600_000 => 3,
                _ => panic!("{skew}"),
            };
            groups[group] += 1;
            assert_eq!(group == 1, skew > AHEAD_OF_TOLERANCE_MS);
            assert_eq!(group == 3, -skew > BEYOND_LATENESS_MS);
        }
        assert!(groups.iter().all(|&users| (4_700..5_300).contains(&users)), "{groups:?}");
    }

    #[test]
    fn who_is_offline_waits_for_the_end_of_the_phase() {
        let effects = Effects::in_block(&config(&["late_events:start_s=100"]), 100);
        for (event_ms, hold_ms) in
            [(100_000, 120_000), (219_999, 1), (220_000, 0), (339_999, 0), (340_000, 120_000)]
        {
            assert_eq!(effects.offline_hold_ms(event_ms), hold_ms);
        }
    }
}
