//! docs/metrics.md: every metric out of the list in `metric`, its labels out of a rendering of all of them, and every log
//! event out of the sources.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use metrics_exporter_prometheus::PrometheusBuilder;
use pulselake_model::tables::LakeTable;

use crate::everything::record_everything;
use crate::exposition::{self, bounds_seconds};
use crate::metric::{Kind, Metric};

#[path = "../../../src/reference/golden.rs"]
mod golden;
#[path = "reference/log_events.rs"]
mod log_events;

use golden::{NOTE, assert_page, cell, repository};
use log_events::{LogEvent, log_events_in};

const ABOUT: &str = "\
## Metrics

`/metrics` of the engine's address (`http.bind`) has them in Prometheus' text format. A counter's series is there once something was counted or its part runs. An *age* is a gauge that grows by itself \
until the thing happens again. A histogram has `_bucket`, `_sum` and `_count`; bounds of its buckets in seconds: ";

const PROCESS: &str = "\
Beside them stand the figures that Prometheus' client libraries report of a process, under their usual names: `process_cpu_seconds_total`, `process_resident_memory_bytes`, \
`process_virtual_memory_bytes`, `process_open_fds`, `process_max_fds`, `process_threads`, `process_start_time_seconds`.
";

const EVENTS: &str = "\
## Log events

Lines that matter have the field `event`; with `log.format = \"json\"` each line is a JSON object, whose other fields are those below. Lines without `event` are details. \
In the message a text in braces is filled in.

";

/// Where log events are written.
const SOURCES: [&str; 4] = ["crates", "actors/src", "src", "query/src"];

#[test]
fn the_page_of_metrics_is_what_the_code_says() {
    let mut page = format!("# Metrics and log events\n\n{NOTE}\n\n{ABOUT}");
    let bounds: Vec<String> = bounds_seconds().iter().map(f64::to_string).collect();
    let _ = write!(
        page,
        "{}.\n\n| metric | kind | labels | what it says |\n|---|---|---|---|\n",
        bounds.join(", ")
    );
    let labels = labels_by_series();
    for metric in Metric::ALL {
        let names = labels.get(metric.name()).unwrap_or_else(|| panic!("{} was not rendered", metric.name()));
        let kind = match metric.kind() {
            Kind::Counter | Kind::FractionalCounter => "counter",
            Kind::Gauge => "gauge",
            Kind::Age => "gauge (age)",
            Kind::Histogram => "histogram",
        };
        let _ =
            writeln!(page, "| `{}` | {kind} | {} | {} |", metric.name(), quoted(names), cell(metric.help()));
    }
    let _ = write!(page, "\n{PROCESS}\n{EVENTS}| event | level | fields | message |\n|---|---|---|---|\n");
    let events = all_log_events();
    assert!(events.contains_key("commit_done") && events.contains_key("query_process_ended"), "{events:?}");
    for (name, LogEvent { level, fields, message }) in &events {
        let _ = writeln!(page, "| `{name}` | {level} | {} | {} |", quoted(fields), cell(message));
    }
    assert_page("docs/metrics.md", &page);
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The names of each metric's labels, as a scrape has them.
fn labels_by_series() -> BTreeMap<String, Vec<String>> {
    let recorder = PrometheusBuilder::new().build_recorder();
    let text = metrics::with_local_recorder(&recorder, || {
        metrics::gauge!(Metric::BuildInfo.name(), "version" => "1").set(1.0);
        let _recorded = record_everything(907, LakeTable::InvalidEventsContent);
        let mut text = recorder.handle().render();
        exposition::render(&mut text);
        text
    });
    let mut labels = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let series = line.rsplit_once(' ').map_or(line, |(series, _)| series);
        let (name, in_braces) = series.split_once('{').unwrap_or((series, ""));
        let name = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|part| name.strip_suffix(part).filter(|metric| is_histogram(metric)))
            .unwrap_or(name);
        let of_line = in_braces.split("=\"").map(|part| part.rsplit(['"', ',', '{']).next().unwrap_or(part));
        let mut names: Vec<String> = of_line
            .filter(|label| !label.is_empty() && *label != "}" && *label != "le")
            .map(str::to_owned)
            .collect();
        names.dedup();
        labels.entry(name.to_owned()).or_insert(names);
    }
    labels
}

fn is_histogram(name: &str) -> bool {
    Metric::ALL.iter().any(|metric| metric.name() == name && metric.kind() == Kind::Histogram)
}

/// Every event that the program logs, by name.
fn all_log_events() -> BTreeMap<String, LogEvent> {
    let mut files = Vec::new();
    let mut pending: Vec<_> = SOURCES.iter().map(|folder| repository().join(folder)).collect();
    while let Some(folder) = pending.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() && !is_of_tests(&path) {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    // An event at several places has the words of the first of these: in a fixed order.
    files.sort();
    let mut events = BTreeMap::new();
    for file in files {
        for (name, event) in log_events_in(&std::fs::read_to_string(&file).unwrap()) {
            merge(events.entry(name).or_insert_with(|| event.clone()), &event);
        }
    }
    events
}

fn is_of_tests(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name == "tests" || name == "examples" || name == "benches" || name == "reference")
}

/// An event that is logged at several levels has all of them, and the words of the most important.
fn merge(known: &mut LogEvent, other: &LogEvent) {
    const LEVELS: [&str; 4] = ["error", "warn", "info", "debug"];
    let rank = |levels: &str| LEVELS.iter().position(|level| levels.contains(level));
    if rank(&other.level) < rank(&known.level) {
        (known.fields, known.message) = (other.fields.clone(), other.message.clone());
    }
    let both = LEVELS.into_iter().filter(|level| known.level.contains(level) || other.level == *level);
    known.level = both.collect::<Vec<_>>().join(", ");
}
