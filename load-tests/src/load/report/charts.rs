//! Which charts a run has: a latency for each path, throughput, lag, CPU, memory and files.

use super::axis::Spacing;
use super::chart::{Chart, LimitMark, Line};
use super::thinning::Point;
use crate::load::outcome::{LatencyOutcome, Percentiles, RunOutcome, Sample};
use crate::load::series::{RATE_WINDOW_S, rates};

/// The paths with their titles, and what names of limits about them begin with.
pub(crate) const PATHS: [(&str, &str, &str); 3] = [
    ("event_to_bronze", "Event to bronze", "bronze_"),
    ("window_end_to_gold", "End of window to gold", "gold_"),
    ("change_to_dimension", "Change to dimension", "dimension_"),
];

/// How a path is called; its own name if it is none of [`PATHS`].
pub(crate) fn path_title(path: &str) -> &str {
    PATHS.iter().find(|(known, ..)| *known == path).map_or(path, |(_, title, _)| title)
}

/// All charts of a run, those first that matter most. What was never measured (no change feed, a warehouse that is not
/// local) has none.
pub(crate) fn charts(outcome: &RunOutcome) -> Vec<Chart> {
    let mut charts = latency_charts(outcome);
    charts.push(throughput(outcome));
    charts.push(lag(outcome));
    charts.push(cpu(outcome));
    charts.push(memory(outcome));
    charts
        .push(single(outcome, "Live data files", "tables", "files", |sample| Some(sample.live_files as f64)));
    if outcome.samples.iter().any(|sample| sample.warehouse_bytes > 0) {
        charts.push(single(outcome, "Warehouse on disk", "tables", "MiB", |sample| {
            Some(sample.warehouse_bytes as f64 / f64::from(1 << 20))
        }));
    }
    charts
}

/// Known paths in their order, then others.
fn latency_charts(outcome: &RunOutcome) -> Vec<Chart> {
    let known = PATHS.iter().map(|(path, ..)| *path);
    let others =
        outcome.latencies.keys().map(String::as_str).filter(|path| !known.clone().any(|k| k == *path));
    let paths = known.clone().chain(others);
    let found = paths.filter_map(|path| Some((path, outcome.latencies.get(path)?)));
    found
        .filter(|(_, latency)| latency.intervals.iter().any(|interval| interval.percentiles.count > 0))
        .map(|(path, latency)| latency_chart(outcome, path, latency))
        .collect()
}

fn latency_chart(outcome: &RunOutcome, path: &str, latency: &LatencyOutcome) -> Chart {
    let line = |name: &str, class, value: fn(&Percentiles) -> f64| {
        let points = latency.intervals.iter().map(|interval| {
            let middle_s = interval.from_s + latency.interval_s / 2.0;
            (middle_s, (interval.percentiles.count > 0).then(|| value(&interval.percentiles)))
        });
        Line { name: name.to_owned(), class, points: points.collect() }
    };
    let is_first = path == PATHS[0].0;
    Chart {
        title: format!("Latency: {}", path_title(path).to_lowercase()),
        note: format!("percentiles of each {} s of intended time", latency.interval_s),
        unit: "s",
        spacing: Spacing::Logarithmic,
        is_wide: is_first,
        lines: vec![
            line("p50", "s1", |percentiles| percentiles.p50_s),
            line("p95", "s2", |percentiles| percentiles.p95_s),
            line("p99", "s3", |percentiles| percentiles.p99_s),
            line("max", "s4", |percentiles| percentiles.max_s),
        ],
        limits: latency_limits(outcome, path),
    }
}

/// Limits of a path's percentiles: `event_to_bronze_p95_s`, or `bronze_p95_s` for short.
fn latency_limits(outcome: &RunOutcome, path: &str) -> Vec<LimitMark> {
    let short = PATHS.iter().find(|(known, ..)| *known == path).map(|(_, _, short)| *short);
    let is_percentile = |rest: &str| {
        ["p50_s", "p90_s", "p95_s", "p99_s", "p999_s", "max_s"].contains(&rest.trim_start_matches('_'))
    };
    let of_path = |name: &str| {
        let rest = name.strip_prefix(path).or_else(|| name.strip_prefix(short?));
        rest.is_some_and(is_percentile)
    };
    let limits = outcome.limits.iter().filter(|limit| of_path(&limit.name));
    limits.map(|limit| LimitMark { name: limit.name.clone(), value: limit.limit }).collect()
}

fn throughput(outcome: &RunOutcome) -> Chart {
    let line = |name: &str, class, total: fn(&Sample) -> u64| Line {
        name: name.to_owned(),
        class,
        points: rates(&outcome.samples, |sample| total(sample) as f64),
    };
    Chart {
        title: "Throughput".to_owned(),
        note: format!("means over {RATE_WINDOW_S} s"),
        unit: "events/s",
        spacing: Spacing::Linear,
        is_wide: false,
        lines: vec![
            line("committed", "s1", |sample| sample.committed_records),
            line("sent", "s2", |sample| sample.sent_events),
            line("intended", "s4", |sample| sample.intended_events),
        ],
        limits: Vec::new(),
    }
}

fn lag(outcome: &RunOutcome) -> Chart {
    let line = |name: &str, class, value: fn(&Sample) -> Option<u64>| Line {
        name: name.to_owned(),
        class,
        points: points(outcome, |sample| value(sample).map(|records| records as f64)),
    };
    Chart {
        title: "Lag".to_owned(),
        note: "sent, and not yet there; a gap: the engine does not answer".to_owned(),
        unit: "records",
        spacing: Spacing::Linear,
        is_wide: false,
        lines: vec![
            line("to commit", "s1", |sample| Some(sample.lag_committed_records)),
            line("to take", "s2", |sample| sample.lag_taken_records),
        ],
        limits: Vec::new(),
    }
}

fn cpu(outcome: &RunOutcome) -> Chart {
    Chart {
        title: "CPU".to_owned(),
        note: format!(
            "of the engine, means over {RATE_WINDOW_S} s; the machine has {}",
            outcome.machine.cores
        ),
        unit: "cores",
        spacing: Spacing::Linear,
        is_wide: false,
        lines: vec![Line {
            name: "engine".to_owned(),
            class: "s1",
            points: rates(&outcome.samples, |sample| sample.engine_cpu_s),
        }],
        limits: Vec::new(),
    }
}

fn memory(outcome: &RunOutcome) -> Chart {
    // 0: there is no process.
    let resident = |sample: &Sample| (sample.resident_mib > 0.0).then_some(sample.resident_mib);
    single(outcome, "Resident memory", "engine", "MiB", resident)
}

fn single(
    outcome: &RunOutcome,
    title: &str,
    line: &str,
    unit: &'static str,
    value: impl Fn(&Sample) -> Option<f64>,
) -> Chart {
    Chart {
        title: title.to_owned(),
        note: String::new(),
        unit,
        spacing: Spacing::Linear,
        is_wide: false,
        lines: vec![Line { name: line.to_owned(), class: "s1", points: points(outcome, value) }],
        limits: Vec::new(),
    }
}

fn points(outcome: &RunOutcome, value: impl Fn(&Sample) -> Option<f64>) -> Vec<Point> {
    outcome.samples.iter().map(|sample| (sample.at_s, value(sample))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::example;

    #[test]
    fn what_was_not_measured_has_no_chart() {
        let mut outcome = example::steady(1);
        let titles = |outcome: &RunOutcome| -> Vec<String> {
            charts(outcome).into_iter().map(|chart| chart.title).collect()
        };
        assert!(titles(&outcome).contains(&"Warehouse on disk".to_owned()));
        assert_eq!(titles(&outcome)[0], "Latency: event to bronze");
        for sample in &mut outcome.samples {
            sample.warehouse_bytes = 0;
        }
        outcome.latencies.remove("event_to_bronze");
        assert!(!titles(&outcome).contains(&"Warehouse on disk".to_owned()));
        assert_eq!(titles(&outcome)[0], "Latency: end of window to gold");
    }

    #[test]
    fn memory_and_lag_break_while_there_is_no_engine() {
        let outcome = example::with_faults(1);
        for chart in charts(&outcome).into_iter().filter(|chart| chart.title == "Resident memory") {
            assert!(chart.lines[0].points.iter().any(|point| point.1.is_none()));
        }
    }

    #[test]
    fn limits_stand_in_the_chart_of_their_path() {
        let outcome = example::steady(1);
        let names =
            |path| latency_limits(&outcome, path).into_iter().map(|limit| limit.name).collect::<Vec<_>>();
        assert_eq!(names("event_to_bronze"), ["bronze_p95_s", "bronze_p99_s"]);
        assert_eq!(names("window_end_to_gold"), ["gold_p95_s"]);
    }
}
