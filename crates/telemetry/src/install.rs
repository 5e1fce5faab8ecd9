//! The process's recorder and the text of `/metrics`.

use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

use crate::exposition;
use crate::metric::{Metric, describe_all};

/// Why telemetry can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// There is a recorder already.
    #[error("can't install the metrics recorder: {0}; telemetry is set up once per process")]
    Recorder(#[from] BuildError),
    /// There is a log subscriber already.
    #[error("can't set up logging: {0}; logging is set up once per process")]
    Logging(String),
    /// No such level.
    #[error("unknown log level {0:?}: use error, warn, info, debug or trace")]
    Level(String),
}

/// Reads what has been recorded.
#[derive(Clone, Debug)]
pub struct TelemetryHandle {
    recorder: PrometheusHandle,
    process: metrics_process::Collector,
}

impl TelemetryHandle {
    /// All metrics in Prometheus' text format, ages and the process's own figures as of now.
    pub fn render(&self) -> String {
        self.process.collect();
        let mut text = self.recorder.render();
        exposition::render(&mut text);
        text
    }
}

/// Installs the recorder of this process. `version` is what `build_info` shows.
///
/// # Errors
/// When the process has a recorder already.
pub fn install(version: &str) -> Result<TelemetryHandle, TelemetryError> {
    let recorder = PrometheusBuilder::new().install_recorder()?;
    describe_all();
    metrics::gauge!(Metric::BuildInfo.name(), "version" => version.to_owned()).set(1.0);
    let process = metrics_process::Collector::default();
    process.describe();
    Ok(TelemetryHandle { recorder, process })
}

#[cfg(test)]
mod tests {
    use pulselake_model::tables::LakeTable;

    use super::*;
    use crate::everything::record_everything;
    use crate::metric::Kind;

    fn value_of(text: &str, series: &str) -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{series} is not in\n{text}")).parse().unwrap()
    }

    /// The one test that installs the process's recorder.
    #[test]
    fn everything_recorded_is_rendered_and_described() {
        let handle = install("1.2.3").unwrap();
        assert!(install("1.2.3").is_err());

        let recorded = record_everything(7, LakeTable::RawEvents);
        let text = handle.render();
        for metric in Metric::ALL {
            let kind = match metric.kind() {
                Kind::Counter | Kind::FractionalCounter => "counter",
                Kind::Gauge | Kind::Age => "gauge",
                Kind::Histogram => "histogram",
            };
            let name = metric.name();
            assert!(text.contains(&format!("# TYPE {name} {kind}\n")), "{name} has no type\n{text}");
            assert!(
                text.contains(&format!("# HELP {name} {}\n", metric.help())),
                "{name} has no help\n{text}"
            );
        }
        let expected = [
            ("pulselake_build_info{version=\"1.2.3\"}", 1.0),
            ("pulselake_source_records_total{partition=\"7\"}", 4_096.0),
            ("pulselake_rejected_records_total{code=\"NOT_UTF8\"}", 10.0),
            ("pulselake_rejected_change_records_total{entity=\"videos\"}", 5.0),
            ("pulselake_quarantined_records_total{partition=\"7\"}", 5.0),
            ("pulselake_consumer_lag_records{partition=\"7\"}", 99.0),
            ("pulselake_mailbox_depth_batches{actor=\"PartitionConsumer\",index=\"7\"}", 2.0),
            ("pulselake_backpressure_wait_seconds_total{actor=\"PartitionConsumer\",index=\"7\"}", 1.5),
            ("pulselake_evicted_ids_total{partition=\"7\"}", 4.0),
            ("pulselake_table_rows_total{table=\"bronze.raw_events\"}", 4_091.0),
            ("pulselake_end_to_end_latency_seconds_count{table=\"bronze.raw_events\"}", 4_091.0),
            ("pulselake_shard_restarts_total{shard=\"0\"}", 1.0),
        ];
        for (series, value) in expected {
            assert_eq!(value_of(&text, series), value, "{series}");
        }
        let age = value_of(&text, "pulselake_last_commit_age_seconds{table=\"bronze.raw_events\"}");
        assert!((0.0..60.0).contains(&age), "{age}");
        assert!(value_of(&text, "process_resident_memory_bytes") > 1e6);
        assert!(value_of(&text, "process_open_fds") >= 3.0);
        assert!(value_of(&text, "process_start_time_seconds") > 1.6e9);
        // The watermark of this partition is 1970.
        assert!(value_of(&text, "pulselake_watermark_lag_seconds{partition=\"7\"}") > 1e9);

        drop(recorded);
        let after = handle.render();
        assert_eq!(
            value_of(&after, "pulselake_mailbox_depth_batches{actor=\"PartitionConsumer\",index=\"7\"}"),
            0.0
        );
        assert_eq!(value_of(&after, "pulselake_consumer_lag_records{partition=\"7\"}"), 0.0);
        assert!(!after.contains("pulselake_watermark_lag_seconds{partition=\"7\"}"));
        assert_eq!(value_of(&after, "pulselake_source_records_total{partition=\"7\"}"), 4_096.0);
    }
}
