//! A decision that is acted upon: with an id, and a moment at which it is no longer good.

use uuid::Uuid;

use crate::{DecisionType, MINUTE_US, Metrics30m, ReasonCode, Rules, Verdict};

/// Namespace of the ids of actions: UUID v5 of `pulselake.action` in the namespace of domain names.
const NAMESPACE: Uuid = Uuid::from_u128(0x6356_ac01_1b96_5c4d_85b2_9716_b410_e6fd);

/// One action. Moments are microseconds since the epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct Action {
    /// See [`action_id`].
    pub action_id: Uuid,
    /// The video.
    pub video_id: String,
    /// BOOST, REVIEW or RESCUE.
    pub decision: DecisionType,
    /// The minute that was decided about: the last of the 30.
    pub window_start_us: i64,
    /// When it was decided.
    pub decided_at_us: i64,
    /// From here on it must not be carried out any more.
    pub expires_at_us: i64,
    /// Version of the rules.
    pub rule_version: String,
    /// What it was decided on.
    pub metrics: Metrics30m,
    /// Why.
    pub reasons: Vec<ReasonCode>,
}

impl Action {
    /// The action that a verdict about a video's minute calls for; `None` for NO_ACTION, which is never stored.
    pub fn new(
        rules: &Rules,
        video_id: &str,
        window_start_us: i64,
        metrics: Metrics30m,
        verdict: Verdict,
        decided_at_us: i64,
    ) -> Option<Self> {
        let expiry_us = match verdict.decision {
            DecisionType::NoAction => return None,
            DecisionType::Boost => rules.boost_expiry_us,
            DecisionType::Review => rules.review_expiry_us,
            DecisionType::Rescue => rules.rescue_expiry_us,
        };
        Some(Self {
            action_id: action_id(video_id, window_start_us, &rules.version),
            video_id: video_id.to_owned(),
            decision: verdict.decision,
            window_start_us,
            decided_at_us,
            expires_at_us: decided_at_us + expiry_us,
            rule_version: rules.version.clone(),
            metrics,
            reasons: verdict.reasons,
        })
    }

    /// End of the minute that was decided about.
    pub fn window_end_us(&self) -> i64 {
        self.window_start_us + MINUTE_US
    }
}

/// The id of the action for a video's window under a version of the rules: UUID v5 (RFC 9562) of
/// `<window_start_us>/<bytes of the version>/<version>/<video_id>`. The same arguments always give the same id, so that a
/// decision that is taken again after a restart is the same action; the length keeps other arguments from spelling
/// the same name.
pub fn action_id(video_id: &str, window_start_us: i64, rule_version: &str) -> Uuid {
    let name = format!("{window_start_us}/{}/{rule_version}/{video_id}", rule_version.len());
    Uuid::new_v5(&NAMESPACE, name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_namespace_is_the_named_one() {
        assert_eq!(NAMESPACE, Uuid::new_v5(&Uuid::NAMESPACE_DNS, b"pulselake.action"));
    }

    #[test]
    fn ids_are_the_same_for_ever() {
        let id = action_id("v_1023", 1_770_458_400_000_000, "rules-1");
        assert_eq!(id.to_string(), "a18195ad-af50-5e5b-b9af-caa50ea271c6");
        for other in [
            action_id("v_1024", 1_770_458_400_000_000, "rules-1"),
            action_id("v_1023", 1_770_458_460_000_000, "rules-1"),
            action_id("v_1023", 1_770_458_400_000_000, "rules-2"),
        ] {
            assert_ne!(id, other);
        }
    }

    #[test]
    fn no_two_arguments_spell_the_same_name() {
        assert_ne!(action_id("b/c", 1, "a"), action_id("c", 1, "a/b"));
    }

    #[test]
    fn each_decision_has_its_expiry() {
        let expiry_min = |decision| {
            let verdict = Verdict { decision, reasons: Vec::new(), waits_for_plays: false };
            let action =
                Action::new(&Rules::default(), "v_1", 0, Metrics30m::default(), verdict, 7 * MINUTE_US)?;
            assert_eq!((action.decided_at_us, action.window_end_us()), (7 * MINUTE_US, MINUTE_US));
            Some((action.expires_at_us - action.decided_at_us) / MINUTE_US)
        };
        assert_eq!(DecisionType::ALL.map(expiry_min), [None, Some(15), Some(30), Some(30)]);
    }
}
