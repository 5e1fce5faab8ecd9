//! A scenario's timetable: when its phases are, and which generated logs are sent.
//!
//! A generated log has one rate. So each stretch of time with a rate of its own is a log of its own (another seed), sent
//! after the one before; event times stay what the generator made them. A run with one rate is one log from its first
//! record on: exactly the log that the embedded generator makes of the same settings. Where there are several, each begins
//! [`LEAD_S`] before its stretch, and only what lies in the stretch is sent: otherwise every stretch would begin with the
//! few events of a world where nobody has started to watch yet. `load.lead_s` sets another lead, also where there is one log
//! alone: what is held back for minutes then comes within seconds. What begins with the first event (`start_s=0`) begins
//! with the lead.

use pulselake_generator::{GeneratorConfig, Scenario as GeneratorScenario};

use super::{LoadPlan, Phase, PhaseKind, Scenario};

/// How long before its stretch a log begins, where there are several.
pub const LEAD_S: u32 = 120;
/// A ramp goes up (or down) in steps of this length.
const RAMP_STEP_S: u32 = 5;

/// When a phase is, in seconds since the first event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct PlannedPhase {
    pub name: String,
    pub kind: PhaseKind,
    pub from_s: u32,
    pub to_s: u32,
}

/// A stretch of time with one rate.
#[derive(Clone, Debug, PartialEq)]
pub struct Stretch {
    /// Its number, from 0: what its seed is told apart by.
    pub number: u32,
    /// Seconds since the first event.
    pub from_s: u32,
    /// Seconds.
    pub length_s: u32,
    /// Records per second.
    pub rate_per_s: f64,
    /// How long before it its log begins, seconds.
    pub lead_s: u32,
}

/// Phases, and what is sent in them. What a search sends is decided while it runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Timetable {
    /// All phases.
    pub phases: Vec<PlannedPhase>,
    /// All stretches, in order.
    pub stretches: Vec<Stretch>,
}

impl Timetable {
    /// Of a scenario.
    pub fn of(scenario: &Scenario) -> Self {
        let (mut phases, mut stretches) = (Vec::new(), Vec::new());
        let mut now_s = 0;
        for phase in &scenario.phases {
            let (from_s, to_s) = (now_s, now_s + phase.duration_s);
            phases.push(PlannedPhase { name: phase.name.clone(), kind: phase.kind, from_s, to_s });
            for (step_from_s, step_to_s, factor) in steps(phase, from_s) {
                push(&mut stretches, step_from_s, step_to_s, factor * scenario.load.rate_per_s);
            }
            now_s = to_s;
        }
        let has_several = stretches.len() > 1 || phases.iter().any(|phase| phase.kind == PhaseKind::Search);
        let lead_s = scenario.load.lead_s.unwrap_or(if has_several { LEAD_S } else { 0 });
        for stretch in &mut stretches {
            stretch.lead_s = lead_s;
        }
        Self { phases, stretches }
    }

    /// When the warm-up is over, seconds since the first event.
    pub fn warm_up_s(&self) -> u32 {
        let warm_ups = self.phases.iter().filter(|phase| phase.kind == PhaseKind::WarmUp);
        warm_ups.map(|phase| phase.to_s).max().unwrap_or(0)
    }
}

/// Parts of a phase with one rate each: begin, end, rate in proportion to the load's.
fn steps(phase: &Phase, from_s: u32) -> Vec<(u32, u32, f64)> {
    let to_s = from_s + phase.duration_s;
    match (phase.kind, phase.rate_to) {
        (PhaseKind::Search, _) => Vec::new(),
        (PhaseKind::Ramp, Some(rate_to)) => {
            let count = phase.duration_s.div_ceil(RAMP_STEP_S);
            let step = |number: u32| {
                let step_from_s = from_s + number * RAMP_STEP_S;
                // The rate that the ramp has in the middle of the step.
                let share = (f64::from(number) + 0.5) / f64::from(count);
                let rate = phase.rate + (rate_to - phase.rate) * share;
                (step_from_s, (step_from_s + RAMP_STEP_S).min(to_s), rate)
            };
            (0..count).map(step).collect()
        }
        _ => vec![(from_s, to_s, phase.rate)],
    }
}

/// Makes the last stretch longer where the rate stays, or begins another one.
fn push(stretches: &mut Vec<Stretch>, from_s: u32, to_s: u32, rate_per_s: f64) {
    let number = u32::try_from(stretches.len()).unwrap_or(u32::MAX);
    match stretches.last_mut() {
        Some(last) if last.rate_per_s == rate_per_s && last.from_s + last.length_s == from_s => {
            last.length_s = to_s - last.from_s;
        }
        _ => stretches.push(Stretch { number, from_s, length_s: to_s - from_s, rate_per_s, lead_s: 0 }),
    }
}

/// The generator's settings for a stretch of a run whose first event is meant for `start_ms` (milliseconds since the
/// epoch).
pub fn generator_config(load: &LoadPlan, stretch: &Stretch, start_ms: i64) -> GeneratorConfig {
    let log_start_s = i64::from(stretch.from_s) - i64::from(stretch.lead_s);
    GeneratorConfig {
        seed: load.seed.wrapping_add(stretch.number.into()),
        rate_per_s: stretch.rate_per_s,
        partitions: load.partitions,
        videos: load.videos,
        users: load.users,
        start_ms: start_ms + log_start_s * 1_000,
        invalid_ratio: load.invalid_ratio,
        duplicate_ratio: load.duplicate_ratio,
        late_ratio: load.late_ratio,
        scenarios: load
            .scenarios
            .iter()
            .map(|scenario| shifted(scenario, log_start_s, stretch.lead_s + stretch.length_s))
            .collect(),
        day_curve: load.day_curve,
    }
}

/// A generator's scenario whose times count from the run's start, for a log that begins `log_start_s` after it. One that is
/// over by then stays in the list, behind what is sent of the log: the number of its video follows from its place. One that
/// begins with the first record begins with the log, so that the world is like that from its beginning on.
fn shifted(scenario: &GeneratorScenario, log_start_s: i64, log_length_s: u32) -> GeneratorScenario {
    let start_s = i64::from(scenario.start_s) - log_start_s;
    let is_endless = scenario.length_s == 0;
    let end_s = start_s + i64::from(scenario.length_s);
    if !is_endless && end_s <= 0 {
        return GeneratorScenario { start_s: log_length_s.saturating_add(1), length_s: 1, ..*scenario };
    }
    let clipped_s = if scenario.start_s == 0 { 0 } else { start_s.max(0) };
    let length_s = if is_endless { 0 } else { end_s - clipped_s };
    let seconds = |value: i64| u32::try_from(value).unwrap_or(u32::MAX);
    GeneratorScenario { start_s: seconds(clipped_s), length_s: seconds(length_s), ..*scenario }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::scenario::file::parse;

    fn scenario(phases: &str) -> Scenario {
        let head = "name = \"x\"\ndescription = \"d\"\nload.rate_per_s = 100\n";
        parse(&format!("{head}phases = [{phases}]"), false).unwrap()
    }

    const WARM_UP: &str = r#"{ name = "w", kind = "warm_up", duration_s = 10 }"#;

    #[test]
    fn one_rate_is_one_log_from_its_start() {
        let steady = r#"{ name = "s", kind = "steady", duration_s = 20 }"#;
        let timetable = Timetable::of(&scenario(&format!("{WARM_UP}, {steady}")));
        let only = Stretch { number: 0, from_s: 0, length_s: 30, rate_per_s: 100.0, lead_s: 0 };
        assert_eq!((timetable.stretches.as_slice(), timetable.warm_up_s()), ([only].as_slice(), 10));
        assert_eq!((timetable.phases[1].from_s, timetable.phases[1].to_s), (10, 30));
        let load = scenario(WARM_UP_AND_STEADY).load;
        let config = generator_config(&load, &timetable.stretches[0], 5_000_000);
        assert_eq!((config.start_ms, config.seed), (5_000_000, load.seed));
    }

    #[test]
    fn a_single_log_may_have_a_lead_too() {
        let head = "name = \"x\"\ndescription = \"d\"\nload.lead_s = 240\n";
        let with_lead = parse(&format!("{head}phases = [{WARM_UP_AND_STEADY}]"), false).unwrap();
        let stretches = Timetable::of(&with_lead).stretches;
        assert_eq!((stretches.len(), stretches[0].lead_s, stretches[0].length_s), (1, 240, 30));
        assert_eq!(generator_config(&with_lead.load, &stretches[0], 1_000_000).start_ms, 760_000);
        assert!(with_lead.why_kafka().is_some());
    }

    const WARM_UP_AND_STEADY: &str = r#"{ name = "w", kind = "warm_up", duration_s = 10 }, { name = "s", kind = "steady", duration_s = 20 }"#;

    #[test]
    fn a_ramp_goes_in_steps_that_come_to_its_mean() {
        let ramp = r#"{ name = "r", kind = "ramp", duration_s = 18, rate = 1, rate_to = 3 }"#;
        let timetable = Timetable::of(&scenario(&format!("{WARM_UP}, {ramp}")));
        let rates: Vec<f64> = timetable.stretches.iter().map(|stretch| stretch.rate_per_s).collect();
        assert_eq!(rates, [100.0, 125.0, 175.0, 225.0, 275.0]);
        let last = timetable.stretches.last().unwrap();
        assert_eq!((last.from_s, last.length_s, last.number, last.lead_s), (25, 3, 4, LEAD_S));
        let config = generator_config(&scenario(WARM_UP_AND_STEADY).load, last, 1_000_000);
        assert_eq!((config.start_ms, config.seed), (1_000_000 + (25 - 120) * 1_000, 46));
    }

    #[test]
    fn scenarios_keep_their_place_and_their_time() {
        let of = |text: &str, log_start_s: i64| {
            shifted(&text.parse().unwrap(), log_start_s, 150).to_string().split_off("duplicates:".len())
        };
        // (scenario in run time, the log's start, scenario in log time)
        for (text, log_start_s, expected) in [
            ("start_s=60,length_s=30", -120, "start_s=180,length_s=30,strength=1"),
            ("start_s=60,length_s=30", 0, "start_s=60,length_s=30,strength=1"),
            ("start_s=60,length_s=30", 70, "start_s=0,length_s=20,strength=1"),
            ("start_s=60,length_s=30", 90, "start_s=151,length_s=1,strength=1"),
            ("start_s=60,length_s=0,strength=2", 90, "start_s=0,length_s=0,strength=2"),
            ("start_s=0,length_s=0", -120, "start_s=0,length_s=0,strength=1"),
            ("start_s=0,length_s=30", -120, "start_s=0,length_s=150,strength=1"),
            ("start_s=0,length_s=30", 10, "start_s=0,length_s=20,strength=1"),
        ] {
            assert_eq!(of(&format!("duplicates:{text}"), log_start_s), expected);
        }
    }
}
