//! A reconciliation as metrics, for node_exporter's textfile collector.

use std::fmt::Write as _;

use chrono::NaiveTime;

use super::metrics_file::head;
use super::reconcile::{MetricDifference, Reconciliation};

/// One family: name, help, and the value of a metric.
type Family = (&'static str, &'static str, fn(&MetricDifference) -> f64);

/// What there is for each metric.
const FAMILIES: [Family; 4] = [
    (
        "pulselake_reconciliation_status",
        "Real time against batch on the newest reconciled day: 0 PASS, 1 WARN, 2 CRIT.",
        |metric| f64::from(metric.status.as_number()),
    ),
    (
        "pulselake_reconciliation_p95_difference",
        "95th percentile of the differences of the day's minutes.",
        |metric| metric.p95_difference,
    ),
    ("pulselake_reconciliation_max_difference", "Largest difference of a minute.", |metric| {
        metric.max_difference
    }),
    ("pulselake_reconciliation_threshold", "What the 95th percentile may be.", |metric| metric.threshold),
];

/// The text that Prometheus reads.
pub fn text(day: &Reconciliation) -> String {
    let mut text = String::new();
    for (name, help, value_of) in FAMILIES {
        head(&mut text, name, help);
        for metric in &day.metrics {
            // Writing to a text can't fail.
            let _ = writeln!(text, "{name}{{metric=\"{}\"}} {}", metric.metric_name, value_of(metric));
        }
    }
    let day_start_s = day.date.and_time(NaiveTime::MIN).and_utc().timestamp();
    for (name, help, value) in [
        ("pulselake_reconciled_day_timestamp_seconds", "Start of the reconciled day.", day_start_s),
        (
            "pulselake_reconciliation_computed_timestamp_seconds",
            "When it was reconciled.",
            day.computed_at.timestamp(),
        ),
    ] {
        head(&mut text, name, help);
        let _ = writeln!(text, "{name} {value}");
    }
    text
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, NaiveDate};

    use super::super::reconcile::Status;
    use super::*;

    fn day() -> Reconciliation {
        let likes = MetricDifference {
            metric_name: "likes".to_owned(),
            kind: "count".to_owned(),
            status: Status::Crit,
            p95_difference: 0.25,
            threshold: 0.08,
            max_difference: 1.0,
            minutes: 1_440,
            rt_total: 75.0,
            batch_total: 100.0,
        };
        Reconciliation {
            date: NaiveDate::from_ymd_opt(2026, 2, 7).unwrap(),
            status: Status::Crit,
            computed_at: DateTime::from_timestamp(1_770_541_200, 0).unwrap(),
            metrics: vec![likes],
        }
    }

    #[test]
    fn every_metric_has_its_samples() {
        let text = text(&day());
        for line in [
            "# TYPE pulselake_reconciliation_status gauge",
            "pulselake_reconciliation_status{metric=\"likes\"} 2",
            "pulselake_reconciliation_p95_difference{metric=\"likes\"} 0.25",
            "pulselake_reconciliation_max_difference{metric=\"likes\"} 1",
            "pulselake_reconciliation_threshold{metric=\"likes\"} 0.08",
            "pulselake_reconciled_day_timestamp_seconds 1770422400",
            "pulselake_reconciliation_computed_timestamp_seconds 1770541200",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in:\n{text}");
        }
        assert!(text.ends_with('\n'));
    }
}
