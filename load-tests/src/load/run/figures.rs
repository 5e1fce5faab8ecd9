//! The figures of a run by their names, and how its limits are met.

use std::collections::BTreeMap;

use super::course::Course;
use super::observer::live_files;
use super::search::sustainable;
use crate::load::outcome::{LatencyOutcome, LimitOutcome, Sample};
use crate::load::scenario::figures::figure;
use crate::statistics::{Trend, mib, rounded};

/// Names of the latencies' paths, and how their figures begin.
pub(crate) const PATHS: [(&str, &str); 3] =
    [("event_to_bronze", "bronze"), ("window_end_to_gold", "gold"), ("change_to_dimension", "changes")];

/// Everything that could be measured.
pub(crate) fn figures(
    course: &Course,
    latencies: &BTreeMap<String, LatencyOutcome>,
    warm_up_s: u32,
) -> BTreeMap<String, f64> {
    let mut figures = BTreeMap::new();
    let mut put = |name: &str, value: Option<f64>, decimals: i32| {
        if let Some(value) = value.filter(|value| value.is_finite()) {
            figures.insert(name.to_owned(), rounded(value, decimals));
        }
    };
    for (path, name) in PATHS {
        let Some(whole) = latencies.get(path).map(|latency| &latency.whole) else { continue };
        for (share, seconds) in
            [("p50", whole.p50_s), ("p95", whole.p95_s), ("p99", whole.p99_s), ("max", whole.max_s)]
        {
            put(&format!("{name}_{share}_s"), Some(seconds), 3);
        }
    }
    for (share, quantile) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)] {
        put(&format!("board_{share}_s"), course.event_to_board.quantile(quantile), 3);
    }
    let (sent, delay_ms) = {
        let account = course.setup.feed.account().lock();
        (account.sent.count() as f64, account.worst_delay_ms)
    };
    let sent_s = f64::from(course.phases.iter().map(|phase| phase.to_s).max().unwrap_or(0));
    let cpu_s = course.usage[1].cpu_s - course.usage[0].cpu_s;
    put("cpu_s_per_million", (sent > 0.0).then(|| cpu_s / sent * 1e6), 3);
    put("cpu_share_of_a_core", (sent_s > 0.0).then(|| cpu_s / sent_s), 3);
    put("peak_resident_mib", Some(mib(course.setup.fleet.usage().peak_bytes)), 1);
    put("sent_per_s", (sent_s > 0.0).then(|| sent / sent_s), 1);
    put("committed_per_s", course.drain_s.map(|drain_s| sent / (sent_s + drain_s)), 1);
    put("drain_s", course.drain_s, 2);
    if course.setup.brokers.is_some() {
        put("send_delay_max_s", Some(delay_ms as f64 / 1e3), 3);
    }
    // The last one only closed the windows.
    put("engine_starts", Some(f64::from(course.setup.fleet.started().saturating_sub(1))), 0);
    put("live_files", Some(live_files(&course.commits) as f64), 0);
    let recoveries: Option<Vec<f64>> =
        course.faults.outcomes.iter().map(|fault| fault.recovered_after_s).collect();
    // One that never came must not look like a quick one.
    put("recovery_s", recoveries.and_then(|all| all.into_iter().max_by(f64::total_cmp)), 2);
    put("sustainable_rate_per_s", sustainable(&course.probes), 0);
    for (name, value) in of_samples(&course.samples, f64::from(warm_up_s), sent_s) {
        put(name, value, 1);
    }
    if course.setup.place.warehouse_directory().is_some() {
        put("warehouse_mib", course.samples.last().map(|sample| mib(sample.warehouse_bytes)), 1);
    }
    figures
}

/// Figures that follow from the samples between the warm-up and the last record sent.
fn of_samples(samples: &[Sample], from_s: f64, to_s: f64) -> [(&'static str, Option<f64>); 5] {
    let flowing: Vec<&Sample> =
        samples.iter().filter(|sample| sample.at_s >= from_s && sample.at_s <= to_s).collect();
    let trend =
        |of: fn(&Sample) -> f64| Trend::of(&flowing.iter().map(|sample| of(sample)).collect::<Vec<_>>());
    // While no process runs there is no memory to grow.
    let resident: Vec<f64> =
        flowing.iter().map(|sample| sample.resident_mib).filter(|resident| *resident > 0.0).collect();
    let lag = trend(|sample| sample.lag_committed_records as f64);
    let files = Trend::of(
        &flowing[flowing.len() / 3..].iter().map(|sample| sample.live_files as f64).collect::<Vec<_>>(),
    );
    [
        ("resident_growth_mib", Trend::of(&resident).map(|trend| trend.growth)),
        ("lag_growth_records", lag.map(|trend| trend.growth)),
        ("lag_max_records", lag.map(|trend| trend.max)),
        ("lag_end_records", lag.map(|trend| trend.last)),
        ("live_files_growth", files.map(|trend| trend.growth)),
    ]
}

/// How the limits are met.
pub(crate) fn limits(limits: &BTreeMap<String, f64>, figures: &BTreeMap<String, f64>) -> Vec<LimitOutcome> {
    let judge = |(name, limit): (&String, &f64)| {
        // Names are checked when a scenario is read.
        let side = figure(name)?.side;
        let measured = figures.get(name).copied();
        Some(LimitOutcome {
            name: name.clone(),
            side: side.as_str().to_owned(),
            limit: *limit,
            measured,
            met: side.is_met(measured, *limit),
        })
    };
    limits.iter().filter_map(judge).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_before_and_after_do_not_count() {
        let sample = |second: u64, lag: u64, resident_mib: f64| Sample {
            at_s: second as f64,
            lag_committed_records: lag,
            resident_mib,
            live_files: second,
            ..Sample::default()
        };
        let mut samples = vec![sample(0, 9_999, 900.0), sample(1, 9_999, 900.0)];
        samples.extend((2..=10).map(|second| sample(second, second * 10, second as f64)));
        samples[5].resident_mib = 0.0;
        samples.push(sample(11, 0, 1.0));
        let found = BTreeMap::from(of_samples(&samples, 2.0, 10.0));
        // 2, 3, 4 against 8, 9, 10; without the second in which nothing ran, 2 and 3 against 9 and 10.
        assert_eq!(found["lag_growth_records"], Some(60.0));
        assert_eq!((found["lag_max_records"], found["lag_end_records"]), (Some(100.0), Some(100.0)));
        assert_eq!(found["resident_growth_mib"], Some(7.0));
        // 5 and 6 against 9 and 10.
        assert_eq!(found["live_files_growth"], Some(4.0));
        assert!(of_samples(&samples[..1], 2.0, 10.0).iter().all(|(_, value)| value.is_none()));
    }

    #[test]
    fn limits_have_the_side_of_their_figure() {
        let wanted = [("bronze_p95_s", 2.0), ("gold_p95_s", 9.0), ("sustainable_rate_per_s", 100.0)];
        let wanted = BTreeMap::from(wanted.map(|(name, limit)| (name.to_owned(), limit)));
        let measured = [("bronze_p95_s", 1.0), ("sustainable_rate_per_s", 90.0)];
        let measured = BTreeMap::from(measured.map(|(name, value)| (name.to_owned(), value)));
        let judged = limits(&wanted, &measured);
        let told: Vec<(&str, &str, Option<f64>, bool)> = judged
            .iter()
            .map(|limit| (limit.name.as_str(), limit.side.as_str(), limit.measured, limit.met))
            .collect();
        assert_eq!(
            told,
            [
                ("bronze_p95_s", "at_most", Some(1.0), true),
                ("gold_p95_s", "at_most", None, false),
                ("sustainable_rate_per_s", "at_least", Some(90.0), false),
            ]
        );
    }
}
