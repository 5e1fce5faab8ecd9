//! Whether a run has sent what its scenario says, in time, and seen all of it again: a run that has not says nothing about
//! the engine, however good its figures look.

use crate::load::faults::plan::Target;
use crate::load::scenario::plan::{Stretch, Timetable};
use crate::load::scenario::{PhaseKind, Scenario};

/// The least share of the planned records: rates are means, and events that are held back come later.
const LEAST_SHARE: f64 = 0.8;
/// A log that is sent from its first second on begins with a world in which hardly anybody watches yet. Measured at 300,
/// 500 and 2,000 records/s: 55 % of the rate in the first second, 95 % after 20 s, and about 4 s of records too few until
/// then.
const COLD_START_S: u32 = 5;
/// Sending that falls behind further is not open loop any more.
const MAX_SEND_DELAY_MS: i64 = 5_000;
/// Short forms are run side by side, and without optimisation.
const MAX_SHORT_SEND_DELAY_MS: i64 = 15_000;

/// What a run has sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SentSoMuch {
    /// Records in all.
    pub(crate) records: u64,
    /// Of these, those due after the warm-up.
    pub(crate) after_warm_up: u64,
    /// Of the latter, those that have a latency: they could be read.
    pub(crate) seen: u64,
    /// The furthest that sending fell behind, milliseconds; `None` where the engine makes the records itself.
    pub(crate) worst_delay_ms: Option<i64>,
}

/// One sentence for each reason to doubt the run.
pub(crate) fn problems(
    scenario: &Scenario,
    timetable: &Timetable,
    is_short: bool,
    sent: SentSoMuch,
) -> Vec<String> {
    if sent.records == 0 {
        return vec!["no record was sent".to_owned()];
    }
    let mut problems = Vec::new();
    // With a day curve the rate of a few minutes is whatever the hour makes of it.
    let least = LEAST_SHARE * planned_records(timetable);
    if scenario.load.day_curve == 0.0 && (sent.records as f64) < least {
        problems.push(format!(
            "{} records were sent: the rates of the phases come to {least:.0} at the least",
            sent.records
        ));
    }
    if sent.seen != sent.after_warm_up {
        problems.push(format!(
            "latencies are known of {} of the {} records that were due after the warm-up",
            sent.seen, sent.after_warm_up
        ));
    }
    // A producer can't send while the broker is away, and a search goes up to what can't be sent.
    let may_wait = scenario.faults.touches(Target::Broker)
        || scenario.phases.iter().any(|phase| phase.kind == PhaseKind::Search);
    let allowed_ms = if is_short { MAX_SHORT_SEND_DELAY_MS } else { MAX_SEND_DELAY_MS };
    if let Some(delay_ms) = sent.worst_delay_ms.filter(|delay_ms| !may_wait && *delay_ms > allowed_ms) {
        problems.push(format!(
            "sending fell {delay_ms} ms behind, {allowed_ms} ms are allowed: the load was not what the scenario says"
        ));
    }
    problems
}

/// Records that the stretches with a rate known beforehand come to, without what a cold start leaves out.
fn planned_records(timetable: &Timetable) -> f64 {
    let of = |(index, stretch): (usize, &Stretch)| {
        let cold_s = if index == 0 && stretch.lead_s == 0 { COLD_START_S } else { 0 };
        stretch.rate_per_s * f64::from(stretch.length_s.saturating_sub(cold_s))
    };
    timetable.stretches.iter().enumerate().map(of).sum()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use pulselake_generator::count_events;

    use super::*;
    use crate::load::scenario::file::{find, parse};
    use crate::load::scenario::plan::generator_config;

    const GOOD: SentSoMuch =
        SentSoMuch { records: 10_000, after_warm_up: 9_000, seen: 9_000, worst_delay_ms: Some(900) };

    /// 15 s at 1,000 records/s: 8,000 at the least.
    fn scenario(more: &str) -> Scenario {
        let phases = r#"phases = [{ name = "s", kind = "steady", duration_s = 15 }]"#;
        parse(&format!("name = \"x\"\ndescription = \"d\"\nload.rate_per_s = 1000\n{phases}\n{more}"), false)
            .unwrap()
    }

    fn told(scenario: &Scenario, is_short: bool, sent: SentSoMuch) -> Vec<String> {
        problems(scenario, &Timetable::of(scenario), is_short, sent)
    }

    #[test]
    fn each_lack_is_a_problem_of_its_own() {
        let steady = scenario("");
        assert_eq!(told(&steady, false, GOOD), Vec::<String>::new());
        for (sent, expected) in [
            (SentSoMuch { records: 0, ..GOOD }, "no record was sent"),
            (SentSoMuch { records: 7_999, ..GOOD }, "come to 8000 at the least"),
            (SentSoMuch { seen: 8_999, ..GOOD }, "known of 8999 of the 9000"),
            (SentSoMuch { seen: 9_001, ..GOOD }, "known of 9001 of the 9000"),
            (SentSoMuch { worst_delay_ms: Some(5_001), ..GOOD }, "5001 ms behind"),
        ] {
            let told = told(&steady, false, sent);
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(told[0].contains(expected), "{expected:?} is not in {told:?}");
        }
        for sent in [SentSoMuch { worst_delay_ms: None, ..GOOD }, SentSoMuch { records: 8_000, ..GOOD }] {
            assert_eq!(told(&steady, false, sent), Vec::<String>::new());
        }
    }

    #[test]
    fn what_explains_a_lack_excuses_it() {
        let few = SentSoMuch { records: 3_000, ..GOOD };
        assert_eq!(told(&scenario("load.day_curve = 1"), false, few), Vec::<String>::new());
        let late = SentSoMuch { worst_delay_ms: Some(14_000), ..GOOD };
        assert_eq!(told(&scenario(""), true, late), Vec::<String>::new());
        let fault = "faults = [{ kind = \"broker_restart\", at_s = 5, duration_s = 2 }]";
        assert_eq!(told(&scenario(fault), false, late), Vec::<String>::new());
    }

    /// The constants fit the generator: short forms without traffic on top send enough, and half of it would not do.
    #[test]
    fn a_whole_log_is_enough_and_half_of_one_is_not() {
        for name in ["steady-1k", "steady-10k", "kill-loop", "cdc-churn"] {
            let scenario = find(name, true).unwrap();
            let timetable = Timetable::of(&scenario);
            let stretch = &timetable.stretches[0];
            let config = generator_config(&scenario.load, stretch, 1_770_000_000_000);
            let (from_s, to_s) = (stretch.lead_s.into(), (stretch.lead_s + stretch.length_s).into());
            let records = count_events(Arc::new(config), from_s, to_s).unwrap().records;
            for (records, is_enough) in [(records, true), (records / 2, false)] {
                let found = problems(&scenario, &timetable, true, SentSoMuch { records, ..GOOD });
                assert_eq!(found.is_empty(), is_enough, "{name}: {records} records: {found:?}");
            }
        }
    }
}
