//! Looks for the highest rate that the engine sustains: doubles until a rate is not sustained, then halves the gap; after a
//! failure the engine catches up before the next try.

use std::time::{Duration, Instant};

use chrono::Utc;

use super::course::Running;
use super::latencies::bronze_quantile;
use super::observer::{committed, progress};
use crate::lake_watch::LOOK_AGAIN;
use crate::load::outcome::Sample;
use crate::load::scenario::SearchPlan;
use crate::load::scenario::plan::{LEAD_S, PlannedPhase, Stretch};

/// From a decision to the first record of a try, seconds: its first records are made meanwhile, …
const PREPARE_S: i64 = 2;
/// … after those of its lead, of which a busy machine makes so many a second.
const LEAD_RECORDS_PER_S: f64 = 1e6;
/// What else than the latency a commit may take.
const SLACK_S: f64 = 5.0;
/// How long the engine may take to catch up after a failure.
const BACK_OFF: Duration = Duration::from_secs(300);
/// Sending that falls behind further has not made the rate.
const MAX_SEND_DELAY_S: f64 = 1.0;

/// One try.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Probe {
    pub(crate) rate_per_s: f64,
    /// Seconds since the first record.
    pub(crate) from_s: u32,
    pub(crate) to_s: u32,
    /// Why not; `None`: the rate was sustained.
    pub(crate) failure: Option<String>,
}

/// The highest rate that was sustained, records per second.
pub(crate) fn sustainable(probes: &[Probe]) -> Option<f64> {
    let sustained = probes.iter().filter(|probe| probe.failure.is_none());
    sustained.map(|probe| probe.rate_per_s).max_by(f64::total_cmp)
}

/// What is known of the rates so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Known {
    sustained_per_s: Option<f64>,
    failed_per_s: Option<f64>,
}

impl Known {
    fn add(&mut self, rate_per_s: f64, is_sustained: bool) {
        let known = if is_sustained { &mut self.sustained_per_s } else { &mut self.failed_per_s };
        *known = Some(rate_per_s);
    }

    /// The rate to be tried next; `None` when it is known well enough.
    fn next(&self, plan: &SearchPlan) -> Option<f64> {
        match (self.sustained_per_s, self.failed_per_s) {
            (None, None) => Some(plan.from_per_s),
            (Some(low), None) => (low < plan.to_per_s).then(|| (low * 2.0).min(plan.to_per_s)),
            // Down to a hundredth of where it began: below that something else is wrong.
            (None, Some(high)) => (high > plan.from_per_s / 100.0).then_some((high / 2.0).round()),
            (Some(low), Some(high)) => {
                (high - low > low * plan.precision).then(|| f64::midpoint(low, high).round())
            }
        }
    }
}

/// Searches within a phase: when it ended (seconds since the first record), and what was tried.
pub(crate) fn run(running: &mut Running<'_>, phase: &PlannedPhase) -> (u32, Vec<Probe>) {
    let plan = running.scenario.search.unwrap_or_default();
    let mut number = u32::try_from(running.setup.timetable.stretches.len()).unwrap_or(u32::MAX);
    let (mut known, mut probes) = (Known::default(), Vec::new());
    let lead_s = running.scenario.load.lead_s.unwrap_or(LEAD_S);
    running.wait_until(at_ms(running, phase.from_s) - prepare_s(plan.from_per_s, lead_s) * 1_000);
    while let Some(rate_per_s) = known.next(&plan) {
        let from_s = second_after(running, prepare_s(rate_per_s, lead_s)).max(phase.from_s);
        if from_s + plan.hold_s > phase.to_s {
            running.problems.push(format!(
                "the search had no time to try {rate_per_s} records/s: give its phase more than {} s",
                phase.to_s - phase.from_s
            ));
            break;
        }
        let stretch = Stretch { number, from_s, length_s: plan.hold_s, rate_per_s, lead_s };
        number += 1;
        let sent = running.send_stretch(&stretch);
        running.note("a try of the search", sent);
        running.wait_until(at_ms(running, settled_s(&stretch)));
        running.setup.feed.account().lock().recent_delay_ms = 0;
        running.wait_until(at_ms(running, from_s + plan.hold_s));
        let failure = judge(running, &plan, &stretch);
        known.add(rate_per_s, failure.is_none());
        if failure.is_some() {
            catch_up(running);
        }
        probes.push(Probe { rate_per_s, from_s, to_s: from_s + plan.hold_s, failure });
        if running.setup.feed.has_ended() {
            break;
        }
    }
    let last_s = probes.last().map_or(phase.from_s, |probe| probe.to_s);
    (last_s.max(phase.from_s + 1), probes)
}

fn at_ms(running: &Running<'_>, since_start_s: u32) -> i64 {
    running.setup.start_ms + i64::from(since_start_s) * 1_000
}

/// How long a try has to be prepared before its first record is due, seconds.
fn prepare_s(rate_per_s: f64, lead_s: u32) -> i64 {
    // A rate has few digits, and a lead lasts minutes.
    PREPARE_S + (rate_per_s * f64::from(lead_s) / LEAD_RECORDS_PER_S).ceil() as i64
}

/// The whole second that is `after_s` from now.
fn second_after(running: &Running<'_>, after_s: i64) -> u32 {
    let since_ms = Utc::now().timestamp_millis() - running.setup.start_ms;
    u32::try_from(since_ms.div_euclid(1_000) + after_s).unwrap_or(0)
}

/// From here on a try is judged: its first third is left to everybody to settle.
fn settled_s(stretch: &Stretch) -> u32 {
    stretch.from_s + stretch.length_s / 3
}

/// Why a rate was not sustained; `None` when it was.
fn judge(running: &mut Running<'_>, plan: &SearchPlan, stretch: &Stretch) -> Option<String> {
    let (from_s, to_s) = (settled_s(stretch), stretch.from_s + stretch.length_s);
    let behind_s = running.setup.feed.account().lock().recent_delay_ms as f64 / 1e3;
    if behind_s > MAX_SEND_DELAY_S {
        return Some(format!("sending fell {behind_s:.1} s behind: this machine can't make the rate"));
    }
    let growth = running.observer.ask(|samples| lag_growth(samples, from_s, to_s));
    let allowed = plan.max_lag_growth_s * stretch.rate_per_s;
    match growth {
        Some(growth) if growth > allowed => {
            return Some(format!("the lag grew by {growth:.0} records, {allowed:.0} are allowed"));
        }
        Some(_) => {}
        None => return Some("the engine did not say how many records it has taken".to_owned()),
    }
    let deadline = Instant::now() + Duration::from_secs_f64(plan.max_bronze_p95_s + SLACK_S);
    let p95_s = loop {
        let asked = running.setup.watch.ask(|commits| {
            let account = running.setup.feed.account().lock();
            let (topic, start_ms) = (&running.setup.topic, running.setup.start_ms);
            bronze_quantile(commits, topic, &account.sent, start_ms, (from_s, to_s), 0.95)
        });
        let asked = running.note("watching the tables", asked.and_then(|found| found));
        match asked {
            Some(Some(p95_s)) => break p95_s,
            Some(None) if Instant::now() < deadline => std::thread::sleep(LOOK_AGAIN),
            _ => return Some("records were not in bronze in time".to_owned()),
        }
    };
    let allowed_s = plan.max_bronze_p95_s;
    (p95_s > allowed_s).then(|| format!("95 % were in bronze after {p95_s:.1} s, {allowed_s} s are allowed"))
}

/// Mean lag (sent and not taken) in the second half of a time less that in its first half, records. `None` where one of
/// them has no sample.
fn lag_growth(samples: &[Sample], from_s: u32, to_s: u32) -> Option<f64> {
    let middle_s = f64::midpoint(from_s.into(), to_s.into());
    let mean = |from_s: f64, to_s: f64| {
        let within = samples.iter().filter(|sample| (from_s..to_s).contains(&sample.at_s));
        let lags: Vec<f64> = within.filter_map(|sample| Some(sample.lag_taken_records? as f64)).collect();
        (!lags.is_empty()).then(|| lags.iter().sum::<f64>() / lags.len() as f64)
    };
    Some(mean(middle_s, to_s.into())? - mean(from_s.into(), middle_s)?)
}

/// Waits until bronze has everything that is due by now. What was sent alone is no measure: where sending is behind, more
/// comes, and the next try would begin with it.
fn catch_up(running: &mut Running<'_>) {
    let deadline = Instant::now() + BACK_OFF;
    while Instant::now() < deadline {
        let has_all = running.setup.watch.ask(|commits| {
            let account = running.setup.feed.account().lock();
            let due = account.intended_by(Utc::now().timestamp_millis()).max(account.sent.count());
            committed(&account.sent, &progress(commits, &running.setup.topic)) >= due
        });
        match running.note("watching the tables", has_all) {
            // Records that can't be sent any more never come.
            Some(false) if !running.setup.feed.has_ended() => {
                running.wait_until(Utc::now().timestamp_millis() + 200);
            }
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(limit_per_s: f64, plan: &SearchPlan) -> (Vec<f64>, Known) {
        let (mut known, mut rates) = (Known::default(), Vec::new());
        while let Some(rate) = known.next(plan) {
            rates.push(rate);
            known.add(rate, rate <= limit_per_s);
            assert!(rates.len() < 100, "{rates:?}");
        }
        (rates, known)
    }

    #[test]
    fn a_limit_is_found_by_doubling_and_halving() {
        let plan =
            SearchPlan { from_per_s: 1_000.0, to_per_s: 1e6, precision: 0.05, ..SearchPlan::default() };
        let (rates, known) = tried(5_300.0, &plan);
        assert_eq!(rates, [1_000.0, 2_000.0, 4_000.0, 8_000.0, 6_000.0, 5_000.0, 5_500.0, 5_250.0]);
        assert_eq!(known, Known { sustained_per_s: Some(5_250.0), failed_per_s: Some(5_500.0) });
        // Below the first rate, above the last one, and nowhere.
        assert_eq!(tried(600.0, &plan).0, [1_000.0, 500.0, 750.0, 625.0, 563.0, 594.0, 610.0]);
        let (rates, known) = tried(1e9, &SearchPlan { to_per_s: 3_000.0, ..plan });
        assert_eq!((rates, known.sustained_per_s), (vec![1_000.0, 2_000.0, 3_000.0], Some(3_000.0)));
        assert_eq!(tried(0.0, &plan).1.sustained_per_s, None);
    }

    #[test]
    fn a_long_lead_at_a_high_rate_is_made_before_its_time() {
        assert_eq!(
            [(100.0, 0), (10_000.0, 120), (400_000.0, 120)].map(|(rate, lead)| prepare_s(rate, lead)),
            [2, 4, 50]
        );
    }

    #[test]
    fn a_lag_grows_from_half_to_half() {
        let sample =
            |at_s: f64, lag: Option<u64>| Sample { at_s, lag_taken_records: lag, ..Sample::default() };
        let samples: Vec<Sample> = (0..20)
            .map(|second| {
                sample(f64::from(second), (second % 2 == 0).then_some(u64::from(second as u32) * 10))
            })
            .collect();
        // Even seconds from 4 to 8, and from 8 to 12.
        assert_eq!(lag_growth(&samples, 4, 12), Some(40.0));
        assert_eq!(lag_growth(&samples, 1, 2), None);
    }

    #[test]
    fn the_highest_sustained_rate_counts() {
        let probe = |rate_per_s: f64, failure: Option<&str>| Probe {
            rate_per_s,
            from_s: 0,
            to_s: 1,
            failure: failure.map(str::to_owned),
        };
        let probes =
            [probe(10.0, None), probe(20.0, Some("lag")), probe(15.0, None), probe(17.0, Some("lag"))];
        assert_eq!((sustainable(&probes), sustainable(&probes[1..2])), (Some(15.0), None));
    }
}
