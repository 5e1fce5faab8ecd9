//! The engine's metrics and log as far as faults show in them.

use serde_json::Value;

use crate::engine_log::EngineLog;
use crate::metrics::Metrics;

/// The table of events.
pub(crate) const BRONZE: &str = "bronze.raw_events";
/// What an explanation is cut to, characters.
const LONGEST_DETAIL: usize = 160;

/// The metrics of one engine process at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sighting {
    /// Milliseconds since the epoch.
    pub(crate) at_ms: i64,
    /// Number of the process.
    pub(crate) process: u32,
    pub(crate) figures: Figures,
}

/// What is looked at, each summed over all its labels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Figures {
    pub(crate) source_records: f64,
    pub(crate) replayed_records: f64,
    pub(crate) assigned_partitions: f64,
    pub(crate) unknown_outcomes: f64,
    pub(crate) commit_fences: f64,
    pub(crate) shard_restarts: f64,
}

/// One of the figures.
pub(crate) type FigureOf = fn(&Figures) -> f64;

impl Figures {
    /// Counters that only trouble moves, by the names of their metrics. Compaction runs and commit conflicts are none of
    /// them: the engine's own maintenance moves both when all is well.
    pub(crate) const COUNTERS: [(&str, FigureOf); 4] = [
        ("pulselake_replayed_records_total", |figures| figures.replayed_records),
        ("pulselake_unknown_outcomes_total", |figures| figures.unknown_outcomes),
        ("pulselake_commit_fences_total", |figures| figures.commit_fences),
        ("pulselake_shard_restarts_total", |figures| figures.shard_restarts),
    ];

    pub(crate) fn of(metrics: &Metrics) -> Self {
        Self {
            source_records: metrics.sum("pulselake_source_records_total"),
            replayed_records: metrics.sum("pulselake_replayed_records_total"),
            assigned_partitions: metrics.sum("pulselake_assigned_partitions"),
            unknown_outcomes: metrics.sum("pulselake_unknown_outcomes_total"),
            commit_fences: metrics.sum("pulselake_commit_fences_total"),
            shard_restarts: metrics.sum("pulselake_shard_restarts_total"),
        }
    }
}

/// A line of an engine's log.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct LogLine {
    /// Milliseconds since the epoch.
    pub(crate) at_ms: i64,
    /// Number of the process.
    pub(crate) process: u32,
    /// The name of the event; empty where it has none.
    pub(crate) event: String,
    /// Who says it, such as `librdkafka`.
    pub(crate) target: String,
    /// Whether it is a warning or an error.
    pub(crate) is_warning: bool,
    /// What it says, and why.
    pub(crate) detail: String,
    /// Of a commit.
    pub(crate) table: String,
    /// Of a commit.
    pub(crate) rows: u64,
    /// Of a commit.
    pub(crate) duration_ms: u64,
}

/// All lines of a process's log that say when they were written.
pub(crate) fn lines_of(log: &EngineLog, process: u32) -> Vec<LogLine> {
    log.objects().filter_map(|line| line_of(&line, process)).collect()
}

fn line_of(line: &Value, process: u32) -> Option<LogLine> {
    let text = |field: &str| line[field].as_str().unwrap_or_default().to_owned();
    let number = |field: &str| line[field].as_u64().unwrap_or(0);
    let at = chrono::DateTime::parse_from_rfc3339(line["timestamp"].as_str()?).ok()?;
    let reasons = ["reason", "cause", "error", "detail"].map(text);
    let mut detail = text("message");
    for reason in reasons.iter().filter(|reason| !reason.is_empty()) {
        detail = format!("{detail}: {reason}");
    }
    Some(LogLine {
        at_ms: at.timestamp_millis(),
        process,
        event: text("event"),
        target: text("target"),
        is_warning: matches!(line["level"].as_str(), Some("WARN" | "ERROR")),
        detail: detail.chars().take(LONGEST_DETAIL).collect(),
        table: text("table"),
        rows: number("rows"),
        duration_ms: number("duration_ms"),
    })
}

/// When rows were committed to a table, in the order of time.
pub(crate) fn commit_times(lines: &[LogLine], table: &str) -> Vec<i64> {
    let is_meant = |line: &&LogLine| line.event == "commit_done" && line.table == table && line.rows > 0;
    let mut times: Vec<i64> = lines.iter().filter(is_meant).map(|line| line.at_ms).collect();
    times.sort_unstable();
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = r#"{"timestamp":"2026-02-07T10:00:01.500000Z","level":"INFO","event":"commit_done","table":"bronze.raw_events","rows":10,"duration_ms":21,"message":"committed"}
{"timestamp":"2026-02-07T10:00:02.000000Z","level":"INFO","event":"commit_done","table":"bronze.raw_events","rows":0,"message":"committed"}
{"timestamp":"2026-02-07T10:00:02.500000Z","level":"WARN","target":"librdkafka","message":"refused","error":"no route"}
pulselake says goodbye
{"timestamp":"2026-02-07T10:00:04.000000Z","level":"INFO","event":"commit_done","table":"bronze.raw_events","rows":3,"message":"committed"}
{"timestamp":"2026-02-07T10:00:04.100000Z","level":"INFO","event":"commit_done","table":"gold.rt_video_stats_1min","rows":3,"message":"committed"}
"#;
    /// 2026-02-07T10:00:00Z.
    const START_MS: i64 = 1_770_458_400_000;

    #[test]
    fn lines_are_read_with_their_times_and_reasons() {
        let lines = lines_of(&EngineLog::of(LOG.to_owned()), 3);
        assert_eq!(lines.len(), 5);
        assert_eq!((lines[0].at_ms - START_MS, lines[0].process, lines[0].duration_ms), (1_500, 3, 21));
        let warning = &lines[2];
        let said = (warning.target.as_str(), warning.detail.as_str(), warning.is_warning);
        assert_eq!(said, ("librdkafka", "refused: no route", true));
    }

    #[test]
    fn only_commits_of_rows_count() {
        let commits = commit_times(&lines_of(&EngineLog::of(LOG.to_owned()), 0), BRONZE);
        assert_eq!(commits, [START_MS + 1_500, START_MS + 4_000]);
    }

    #[test]
    fn figures_are_sums_over_labels() {
        let text = "pulselake_source_records_total{partition=\"0\"} 3\n\
                    pulselake_source_records_total{partition=\"1\"} 4\n\
                    pulselake_assigned_partitions 2\n\
                    pulselake_commit_fences_total{table=\"x\"} 1\n\
                    pulselake_compaction_runs_total{table=\"x\"} 9\n";
        let figures = Figures::of(&Metrics::of_text(text));
        let expected = Figures {
            source_records: 7.0,
            assigned_partitions: 2.0,
            commit_fences: 1.0,
            ..Figures::default()
        };
        assert_eq!(figures, expected);
        let moved: Vec<&str> = Figures::COUNTERS
            .into_iter()
            .filter(|(_, figure)| figure(&figures) > 0.0)
            .map(|(name, _)| name)
            .collect();
        assert_eq!(moved, ["pulselake_commit_fences_total"]);
    }
}
