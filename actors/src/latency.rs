//! End-to-end latency, per batch: from event time to visible row.

use std::time::Duration;

use pulselake_telemetry::TableMetrics;

use crate::status::now_us;

/// Books `events` events whose times lie in `span_us` (µs) as visible from now on: half of them at each end of the
/// span, so that the histogram's tail is that of the oldest events.
pub(crate) fn observe_latency(metrics: &TableMetrics, span_us: Option<(i64, i64)>, events: u64) {
    let Some((oldest, newest)) = span_us else { return };
    let now = now_us();
    let age = |time_us: i64| Duration::from_micros(u64::try_from(now - time_us).unwrap_or(0));
    metrics.became_visible(age(oldest), events.div_ceil(2));
    metrics.became_visible(age(newest), events / 2);
}
