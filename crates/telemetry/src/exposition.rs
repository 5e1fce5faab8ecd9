//! The metrics that the `metrics` crate has no form for, kept as atomics and rendered as Prometheus text:
//! counters of fractional seconds, ages that grow by themselves until they are read, and histograms that take many
//! equal observations in one step (a commit makes thousands of events visible at once).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use crate::metric::{Kind, Metric};

/// Upper bounds of the buckets in seconds: 1 ms to an hour, close together around the promises (1 s, 15 s, 3 min).
const BOUNDS_SECONDS: [f64; 23] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0,
    90.0, 120.0, 180.0, 300.0, 600.0, 3600.0,
];

/// No time has been noted yet.
const NEVER: i64 = i64::MIN;

/// Time spent, as a counter.
#[derive(Clone, Debug, Default)]
pub(crate) struct SecondsCounter(Arc<AtomicU64>);

impl SecondsCounter {
    pub(crate) fn add(&self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.0.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// What has been added up.
    pub(crate) fn seconds(&self) -> f64 {
        self.0.load(Ordering::Relaxed) as f64 / 1e9
    }
}

/// A moment whose age is shown.
#[derive(Clone, Debug)]
pub(crate) struct Moment(Arc<AtomicI64>);

impl Moment {
    /// Notes a moment (µs since the epoch); `None` takes it away, and the series with it.
    pub(crate) fn set_us(&self, moment_us: Option<i64>) {
        self.0.store(moment_us.unwrap_or(NEVER), Ordering::Relaxed);
    }

    pub(crate) fn set_now(&self) {
        self.set_us(Some(now_us()));
    }
}

/// A distribution of durations.
#[derive(Clone, Debug)]
pub(crate) struct Histogram(Arc<Cells>);

#[derive(Debug, Default)]
struct Cells {
    /// One for each bound and one above all.
    buckets: [AtomicU64; BOUNDS_SECONDS.len() + 1],
    /// The bits of an f64: years of latency times millions of events, as a backfill has, overflow any integer.
    sum_seconds_bits: AtomicU64,
}

impl Histogram {
    /// Counts `weight` observations of the same duration.
    pub(crate) fn observe(&self, duration: Duration, weight: u64) {
        let seconds = duration.as_secs_f64();
        let bucket = BOUNDS_SECONDS.partition_point(|bound| *bound < seconds);
        self.0.buckets[bucket].fetch_add(weight, Ordering::Relaxed);
        let added = seconds * weight as f64;
        let add = |bits| Some((f64::from_bits(bits) + added).to_bits());
        // The closure always gives a value, so the update can't be refused.
        let _ = self.0.sum_seconds_bits.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// Counts one observation for each duration, in a few additions for all of them.
    pub(crate) fn observe_each(&self, durations: impl IntoIterator<Item = Duration>) {
        let mut of_bucket = [(0_u64, 0.0_f64); BOUNDS_SECONDS.len() + 1];
        for duration in durations {
            let seconds = duration.as_secs_f64();
            let bucket = &mut of_bucket[BOUNDS_SECONDS.partition_point(|bound| *bound < seconds)];
            *bucket = (bucket.0 + 1, bucket.1 + seconds);
        }
        for (count, seconds) in of_bucket.into_iter().filter(|(count, _)| *count > 0) {
            self.observe(Duration::from_secs_f64(seconds / count as f64), count);
        }
    }

    /// Observations by bucket, one for each bound and one above all.
    pub(crate) fn counts(&self) -> Vec<u64> {
        self.0.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect()
    }
}

/// Upper bounds of the buckets in seconds.
pub(crate) fn bounds_seconds() -> &'static [f64] {
    &BOUNDS_SECONDS
}

#[derive(Clone)]
enum Series {
    Seconds(SecondsCounter),
    Age(Moment),
    Histogram(Histogram),
}

/// All series by metric and label text.
static SERIES: Mutex<BTreeMap<(Metric, String), Series>> = Mutex::new(BTreeMap::new());

fn series(metric: Metric, labels: &[(&str, &str)], new: impl FnOnce() -> Series) -> Series {
    SERIES.lock().entry((metric, label_text(labels))).or_insert_with(new).clone()
}

/// `a="x",b="y"`.
fn label_text(labels: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, value) in labels {
        let separator = if text.is_empty() { "" } else { "," };
        let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        // Writing to a String does not fail.
        let _ = write!(text, "{separator}{name}=\"{escaped}\"");
    }
    text
}

pub(crate) fn seconds_counter(metric: Metric, labels: &[(&str, &str)]) -> SecondsCounter {
    debug_assert_eq!(metric.kind(), Kind::FractionalCounter);
    match series(metric, labels, || Series::Seconds(SecondsCounter::default())) {
        Series::Seconds(counter) => counter,
        // A metric has one kind, so its series are all of it; a series of its own loses nothing but the output.
        _ => SecondsCounter::default(),
    }
}

pub(crate) fn moment(metric: Metric, labels: &[(&str, &str)]) -> Moment {
    debug_assert_eq!(metric.kind(), Kind::Age);
    let never = || Moment(Arc::new(AtomicI64::new(NEVER)));
    match series(metric, labels, || Series::Age(never())) {
        Series::Age(moment) => moment,
        _ => never(),
    }
}

pub(crate) fn histogram(metric: Metric, labels: &[(&str, &str)]) -> Histogram {
    debug_assert_eq!(metric.kind(), Kind::Histogram);
    let empty = || Histogram(Arc::new(Cells::default()));
    match series(metric, labels, || Series::Histogram(empty())) {
        Series::Histogram(histogram) => histogram,
        _ => empty(),
    }
}

/// The wall clock, µs since the epoch.
fn now_us() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX)
}

/// Appends all series in Prometheus' text format.
pub(crate) fn render(output: &mut String) {
    render_at(output, now_us());
}

fn render_at(output: &mut String, clock_us: i64) {
    // Copied, so that no rendering holds up whoever makes a handle; the values are shared atomics.
    let all: Vec<((Metric, String), Series)> =
        SERIES.lock().iter().map(|(key, series)| (key.clone(), series.clone())).collect();
    let mut described = None;
    for ((metric, labels), series) in &all {
        if is_unset(series) {
            continue;
        }
        if described != Some(*metric) {
            described = Some(*metric);
            describe(output, *metric);
        }
        render_series(output, *metric, labels, series, clock_us);
    }
}

fn is_unset(series: &Series) -> bool {
    matches!(series, Series::Age(moment) if moment.0.load(Ordering::Relaxed) == NEVER)
}

fn describe(output: &mut String, metric: Metric) {
    let kind = match metric.kind() {
        Kind::Counter | Kind::FractionalCounter => "counter",
        Kind::Gauge | Kind::Age => "gauge",
        Kind::Histogram => "histogram",
    };
    let name = metric.name();
    let _ = writeln!(output, "# HELP {name} {}\n# TYPE {name} {kind}", metric.help());
}

fn render_series(output: &mut String, metric: Metric, labels: &str, series: &Series, clock_us: i64) {
    let name = metric.name();
    let braces = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
    match series {
        Series::Seconds(counter) => {
            let seconds = counter.0.load(Ordering::Relaxed) as f64 / 1e9;
            let _ = writeln!(output, "{name}{braces} {seconds}");
        }
        Series::Age(moment) => {
            let age_us = clock_us.saturating_sub(moment.0.load(Ordering::Relaxed));
            let _ = writeln!(output, "{name}{braces} {}", age_us as f64 / 1e6);
        }
        Series::Histogram(histogram) => render_histogram(output, name, labels, &braces, &histogram.0),
    }
}

fn render_histogram(output: &mut String, name: &str, labels: &str, braces: &str, cells: &Cells) {
    let separator = if labels.is_empty() { "" } else { "," };
    let mut cumulative = 0_u64;
    for (bucket, cell) in cells.buckets.iter().enumerate() {
        cumulative += cell.load(Ordering::Relaxed);
        let bound = BOUNDS_SECONDS.get(bucket).map_or_else(|| "+Inf".to_owned(), f64::to_string);
        let _ = writeln!(output, "{name}_bucket{{{labels}{separator}le=\"{bound}\"}} {cumulative}");
    }
    let sum = f64::from_bits(cells.sum_seconds_bits.load(Ordering::Relaxed));
    let _ = writeln!(output, "{name}_sum{braces} {sum}\n{name}_count{braces} {cumulative}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(clock_us: i64) -> String {
        let mut output = String::new();
        render_at(&mut output, clock_us);
        output
    }

    #[test]
    fn fractions_of_seconds_add_up() {
        let labels = [("actor", "Adder"), ("index", "1")];
        seconds_counter(Metric::ActorBusy, &labels).add(Duration::from_millis(1_250));
        seconds_counter(Metric::ActorBusy, &labels).add(Duration::from_micros(500));
        let text = rendered(0);
        assert!(
            text.contains("pulselake_actor_busy_seconds_total{actor=\"Adder\",index=\"1\"} 1.2505\n"),
            "{text}"
        );
        assert!(text.contains("# TYPE pulselake_actor_busy_seconds_total counter\n"), "{text}");
    }

    #[test]
    fn an_age_grows_until_it_is_taken_away() {
        let lag = moment(Metric::WatermarkLag, &[("partition", "901")]);
        assert!(!rendered(0).contains("partition=\"901\""));
        lag.set_us(Some(1_000_000));
        assert!(rendered(3_500_000).contains("pulselake_watermark_lag_seconds{partition=\"901\"} 2.5\n"));
        lag.set_us(None);
        assert!(!rendered(4_000_000).contains("partition=\"901\""));
    }

    #[test]
    fn many_observations_at_once_count_as_each_of_them() {
        let millis = [3, 70, 80, 80, 900, 30_000];
        let (one_by_one, at_once) = (
            histogram(Metric::EndToEndLatency, &[("table", "one_by_one")]),
            histogram(Metric::EndToEndLatency, &[("table", "at_once")]),
        );
        millis.iter().for_each(|&age| one_by_one.observe(Duration::from_millis(age), 1));
        at_once.observe_each(millis.map(Duration::from_millis));
        assert_eq!(at_once.counts(), one_by_one.counts());
        assert!(rendered(0).contains("sum{table=\"at_once\"} 31.13"), "{}", rendered(0));
    }

    #[test]
    fn a_weight_counts_as_so_many_observations() {
        let latency = histogram(Metric::EndToEndLatency, &[("table", "weighted")]);
        latency.observe(Duration::from_secs(1), 4_000);
        latency.observe(Duration::from_secs(12), 1);
        latency.observe(Duration::from_secs(9_999), 2);
        let text = rendered(0);
        let line = |suffix: &str| format!("pulselake_end_to_end_latency_seconds_{suffix}\n");
        for expected in [
            "bucket{table=\"weighted\",le=\"0.5\"} 0",
            "bucket{table=\"weighted\",le=\"1\"} 4000",
            "bucket{table=\"weighted\",le=\"15\"} 4001",
            "bucket{table=\"weighted\",le=\"3600\"} 4001",
            "bucket{table=\"weighted\",le=\"+Inf\"} 4003",
            "sum{table=\"weighted\"} 24010",
            "count{table=\"weighted\"} 4003",
        ] {
            assert!(text.contains(&line(expected)), "{expected} is not in\n{text}");
        }
    }

    #[test]
    fn a_backfill_of_old_events_does_not_overflow_the_sum() {
        let ten_years = Duration::from_secs(315_360_000);
        let latency = histogram(Metric::EndToEndLatency, &[("table", "backfill")]);
        for _ in 0..10 {
            latency.observe(ten_years, 100_000_000);
        }
        let line = "pulselake_end_to_end_latency_seconds_sum{table=\"backfill\"} 315360000000000000\n";
        assert!(rendered(0).contains(line), "{}", rendered(0));
    }

    #[test]
    fn label_values_are_escaped() {
        assert_eq!(label_text(&[("a", "x\"y\\z\n"), ("b", "1")]), "a=\"x\\\"y\\\\z\\n\",b=\"1\"");
    }
}
